"""Time-based one-time passwords (RFC 6238, HMAC-SHA-1), as wallets show them in codes that rotate."""

from __future__ import annotations

import hmac

PERIOD_S = 30
DIGITS = 8


def totp(key: bytes, at_s: int, *, digits: int = DIGITS, period_s: int = PERIOD_S) -> str:
    """Return the password of the period that ``at_s`` (seconds since 1970) lies in (RFC 4226, 5.3)."""
    mac = hmac.digest(key, (at_s // period_s).to_bytes(8, "big"), "sha1")
    offset = mac[-1] & 0x0F
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}d}"
