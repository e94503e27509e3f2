"""The server's key directory: signing keys with rotation, the hashing key and the sealing keys.

    keys.json           which keys there are and when each begins and ends to count
    signing-KID.pem     private keys of tokens (PKCS #8), one a generation
    hashing.key         32 bytes as base64url: source of the blind index, enrolment, log, tag, PIN and box keys
    sealing-N.key       32 bytes as base64url: master key N of sealed personal data

All for the owner's eyes only (0600, the directory 0700). Rotation needs no flag day: a new key is written
to begin later, every process reads the directory again meanwhile and knows the key before the first use,
and the old one goes on verifying until nothing that it signed can still be valid. Lose hashing.key and no
member is found by phone any more; lose a sealing key and the personal data under it is gone: keep a copy of
the directory apart from the database.
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from tallystick.core.record import record
from tallystick.security.encoding import base64url_decode, base64url_encode, length_prefixed
from tallystick.security.errors import KeyDirRefused, KeyRefused
from tallystick.security.keys import (
    THUMBPRINT_CHARS,
    SigningKey,
    VerifyKey,
    generate_signing_key,
    signing_key_from_pem,
    signing_key_to_pem,
)
from tallystick.security.sealed_box import BoxKey, derive_box_key
from tallystick.security.sealing import KEY_BYTES, MASTER_VERSION_MAX, MasterKeys

SIGNING_KEYS_MAX = 16
TOTP_KEY_BYTES = 20
"""As long as what HMAC-SHA-1 gives (RFC 4226, section 4, R6)."""

RELOAD_EVERY_S = 60
ROTATION_LEAD_S = 600
VERIFY_FOR_S = 15 * 86_400  # longer than the 14 days of the longest-lived thing that a server signs
FILE_BYTES_MAX = 16_384
DISTINCT_BYTES_MIN = 16

_MANIFEST = "keys.json"
_HASHING = "hashing.key"
_FORMAT = 1
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@record(frozen=True, slots=True)
class RingKey:
    """A signing key: it signs from `activates_at_s` and verifies until `retires_at_s` (0: no end yet)."""

    key: SigningKey
    activates_at_s: int
    retires_at_s: int


@record(frozen=True, slots=True)
class KeyRing:
    """The signing keys of the server, oldest first."""

    ring_keys: tuple[RingKey, ...]

    def signing_key(self, now_s: int) -> SigningKey:
        """The newest key that has begun; KeyDirRefused when none has (a clock far in the past)."""
        begun = [ring for ring in self.ring_keys if ring.activates_at_s <= now_s]
        if not begun:
            raise KeyDirRefused("no signing key has begun yet: set the clock of this machine")
        return begun[-1].key

    def verify_keys(self, now_s: int) -> dict[str, VerifyKey]:
        """By kid, all keys whose signatures count: active, retired for a while, and those about to begin."""
        return {
            ring.key.kid: ring.key.verify_key
            for ring in self.ring_keys
            if ring.retires_at_s == 0 or now_s < ring.retires_at_s
        }


@record(frozen=True, slots=True)
class SealingKey:
    """A master key of sealed personal data: new data keys are wrapped under it from `activates_at_s`."""

    version: int
    activates_at_s: int
    secret: bytes = field(repr=False)


@record(frozen=True, slots=True)
class KeyDir:
    """All keys of a server, as read once; sealing keys oldest first, the derived keys of 32 bytes each.

    ``box`` opens what tills have sealed for the gateway.
    """

    signing: KeyRing
    blind_index_key: bytes = field(repr=False)
    enrolment_key: bytes = field(repr=False)
    log_key: bytes = field(repr=False)
    tag_key: bytes = field(repr=False)
    pin_key: bytes = field(repr=False)
    pass_key: bytes = field(repr=False)
    sign_in_key: bytes = field(repr=False)
    notice_key: bytes = field(repr=False)
    box: BoxKey
    sealing: tuple[SealingKey, ...]

    def scan_key(self, program_id: str) -> bytes:
        """The program's key (32 bytes) by which a scan becomes a tag; the tills of the program have it too."""
        return _derived_for(self.tag_key, "scan", program_id)

    def store_key(self, program_id: str, store_id: str) -> bytes:
        """The store's key (32 bytes) by which a tag becomes the store's own; the tills of the store have it too."""
        return _derived_for(self.tag_key, "store", program_id, store_id)

    def totp_key(self, program_id: str, serial: str) -> bytes:
        """The key (20 bytes, RFC 4226) of the password that a pass shows; its wallet has it too."""
        return _derived_for(self.pass_key, "totp", program_id, serial)[:TOTP_KEY_BYTES]

    def masters(self, now_s: int) -> MasterKeys:
        """The sealing keys, with the newest that has begun as the current one."""
        begun = [key.version for key in self.sealing if key.activates_at_s <= now_s]
        if not begun:
            raise KeyDirRefused("no sealing key has begun yet: set the clock of this machine")
        return MasterKeys(begun[-1], {key.version: key.secret for key in self.sealing})


@record(frozen=True, slots=True)
class _SigningEntry:
    kid: str
    activates_at_s: int
    retires_at_s: int


@record(frozen=True, slots=True)
class _SealingEntry:
    version: int
    activates_at_s: int


@record(frozen=True, slots=True)
class _Manifest:
    signing: tuple[_SigningEntry, ...]
    sealing: tuple[_SealingEntry, ...]


def create_key_dir(path: Path, *, now_s: int) -> KeyDir:
    """Make the directory with new random keys, readable by its owner only, and load it.

    KeyDirRefused when it exists and is not empty: keys are never overwritten.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise KeyDirRefused(f"{path} is not empty: keys are never overwritten; name another directory")
        path.chmod(0o700)
        signing = generate_signing_key()
        _write_new(path / _signing_name(signing.kid), signing_key_to_pem(signing))
        _write_new(path / _HASHING, _new_secret_text())
        _write_new(path / _sealing_name(1), _new_secret_text())
        # Last, so that a directory without it is known to be half made.
        _write_manifest(path, _Manifest((_SigningEntry(signing.kid, now_s, 0),), (_SealingEntry(1, now_s),)))
    except OSError as error:
        raise KeyDirRefused(f"{path} cannot be written: {error.strerror}") from error
    return load_key_dir(path, now_s=now_s)


def load_key_dir(path: Path, *, now_s: int) -> KeyDir:
    """Read and check the directory; KeyDirRefused names the file and the mend.

    Refused are: files or a directory that others can read, keys that are short, repeated, typed by hand or
    missing, signing keys whose name does not fit, and a ring without a key that has begun.
    """
    _require_private_dir(path)
    manifest = _read_manifest(path)
    hashing_key = _read_secret(path / _HASHING)
    key_dir = KeyDir(
        signing=KeyRing(
            tuple(
                RingKey(_read_signing(path, entry.kid), entry.activates_at_s, entry.retires_at_s)
                for entry in manifest.signing
            )
        ),
        blind_index_key=_derived(hashing_key, "blind index"),
        enrolment_key=_derived(hashing_key, "enrolment codes"),
        log_key=_derived(hashing_key, "log"),
        tag_key=_derived(hashing_key, "tags"),
        pin_key=_derived(hashing_key, "pins"),
        pass_key=_derived(hashing_key, "passes"),
        sign_in_key=_derived(hashing_key, "sign-in"),
        notice_key=_derived(hashing_key, "notices"),
        box=derive_box_key(_derived(hashing_key, "box")),
        sealing=tuple(
            SealingKey(entry.version, entry.activates_at_s, _read_secret(path / _sealing_name(entry.version)))
            for entry in manifest.sealing
        ),
    )
    master_secrets = {hashing_key, *(key.secret for key in key_dir.sealing)}
    if len(master_secrets) != 1 + len(key_dir.sealing):
        raise KeyDirRefused(
            f"two secrets in {path} are the same: make a new directory, or restore the backup"
        )
    key_dir.signing.signing_key(now_s)
    key_dir.masters(now_s)
    return key_dir


def rotate_signing_key(path: Path, *, now_s: int, lead_s: int = ROTATION_LEAD_S) -> str:
    """Add a signing key that begins `lead_s` from now, let the others retire in time; the new kid.

    `lead_s` must be longer than every process takes to read the directory again (RELOAD_EVERY_S). Keys that
    have retired are deleted.
    """
    with _locked(path):
        manifest = _read_manifest(path)
        activates_at_s = now_s + lead_s
        if any(entry.activates_at_s >= activates_at_s for entry in manifest.signing):
            raise KeyDirRefused("a later signing key is already waiting to begin: rotate after that")
        kept = [entry for entry in manifest.signing if not 0 < entry.retires_at_s <= now_s]
        if len(kept) >= SIGNING_KEYS_MAX:
            raise KeyDirRefused(f"{SIGNING_KEYS_MAX} signing keys still count: wait until one has retired")
        key = generate_signing_key()
        _write_new(path / _signing_name(key.kid), signing_key_to_pem(key))
        retiring = [
            _SigningEntry(
                entry.kid, entry.activates_at_s, entry.retires_at_s or activates_at_s + VERIFY_FOR_S
            )
            for entry in kept
        ]
        _write_manifest(
            path, _Manifest((*retiring, _SigningEntry(key.kid, activates_at_s, 0)), manifest.sealing)
        )
        for entry in manifest.signing:
            if entry not in kept:
                (path / _signing_name(entry.kid)).unlink(missing_ok=True)
    return key.kid


def rotate_sealing_key(path: Path, *, now_s: int, lead_s: int = ROTATION_LEAD_S) -> int:
    """Add a sealing key that begins `lead_s` from now; its version.

    The older ones stay: they open what was wrapped under them until all of it is wrapped again (`rewrap`).
    """
    with _locked(path):
        manifest = _read_manifest(path)
        activates_at_s = now_s + lead_s
        newest = manifest.sealing[-1]
        if newest.activates_at_s >= activates_at_s:
            raise KeyDirRefused("a later sealing key is already waiting to begin: rotate after that")
        # Beyond every file that is there, listed or not: a file may be left from a rotation that was cut off,
        # or belong to a newer list of keys than a restored one, and then data may be sealed under it.
        version = 1 + max([newest.version, *_sealing_versions_on_disk(path)])
        if version > MASTER_VERSION_MAX:
            raise KeyDirRefused(f"all {MASTER_VERSION_MAX} versions of sealing keys are used")
        _write_new(path / _sealing_name(version), _new_secret_text())
        _write_manifest(
            path,
            _Manifest(manifest.signing, (*manifest.sealing, _SealingEntry(version, activates_at_s))),
        )
    return version


def _signing_name(kid: str) -> str:
    return f"signing-{kid}.pem"


def _sealing_name(version: int) -> str:
    return f"sealing-{version}.key"


def _sealing_versions_on_disk(path: Path) -> list[int]:
    names = [file.stem.removeprefix("sealing-") for file in path.glob("sealing-*.key")]
    return [int(name) for name in names if name.isascii() and name.isdigit()]


def _new_secret_text() -> bytes:
    return base64url_encode(secrets.token_bytes(KEY_BYTES)).encode("ascii") + b"\n"


def _derived(key: bytes, purpose: str) -> bytes:
    # HKDF-Expand (RFC 5869) for one block; the source is already uniformly random, so Extract is not needed.
    info = f"tallystick {purpose} v1".encode()
    return hmac.digest(key, info + b"\x01", hashlib.sha256)


def _derived_for(key: bytes, purpose: str, *owners: str) -> bytes:
    message = length_prefixed((f"tallystick {purpose} key v1".encode(), *(one.encode() for one in owners)))
    return hmac.digest(key, message, hashlib.sha256)


def _require_private_dir(path: Path) -> None:
    try:
        status = path.stat()
    except OSError:
        raise KeyDirRefused(f"{path} is not there: make it with `tallystick keys create`") from None
    if not stat.S_ISDIR(status.st_mode):
        raise KeyDirRefused(f"{path} is not a directory")
    if status.st_mode & _OTHERS:
        raise KeyDirRefused(f"{path} is open to other accounts: run `chmod 700 {path}`")


def _read_private(file: Path, *, missing: str) -> bytes:
    # The checks run on the opened file, so it cannot be exchanged between check and read; without blocking, as
    # a pipe in its place would hold up the start for ever.
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyDirRefused(f"{file} is not a file")
            if status.st_mode & _OTHERS:
                raise KeyDirRefused(f"{file} is open to other accounts: run `chmod 600 {file}`")
            data = stream.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise KeyDirRefused(f"{file} is missing: {missing}") from None
    except OSError as error:
        raise KeyDirRefused(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise KeyDirRefused(f"{file} is larger than any key file: restore it from the backup")
    return data


def _read_secret(file: Path) -> bytes:
    text = _read_private(file, missing="restore it from the backup")
    mend = "it must be 32 random bytes as base64url; restore it from the backup, or make a new key directory"
    try:
        secret = base64url_decode(text.decode("ascii").strip())
    except ValueError:
        raise KeyDirRefused(f"{file} holds no key: {mend}") from None
    if len(secret) != KEY_BYTES:
        raise KeyDirRefused(f"{file} holds {len(secret)} bytes: {mend}")
    # Random bytes fail either test less than once in 10^13 keys; words, counters and examples fail always.
    if len(set(secret)) < DISTINCT_BYTES_MIN or all(0x20 <= byte < 0x7F for byte in secret):
        raise KeyDirRefused(f"{file} holds a weak or default secret: {mend}")
    return secret


def _read_signing(path: Path, kid: str) -> SigningKey:
    file = path / _signing_name(kid)
    try:
        key = signing_key_from_pem(_read_private(file, missing="restore it from the backup"))
    except KeyRefused as error:
        raise KeyDirRefused(f"{file} is refused, {error}: restore it from the backup") from error
    if key.kid != kid:
        raise KeyDirRefused(f"{file} holds another key than its name says: restore it from the backup")
    return key


def _read_manifest(path: Path) -> _Manifest:
    file = path / _MANIFEST
    data = _read_private(
        file, missing=f"{path} was not fully made; remove it and run `tallystick keys create` again"
    )
    try:
        value = json.loads(data)
        manifest = _Manifest(
            tuple(_signing_entry(entry) for entry in value["signing"]),
            tuple(_sealing_entry(entry) for entry in value["sealing"]),
        )
        _require_order(value["format"], manifest)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KeyDirRefused(f"{file} is damaged: restore it from the backup") from None
    return manifest


def _signing_entry(value: dict[str, Any]) -> _SigningEntry:
    kid = str(value["kid"])
    # The kid becomes part of a file name: nothing but a thumbprint may get there.
    if len(kid) != THUMBPRINT_CHARS or not base64url_decode(kid):
        raise ValueError("not a key name")
    return _SigningEntry(kid, _time(value["activates_at_s"]), _time(value["retires_at_s"]))


def _sealing_entry(value: dict[str, Any]) -> _SealingEntry:
    entry = _SealingEntry(_time(value["version"]), _time(value["activates_at_s"]))
    if not 1 <= entry.version <= MASTER_VERSION_MAX:
        raise ValueError("not a version")
    return entry


def _time(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a whole number")
    return value


def _require_order(format_version: object, manifest: _Manifest) -> None:
    if format_version != _FORMAT:
        raise ValueError("unknown format")
    keys: tuple[tuple[_SigningEntry | _SealingEntry, ...], ...] = (manifest.signing, manifest.sealing)
    for entries in keys:
        times = [entry.activates_at_s for entry in entries]
        if not times or times != sorted(times):
            raise ValueError("none, or out of order")
    versions = [entry.version for entry in manifest.sealing]
    if versions != sorted(set(versions)):
        raise ValueError("versions out of order")


def _write_manifest(path: Path, manifest: _Manifest) -> None:
    text = json.dumps({"format": _FORMAT, **asdict(manifest)}, indent=1).encode("ascii") + b"\n"
    new = path / (_MANIFEST + ".new")
    new.unlink(missing_ok=True)
    _write_new(new, text)
    new.replace(path / _MANIFEST)
    _sync_dir(path)


def _write_new(file: Path, data: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    _sync_dir(file.parent)


def _sync_dir(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    _require_private_dir(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise KeyDirRefused(f"another process is changing {path}: try again") from None
    except OSError as error:
        raise KeyDirRefused(f"{path} cannot be written: {error.strerror}") from error
    finally:
        os.close(descriptor)
