"""SQLite: one file, one writer at a time, every commit synced; the default for a single server."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, select

from tallystick.core.chain import JournalRow
from tallystick.core.ids import Ms, ProgramId
from tallystick.service.directory import DeviceStatus, Program
from tallystick.service.errors import StoreConflict, StoreUnavailable, TallystickError
from tallystick.service.ports import Transaction, WriteSet
from tallystick.service.scan_ports import Key
from tallystick.storage import schema
from tallystick.storage import tables as t
from tallystick.storage.clock import Now, wall_ms
from tallystick.storage.devices import REVOKED_MAX, SqlDirectory
from tallystick.storage.directory import PROGRAM_COLUMNS, program_from_row
from tallystick.storage.pool import WAIT_S, Pool
from tallystick.storage.reader import LedgerReads, Reads
from tallystick.storage.rows import (
    HOLD_COLUMNS,
    JOURNAL_COLUMNS,
    LEDGER_COLUMNS,
    LOT_COLUMNS,
    Row,
    account_change_to_row,
    entry_to_row,
    hold_to_row,
    journal_to_row,
    lot_to_row,
    refusal_to_row,
)
from tallystick.storage.segment_reads import PURCHASE_COLUMNS, purchase_to_row
from tallystick.storage.snapshot import Snapshot
from tallystick.storage.sqlite_connect import connect, explicit_transactions, sqlite_fault
from tallystick.storage.sqlite_lanes import LaneFiles
from tallystick.storage.sqlreads import SqlReads, statements
from tallystick.storage.sqlsnapshot import STREAM_ROWS, SqlSnapshot
from tallystick.storage.tables import MOVE_COLUMNS
from tallystick.storage.till_rows import INBOX_CHANGING, INBOX_COLUMNS, TILL_COLUMNS, item_to_row, till_to_row
from tallystick.storage.url import SQLITE, StoreUrl, sqlalchemy_url

READERS = 4

T = TypeVar("T")


def _in_sqlite(template: str) -> str:
    template = template.replace("$", "?").replace("@lockedtills", "").replace("@locked", "")
    template = template.replace("@forcodes", "").replace("@forcoupons", "")
    template = template.replace("@each2", "value AS each_id FROM json_each(?2)")
    template = template.replace("@genesis", "zeroblob(32)").replace("@texts", "@any")
    template = template.replace(
        "@pairs2",
        "(SELECT json_extract(value, '$[0]') AS member_id, json_extract(value, '$[1]') AS seq "
        "FROM json_each(?2)) AS wanted",
    )
    # A blob comes out of JSON only by a function that older versions do not have: it is cut out of all of them.
    template = template.replace(
        "@keys2",
        "(SELECT json_extract(value, '$[0]') AS kind, "
        "substr(?3, json_extract(value, '$[1]'), json_extract(value, '$[2]')) AS token FROM json_each(?2)) AS wanted",
    )
    return re.sub(r"@any(\d)", r"IN (SELECT value FROM json_each(?\1))", template)


_STATEMENTS = statements(_in_sqlite)
_NULL_FOR = {"claimed_points": "-1", "hold_id": "''"} | dict.fromkeys(
    ("reverses_seq", "shortfall", *MOVE_COLUMNS), "0"
)


def _insert(table: str, names: str) -> str:
    columns = [name.strip() for name in names.split(",")]
    marks = [f"nullif(?, {_NULL_FOR[c]})" if table == "ledger" and c in _NULL_FOR else "?" for c in columns]
    return f"INSERT INTO {table} ({', '.join(columns)}, program_id) VALUES ({', '.join(marks)}, ?)"


def _update(table: str, names: str) -> str:
    """The first two columns say which row."""
    columns = [name.strip() for name in names.split(",")]
    sets = ", ".join(f"{column} = ?{number}" for number, column in enumerate(columns[2:], 3))
    last = len(columns) + 1
    return f"UPDATE {table} SET {sets} WHERE program_id = ?{last} AND {columns[0]} = ?1 AND {columns[1]} = ?2"


_INSERT_LEDGER = _insert("ledger", LEDGER_COLUMNS)
_INSERT_REFUSAL = _insert("refusal", "command_id, member_id, recorded_ms, reason, fingerprint, details")
_INSERT_LOT = _insert("lot", LOT_COLUMNS)
_INSERT_HOLD = _insert("hold", HOLD_COLUMNS)
_INSERT_PURCHASE = _insert("purchase", PURCHASE_COLUMNS)
_INSERT_JOURNAL = _insert("journal", JOURNAL_COLUMNS)
_JOURNAL_BEFORE = "SELECT 1 FROM journal WHERE program_id = ? AND lane_id = ? AND lane_seq = ? AND hash = ?"
_UPDATE_LOT = _update("lot", LOT_COLUMNS)
_UPDATE_HOLD = _update("hold", HOLD_COLUMNS)
_UPDATE_ACCOUNT = (
    "UPDATE account SET status = ?3, enrolled_ms = ?4, active = ?5, pending = ?6, held = ?7, debt = ?8, seq = ?9, "
    "as_of_ms = ?10, due_ms = ?11, tier = ?12, tallies = ?13 WHERE program_id = ?14 AND member_id = ?1 AND seq = ?2"
)


def _put(table: str, names: str, *, key: str, changing: str) -> str:
    """Insert a row, or change the one that is there."""
    sets = ", ".join(f"{column} = excluded.{column}" for column in changing.split(", "))
    return f"{_insert(table, names)} ON CONFLICT (program_id, {key}) DO UPDATE SET {sets}"


_PUT_TILL = _put("till_chain", TILL_COLUMNS, key="till_id", changing=TILL_COLUMNS.removeprefix("till_id, "))
_PUT_ITEM = _put("inbox_item", INBOX_COLUMNS, key="item_id", changing=INBOX_CHANGING)


class SqliteTransaction(SqlReads):
    """A transaction of one program on one connection; the file's write lock takes the place of row locks."""

    statements = _STATEMENTS

    def __init__(self, connection: sqlite3.Connection, program_id: ProgramId) -> None:
        super().__init__(program_id)
        self._connection = connection

    def write(self, changes: WriteSet) -> None:
        """Write the set, a prepared statement a table. Raises ``StoreConflict`` when a row was not as it was loaded."""
        at = changes.recorded_ms
        self._insert(_INSERT_LEDGER, [entry_to_row(new, at) for new in changes.entries])
        self._insert(_INSERT_REFUSAL, [refusal_to_row(new, at) for new in changes.refusals])
        self._insert(_INSERT_LOT, [lot_to_row(member, lot) for member, lot in changes.lots_new])
        self._insert(_INSERT_HOLD, [hold_to_row(member, hold) for member, hold in changes.holds_new])
        self._insert(_INSERT_PURCHASE, [purchase_to_row(one) for one in changes.purchases])
        self._insert(_PUT_TILL, [till_to_row(chain) for chain in changes.tills])
        self._insert(_PUT_ITEM, [item_to_row(item) for item in changes.inbox])
        if changes.journal is not None:
            self._insert_journal(changes.journal)
        self._update(_UPDATE_ACCOUNT, [account_change_to_row(*pair) for pair in changes.accounts])
        self._update(_UPDATE_LOT, [lot_to_row(member, lot) for member, lot in changes.lots_changed])
        self._update(_UPDATE_HOLD, [hold_to_row(member, hold) for member, hold in changes.holds_changed])

    def _insert_journal(self, row: JournalRow) -> None:
        before = (row.lane_id, row.lane_seq - 1, row.prev_hash)
        if row.lane_seq > 1 and not self._rows(_JOURNAL_BEFORE, *before):
            raise StoreConflict("The lane does not end where this batch goes on.")
        self._insert(_INSERT_JOURNAL, [journal_to_row(row)])

    def _insert(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            self._connection.executemany(statement, [(*row, self._program_id) for row in rows])

    def _update(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            cursor = self._connection.executemany(statement, [(*row, self._program_id) for row in rows])
            if cursor.rowcount != len(rows):
                raise StoreConflict(f"{len(rows)} rows were to change, but {cursor.rowcount} did.")

    def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        return self._connection.executemany(statement, [(self._program_id, *row) for row in rows]).rowcount

    def _rows(self, statement: str, *values: object) -> Sequence[Row]:
        return self._connection.execute(statement, (self._program_id, *values)).fetchall()

    def _any(self, ids: Iterable[str]) -> object:
        return json.dumps(list(ids))

    def _texts(self, values: Sequence[str]) -> object:
        return json.dumps(list(values))

    def _pairs(self, pairs: Iterable[tuple[str, int]]) -> tuple[object, ...]:
        return (json.dumps(list(pairs)),)

    def _keys(self, keys: Sequence[Key]) -> tuple[object, ...]:
        starts = accumulate((len(token) for _, token in keys), initial=1)
        places = [(kind, start, len(token)) for (kind, token), start in zip(keys, starts, strict=False)]
        return json.dumps(places), b"".join(token for _, token in keys)


class SqliteSnapshot(SqlSnapshot):
    """A snapshot of the write-ahead log: a read transaction does not see later commits."""

    statements = _STATEMENTS

    def __init__(self, connection: sqlite3.Connection, program_id: ProgramId) -> None:
        self._connection = connection
        self._program_id = program_id

    def _stream(self, statement: str) -> Iterator[Row]:
        with closing(self._connection.execute(statement, (self._program_id,))) as cursor:
            while rows := cursor.fetchmany(STREAM_ROWS):
                yield from rows


class SqliteStore(LedgerReads, SqlDirectory):
    """The store in one file.

    Writers of this process queue on a lock, those of other processes wait for the file. Raises ``FailedPrecondition``
    when the schema does not fit, ``StoreUnavailable`` when the file cannot be used.
    """

    def __init__(self, path: str | Path, *, now_ms: Now = wall_ms) -> None:
        self._path = str(path)
        if not Path(self._path).exists():
            schema.check(None)
        engine = create_engine(
            sqlalchemy_url(StoreUrl(SQLITE, path=self._path)),
            pool_size=READERS,
            max_overflow=0,
            pool_timeout=WAIT_S,
        )
        explicit_transactions(engine)
        super().__init__(engine, now_ms=now_ms)
        with self._connected() as connection:
            schema.check_connection(connection)
        self._writing = threading.Lock()
        self._lanes = LaneFiles(self._path)
        self._writers = self._pool(1)
        self._readers = self._pool(READERS)

    def _pool(self, size: int) -> Pool[sqlite3.Connection]:
        return Pool(size, open_one=self._open, alive=lambda one: not one.in_transaction, close_one=_close)

    def _open(self) -> sqlite3.Connection:
        try:
            return connect(self._path)
        except sqlite3.Error as error:
            raise sqlite_fault(error) or StoreUnavailable(str(error)) from error

    @contextmanager
    def transaction(self, program_id: ProgramId) -> Iterator[Transaction]:
        """Open a read-write transaction; the file is ours until it ends."""
        with self._writing, self._in_transaction(self._writers, "BEGIN IMMEDIATE") as connection:
            yield SqliteTransaction(connection, program_id)

    @contextmanager
    def snapshot(self, program_id: ProgramId) -> Iterator[Snapshot]:
        """Open a snapshot of one program."""
        with self._in_transaction(self._readers, "BEGIN") as connection:
            yield SqliteSnapshot(connection, program_id)

    def claim_lane(self) -> int:
        """Return the lowest free lane number; it stays ours while this process has the file.

        Raises ``FailedPrecondition`` when all lanes are taken.
        """
        return self._lanes.claim()

    def close(self) -> None:
        """Close all connections."""
        self._writers.close()
        self._readers.close()
        self._lanes.close()
        self._engine.dispose()

    def programs(self, *, after: str, limit: int) -> list[Program]:
        """Return programs by id, behind ``after``."""
        query = (
            select(*PROGRAM_COLUMNS).where(t.program.c.program_id > after).order_by(t.program.c.program_id)
        )
        return [program_from_row(row) for row in self._all(None, query, limit=limit)]

    def device_program(self, device_id: str) -> ProgramId | None:
        """Return the program of a device, over all programs."""
        row = self._first(None, select(t.device.c.program_id).where(t.device.c.device_id == device_id))
        return None if row is None else row[0]

    def revoked_devices(self, *, since: Ms) -> list[str]:
        """Return device ids revoked since an instant, over all programs, the earliest first."""
        revoked_ms = t.device.c.revoked_ms
        revoked = (t.device.c.status == int(DeviceStatus.REVOKED), revoked_ms > 0, revoked_ms >= since)
        query = select(t.device.c.device_id).where(*revoked).order_by(revoked_ms, t.device.c.device_id)
        return [row[0] for row in self._all(None, query, limit=REVOKED_MAX)]

    def revoked_card_devices(self, *, since: Ms) -> list[tuple[ProgramId, str]]:
        """Return (program, kid) of members' devices revoked since an instant, over all programs, latest first."""
        devices = t.card_device.c
        revoked = (devices.revoked_ms > 0, devices.revoked_ms >= since)
        query = select(devices.program_id, devices.kid).where(*revoked).order_by(devices.revoked_ms.desc())
        return [(row[0], row[1]) for row in self._all(None, query, limit=REVOKED_MAX)]

    @contextmanager
    def _begun(
        self,
        connection: Connection,
        program_id: ProgramId | None,  # noqa: ARG002
        *,
        write: bool,
    ) -> Iterator[None]:
        if not write:
            connection.exec_driver_sql("BEGIN")
            yield
            return
        with self._writing:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield

    def _fault_named(self, error: BaseException) -> TallystickError | None:
        return sqlite_fault(error) if isinstance(error, sqlite3.Error) else None

    def _read(
        self,
        program_id: ProgramId,
        work: Callable[[Reads], T],
        *,
        at_one_instant: bool = False,  # noqa: ARG002 - every transaction of the file is
    ) -> T:
        with self._in_transaction(self._readers, "BEGIN") as connection:
            return work(SqliteTransaction(connection, program_id))

    @contextmanager
    def _in_transaction(self, pool: Pool[sqlite3.Connection], begin: str) -> Iterator[sqlite3.Connection]:
        with pool.use(lambda _: None) as connection:
            try:
                connection.execute(begin)
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    connection.rollback()
                named = sqlite_fault(error) if isinstance(error, sqlite3.Error) else None
                if named is None:
                    raise
                raise named from error


def _close(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        connection.close()
