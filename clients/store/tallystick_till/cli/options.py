"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallystick_till.config import DIR_VARIABLE, default_directory

DirOption = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help=f"The till's directory; or {DIR_VARIABLE}."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def directory_of(named: Path | None) -> Path:
    """Return the directory that a command works on."""
    return named or default_directory()
