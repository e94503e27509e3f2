"""The machine's own clocks, and ids made on it."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_RANDOM_BYTES: Final = 10


class MachineClock:
    """The clocks of Linux. The monotonic one goes on while the machine is suspended, as a till at night may be."""

    def __init__(self) -> None:
        self._boot_id = _BOOT_ID.read_text().strip()

    def monotonic_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def boot_id(self) -> str:
        return self._boot_id


def new_id() -> str:
    """Mint a UUID of version 7 (RFC 9562): the wall clock in milliseconds, then randomness."""
    stamp = (time.time_ns() // 1_000_000) & ((1 << 48) - 1)
    raw = bytearray(stamp.to_bytes(6, "big") + os.urandom(_RANDOM_BYTES))
    raw[6] = (raw[6] & 0x0F) | 0x70
    raw[8] = (raw[8] & 0x3F) | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))
