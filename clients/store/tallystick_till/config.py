"""Where a till's files lie, and what it remembers of its enrolment.

    DIR/till.json   who this till is and where its gateway is
    DIR/key.pem     its private key (PKCS #8)
    DIR/ca.pem      the authority of the gateway's certificate, when calls are encrypted
    DIR/till.db     outbox, sales, leases
    DIR/snapshot/   the members as the gateway last told them
    DIR/lock        held by the one process that may use the directory

Everything is for its owner's eyes only.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tallystick.core.record import record
from tallystick.security.errors import KeyRefused
from tallystick.security.keys import SigningKey, signing_key_from_pem, signing_key_to_pem
from tallystick_till.ports import Identity

DIR_VARIABLE: Final = "TALLYSTICK_TILL_DIR"
CONFIG_FILE: Final = "till.json"
KEY_FILE: Final = "key.pem"
CA_FILE: Final = "ca.pem"
DB_FILE: Final = "till.db"
SNAPSHOT_DIR: Final = "snapshot"
LOCK_FILE: Final = "lock"
CONFIG_BYTES_MAX: Final = 16_384
CA_BYTES_MAX: Final = 1_048_576
LISTEN_DEFAULT: Final = "127.0.0.1:8411"
LOOPBACK: Final = ("127.0.0.1", "localhost")
"""The names by which a till's screen may be called: it is for this machine alone."""

_TEXT_MAX: Final = 512
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):(?P<port>[0-9]{1,5})", re.ASCII)
_PORT_MAX: Final = 65_535


class ConfigRefused(Exception):
    """The till's directory or a setting cannot be used; ``mend`` says what to do about it."""

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


@record(frozen=True, slots=True, kw_only=True)
class TillConfig:
    """What a till remembers of its enrolment.

    ``store_id`` is empty until a manager has confirmed the till. ``gateway`` is host:port; ``encrypted`` says whether
    calls to it are TLS under the authority in ``ca.pem``.
    """

    till_id: str
    program_id: str
    gateway: str
    issuer: str
    store_id: str = ""
    label: str = ""
    encrypted: bool = False

    @property
    def confirmed(self) -> bool:
        return bool(self.store_id)

    @property
    def identity(self) -> Identity:
        """Who the till is, for the engine."""
        return Identity(
            till_id=self.till_id,
            program_id=self.program_id,
            store_id=self.store_id,
            label=self.label,
            gateway=self.gateway,
            issuer=self.issuer,
        )


def default_directory() -> Path:
    """Return $TALLYSTICK_TILL_DIR, else tallystick-till where the user's data lie."""
    if named := os.environ.get(DIR_VARIABLE, ""):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME", "") or "~/.local/share"
    return Path(data).expanduser() / "tallystick-till"


def prepare_directory(directory: Path) -> Path:
    """Make the directory when it is missing and make sure that it can be written. Raises ``ConfigRefused``."""
    probe = directory / ".probe"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(probe, b"x")
        probe.unlink()
    except OSError as error:
        raise ConfigRefused(
            f"the till's directory {directory} cannot be written: {error.strerror}",
            mend="give it to the user who runs the till and make room on its disk, or name another with --dir",
        ) from error
    return directory


def has_config(directory: Path) -> bool:
    """Whether a till was enrolled in the directory, confirmed or not."""
    return (directory / CONFIG_FILE).exists()


def save_config(directory: Path, config: TillConfig) -> None:
    """Write ``till.json``, replacing it as a whole."""
    write_private(directory / CONFIG_FILE, json.dumps(asdict(config), indent=1).encode() + b"\n")


def load_config(directory: Path) -> TillConfig:
    """Read ``till.json``. Raises ``ConfigRefused`` when there is none or it is damaged."""
    file = directory / CONFIG_FILE
    try:
        return _config_from(json.loads(_read(file, CONFIG_BYTES_MAX)))
    except FileNotFoundError:
        raise ConfigRefused(
            f"no till is enrolled in {directory}",
            mend="enrol it with `tallystick-till enrol`, or name its directory with --dir",
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise ConfigRefused(
            f"{file} is damaged: {error}", mend="put it back from a copy; the outbox beside it is not touched"
        ) from error


def save_key(directory: Path, key: SigningKey) -> None:
    """Write the till's private key for its owner's eyes only."""
    write_private(directory / KEY_FILE, signing_key_to_pem(key))


def load_key(directory: Path) -> SigningKey:
    """Read the till's private key. Raises ``ConfigRefused`` when it is missing, damaged or readable by others."""
    file = directory / KEY_FILE
    try:
        if file.stat().st_mode & 0o077:
            raise ConfigRefused(
                f"others can read the till's key {file}",
                mend=f"run `chmod 600 {file}`; if somebody may have read it, revoke the till and enrol it again",
            )
        return signing_key_from_pem(_read(file, CONFIG_BYTES_MAX))
    except (OSError, ValueError, KeyRefused) as error:
        raise ConfigRefused(
            f"the till's key {file} cannot be read: {getattr(error, 'strerror', None) or error}",
            mend="put it back from a copy, or export what is queued, reset the till and enrol it again",
        ) from error


def load_ca(directory: Path, config: TillConfig) -> bytes | None:
    """Return the authority's certificates (PEM) when calls are encrypted, else None."""
    return _read(directory / CA_FILE, CA_BYTES_MAX) if config.encrypted else None


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT. Raises ``ConfigRefused``."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > _PORT_MAX:
        raise ConfigRefused(f"'{text}' is no address", mend="write HOST:PORT, for example till-2.local:8412")
    return found["host"], int(found["port"])


def split_local_address(text: str) -> tuple[str, int]:
    """Return host and port of an address of this machine alone. Raises ``ConfigRefused``."""
    host, port = split_address(text)
    if host not in LOOPBACK:
        raise ConfigRefused(
            f"the screen cannot be served at {text}: whoever reaches it can sell",
            mend=f"use 127.0.0.1, for example --listen {LISTEN_DEFAULT}",
        )
    return host, port


def write_private(file: Path, data: bytes) -> None:
    """Write a file as a whole, readable by its owner only, and make it last through a power cut."""
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(file: Path, bytes_max: int) -> bytes:
    with file.open("rb") as stream:
        data = stream.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise ValueError(f"longer than {bytes_max} bytes")
    return data


def _config_from(document: Any) -> TillConfig:
    config = TillConfig(**document)
    for name, value in asdict(config).items():
        wanted = bool if name == "encrypted" else str
        if type(value) is not wanted or (isinstance(value, str) and len(value) > _TEXT_MAX):
            raise ValueError(f"{name} must be a {'yes or no' if wanted is bool else 'short text'}")
    return config
