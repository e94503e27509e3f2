"""Stores: the same ports over memory, SQLite and PostgreSQL; their schema; and the check that nothing was changed."""

from tallystick.storage.open import Store, open_store

__all__ = ["Store", "open_store"]
