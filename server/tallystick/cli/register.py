"""What the operator does with the database at hand: a program, a device that is active at once, its profile."""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import TYPE_CHECKING

from tallystick.cli.output import EXIT_USAGE, CommandFailed
from tallystick.cli.profile import Profile, save_profile
from tallystick.config.settings import Settings
from tallystick.core.ids import Ms, ProgramId
from tallystick.security.keys import fingerprint, generate_signing_key, public_jwk
from tallystick.service.directory import Clock, Device, DeviceStatus, Directory, Program

if TYPE_CHECKING:
    from tallystick.v1 import options_pb2

ROLES = ("till", "webshop", "manager", "admin", "importer")

_PROGRAM_ID = re.compile(r"[a-z][a-z0-9-]{1,31}", re.ASCII)
_KINDS = {"till": "TILL", "webshop": "WEBSHOP"}


def role_of(name: str) -> options_pb2.Role.ValueType:
    """The contract's role of a name that a person types."""
    from tallystick.v1 import options_pb2

    if name not in ROLES:
        raise CommandFailed(f"'{name}' is no role", mend=f"use one of {', '.join(ROLES)}", code=EXIT_USAGE)
    return options_pb2.Role.Value(f"ROLE_{name.upper()}")


def kind_of(role: str) -> int:
    """The contract's kind of device that fits a role."""
    from tallystick.v1 import till_pb2

    return till_pb2.DeviceKind.Value(f"DEVICE_KIND_{_KINDS.get(role, 'BACKOFFICE')}")


def ensure_program(directory: Directory, program_id: str, *, clock: str, display_name: str = "") -> Program:
    """The program, made when it is missing. CommandFailed when it is there with another clock."""
    known = {"live": Clock.LIVE, "replay": Clock.REPLAY}
    if clock not in known:
        raise CommandFailed(f"'{clock}' is no clock", mend="use live or replay", code=EXIT_USAGE)
    if not _PROGRAM_ID.fullmatch(program_id):
        raise CommandFailed(
            f"'{program_id}' cannot be a program's id",
            mend="use a letter and 1 to 31 more of a-z, 0-9 and '-'",
            code=EXIT_USAGE,
        )
    wanted = Program(ProgramId(program_id), display_name or program_id, known[clock], 0, _now_ms())
    if directory.create_program(wanted):
        return wanted
    found = directory.program(wanted.program_id)
    if found is None or found.clock is not wanted.clock:
        raise CommandFailed(
            f"the program {program_id} is there with another clock",
            mend="name another program with --program",
        )
    return found


def register_device(
    directory: Directory,
    settings: Settings,
    *,
    program: str,
    role: str,
    store_id: str,
    label: str,
    name: str,
    server: str,
) -> Profile:
    """Store an active device with a new key and write the profile `name` for it; the profile."""
    role_number, kind = role_of(role), kind_of(role)
    if role == "till" and not store_id:
        raise CommandFailed("a till belongs to a store", mend="add --store", code=EXIT_USAGE)
    if directory.program(ProgramId(program)) is None:
        raise CommandFailed(
            f"there is no program '{program}'",
            mend="make it with `tallystick program create`, or add --create-program live",
        )
    key = generate_signing_key()
    now = _now_ms()
    device_id = str(uuid.uuid4())
    device = Device(
        device_id=device_id,
        kind=kind,
        role=role_number,
        store_id=store_id,
        label=label,
        public_jwk=json.dumps(
            public_jwk(key.private_key.public_key()), separators=(",", ":"), sort_keys=True
        ),
        kid=key.kid,
        fingerprint=fingerprint(key.kid),
        status=DeviceStatus.ACTIVE,
        enrolled_ms=now,
        confirmed_ms=now,
        revoked_ms=Ms(0),
    )
    directory.add_device(ProgramId(program), device)
    profile = Profile(
        server=server,
        program_id=program,
        device_id=device_id,
        role=role,
        issuer=settings.issuer,
        store_id=store_id,
        tls_ca=settings.tls_cert,
    )
    save_profile(settings.data_dir, name, profile, key)
    return profile


def _now_ms() -> Ms:
    return Ms(time.time_ns() // 1_000_000)
