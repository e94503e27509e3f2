"""All commands. Modules with heavy imports import them inside their functions, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

import tallystick
from tallystick.cli import (
    books,
    cards,
    coupons,
    demo,
    device,
    finance,
    importing,
    insight,
    keys,
    notices,
    passes,
    programs,
    review,
    rewards,
    segments,
    serving,
    shop,
    simulating,
    stores,
    versions,
    webhooks,
)

app = typer.Typer(
    name="tallystick",
    help="One points ledger for stores, webshop and app.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tallystick {tallystick.__version__}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 done; 1 something does not add up; 2 wrong command line or settings; 3 it cannot be done now."
)
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """One points ledger for stores, webshop and app."""


SERVER, TILL, BOOKS = "Server", "At the till", "Books and data"

app.command("run", rich_help_panel=SERVER)(serving.run)
app.command("serve", rich_help_panel=SERVER)(serving.serve)
app.command("migrate", rich_help_panel=SERVER)(serving.migrate)
app.command("settings", rich_help_panel=SERVER)(serving.show_settings)
app.command("demo", rich_help_panel=SERVER)(demo.demo)
app.add_typer(
    keys.app, name="keys", help="Keys of the server, devices by its operator.", rich_help_panel=SERVER
)
app.add_typer(
    device.app, name="device", help="Enrol and manage devices through the server.", rich_help_panel=SERVER
)
app.add_typer(
    stores.app,
    name="store",
    help="What a store's tills report, what they can lose, and who works there.",
    rich_help_panel=SERVER,
)
programs.app.command()(simulating.simulate)
programs.app.command()(versions.diff)
programs.app.command()(versions.rollback)
programs.app.command()(versions.schema)
app.add_typer(programs.app, name="program", help="Programs and their rule sets.", rich_help_panel=SERVER)
app.add_typer(
    cards.app,
    name="cards",
    help="Print cards, make batches of them, replace lost ones.",
    rich_help_panel=SERVER,
)
app.add_typer(
    coupons.app, name="coupons", help="Unique codes of coupons: make, see, end.", rich_help_panel=SERVER
)
app.add_typer(
    review.app,
    name="review",
    help="What looks like fraud or needs a second person.",
    rich_help_panel=SERVER,
)
app.add_typer(
    rewards.app,
    name="rewards",
    help="Rewards without a basket: buy, see, hand out.",
    rich_help_panel=SERVER,
)
app.add_typer(passes.app, name="pass", help="Passes of members in phone wallets.", rich_help_panel=SERVER)
app.add_typer(
    webhooks.app, name="webhook", help="Tell other systems of what happens.", rich_help_panel=SERVER
)
finance.app.command()(insight.kpis)
finance.app.command()(insight.campaigns)
finance.app.command()(insight.budgets)
finance.app.command()(insight.experiment)
app.add_typer(
    segments.app, name="segment", help="Who is in which segment of the rule set.", rich_help_panel=SERVER
)
app.add_typer(
    notices.app, name="notify", help="What members are told, and what became of it.", rich_help_panel=SERVER
)
app.command("sale", rich_help_panel=TILL)(shop.sale)
app.command("balance", rich_help_panel=TILL)(shop.balance)
app.command("enrol-member", rich_help_panel=TILL)(shop.enrol_member)
app.add_typer(
    importing.app, name="import", help="Replay sales of a file as real clients.", rich_help_panel=BOOKS
)
app.command("expire", rich_help_panel=BOOKS)(books.expire)
app.command("verify", rich_help_panel=BOOKS)(books.verify)
app.command("export", rich_help_panel=BOOKS)(books.export)
app.add_typer(
    finance.app,
    name="report",
    help="Points owed, revenue deferred, journals; key figures, campaigns, experiments.",
    rich_help_panel=BOOKS,
)
