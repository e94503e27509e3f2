"""Options that many commands share, and what they make: settings, a printer, a client."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.output import Printer
from tallystick.config.settings import Settings
from tallystick.config.sources import load

if TYPE_CHECKING:
    from tallystick.cli.client import Client

TILL_PROFILE = "till"
ADMIN_PROFILE = "admin"
IMPORTER_PROFILE = "importer"

CLI_PATIENCE_S = 5.0
"""A person waits at the prompt: after that long we say what is wrong."""

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML file of settings; or TALLYSTICK_CONFIG.")
]
DataDirOption = Annotated[
    str | None, typer.Option("--data-dir", metavar="DIR", help="Where database, keys and profiles lie.")
]
DatabaseOption = Annotated[
    str | None, typer.Option("--database", metavar="URL", help="sqlite:///PATH or postgresql://...")
]
KeyDirOption = Annotated[
    str | None, typer.Option("--key-dir", metavar="DIR", help="Directory of the server's keys.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ServerOption = Annotated[
    str, typer.Option("--server", metavar="HOST:PORT", help="Another address than the profile's.")
]
ProfileOption = Annotated[
    str, typer.Option("--profile", metavar="NAME", envvar="TALLYSTICK_PROFILE", help="Which device calls.")
]


def settings_from(
    config: Path | None,
    *,
    data_dir: str | None = None,
    database: str | None = None,
    key_dir: str | None = None,
    **others: Any,
) -> Settings:
    """The settings with the options of the command line on top."""
    overrides = {"data_dir": data_dir, "database_url": database, "key_dir": key_dir, **others}
    return load(file=config, overrides=overrides)


def printer_for(*, as_json: bool) -> Printer:
    """The printer of a command."""
    return Printer(as_json=as_json)


def client_for(
    profile_name: str,
    *,
    data_dir: str | None,
    config: Path | None,
    server: str,
    patience_s: float = CLI_PATIENCE_S,
) -> Client:
    """A client with the named profile. CommandFailed when there is no such profile. Needs a running event loop."""
    from tallystick.cli.client import Client
    from tallystick.cli.profile import load_profile

    settings = settings_from(config, data_dir=data_dir)
    profile, key = load_profile(settings.data_dir, profile_name)
    return Client(profile, key, server=server, patience_s=patience_s)
