"""`run`: the till itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick_till.cli.options import DirOption, directory_of
from tallystick_till.cli.output import EXIT_USAGE, CommandFailed, Printer
from tallystick_till.config import LISTEN_DEFAULT

if TYPE_CHECKING:
    from tallystick_till.daemon.run import Running

LEVELS = ("debug", "info", "warning", "error")


def run(
    listen: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="Address of screen and API, on this machine; port 0 takes a free one."
        ),
    ] = LISTEN_DEFAULT,
    hub: Annotated[
        str,
        typer.Option(metavar="HUB", help="Who holds the store's leases: self, none, or TILL_ID@HOST:PORT."),
    ] = "self",
    hub_listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Serve the leases to the store's other tills here.")
    ] = "",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
    directory: DirOption = None,
) -> None:
    """Sell: serve the cashier screen and the local API until SIGTERM or Ctrl+C, and keep in touch with the gateway."""
    if log_level not in LEVELS:
        raise CommandFailed(
            f"'{log_level}' is no log level", mend=f"use one of {', '.join(LEVELS)}", code=EXIT_USAGE
        )
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    from tallystick_till.daemon.assembly import HubChoice
    from tallystick_till.daemon.run import run as run_till

    run_till(
        directory_of(directory),
        address=listen,
        hub=HubChoice(hub),
        hub_listen=hub_listen,
        started=_show_running,
    )


def _show_running(running: Running) -> None:
    printer = Printer(as_json=False)
    config = running.config
    name = config.label or config.till_id
    printer.line(f"{name} of {config.store_id} sells at http://127.0.0.1:{running.port} - Ctrl+C stops it.")
    printer.line(f"  gateway  {config.gateway}{'' if config.encrypted else ' (not encrypted)'}")
    printer.line(f"  data     {running.directory}")
    if running.hub_port:
        printer.line(f"  hub      the store's other tills: --hub {config.till_id}@HOST:{running.hub_port}")
    if not running.screen_built:
        printer.line("  screen   not part of this installation; the local API answers")
