"""`tallystick device ...`: enrolment with one-time codes, as tills do it, and what a manager does for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.options import (
    ADMIN_PROFILE,
    ConfigOption,
    DataDirOption,
    JsonOption,
    printer_for,
    settings_from,
)
from tallystick.cli.register import kind_of, role_of
from tallystick.cli.remote import Remote, with_remote

if TYPE_CHECKING:
    from tallystick.cli.client import Client

PAGE_SIZE = 500

app = typer.Typer(no_args_is_help=True)


@app.command()
@with_remote(ADMIN_PROFILE)
def code(
    remote: Remote,
    role: Annotated[str, typer.Option(help="till, webshop, manager, admin or importer.")] = "till",
    store: Annotated[str, typer.Option(help="The store of a till.")] = "",
    label: Annotated[str, typer.Option(help="What people call the device.")] = "till",
) -> None:
    """Make a one-time code for a new device; it is good for ten minutes and five tries."""
    printer = remote.printer

    async def work(client: Client) -> None:
        from tallystick.v1 import till_pb2

        request = till_pb2.CreateEnrolmentCodeRequest(
            kind=till_pb2.DeviceKind.ValueType(kind_of(role)), role=role_of(role), store_id=store, label=label
        )
        made = await client.call(client.till.CreateEnrolmentCode, request)
        program_id = client.profile.program_id
        printer.line(f"Code {made.code}, until {made.expires_at.ToJsonString()}. On the device run:")
        printer.line(f"  tallystick device enrol {made.code} --program {program_id} --server HOST:PORT")
        printer.document(
            {"code": made.code, "expires_at": made.expires_at.ToJsonString(), "program_id": program_id}
        )

    remote.ask(work)


@app.command()
def enrol(
    code: Annotated[str, typer.Argument(help="The code that the manager made.")],
    program: Annotated[str, typer.Option(help="The program that the code is for.")],
    server: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the server is.")] = "",
    profile: Annotated[str, typer.Option(help="Name of the client profile to write.")] = "till",
    role: Annotated[str, typer.Option(help="What the code is for, kept in the profile for people.")] = "till",
    issuer: Annotated[str, typer.Option(help="The server's setting `issuer`; default: this machine's.")] = "",
    tls_ca: Annotated[
        str, typer.Option(help="PEM file of the server's authority; empty: not encrypted.")
    ] = "",
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key on this device, register it with a code, and show the fingerprint for the manager to compare."""
    from tallystick.cli.client import Client
    from tallystick.cli.profile import Profile, save_profile
    from tallystick.security.keys import generate_signing_key

    settings = settings_from(config, data_dir=data_dir)
    key = generate_signing_key()
    draft = Profile(
        server=server or settings.listen,
        program_id=program,
        device_id="",
        role=role,
        issuer=issuer or settings.issuer,
        tls_ca=tls_ca,
    )
    printer = printer_for(as_json=as_json)

    async def run() -> None:
        from dataclasses import replace

        async with Client(draft, key, patience_s=5.0) as client:
            made = await client.enrol_device(code, program)
        directory = save_profile(settings.data_dir, profile, replace(draft, device_id=made.device_id), key)
        printer.line(f"Enrolled as {made.device_id}; profile in {directory}")
        printer.line(f"Fingerprint: {made.fingerprint}")
        printer.line("It may call once the manager has confirmed it:")
        printer.line(f"  tallystick device confirm {made.device_id} '{made.fingerprint}'")
        printer.document({"device_id": made.device_id, "fingerprint": made.fingerprint, "profile": profile})

    asyncio.run(run())


@app.command()
@with_remote(ADMIN_PROFILE)
def confirm(
    remote: Remote,
    device_id: Annotated[str, typer.Argument(help="The device.")],
    fingerprint: Annotated[str, typer.Argument(help="The fingerprint that the device itself shows.")],
) -> None:
    """Let an enrolled device in, after comparing its fingerprint."""
    printer = remote.printer

    async def work(client: Client) -> None:
        from tallystick.v1 import till_pb2

        request = till_pb2.ConfirmDeviceRequest(device_id=device_id, fingerprint=fingerprint)
        made = (await client.call(client.till.ConfirmDevice, request)).device
        printer.line(f"{made.label} is active.")
        printer.document({"device_id": made.device_id, "status": _status(made.status)})

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def revoke(
    remote: Remote,
    device_id: Annotated[str, typer.Argument(help="The device.")],
) -> None:
    """Shut a device out for ever."""
    printer = remote.printer

    async def work(client: Client) -> None:
        from tallystick.v1 import till_pb2

        request = till_pb2.RevokeDeviceRequest(device_id=device_id)
        made = (await client.call(client.till.RevokeDevice, request)).device
        printer.line(f"{made.label} is revoked.")
        printer.document({"device_id": made.device_id, "status": _status(made.status)})

    remote.ask(work)


@app.command("list")
@with_remote(ADMIN_PROFILE)
def list_devices(remote: Remote) -> None:
    """List the devices of the profile's program."""
    printer = remote.printer

    async def work(client: Client) -> None:
        from tallystick.v1 import options_pb2, till_pb2

        found: list[dict[str, str]] = []
        token = ""
        while True:
            request = till_pb2.ListDevicesRequest(page_size=PAGE_SIZE, page_token=token)
            page = await client.call(client.till.ListDevices, request)
            found += [
                {
                    "device_id": one.device_id,
                    "role": options_pb2.Role.Name(one.role).removeprefix("ROLE_").lower(),
                    "store_id": one.store_id,
                    "label": one.label,
                    "status": _status(one.status),
                    "fingerprint": one.fingerprint,
                }
                for one in page.devices
            ]
            token = page.next_page_token
            if not token:
                break
        for one in found:
            place = f" in {one['store_id']}" if one["store_id"] else ""
            printer.line(f"{one['device_id']}  {one['status']:8}  {one['role']}{place}  {one['label']}")
        printer.document({"devices": found})

    remote.ask(work)


def _status(status: int) -> str:
    from tallystick.v1 import till_pb2

    return (
        till_pb2.DeviceStatus.Name(till_pb2.DeviceStatus.ValueType(status))
        .removeprefix("DEVICE_STATUS_")
        .lower()
    )
