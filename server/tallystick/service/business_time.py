"""How far the business time of a command may lie from the server's."""

from __future__ import annotations

from typing import NamedTuple

from tallystick.core.ids import NEVER_MS
from tallystick.service.directory import Clock

BACK_MAX_MS = 24 * 3_600_000
SHOP_BACK_MAX_MS = 30 * 24 * 3_600_000
"""A webshop keeps its orders while the gateway is away, and nobody looks at a queue on a holiday."""
AHEAD_MAX_MS = 5 * 60_000


class Window(NamedTuple):
    """The earliest and the latest business time that is taken, both in milliseconds and inclusive."""

    earliest_ms: int
    latest_ms: int


ANY_TIME = Window(0, NEVER_MS)


def window(clock: Clock, *, importer: bool, now_ms: int, webshop: bool = False) -> Window:
    """Return the window of a caller: a day back (a webshop: 30 days) and five minutes ahead.

    An import into a replay may lie at any time.
    """
    if importer and clock is Clock.REPLAY:
        return ANY_TIME
    back_ms = SHOP_BACK_MAX_MS if webshop else BACK_MAX_MS
    return Window(now_ms - back_ms, now_ms + AHEAD_MAX_MS)
