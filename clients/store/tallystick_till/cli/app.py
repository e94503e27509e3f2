"""All commands. Modules with heavy imports import them inside their functions, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

import tallystick
from tallystick_till.cli import enrolling, moving, serving, showing

app = typer.Typer(
    name="tallystick-till",
    help="A till of a Tallystick program: it sells with points, also while the line is down.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tallystick-till {tallystick.__version__}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 done; 1 something needs a person; 2 wrong command line or settings; 3 it cannot be done now."
)
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A till of a Tallystick program: it sells with points, also while the line is down."""


app.command("enrol")(enrolling.enrol)
app.command("run")(serving.run)
app.command("status")(showing.status)
app.command("export")(moving.export)
app.command("recover")(moving.recover)
app.command("reset")(moving.reset)
