"""The till's one file: what has been sold and not been told, and what the till knows.

A write that returned survives a power cut: WAL with ``synchronous=FULL`` syncs the log before a commit returns.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tallystick_till.errors import DISK_FAILED, DISK_FULL, OUTBOX_CORRUPT, CannotSell, OtherProgram

FORMAT = 4
"""Version of the tables below (``user_version`` of the file)."""

FREE_BYTES_MIN = 1 << 20
PROBE_BYTES = 1 << 18
BUSY_MS = 5_000
CACHE_KIB = 4_096

CODE_USE = """
CREATE TABLE code_use (
    device TEXT NOT NULL, use TEXT NOT NULL, until_ms INTEGER NOT NULL, PRIMARY KEY (device, use)) WITHOUT ROWID;
"""
SEEN = """
CREATE INDEX advice_seen ON advice (epoch, seq) WHERE verdict_kind = 2 AND seen = 1;
"""
LEASE_TILL = """
ALTER TABLE lease ADD COLUMN till_id TEXT NOT NULL DEFAULT '';
DROP INDEX lease_member;
CREATE INDEX lease_member ON lease (member_id, state, ends_ms);
CREATE INDEX lease_state ON lease (state, ends_ms, till_id);
"""
SCHEMA = """
CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE chain (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    head BLOB NOT NULL);
INSERT INTO chain VALUES (1, 1, 0, zeroblob(32));
CREATE TABLE advice (
    epoch INTEGER NOT NULL, seq INTEGER NOT NULL, advice_id TEXT NOT NULL UNIQUE, raw BLOB NOT NULL,
    digest BLOB NOT NULL, kind TEXT NOT NULL, member_id TEXT NOT NULL, occurred_ms INTEGER NOT NULL,
    reference TEXT NOT NULL, told_points INTEGER NOT NULL, floor_points INTEGER NOT NULL,
    floor_open INTEGER NOT NULL, verdict BLOB, verdict_kind INTEGER NOT NULL DEFAULT 0,
    answered_ms INTEGER NOT NULL DEFAULT 0, seen INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (epoch, seq));
CREATE INDEX advice_unsent ON advice (epoch, seq, floor_points) WHERE verdict_kind = 0;
CREATE INDEX advice_floor ON advice (member_id, floor_open) WHERE floor_open > 0;
CREATE INDEX advice_attention ON advice (verdict_kind) WHERE verdict_kind > 1 AND seen = 0;
CREATE TABLE fact (
    advice_id TEXT PRIMARY KEY, member_id TEXT NOT NULL, points INTEGER NOT NULL, member_seq INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE INDEX fact_member ON fact (member_id, member_seq, points);
CREATE TABLE sale (
    sale_id TEXT PRIMARY KEY, status TEXT NOT NULL, ask_hash BLOB NOT NULL, member_id TEXT NOT NULL,
    occurred_ms INTEGER NOT NULL, reference TEXT NOT NULL, request BLOB NOT NULL, record TEXT NOT NULL,
    undo_id TEXT NOT NULL DEFAULT '', undo_answer TEXT NOT NULL DEFAULT '');
CREATE INDEX sale_asking ON sale (sale_id) WHERE status = 'asking';
CREATE TABLE give_back (
    return_id TEXT PRIMARY KEY, sale_id TEXT NOT NULL, ask_hash BLOB NOT NULL, occurred_ms INTEGER NOT NULL,
    record TEXT NOT NULL);
CREATE INDEX give_back_sale ON give_back (sale_id);
CREATE TABLE enrolled (
    member_id TEXT PRIMARY KEY, advice_id TEXT NOT NULL, tag BLOB NOT NULL, state TEXT NOT NULL,
    occurred_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX enrolled_tag ON enrolled (tag);
CREATE TABLE rules (
    version INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, canonical TEXT NOT NULL, current INTEGER NOT NULL,
    valid_until_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE visit (member_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX visit_at ON visit (at_ms);
CREATE TABLE lease (
    lease_id TEXT PRIMARY KEY, member_id TEXT NOT NULL, points INTEGER NOT NULL, granted_ms INTEGER NOT NULL,
    ends_ms INTEGER NOT NULL, remaining INTEGER NOT NULL, recalled INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'open', return_id TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE INDEX lease_member ON lease (member_id);
CREATE TABLE lease_use (
    lease_id TEXT NOT NULL, advice_id TEXT NOT NULL, points INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (lease_id, advice_id)) WITHOUT ROWID;
CREATE INDEX lease_use_advice ON lease_use (advice_id);
CREATE TABLE lease_ask (member_id TEXT PRIMARY KEY, lease_id TEXT NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE voucher_use (
    voucher_id TEXT PRIMARY KEY, advice_id TEXT NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;
"""
STEPS = {
    0: SCHEMA + CODE_USE + SEEN + LEASE_TILL,
    1: CODE_USE + SEEN + LEASE_TILL,
    2: SEEN + LEASE_TILL,
    3: LEASE_TILL,
}
"""What brings a file of each older format to the present one; 0 is an empty file."""

Row = tuple[Any, ...]


class TillDb:
    """The file of one till. Safe to use from several threads: one at a time gets at it.

    ``fault`` is why nothing can be kept at present: empty, DISK_FULL (which ends when a write succeeds again),
    DISK_FAILED or OUTBOX_CORRUPT. A damaged file is left as it is; the till then knows nothing and sells nothing.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path | None, *, fault: str = "", detached: bool = False
    ) -> None:
        self._connection = connection
        self._detached = detached
        self._lock = threading.RLock()
        self._writing = False
        self.path = path
        self.fault = fault

    @classmethod
    def open(cls, path: Path) -> TillDb:
        """Open the file, or make it. A damaged one gives a db with its ``fault``; ``OtherProgram`` for a newer one."""
        try:
            # It holds the keys by which members are found: for its owner only, and its log is made alike.
            path.touch(mode=0o600)
        except OSError:
            return cls._without_file(path, DISK_FULL if _is_full(path) else DISK_FAILED)
        try:
            connection = _connect(str(path))
            try:
                _prepare(connection)
                whole = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            return cls._without_file(path, _fault_of(error, path))
        if whole:
            return cls(connection, path)
        connection.close()
        return cls._without_file(path, OUTBOX_CORRUPT)

    @classmethod
    def in_memory(cls) -> TillDb:
        """Return a db that nothing survives, for training and tests."""
        connection = _connect(":memory:")
        _prepare(connection)
        return cls(connection, None)

    @classmethod
    def _without_file(cls, path: Path, fault: str) -> TillDb:
        connection = _connect(":memory:")
        _prepare(connection)
        return cls(connection, path, fault=fault, detached=True)

    def close(self) -> None:
        """Close the file; nothing is pending, since every write was committed."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run statements as one transaction that is on the disk when the block ends; inside another one, as part of it.

        Raises ``CannotSell`` when it could not be kept; then nothing of it was.
        """
        with self._lock:
            if self._writing:
                yield self._connection
                return
            if self._detached or self.fault not in ("", DISK_FULL):
                raise CannotSell(self.fault)
            self._writing = True
            try:
                yield from self._transaction()
            finally:
                self._writing = False

    @contextmanager
    def write_unsynced(self) -> Iterator[sqlite3.Connection]:
        """Run statements as one transaction that outlives this program, and a power cut perhaps not.

        For what means nothing after the machine has started anew. The next ``write`` syncs it along with its own.
        """
        with self._lock:
            assert not self._writing, "a transaction is synced or not as a whole"
            self._connection.execute("PRAGMA synchronous = NORMAL")
            try:
                with self.write() as connection:
                    yield connection
            finally:
                self._connection.execute("PRAGMA synchronous = FULL")

    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            fault = _fault_of(error, self.path)
            if not fault:
                raise
            self.fault = fault
            raise CannotSell(fault) from error
        except BaseException:
            self._roll_back()
            raise
        self.fault = ""

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def read(self, statement: str, *values: object) -> list[Row]:
        """Return all rows. Raises ``CannotSell`` when the file turns out to be damaged."""
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                fault = _fault_of(error, self.path)
                if not fault:
                    raise
                self.fault = fault
                raise CannotSell(fault) from error

    def one(self, statement: str, *values: object) -> Row | None:
        """Return the first row, None when there is none."""
        rows = self.read(statement, *values)
        return rows[0] if rows else None

    def number(self, statement: str, *values: object) -> int:
        """Return the single number that a statement gives; nothing counts as 0."""
        row = self.one(statement, *values)
        return int(row[0] or 0) if row else 0

    def get(self, key: str) -> bytes | None:
        """Return a kept value."""
        row = self.one("SELECT value FROM kv WHERE key = ?", key)
        return None if row is None else bytes(row[0])

    def get_int(self, key: str) -> int:
        """Return a kept number, 0 when there is none."""
        return int(self.get(key) or b"0")

    def put(self, key: str, value: bytes | int) -> None:
        """Keep a value, in the running transaction or in one of its own."""
        raw = str(value).encode() if isinstance(value, int) else value
        with self.write() as tx:
            tx.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", (key, raw))

    def probe(self) -> None:
        """After DISK_FULL: try whether the disk takes as much as the largest sale again."""
        if self.fault != DISK_FULL:
            return
        try:
            self.put("probe", bytes(PROBE_BYTES))
            self.put("probe", b"")
        except CannotSell:
            return

    def copy_table_to(self, other: TillDb, table: str) -> None:
        """Copy the rows of one of this file's tables, named by the program, never by a user."""
        rows = self.read(f"SELECT * FROM {table}")  # noqa: S608
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            with other.write() as tx:
                tx.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)  # noqa: S608


def _connect(path: str) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=256
    )


def _prepare(connection: sqlite3.Connection) -> None:
    """Set the connection up; make the tables that an empty or older file does not have."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > FORMAT:
        raise OtherProgram(found, FORMAT)
    if found in STEPS:
        connection.executescript(f"BEGIN IMMEDIATE; {STEPS[found]} PRAGMA user_version = {FORMAT}; COMMIT;")


def _fault_of(error: sqlite3.Error, path: Path | None) -> str:
    """Return what an error of SQLite means for a till; empty for a mistake of the program."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return DISK_FULL
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return OUTBOX_CORRUPT
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        # A full disk can also show as a failed write of the log or of its index.
        return DISK_FULL if path is not None and _is_full(path) else DISK_FAILED
    return ""


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < FREE_BYTES_MIN
    except OSError:
        return False
