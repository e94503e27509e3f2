"""Client profiles: where a server is, which device calls it, and the device's own key, below data_dir/profiles.

profiles/NAME/profile.json   server, program, device, role
profiles/NAME/key.pem        the device's private key (PKCS #8), for the owner's eyes only
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from tallystick.cli.output import CommandFailed
from tallystick.security.errors import KeyRefused
from tallystick.security.keys import SigningKey, signing_key_from_pem, signing_key_to_pem

PROFILE_BYTES_MAX = 16_384

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
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


def profile_dir(data_dir: str | Path, name: str) -> Path:
    """The directory of a profile; CommandFailed when the name is none."""
    if not _NAME.fullmatch(name):
        raise CommandFailed(
            f"'{name}' cannot be the name of a profile", mend="use 1 to 32 of a-z, 0-9, '-' and '_'"
        )
    return Path(data_dir) / "profiles" / name


def save_profile(data_dir: str | Path, name: str, profile: Profile, key: SigningKey) -> Path:
    """Write a profile and its key, replacing one of the same name; return its directory."""
    directory = profile_dir(data_dir, name)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_private(directory / "key.pem", signing_key_to_pem(key))
    _write_private(directory / "profile.json", json.dumps(asdict(profile), indent=1).encode() + b"\n")
    return directory


def load_profile(data_dir: str | Path, name: str) -> tuple[Profile, SigningKey]:
    """Read a profile and its key; CommandFailed names the mend."""
    directory = profile_dir(data_dir, name)
    file = directory / "profile.json"
    try:
        text = file.read_bytes()[:PROFILE_BYTES_MAX]
        profile = Profile(**json.loads(text))
        key = signing_key_from_pem((directory / "key.pem").read_bytes())
    except FileNotFoundError:
        raise CommandFailed(
            f"there is no profile '{name}' in {directory.parent}",
            mend=f"start `tallystick run`, or make one with `tallystick keys device --profile {name} ...`",
        ) from None
    except (OSError, ValueError, TypeError, KeyRefused) as error:
        raise CommandFailed(
            f"the profile in {directory} is damaged: {error}",
            mend="remove the directory and make the profile again",
        ) from error
    return profile, key


def has_profile(data_dir: str | Path, name: str) -> bool:
    """Whether a profile of that name was made."""
    return (profile_dir(data_dir, name) / "profile.json").exists()


def _write_private(file: Path, data: bytes) -> None:
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    new.replace(file)
