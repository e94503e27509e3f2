"""Each `jti` once: a guard against assertions that are sent a second time (RFC 7523 section 3, item 7).

The guard lives in one process and on its event loop. With several processes behind one address, each has to
ask a store that they share as well.
"""

import heapq
from enum import StrEnum

ENTRIES_MAX = 100_000
OWNER_ENTRIES_MAX = 256


class Use(StrEnum):
    """What the guard says to one use of a token id."""

    FIRST = "FIRST"
    REPLAYED = "REPLAYED"
    FULL = "FULL"


class ReplayGuard:
    """Remembers (owner, token id) until the token cannot be accepted any more.

    Nothing is dropped early to make room, as that would let a flood bring an old assertion back to life.
    When it is full the answer is FULL, and the caller refuses. The bound per owner keeps one busy or
    captured device from filling it for all.
    """

    __slots__ = ("_by_expiry", "_entries_max", "_owner_counts", "_owner_entries_max", "_seen")

    def __init__(self, *, entries_max: int = ENTRIES_MAX, owner_entries_max: int = OWNER_ENTRIES_MAX) -> None:
        assert 0 < owner_entries_max <= entries_max, "bounds out of order"
        self._entries_max = entries_max
        self._owner_entries_max = owner_entries_max
        self._seen: set[tuple[str, str]] = set()
        self._by_expiry: list[tuple[int, tuple[str, str]]] = []
        self._owner_counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def use(self, owner_id: str, token_id: str, *, usable_until_s: int, now_s: int) -> Use:
        """Record the use of a verified token; FIRST once, then REPLAYED until `usable_until_s`."""
        self._forget_expired(now_s)
        key = (owner_id, token_id)
        if key in self._seen:
            return Use.REPLAYED
        count = self._owner_counts.get(owner_id, 0)
        if len(self._seen) >= self._entries_max or count >= self._owner_entries_max:
            return Use.FULL
        self._seen.add(key)
        self._owner_counts[owner_id] = count + 1
        heapq.heappush(self._by_expiry, (usable_until_s, key))
        return Use.FIRST

    def _forget_expired(self, now_s: int) -> None:
        while self._by_expiry and self._by_expiry[0][0] <= now_s:
            _, key = heapq.heappop(self._by_expiry)
            self._seen.discard(key)
            remaining = self._owner_counts[key[0]] - 1
            if remaining:
                self._owner_counts[key[0]] = remaining
            else:
                del self._owner_counts[key[0]]
