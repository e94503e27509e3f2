"""How the interpreter is set for serving."""

from __future__ import annotations

import gc

GC_THRESHOLDS = (50_000, 20, 50)
"""A batch of a few hundred commands makes some ten thousand short-lived objects, none of them in cycles."""


def tune_interpreter() -> None:
    """Set it; called once per serving process, after everything has been imported and wired."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
