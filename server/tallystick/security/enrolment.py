"""Enrolment codes: how a manager lets one device in, once, and how the device proves its key.

A code has 12 characters of Crockford base32, shown as `K7AB-9QRS-TVWX`. The first two are the selector: not
secret, they find the row. The other ten are the secret: 50 bits, valid 10 minutes and 5 tries, kept only as
a keyed hash. Without a selector a wrong code would belong to no row, and tries could not be counted.
"""

import hashlib
import hmac
import secrets

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


def new_code() -> str:
    """A random code as it is shown, in three groups of four with dashes; show it once and keep only its hash."""
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


def hash_code(key: bytes, normalised: str, *, program_id: str) -> bytes:
    """HMAC-SHA256 (32 bytes) of a normalised code.

    Keyed, because 50 bits behind a plain hash could be searched within the ten minutes.
    """
    assert len(key) == _KEY_BYTES, "an enrolment key has 32 bytes"
    message = length_prefixed((b"tallystick enrolment code v1", program_id.encode(), normalised.encode()))
    return hmac.digest(key, message, "sha256")


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
