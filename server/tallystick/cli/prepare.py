"""The first start of `run` and `demo`: schema, keys, a program with rules, devices for the prompt, a member."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.cli.options import ADMIN_PROFILE, TILL_PROFILE
from tallystick.cli.output import CommandFailed
from tallystick.cli.profile import Profile, has_profile, load_profile, save_profile
from tallystick.cli.programs import shipped_rules
from tallystick.cli.register import ensure_program, register_device
from tallystick.config.settings import Settings
from tallystick.core.ids import MemberId, ProgramId
from tallystick.core.record import record
from tallystick.service.directory import DeviceStatus, Directory
from tallystick.storage.schema import current, head, migrate

if TYPE_CHECKING:
    from tallystick.service.gateway import Gateway

DEMO_PROGRAM = ProgramId("demo")
DEMO_STORE = "high-street"
DEMO_RULES = "simple"
DEMO_MEMBER = MemberId(str(uuid.uuid5(uuid.NAMESPACE_DNS, "first-member.tallystick")))


@record(frozen=True, slots=True)
class Prepared:
    """What is ready: the member's number is the content of the QR code."""

    member_number: str
    first_time: bool


def migrate_if_needed(database_url: str) -> None:
    """Bring the schema up to date; says nothing when it is. SQLite files get their directory."""
    from tallystick.storage.url import SQLITE, parse_url

    parsed = parse_url(database_url)
    if parsed.backend == SQLITE:
        Path(parsed.path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if parsed.backend != "memory" and current(database_url) != head():
        migrate(database_url)


def prepare(settings: Settings, gateway: Gateway, *, server: str) -> Prepared:
    """Make what is missing of program, rules, devices and member; a second start finds everything there."""
    from tallystick.core.basket import Channel
    from tallystick.service.identity import IdentityRefused, Text

    store = gateway.store
    first_time = store.program(DEMO_PROGRAM) is None
    program = ensure_program(store, DEMO_PROGRAM, clock="live", display_name="Simple points")
    if program.rule_set == 0:
        request_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, "first-rules.tallystick"))
        gateway.programs.publish(
            DEMO_PROGRAM, shipped_rules(DEMO_RULES), request_id=request_id, published_by="run"
        )
    for name, role, store_id in ((TILL_PROFILE, "till", DEMO_STORE), (ADMIN_PROFILE, "admin", "")):
        ensure_device(
            store, settings, program=DEMO_PROGRAM, role=role, store_id=store_id, name=name, server=server
        )
    enrolled = gateway.identity.enrol(
        DEMO_PROGRAM,
        DEMO_MEMBER,
        Text(""),
        enrolled_ms=gateway.now_ms(),
        channel=Channel.STORE,
        store_id=DEMO_STORE,
    )
    if isinstance(enrolled, IdentityRefused):
        raise CommandFailed(f"the first member could not be enrolled: {enrolled.message}")
    return Prepared(enrolled.member.number, first_time)


def ensure_device(
    directory: Directory,
    settings: Settings,
    *,
    program: str,
    role: str,
    store_id: str,
    name: str,
    server: str,
) -> Profile:
    """The profile `name`, when its device is active in this database and has this role; else a new device with one.

    The address in the profile is brought up to date.
    """
    if has_profile(settings.data_dir, name):
        profile, key = load_profile(settings.data_dir, name)
        found = directory.device(ProgramId(program), profile.device_id)
        fits = profile.program_id == program and profile.role == role and profile.issuer == settings.issuer
        if fits and found is not None and found.status is DeviceStatus.ACTIVE and found.kid == key.kid:
            if profile.server == server and profile.tls_ca == settings.tls_cert:
                return profile
            moved = Profile(
                server=server,
                program_id=program,
                device_id=profile.device_id,
                role=role,
                issuer=settings.issuer,
                store_id=profile.store_id,
                tls_ca=settings.tls_cert,
            )
            save_profile(settings.data_dir, name, moved, key)
            return moved
    return register_device(
        directory,
        settings,
        program=program,
        role=role,
        store_id=store_id,
        label=f"{name} of {program}",
        name=name,
        server=server,
    )
