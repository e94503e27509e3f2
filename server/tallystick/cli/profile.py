"""Client profiles by name, below data_dir/profiles."""

from __future__ import annotations

import re
from pathlib import Path

from tallystick.cli.output import CommandFailed
from tallystick.security.device_profile import (
    PROFILE_FILE,
    Profile,
    ProfileDamaged,
    ProfileMissing,
    read_profile,
    write_profile,
)
from tallystick.security.keys import SigningKey

__all__ = ["Profile", "has_profile", "load_profile", "profile_dir", "save_profile"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)


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
    write_profile(directory, profile, key)
    return directory


def load_profile(data_dir: str | Path, name: str) -> tuple[Profile, SigningKey]:
    """Read a profile and its key; CommandFailed names the mend."""
    directory = profile_dir(data_dir, name)
    try:
        return read_profile(directory)
    except ProfileMissing:
        raise CommandFailed(
            f"there is no profile '{name}' in {directory.parent}",
            mend=f"start `tallystick run`, or make one with `tallystick keys device --profile {name} ...`",
        ) from None
    except ProfileDamaged as error:
        raise CommandFailed(str(error), mend="remove the directory and make the profile again") from error


def has_profile(data_dir: str | Path, name: str) -> bool:
    """Whether a profile of that name was made."""
    return (profile_dir(data_dir, name) / PROFILE_FILE).exists()
