"""`tallystick pass ...`: passes of members, made and looked at where the database is at hand."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.options import (
    ConfigOption,
    DatabaseOption,
    DataDirOption,
    JsonOption,
    printer_for,
    settings_from,
)
from tallystick.cli.output import CommandFailed
from tallystick.core.basket import Channel
from tallystick.core.ids import MemberId, ProgramId

if TYPE_CHECKING:
    from tallystick.service.gateway import Gateway

app = typer.Typer(no_args_is_help=True)

MemberArgument = Annotated[str, typer.Argument(metavar="MEMBER", help="Member number or id.")]
ProgramOption = Annotated[str, typer.Option(help="The member's program; default: the only one there is.")]


@app.command()
def show(
    member: MemberArgument,
    program: ProgramOption = "",
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a member's passes: when they were made and changed, and on how many devices they are."""
    from tallystick.cli.wiring import opened_gateway

    printer = printer_for(as_json=as_json)
    rows = []
    with opened_gateway(settings_from(config, data_dir=data_dir, database=database)) as (gateway, store, _):
        program_id, member_id = _found(gateway, program, member)
        for one in gateway.wallets.passes_of(program_id, member_id):
            devices = len(store.registrations(program_id, one.serial))
            rows.append(
                {
                    "wallet": one.wallet.name.lower(),
                    "made": _instant(one.made_ms // 1000),
                    "changed": _instant(one.changed_s),
                    "devices": devices,
                    "told_of_last_change": one.delivered_tag == one.tag,
                }
            )
    for row in rows:
        state = "told of the last change" if row["told_of_last_change"] else "waits to be told"
        printer.line(
            f"{row['wallet']}: made {row['made']}, changed {row['changed']}, {row['devices']} devices, {state}"
        )
    if not rows:
        printer.line("This member has no pass.")
    printer.document(rows)


@app.command()
def apple(
    member: MemberArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Default: the member number with .pkpass."),
    ] = None,
    program: ProgramOption = "",
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new pass for Apple Wallet as a file. It holds a secret of the member: give it to nobody else."""
    from tallystick.cli.wallets import apple_passes
    from tallystick.cli.wiring import opened_gateway

    settings = settings_from(config, data_dir=data_dir, database=database)
    printer = printer_for(as_json=as_json)
    with opened_gateway(settings) as (gateway, _, _):
        program_id, member_id = _found(gateway, program, member)
        bundle = apple_passes(settings, gateway).issue(program_id, member_id)
        number = gateway.members.get(program_id, member_id).number
    file = out or Path(f"{number}.pkpass")
    file.write_bytes(bundle.data)
    demo = not settings.apple_pass_type
    printer.line(f"Pass of member {number} written to {file}.")
    if demo:
        printer.line(
            "It is signed by a demonstration authority: no phone accepts it. Set apple_pass_type and the rest."
        )
    elif not settings.public_url:
        printer.line("It will not be updated: public_url is not set.")
    printer.document({"file": str(file), "demo": demo, "updates": bool(settings.public_url)})


@app.command()
def google(
    member: MemberArgument,
    program: ProgramOption = "",
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new pass in Google Wallet and print the link by which the member's phone takes it."""
    from tallystick.cards.google_api import GoogleAway, GoogleRefused
    from tallystick.cli.wallets import google_passes
    from tallystick.cli.wiring import opened_gateway

    settings = settings_from(config, data_dir=data_dir, database=database)
    if not settings.google_issuer_id:
        raise CommandFailed(
            "Google Wallet is not set up", mend="set google_issuer_id, google_account and public_url"
        )
    printer = printer_for(as_json=as_json)
    with opened_gateway(settings) as (gateway, _, _):
        program_id, member_id = _found(gateway, program, member)
        try:
            link = google_passes(settings, gateway).issue(program_id, member_id)
        except (GoogleAway, GoogleRefused) as error:
            raise CommandFailed(f"Google Wallet made no pass: {error}") from error
    printer.line(link)
    printer.document({"link": link})


def _found(gateway: Gateway, program: str, member: str) -> tuple[ProgramId, MemberId]:
    """The program and the member that were named. CommandFailed when there is no such one."""
    from tallystick.service.identity import IdentityRefused, Text

    programs = gateway.store.programs(after="", limit=2)
    if not program and len(programs) != 1:
        raise CommandFailed("which program?", mend="name it with --program")
    program_id = ProgramId(program) if program else programs[0].program_id
    try:
        return program_id, gateway.members.get(program_id, MemberId(str(uuid.UUID(member)))).member_id
    except ValueError:
        scan = gateway.identity.read(program_id, Text(member), channel=Channel.STORE)
    if isinstance(scan, IdentityRefused):
        raise CommandFailed(scan.message)
    rows = gateway.store.find(program_id, [(scan.identifier.kind, scan.token)])
    if not rows:
        raise CommandFailed("there is no such member", mend="name another program with --program?")
    return program_id, rows[0].member_id


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
