"""Enrolment codes: how a manager lets one device in, once, and how the device proves its key.

A code has 12 characters of Crockford base32, shown as `K7AB-9QRS-TVWX`. The first two are the selector: not
secret, they find the row. The other ten are the secret: 50 bits, valid 10 minutes and 5 tries, kept only as
a keyed hash. Without a selector a wrong code would belong to no row, and tries could not be counted.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum

from tallystick.security.encoding import length_prefixed
from tallystick.security.keys import SigningKey, VerifyKey

CODE_TTL_S = 600
TRIES_MAX = 5
SELECTOR_CHARS = 2
SECRET_CHARS = 10
CODE_TEXT_CHARS_MAX = 40

_CODE_CHARS = SELECTOR_CHARS + SECRET_CHARS
_GROUP_CHARS = 4
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_KEY_BYTES = 32


class CodeCheck(StrEnum):
    """The outcome of one try. All but ACCEPTED look the same to the one who typed."""

    ACCEPTED = "ACCEPTED"
    WRONG = "WRONG"
    USED = "USED"
    EXPIRED = "EXPIRED"
    TRIES_SPENT = "TRIES_SPENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentCode:
    """What is kept of a code. `tries` counts the checks made before; `used` is set by the one accepted."""

    program_id: str
    selector: str
    code_hash: bytes
    expires_at_s: int
    tries: int = 0
    used: bool = False


def new_code() -> str:
    """A random code in its shown form, `XXXX-XXXX-XXXX`; show it once and keep only its record."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_CHARS))
    return "-".join(letters[start : start + _GROUP_CHARS] for start in range(0, _CODE_CHARS, _GROUP_CHARS))


def normalise_code(text: str) -> str | None:
    """The 12 characters of a typed code, or None when it cannot be one.

    Case, spaces and hyphens do not matter; O counts as 0, I and L as 1 (Crockford base32).
    """
    if len(text) > CODE_TEXT_CHARS_MAX or not text.isascii():
        return None
    code = text.strip().upper().translate(_LOOKALIKES)
    if len(code) != _CODE_CHARS or any(letter not in _ALPHABET for letter in code):
        return None
    return code


def selector(text: str) -> str | None:
    """The part of a typed code that finds its record, or None when it cannot be a code."""
    code = normalise_code(text)
    return None if code is None else code[:SELECTOR_CHARS]


def code_record(key: bytes, code: str, *, program_id: str, now_s: int) -> EnrolmentCode:
    """The record to keep for a new code, valid for 10 minutes from `now_s`."""
    normalised = normalise_code(code)
    assert normalised is not None, "records are made of codes that new_code returned"
    return EnrolmentCode(
        program_id=program_id,
        selector=normalised[:SELECTOR_CHARS],
        code_hash=hash_code(key, normalised, program_id=program_id),
        expires_at_s=now_s + CODE_TTL_S,
    )


def hash_code(key: bytes, normalised: str, *, program_id: str) -> bytes:
    """HMAC-SHA256 (32 bytes) of a normalised code.

    Keyed, because 50 bits behind a plain hash could be searched within the ten minutes.
    """
    assert len(key) == _KEY_BYTES, "an enrolment key has 32 bytes"
    message = length_prefixed((b"tallystick enrolment code v1", program_id.encode(), normalised.encode()))
    return hmac.digest(key, message, "sha256")


def check_code(record: EnrolmentCode, text: str, *, key: bytes, now_s: int) -> CodeCheck:
    """Check a typed code against its record.

    Count the try in the transaction that read the record, whatever the outcome, or parallel guesses get more
    than five; on ACCEPTED mark the record used in the same transaction.
    """
    normalised = normalise_code(text)
    given = hash_code(key, normalised or "", program_id=record.program_id)
    matches = hmac.compare_digest(given, record.code_hash)
    if record.used:
        return CodeCheck.USED
    if now_s >= record.expires_at_s:
        return CodeCheck.EXPIRED
    if record.tries >= TRIES_MAX:
        return CodeCheck.TRIES_SPENT
    return CodeCheck.ACCEPTED if matches else CodeCheck.WRONG


def prove_possession(key: SigningKey, *, code: str, program_id: str) -> bytes:
    """The device's proof that it holds `key`: ES256 (r || s, 64 bytes) over program, code and thumbprint."""
    normalised = normalise_code(code)
    assert normalised is not None, "the device checks the form of a code before it signs"
    return key.sign_raw(_possession_message(normalised, key.kid, program_id))


def possession_holds(key: VerifyKey, proof: bytes, *, code: str, program_id: str) -> bool:
    """Whether `proof` was made by the private half of `key` for this very code and program."""
    normalised = normalise_code(code)
    if normalised is None:
        return False
    return key.verify_raw(proof, _possession_message(normalised, key.kid, program_id))


def _possession_message(normalised: str, kid: str, program_id: str) -> bytes:
    # The leading text keeps this signature from being taken for a token or a member's code, and the reverse.
    code_digest = hashlib.sha256(normalised.encode()).digest()
    return length_prefixed((b"tallystick enrolment proof v1", program_id.encode(), code_digest, kid.encode()))
