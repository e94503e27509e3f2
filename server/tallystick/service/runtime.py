"""How the interpreter is set for serving: one event loop and one lane share it, and neither may make the other wait."""

from __future__ import annotations

import gc
import sys

SWITCH_INTERVAL_S = 0.0005
"""How long a lane that comes back from the database waits at most for the event loop to let go (default: 5 ms)."""

GC_THRESHOLDS = (50_000, 20, 50)
"""A batch of a thousand commands makes some hundred thousand short-lived objects, none of them in cycles."""


def tune_interpreter() -> None:
    """Set it; called once per serving process, after everything has been imported and wired."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
