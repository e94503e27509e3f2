"""Codes that travel by mail, and the sessions in which they count.

A session's id is known to the device that began it and to nobody else: stored is a keyed hash, and what the session
must remember is sealed under a key that follows from the id. A code of 6 digits protects nothing by itself; it counts
in its session alone, for a few minutes and a few tries.
"""

import hmac
import secrets

from tallystick.security.encoding import length_prefixed
from tallystick.security.sealing import MasterKeys, new_wrapped_key, open_sealed, seal

CODE_DIGITS = 6
CODE_TTL_S = 600
TRIES_MAX = 5
SESSION_ID_BYTES = 24
SESSION_ID_CHARS = 32

_SESSION_PURPOSE = b"tallystick sign-in session v1"
_CODE_PURPOSE = b"tallystick sign-in code v1"
_SEAL_PURPOSE = b"tallystick sign-in seal v1"
_CLIENT_PURPOSE = b"tallystick sign-in client v1"
_SEALED = "sign-in session"
_CLIENT_TAG_BYTES = 16


def new_session_id() -> str:
    """Return a random session id of 192 bits, as 32 characters of base64url."""
    return secrets.token_urlsafe(SESSION_ID_BYTES)


def new_code() -> str:
    """Return six random digits."""
    return str(secrets.randbelow(10**CODE_DIGITS)).zfill(CODE_DIGITS)


def hash_session(key: bytes, session_id: str, *, program_id: str) -> bytes:
    """Return what a session is stored under (32 bytes)."""
    return _keyed(key, _SESSION_PURPOSE, program_id, session_id)


def hash_session_code(key: bytes, code: str, *, session_id: str, program_id: str) -> bytes:
    """Return what is stored of a code (32 bytes): the same digits in another session are another hash."""
    return _keyed(key, _CODE_PURPOSE, program_id, session_id, code)


def client_tag(key: bytes, client: str) -> bytes:
    """Return the keyed hash of where a call came from (16 bytes), empty for a client that is not known."""
    return _keyed(key, _CLIENT_PURPOSE, client)[:_CLIENT_TAG_BYTES] if client else b""


def seal_for_session(key: bytes, text: str, *, session_id: str, program_id: str) -> bytes:
    """Seal a text so that it opens with the session's id alone."""
    masters = _masters(key, session_id, program_id)
    wrapped = new_wrapped_key(masters, program_id=program_id, member_id=_SEALED)
    sealed = seal(masters, wrapped, text.encode(), program_id=program_id, member_id=_SEALED, purpose=_SEALED)
    return length_prefixed((wrapped, sealed))


def open_for_session(key: bytes, blob: bytes, *, session_id: str, program_id: str) -> str:
    """Return the text that was sealed for a session. Raises ``SealBroken``."""
    masters = _masters(key, session_id, program_id)
    end = 4 + int.from_bytes(blob[:4], "big")
    wrapped, sealed = blob[4:end], blob[end + 4 :]
    opened = open_sealed(masters, wrapped, sealed, program_id=program_id, member_id=_SEALED, purpose=_SEALED)
    return opened.decode()


def _masters(key: bytes, session_id: str, program_id: str) -> MasterKeys:
    return MasterKeys(1, {1: _keyed(key, _SEAL_PURPOSE, program_id, session_id)})


def _keyed(key: bytes, *parts: bytes | str) -> bytes:
    message = length_prefixed(part.encode() if isinstance(part, str) else part for part in parts)
    return hmac.digest(key, message, "sha256")
