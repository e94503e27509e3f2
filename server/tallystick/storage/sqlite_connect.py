"""How every connection to a SQLite file is set."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Engine, event

from tallystick.service.errors import StoreConflict, StoreUnavailable, TallystickError

BUSY_TIMEOUT_MS = 5_000
"""How long a writer waits for another process; within one process writers queue on a lock instead."""

CACHE_KIB = 64 * 1024
JOURNAL_BYTES_MAX = 64 * 1024 * 1024
CHECKPOINT_PAGES = 4_000

# FULL costs nothing once commits are grouped: one sync carries a whole batch.
_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    f"PRAGMA cache_size = -{CACHE_KIB}",
    f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}",
    "PRAGMA temp_store = MEMORY",
)

_RUN_AGAIN = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_BUSY_SNAPSHOT,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
)
_AWAY = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)


def prepare(connection: sqlite3.Connection) -> None:
    """Set a fresh connection: write-ahead log, full sync, patience; transactions begin where we say so."""
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def connect(path: str) -> sqlite3.Connection:
    """Return a connection that any one thread at a time may use. Raises ``sqlite3.OperationalError``."""
    connection = sqlite3.connect(path, check_same_thread=False, cached_statements=256)
    prepare(connection)
    return connection


def explicit_transactions(engine: Engine) -> None:
    """Make an engine's connections ours, and leave BEGIN to whoever uses them: the driver would place it too late."""

    def on_connect(connection: Any, _record: object) -> None:
        prepare(connection)

    event.listen(engine, "connect", on_connect)


def sqlite_fault(error: sqlite3.Error) -> TallystickError | None:
    """Return the operating error that a driver's error stands for; None for an error of ours."""
    code = getattr(error, "sqlite_errorcode", None)
    if code in _RUN_AGAIN:
        return StoreConflict(f"Another writer was first ({error}); the batch may be run again.")
    if code is not None and code & 0xFF in _AWAY:
        return StoreUnavailable(f"The database file cannot be used: {error}.")
    return None
