"""All commands. A module's heavy imports stand inside its functions, so that help comes at once."""

from __future__ import annotations

from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

import tallystick
from tallystick.cli.commands import Commands, command, group

SERVER, TILL, BOOKS = "Server", "At the till", "Books and data"

PLACES = {
    "run": command(SERVER, "serving", "run"),
    "serve": command(SERVER, "serving", "serve"),
    "migrate": command(SERVER, "serving", "migrate"),
    "settings": command(SERVER, "serving", "show_settings"),
    "demo": command(SERVER, "demo", "demo"),
    "keys": group(SERVER, "Keys of the server, devices by its operator.", "keys"),
    "device": group(SERVER, "Enrol and manage devices through the server.", "device"),
    "store": group(SERVER, "What a store's tills report, what they can lose, and who works there.", "stores"),
    "program": group(SERVER, "Programs and their rule sets.", "programs", "simulating", "versions"),
    "cards": group(SERVER, "Print cards, make batches of them, replace lost ones.", "cards"),
    "coupons": group(SERVER, "Unique codes of coupons: make, see, end.", "coupons"),
    "review": group(SERVER, "What looks like fraud or needs a second person.", "review"),
    "rewards": group(SERVER, "Rewards without a basket: buy, see, hand out.", "rewards"),
    "pass": group(SERVER, "Passes of members in phone wallets.", "passes"),
    "webhook": group(SERVER, "Tell other systems of what happens.", "webhooks"),
    "segment": group(SERVER, "Who is in which segment of the rule set.", "segments"),
    "notify": group(SERVER, "What members are told, and what became of it.", "notices"),
    "sale": command(TILL, "shop", "sale"),
    "balance": command(TILL, "shop", "balance"),
    "enrol-member": command(TILL, "shop", "enrol_member"),
    "expire": command(BOOKS, "books", "expire"),
    "verify": command(BOOKS, "books", "verify"),
    "export": command(BOOKS, "books", "export"),
    "import": group(BOOKS, "Replay sales of a file as real clients.", "importing"),
    "report": group(
        BOOKS,
        "Points owed, revenue deferred, journals; key figures, campaigns, experiments.",
        "finance",
        "insight",
    ),
}


class _All(TyperGroup):
    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands = cast("dict[str, Any]", Commands(PLACES))


app = typer.Typer(
    name="tallystick",
    cls=_All,
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
