"""Writes the golden vectors anew: ``python -m tests.golden.regenerate``. See README.md for when to do that."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.golden.cases import CASES
from tests.golden.story import rendered

VECTORS = Path(__file__).parent / "vectors"


def regenerate() -> int:
    """Write a file for each case and remove those of no case; return how many files have changed."""
    VECTORS.mkdir(exist_ok=True)
    texts = {f"{case.name}.json": rendered(case) for case in CASES}
    changed = 0
    for path in VECTORS.glob("*.json"):
        if path.name not in texts:
            path.unlink()
            changed += 1
    for name, text in texts.items():
        path = VECTORS / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed += 1
    return changed


if __name__ == "__main__":
    sys.stdout.write(f"{regenerate()} of {len(CASES)} golden vectors have changed\n")
