"""Guessing at coupons made slow: wrong codes of one member and of one device are counted, and too many must wait.

Unique codes are too many to be guessed at any speed; shared ones are words that people think of. Each process counts
for itself and forgets on restart, which is enough to turn thousands of tries a second into a few a minute.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from tallystick.core.ids import MemberId, ProgramId
from tallystick.service.errors import Overloaded

KEYS_MAX = 20_000
"""Members and devices that are remembered; beyond that the one that guessed longest ago is forgotten."""


@dataclass(frozen=True, slots=True)
class Pace:
    """``burst`` wrong codes at once after a pause, then one in ``every_s`` seconds."""

    burst: int
    every_s: float


MEMBER_PACE = Pace(10, 60.0)
DEVICE_PACE = Pace(60, 1.0)
"""A webshop asks for all its members with one device."""


class Guesses:
    """Counts wrong codes. Safe to use from several threads."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._free_at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def require(self, program_id: ProgramId, member_id: MemberId, device_id: str) -> None:
        """Raise ``Overloaded`` with the time to wait when a member or a device has guessed too often."""
        now = self._monotonic()
        with self._lock:
            waits = [self._wait_s(key, pace, now) for key, pace in _keys(program_id, member_id, device_id)]
        wait_s = max(waits)
        if wait_s > 0:
            raise Overloaded(
                "Too many coupon codes were wrong.",
                mend="Try again later.",
                reason="RATE_LIMITED",
                retry_after_s=wait_s,
            )

    def wrong(self, program_id: ProgramId, member_id: MemberId, device_id: str) -> None:
        """Count a code that nobody has, or another member."""
        now = self._monotonic()
        with self._lock:
            for key, pace in _keys(program_id, member_id, device_id):
                self._free_at[key] = max(self._free_at.pop(key, now), now) + pace.every_s
            while len(self._free_at) > KEYS_MAX:
                self._free_at.popitem(last=False)

    def _wait_s(self, key: tuple[str, str], pace: Pace, now: float) -> float:
        """Return how long it takes until one more wrong code would be within the pace (0: at once)."""
        return max(0.0, self._free_at.get(key, now) - now - (pace.burst - 1) * pace.every_s)


def _keys(program_id: str, member_id: str, device_id: str) -> tuple[tuple[tuple[str, str], Pace], ...]:
    return ((program_id, f"member {member_id}"), MEMBER_PACE), (
        (program_id, f"device {device_id}"),
        DEVICE_PACE,
    )
