"""Blind indexes: finding a member by phone or e-mail without storing either in the clear.

The table holds HMAC-SHA256 tokens. Who has a copy of the database but not the key cannot test a guess,
which for phone numbers (fewer than 10^10 a country) a plain hash would let them do in minutes.
"""

import hmac
from typing import NewType

from tallystick.security.encoding import length_prefixed

BLIND_TOKEN_BYTES = 16
KEY_BYTES = 32

BlindToken = NewType("BlindToken", bytes)

_DOMAIN = b"tallystick blind index v1"


def blind_token(key: bytes, *, program_id: str, kind: str, value: str) -> BlindToken:
    """The index token (16 bytes) of one normalised identifier in one program.

    `value` must be the normalised form of `parse_identifier`, or the same phone gives different tokens. The
    program and the kind are part of the token: the same e-mail in two programs cannot be linked by comparing.
    """
    assert len(key) == KEY_BYTES, "a blind index key has 32 bytes"
    message = length_prefixed((_DOMAIN, program_id.encode(), kind.encode(), value.encode()))
    return BlindToken(hmac.digest(key, message, "sha256")[:BLIND_TOKEN_BYTES])
