"""Names for ids, amounts and instants, so that one is never taken for another."""

from __future__ import annotations

import hashlib
import uuid
from typing import NewType

ProgramId = NewType("ProgramId", str)
"""Slug of a loyalty program, ``[a-z][a-z0-9-]{1,31}``."""

MemberId = NewType("MemberId", str)
"""Lower-case canonical UUID of a member; random, carries no personal data."""

CommandId = NewType("CommandId", str)
"""Lower-case canonical UUID that the caller minted before its first send; its answer is stored for ever."""

Points = NewType("Points", int)
"""Whole units of a program's currency of loyalty."""

Minor = NewType("Minor", int)
"""Amount in minor units of a currency (cents, öre, pence)."""

Ms = NewType("Ms", int)
"""Instant in milliseconds since 1970-01-01T00:00:00Z."""

NEVER_MS = Ms(253_402_300_800_000)
"""The first instant of the year 10000: stands for "never", and sorts behind every real instant."""

EPOCH_ORDINAL = 719_163
"""``date.toordinal`` of 1970-01-01: days are counted from there where they leave the core."""

POINTS_MAX = 1_000_000_000_000_000
"""Largest balance or movement of points: 10**15, far inside 64 bits even when a million of them are summed."""

AMOUNT_MINOR_MAX = 1_000_000_000_000
"""Largest amount of one line or one basket in minor units: 10**12."""


def derived_id(member_id: MemberId, purpose: str, key: int | str) -> CommandId:
    """Return the id of an entry that time makes due (expiry, maturity ...), the same on every computation.

    A UUID of version 8 (RFC 9562, 5.8) over SHA-256, so that a rerun of the nightly job finds its own entry.
    """
    digest = hashlib.sha256(f"{member_id}/{purpose}/{key}".encode()).digest()
    raw = bytearray(digest[:16])
    raw[6] = (raw[6] & 0x0F) | 0x80
    raw[8] = (raw[8] & 0x3F) | 0x80
    return CommandId(str(uuid.UUID(bytes=bytes(raw))))
