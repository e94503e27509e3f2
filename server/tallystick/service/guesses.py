"""Guessing at coupons made slow: wrong codes of one member and of one device are counted, and too many must wait.

Unique codes are too many to be guessed at any speed; shared ones are words that people think of. A process slows down
who guesses here at once; what all processes count together also ends, and is listed for a person.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.service.errors import Overloaded, TallystickError
from tallystick.service.review_ports import NOBODY, ReviewStore
from tallystick.service.reviews import Reviews

KEYS_MAX = 20_000
"""Members and devices that are remembered; beyond that the one that guessed longest ago is forgotten."""

BUCKET_MS = 600_000
"""How long wrong codes are counted together by all processes; who has reached the limit waits until its end."""

DAY_MS = 86_400_000

GUESSING = "guessing"
"""The kind of review."""

log = logging.getLogger(__name__)


@record(frozen=True, slots=True)
class Pace:
    """``burst`` wrong codes at once after a pause, then one in ``every_s`` seconds.

    Who reaches what that comes to in a bucket waits, whichever process is asked; ``listed_per_day`` are listed.
    """

    burst: int
    every_s: float
    listed_per_day: int

    @property
    def per_bucket(self) -> int:
        """Most wrong codes in one bucket, counted by all processes."""
        return self.burst + int(BUCKET_MS / 1000 / self.every_s)


MEMBER_PACE = Pace(10, 60.0, 50)
DEVICE_PACE = Pace(60, 1.0, 5_000)
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
                self._keep(key, max(self._free_at.get(key, now), now) + pace.every_s)

    def close(
        self, program_id: ProgramId, *, member_id: MemberId = NOBODY, device_id: str, for_s: float
    ) -> None:
        """Let a member, or a device when no member is named, wait so long: all processes together say so."""
        member, device = _keys(program_id, member_id, device_id)
        key, pace = member if member_id else device
        with self._lock:
            self._keep(key, self._monotonic() + for_s + (pace.burst - 1) * pace.every_s)

    def _keep(self, key: tuple[str, str], free_at: float) -> None:
        self._free_at[key] = max(self._free_at.pop(key, free_at), free_at)
        while len(self._free_at) > KEYS_MAX:
            self._free_at.popitem(last=False)

    def _wait_s(self, key: tuple[str, str], pace: Pace, now: float) -> float:
        """Return how long it takes until one more wrong code would be within the pace (0: at once)."""
        return max(0.0, self._free_at.get(key, now) - now - (pace.burst - 1) * pace.every_s)


class SharedGuesses:
    """What all processes have counted together: a counter in the store for each member and device that guesses.

    One statement for each wrong code, which each process makes rare; who has reached the limit elsewhere has at most
    one more guess here.
    """

    def __init__(
        self, store: ReviewStore, reviews: Reviews, guesses: Guesses, *, now_ms: Callable[[], Ms]
    ) -> None:
        self._store = store
        self._reviews = reviews
        self._guesses = guesses
        self._now_ms = now_ms

    def count(self, program_id: ProgramId, member_id: MemberId, device_id: str) -> None:
        """Count a wrong code for all processes, and list who has gone too far. A fault costs the count alone."""
        try:
            self._count(program_id, MEMBER_PACE, member_id, member_id=member_id, device_id=device_id)
            self._count(program_id, DEVICE_PACE, f"device {device_id}", member_id=NOBODY, device_id=device_id)
        except TallystickError as error:
            log.warning("a wrong code could not be counted", extra={"reason": error.reason})

    def _count(
        self, program_id: ProgramId, pace: Pace, subject: str, *, member_id: MemberId, device_id: str
    ) -> None:
        now_ms = self._now_ms()
        bucket, day = Ms(now_ms - now_ms % BUCKET_MS), Ms(now_ms - now_ms % DAY_MS)
        lately = self._store.count_watched(program_id, GUESSING, subject, bucket=bucket)
        today = self._store.count_watched(program_id, f"{GUESSING}_day", subject, bucket=day)
        if lately >= pace.per_bucket:
            wait_s = (bucket + BUCKET_MS - now_ms) / 1000
            self._guesses.close(program_id, member_id=member_id, device_id=device_id, for_s=wait_s)
        if lately >= pace.per_bucket or today >= pace.listed_per_day:
            facts = {"device_id": device_id, "wrong_codes": today}
            self._reviews.add(program_id, GUESSING, member_id, facts, f"{subject}/{day}")


def _keys(program_id: str, member_id: str, device_id: str) -> tuple[tuple[tuple[str, str], Pace], ...]:
    return ((program_id, f"member {member_id}"), MEMBER_PACE), (
        (program_id, f"device {device_id}"),
        DEVICE_PACE,
    )
