"""A device's profile: where its gateway is, which device it is, and its own key, in a directory for its owner's eyes.

DIR/profile.json   server, program, device, role
DIR/key.pem        the device's private key (PKCS #8)
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from tallystick.core.record import record
from tallystick.security.errors import KeyRefused, SecurityError
from tallystick.security.keys import SigningKey, signing_key_from_pem, signing_key_to_pem

PROFILE_FILE = "profile.json"
KEY_FILE = "key.pem"
PROFILE_BYTES_MAX = 16_384


@record(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one device calls one server. The `tls_*` are PEM files; with an empty `tls_ca` calls are not encrypted."""

    server: str
    program_id: str
    device_id: str
    role: str
    issuer: str
    store_id: str = ""
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""


class ProfileMissing(SecurityError):
    """There is no profile in the directory."""


class ProfileDamaged(SecurityError):
    """The files of a profile cannot be read as one."""


def write_profile(directory: Path, profile: Profile, key: SigningKey) -> None:
    """Write a profile and its key, replacing one that is there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_key(directory, key)
    _write_private(directory / PROFILE_FILE, json.dumps(asdict(profile), indent=1).encode() + b"\n")


def write_key(directory: Path, key: SigningKey) -> None:
    """Write the key alone, before it is registered anywhere."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_private(directory / KEY_FILE, signing_key_to_pem(key))


def read_key(directory: Path) -> SigningKey:
    """Read the key alone. Raises FileNotFoundError, OSError and KeyRefused."""
    return signing_key_from_pem((directory / KEY_FILE).read_bytes())


def read_profile(directory: Path) -> tuple[Profile, SigningKey]:
    """Read a profile and its key. Raises ProfileMissing and ProfileDamaged."""
    try:
        text = (directory / PROFILE_FILE).read_bytes()[:PROFILE_BYTES_MAX]
        return Profile(**json.loads(text)), read_key(directory)
    except FileNotFoundError as error:
        raise ProfileMissing(f"there is no {Path(error.filename).name} in {directory}") from None
    except (OSError, ValueError, TypeError, KeyRefused) as error:
        raise ProfileDamaged(f"the profile in {directory} is damaged: {error}") from error


def _write_private(file: Path, data: bytes) -> None:
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    new.replace(file)
