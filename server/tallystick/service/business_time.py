"""How far the business time of a command may lie from the server's."""

from __future__ import annotations

from typing import NamedTuple

from tallystick.core.ids import NEVER_MS
from tallystick.service.directory import Clock

BACK_MAX_MS = 24 * 3_600_000
AHEAD_MAX_MS = 5 * 60_000


class Window(NamedTuple):
    """The earliest and the latest business time that is taken, both in milliseconds and inclusive."""

    earliest_ms: int
    latest_ms: int


ANY_TIME = Window(0, NEVER_MS)


def window(clock: Clock, *, importer: bool, now_ms: int) -> Window:
    """Return the window of a caller: a day back and five minutes ahead, any time for an import into a replay."""
    if importer and clock is Clock.REPLAY:
        return ANY_TIME
    return Window(now_ms - BACK_MAX_MS, now_ms + AHEAD_MAX_MS)
