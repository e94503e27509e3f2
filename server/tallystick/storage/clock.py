"""The store's own clock: it stamps what no caller brings an instant for."""

from __future__ import annotations

import time
from collections.abc import Callable

from tallystick.core.ids import Ms

Now = Callable[[], Ms]
"""Returns the present instant."""


def wall_ms() -> Ms:
    """Return the present instant by the machine's clock."""
    return Ms(time.time_ns() // 1_000_000)
