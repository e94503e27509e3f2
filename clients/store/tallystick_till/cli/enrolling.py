"""`enrol`: how a till becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick_till.cli.options import DirOption, JsonOption, directory_of
from tallystick_till.cli.output import EXIT_USAGE, CommandFailed, Printer
from tallystick_till.config import has_config, load_config, load_key

if TYPE_CHECKING:
    from tallystick_till.config import TillConfig

WAIT_S_DEFAULT = 600.0
"""As long as a code is good for."""


def enrol(
    gateway: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the gateway is.")] = "",
    program: Annotated[str, typer.Option(help="The program that the code is for.")] = "",
    code: Annotated[str, typer.Option(help="The one-time code that a manager made.")] = "",
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="PEM file of the gateway's authority; without it, nothing is encrypted."
        ),
    ] = None,
    issuer: Annotated[str, typer.Option(help="The gateway's setting `issuer`.")] = "tallystick",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for the manager's confirmation.")
    ] = WAIT_S_DEFAULT,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make this till's key, register it with a code, and wait until a manager has compared its fingerprint.

    Without --code it goes on waiting for a till that was registered before.
    """
    from tallystick.security.keys import fingerprint
    from tallystick_till import enrol as enrolment

    printer = Printer(as_json=as_json)
    place = directory_of(directory)
    if code:
        if not gateway or not program:
            raise CommandFailed("a code needs --gateway and --program", code=EXIT_USAGE)
        config = enrolment.enrol(place, gateway=gateway, program_id=program, code=code, issuer=issuer, ca=ca)
    elif has_config(place):
        config = load_config(place)
    else:
        raise CommandFailed(
            "to enrol a till takes a code",
            mend="have a manager run `tallystick device code --store STORE`, then add --code, --gateway and --program",
            code=EXIT_USAGE,
        )
    shown = fingerprint(load_key(place).kid)
    if not config.confirmed:
        printer.line(f"Registered as {config.till_id}.")
        printer.line(f"Fingerprint  {shown}")
        printer.line("The manager compares it and confirms:")
        printer.line(f"  tallystick device confirm {config.till_id} '{shown}'")
        config = enrolment.await_confirmation(place, config, wait_s=wait)
    _show(printer, config, shown)


def _show(printer: Printer, config: TillConfig, shown: str) -> None:
    printer.line(
        f"{config.label or 'This till'} of store {config.store_id} is enrolled. Start it: tallystick-till run"
    )
    printer.document(
        {
            "till_id": config.till_id,
            "program_id": config.program_id,
            "store_id": config.store_id,
            "label": config.label,
            "fingerprint": shown,
        }
    )
