"""`tallystick keys ...`: the server's key directory, and devices registered where the database is at hand."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli.options import (
    ConfigOption,
    DatabaseOption,
    DataDirOption,
    JsonOption,
    KeyDirOption,
    printer_for,
    settings_from,
)

app = typer.Typer(no_args_is_help=True)


@app.command()
def create(
    key_dir: KeyDirOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the server's keys in an empty directory. Keep a copy apart from the database."""
    from tallystick.security.key_dir import create_key_dir

    settings = settings_from(config, data_dir=data_dir, key_dir=key_dir)
    made = create_key_dir(Path(settings.key_dir), now_s=int(time.time()))
    printer = printer_for(as_json=as_json)
    printer.line(f"Keys made in {settings.key_dir}; keep a copy of it apart from the database.")
    printer.document({"key_dir": settings.key_dir, "signing_keys": len(made.signing.ring_keys)})


@app.command()
def rotate(
    sealing: Annotated[
        bool, typer.Option("--sealing", help="The key of personal data, not of tokens.")
    ] = False,
    key_dir: KeyDirOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a key that begins to count in ten minutes; every server process has read it by then."""
    from tallystick.security.key_dir import ROTATION_LEAD_S, rotate_sealing_key, rotate_signing_key

    settings = settings_from(config, data_dir=data_dir, key_dir=key_dir)
    directory, now_s = Path(settings.key_dir), int(time.time())
    name = (
        f"sealing key {rotate_sealing_key(directory, now_s=now_s)}"
        if sealing
        else f"signing key {rotate_signing_key(directory, now_s=now_s)}"
    )
    printer = printer_for(as_json=as_json)
    printer.line(f"New {name}; it begins in {ROTATION_LEAD_S // 60} minutes. The older ones go on verifying.")
    printer.document({"made": name, "begins_in_s": ROTATION_LEAD_S})


@app.command()
def show(
    key_dir: KeyDirOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the server's keys without their secrets, and check the directory."""
    from tallystick.security.key_dir import load_key_dir

    settings = settings_from(config, data_dir=data_dir, key_dir=key_dir)
    now_s = int(time.time())
    found = load_key_dir(Path(settings.key_dir), now_s=now_s)
    active = found.signing.signing_key(now_s).kid
    printer = printer_for(as_json=as_json)
    printer.line(settings.key_dir)
    for ring in found.signing.ring_keys:
        state = (
            "signs"
            if ring.key.kid == active
            else "begins later"
            if ring.activates_at_s > now_s
            else "verifies"
        )
        printer.line(f"  signing  {ring.key.kid}  {state}")
    for key in found.sealing:
        state = "seals" if key.version == found.masters(now_s).current_version else "opens"
        printer.line(f"  sealing  {key.version}  {state}")
    printer.document(
        {
            "key_dir": settings.key_dir,
            "signing": [
                {"kid": ring.key.kid, "signs": ring.key.kid == active} for ring in found.signing.ring_keys
            ],
            "sealing": [key.version for key in found.sealing],
        }
    )


@app.command()
def device(
    program: Annotated[str, typer.Option(help="The program that the device belongs to.")],
    role: Annotated[str, typer.Option(help="till, webshop, manager, admin or importer.")],
    profile: Annotated[str, typer.Option(help="Name of the client profile to write.")],
    store: Annotated[str, typer.Option(help="The store of a till or of a store's manager.")] = "",
    label: Annotated[str, typer.Option(help="What people call the device.")] = "",
    server: Annotated[
        str, typer.Option(help="Address in the profile; default: where the server listens.")
    ] = "",
    create_program: Annotated[
        str, typer.Option(metavar="CLOCK", help="Make the program when it is missing: live or replay.")
    ] = "",
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a device directly in the database and write its client profile.

    It is for the operator of the server: the first admin of a program, an importer, a test. Tills in stores enrol
    with a one-time code instead, see `tallystick device`.
    """
    from tallystick.cli.register import ensure_program, register_device
    from tallystick.storage.open import open_store

    settings = settings_from(config, data_dir=data_dir, database=database)
    store_opened = open_store(settings.database_url)
    try:
        if create_program:
            ensure_program(store_opened, program, clock=create_program)
        made = register_device(
            store_opened,
            settings,
            program=program,
            role=role,
            store_id=store,
            label=label or profile,
            name=profile,
            server=server or settings.listen,
        )
    finally:
        store_opened.close()
    printer = printer_for(as_json=as_json)
    printer.line(
        f"Device {made.device_id} ({role} of {program}) is active; profile '{profile}' calls {made.server}."
    )
    printer.document({"device_id": made.device_id, "program_id": program, "role": role, "profile": profile})
