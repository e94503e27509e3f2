"""Sealed personal data: AES-256-GCM under a key per member, itself wrapped by a master key.

To erase a member, drop the wrapped key: what was sealed under it is noise from then on, in backups too once
the wrapped key has left them. To rotate the master key, wrap the data keys again; the data itself stays as
it is.

    wrapped key = 0x01 || master version (1 byte) || nonce (12) || AES-GCM(master key, data key)
    sealed data = 0x01 || nonce (12) || AES-GCM(data key, plaintext)

Both are bound (associated data) to the program and the member, sealed data to its purpose too: bytes copied
to another row or column do not open. Nonces are random; a key stays far below the 2^32 uses of NIST SP
800-38D.
"""

import secrets
from collections.abc import Mapping
from dataclasses import field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.core.record import record
from tallystick.security.encoding import length_prefixed
from tallystick.security.errors import SealBroken

KEY_BYTES = 32
PLAINTEXT_BYTES_MAX = 16_384
MASTER_VERSION_MAX = 255

_FORMAT = 1
_NONCE_BYTES = 12
_TAG_BYTES = 16
_WRAPPED_BYTES = 2 + _NONCE_BYTES + KEY_BYTES + _TAG_BYTES
_SEALED_OVERHEAD_BYTES = 1 + _NONCE_BYTES + _TAG_BYTES


@record(frozen=True, slots=True)
class MasterKeys:
    """The master keys at hand, by version (1 to 255), and the one that wraps new data keys."""

    current_version: int
    by_version: Mapping[int, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        assert self.current_version in self.by_version, "the current master key is not at hand"
        assert all(1 <= version <= MASTER_VERSION_MAX for version in self.by_version), "version out of range"
        assert all(len(key) == KEY_BYTES for key in self.by_version.values()), "a master key has 32 bytes"


def new_wrapped_key(masters: MasterKeys, *, program_id: str, member_id: str) -> bytes:
    """Make a random data key for one member and return it wrapped; it is stored nowhere else."""
    return _wrap(masters, secrets.token_bytes(KEY_BYTES), program_id=program_id, member_id=member_id)


def rewrap(masters: MasterKeys, wrapped_key: bytes, *, program_id: str, member_id: str) -> bytes:
    """Wrap the same data key under the current master key; SealBroken when it does not open."""
    data_key = _unwrap(masters, wrapped_key, program_id=program_id, member_id=member_id)
    return _wrap(masters, data_key, program_id=program_id, member_id=member_id)


def wrapped_version(wrapped_key: bytes) -> int:
    """The version of the master key that wraps this data key; SealBroken when the form is unknown."""
    if len(wrapped_key) != _WRAPPED_BYTES or wrapped_key[0] != _FORMAT:
        raise SealBroken("the wrapped key has an unknown form")
    return wrapped_key[1]


def seal(
    masters: MasterKeys,
    wrapped_key: bytes,
    plaintext: bytes,
    *,
    program_id: str,
    member_id: str,
    purpose: str,
) -> bytes:
    """Seal `plaintext` (at most 16 KiB) for one member and one purpose (the column it is kept in)."""
    if len(plaintext) > PLAINTEXT_BYTES_MAX:
        raise SealBroken(f"personal data of more than {PLAINTEXT_BYTES_MAX} bytes cannot be sealed")
    data_key = _unwrap(masters, wrapped_key, program_id=program_id, member_id=member_id)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    bound = _bound_to("data", program_id, member_id, purpose)
    return bytes([_FORMAT]) + nonce + AESGCM(data_key).encrypt(nonce, plaintext, bound)


def open_sealed(
    masters: MasterKeys,
    wrapped_key: bytes,
    sealed: bytes,
    *,
    program_id: str,
    member_id: str,
    purpose: str,
) -> bytes:
    """Open what `seal` made; SealBroken when a byte, the member, the program or the purpose differs."""
    longest = PLAINTEXT_BYTES_MAX + _SEALED_OVERHEAD_BYTES
    if not _SEALED_OVERHEAD_BYTES <= len(sealed) <= longest or sealed[0] != _FORMAT:
        raise SealBroken("the sealed data has an unknown form")
    data_key = _unwrap(masters, wrapped_key, program_id=program_id, member_id=member_id)
    nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        return AESGCM(data_key).decrypt(nonce, ciphertext, _bound_to("data", program_id, member_id, purpose))
    except InvalidTag:
        raise SealBroken("the sealed data does not open for this member and purpose") from None


def _wrap(masters: MasterKeys, data_key: bytes, *, program_id: str, member_id: str) -> bytes:
    version = masters.current_version
    nonce = secrets.token_bytes(_NONCE_BYTES)
    bound = _bound_to("key", program_id, member_id, str(version))
    return (
        bytes([_FORMAT, version])
        + nonce
        + AESGCM(masters.by_version[version]).encrypt(nonce, data_key, bound)
    )


def _unwrap(masters: MasterKeys, wrapped_key: bytes, *, program_id: str, member_id: str) -> bytes:
    version = wrapped_version(wrapped_key)
    master_key = masters.by_version.get(version)
    if master_key is None:
        raise SealBroken(
            f"sealing key {version} is not in the key directory: restore its file from the backup"
        )
    nonce, ciphertext = wrapped_key[2 : 2 + _NONCE_BYTES], wrapped_key[2 + _NONCE_BYTES :]
    try:
        return AESGCM(master_key).decrypt(
            nonce, ciphertext, _bound_to("key", program_id, member_id, str(version))
        )
    except InvalidTag:
        raise SealBroken("the wrapped key does not open for this member") from None


def _bound_to(what: str, *parts: str) -> bytes:
    return length_prefixed((b"tallystick seal v1", what.encode(), *(part.encode() for part in parts)))
