"""Migrated, empty ledgers: copied from one that was migrated once, which is quicker than migrating each."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

from tallystick.storage.schema import migrate


def new_ledger_file(path: Path) -> str:
    """Make a migrated, empty SQLite file at this path; return its URL."""
    path.write_bytes(_migrated())
    return f"sqlite:///{path}"


@lru_cache(maxsize=1)
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory(prefix="tallystick-ledger-") as place:
        path = Path(place) / "ledger.db"
        migrate(f"sqlite:///{path}")
        return path.read_bytes()
