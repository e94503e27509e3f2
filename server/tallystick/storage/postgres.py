"""PostgreSQL: one transaction a batch, row locks in sorted order, row level security set to the program.

Needs connections that keep their session (no pooler that hands each transaction to another one): lanes are
advisory locks, and statements are prepared once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection as DirectoryConnection
from sqlalchemy import create_engine, text

from tallystick.core.advice import TillChain
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.state import Account
from tallystick.service.directory import IdentifierRow, Program
from tallystick.service.errors import StoreConflict, StoreUnavailable, TallystickError
from tallystick.service.ports import Known, Transaction, WriteSet
from tallystick.service.scan_ports import Key
from tallystick.storage import schema
from tallystick.storage.clock import Now, wall_ms
from tallystick.storage.coupon_reads import Question
from tallystick.storage.devices import REVOKED_MAX, SqlDirectory
from tallystick.storage.directory import program_from_row
from tallystick.storage.pool import WAIT_S, Pool
from tallystick.storage.postgres_connect import (
    Connection,
    alive,
    close,
    connect,
    connect_plain,
    literal,
    lost,
    operating_error,
    reads_only,
    require_open,
    with_defaults,
)
from tallystick.storage.postgres_lanes import LaneLocks
from tallystick.storage.postgres_write import hexes, ints, plan_write, texts, uuids
from tallystick.storage.reader import LedgerReads, Reads
from tallystick.storage.rows import Row
from tallystick.storage.snapshot import Snapshot
from tallystick.storage.sqlreads import SqlReads, accounts_from_rows, known_from_rows, statements
from tallystick.storage.sqlsnapshot import STREAM_ROWS, SqlSnapshot
from tallystick.storage.till_reads import tills_from_rows
from tallystick.storage.url import POSTGRES, libpq_conninfo, parse_url, sqlalchemy_url

DIRECTORY_CONNECTIONS = 2
READ_ATTEMPTS = 2

T = TypeVar("T")

# The locks must come first and the look for known ids see what they waited for: each statement its own snapshot.
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
_NAME_PROGRAM = "SELECT set_config('tallystick.program', {}, true)"
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_SET_PROGRAM = text("SELECT set_config('tallystick.program', :program_id, true)")

# A join is planned by what the tables held then, and the plan stays: each wanted row is looked up by its full key.
_JOINED = re.compile(r"CROSS JOIN (\w+) (WHERE .*?)(?= ORDER BY|$)")


def _in_postgres(template: str) -> str:
    template = _JOINED.sub(r"CROSS JOIN LATERAL (SELECT * FROM \1 \2 OFFSET 0) AS \1", template)
    template = template.replace(
        "@pairs2", "(SELECT unnest($2::uuid[]) AS member_id, unnest($3::int[]) AS seq) AS wanted"
    )
    for mark, written in _MARKS.items():
        template = template.replace(mark, written)
    return re.sub(r"@any(\d)", r"= ANY($\1::uuid[])", template)


_MARKS = {
    "@lockedtills": "ORDER BY till_id FOR UPDATE",
    "@locked": "ORDER BY member_id FOR UPDATE",
    "@forcodes": "ORDER BY token FOR UPDATE",
    "@forcoupons": "ORDER BY coupon_id FOR UPDATE",
    "@texts2": "= ANY($2::text[])",
    "@keys2": "(SELECT unnest($2::text[]) AS kind, decode(unnest($3::text[]), 'hex') AS token) AS wanted",
    "@each2": "unnest($2::text[]) AS each_id",
    "@genesis": "decode(repeat('00', 32), 'hex')",
}


_STATEMENTS = statements(_in_postgres)


class PostgresTransaction(SqlReads):
    """A transaction of one program on one connection, in few round trips.

    On a busy machine each round trip waits for its turn twice. So BEGIN goes out in one message with the first
    statements, the write of a batch in one with the COMMIT, and a reader needs neither: statements of one message are
    one transaction. (The driver's pipeline mode sends as often as before and costs more than it saves.)
    """

    statements = _STATEMENTS

    def __init__(self, connection: Connection, program_id: ProgramId, *, begin: str) -> None:
        super().__init__(program_id)
        connection.forget_many()
        self._connection = connection
        self._begin = begin
        self._begun = False
        self._unwritten: str | None = None

    def locked(
        self, member_ids: Iterable[MemberId], command_ids: Iterable[CommandId]
    ) -> tuple[dict[MemberId, Account], dict[CommandId, Known]]:
        """Lock accounts, then look up command ids in a statement of its own, both in one round trip."""
        accounts, known = self._answers(
            (self.statements.accounts_locked, (self._any(sorted(set(member_ids))),)),
            (self.statements.known, (self._any(set(command_ids)),)),
        )
        return accounts_from_rows(accounts), known_from_rows(known)

    def lock_tills(self, till_ids: Iterable[str]) -> dict[str, TillChain]:
        """Make the chains that are not there, then lock all in a statement of its own, both in one round trip."""
        wanted = sorted(set(till_ids))
        if not wanted:
            return {}
        values = (self._texts(wanted),)
        _, rows = self._answers((self.statements.tills_made, values), (self.statements.tills_locked, values))
        return tills_from_rows(rows)

    def write(self, changes: WriteSet) -> None:
        """Write the set in one statement, which goes out with the next one or the COMMIT.

        That raises ``StoreConflict`` when a row was not as it was loaded.
        """
        planned = plan_write(self._program_id, changes)
        if planned is None:
            return
        if self._unwritten is not None:
            self._send()
        self._unwritten = self._connection.call(planned.statement, planned.values)

    def commit(self) -> None:
        """Commit. A transaction in which a statement failed answers COMMIT with ROLLBACK, and without an error."""
        if not self._begun and self._unwritten is None:
            return
        answer = self._send("COMMIT").statusmessage
        if answer != "COMMIT":
            raise StoreConflict(f"COMMIT was answered with {answer}.")

    def _rows(self, statement: str, *values: object) -> Sequence[Row]:
        (rows,) = self._answers((statement, values))
        return rows

    def _answers(self, *questions: Question) -> list[Sequence[Row]]:
        cursor = self._send(*[self._call(statement, values) for statement, values in questions])
        answers: list[Sequence[Row]] = []
        for _ in questions:
            answers.append(cursor.fetchall())
            cursor.nextset()
        return answers

    def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        cursor = self._send(*[self._call(statement, row) for row in rows])
        count = cursor.rowcount
        while cursor.nextset():
            count += cursor.rowcount
        return count

    def _call(self, statement: str, values: Sequence[object]) -> str:
        return self._connection.call(statement, (self._program_id, *values))

    def _send(self, *calls: str) -> psycopg.Cursor[Any]:
        """Send calls in one round trip, behind what has to come first and is still to come: BEGIN, the name of the
        program, and what is to be written. Return the cursor at the answer of the first call.
        """
        before: list[str] = []
        if not self._begun:
            before = [self._begin] if self._begin else []
            before.append(_NAME_PROGRAM.format(literal(self._program_id)))
        if self._unwritten is not None:
            before.append(self._unwritten)
            self._unwritten = None
        cursor = self._connection.execute(";".join([*before, *calls]), prepare=False)
        self._begun = bool(self._begin)
        for _ in before:
            cursor.nextset()
        return cursor

    def _any(self, ids: Iterable[str]) -> object:
        return uuids(ids)

    def _texts(self, values: Sequence[str]) -> object:
        return texts(values)

    def _pairs(self, pairs: Iterable[tuple[str, int]]) -> tuple[object, ...]:
        both = list(pairs)
        return uuids([one for one, _ in both]), ints([number for _, number in both])

    def _keys(self, keys: Sequence[Key]) -> tuple[object, ...]:
        return texts([kind for kind, _ in keys]), hexes([token for _, token in keys])


class PostgresSnapshot(SqlSnapshot):
    """A snapshot through server-side cursors."""

    statements = _STATEMENTS

    def __init__(self, connection: Connection, program_id: ProgramId) -> None:
        self._connection = connection
        self._program_id = program_id
        self._cursors = 0

    def _stream(self, statement: str) -> Iterator[Row]:
        self._cursors += 1
        with psycopg.RawServerCursor(self._connection, f"stream_{self._cursors}") as cursor:
            cursor.itersize = STREAM_ROWS
            cursor.execute(statement, (self._program_id,))
            yield from cursor


class PostgresStore(LedgerReads, SqlDirectory):
    """The store of production. Any number of processes may share one database.

    ``lanes`` is how many threads write at a time, ``read_pool`` how many read; a few connections more serve the
    directory. Raises ``StoreUnavailable`` when the database is away, ``FailedPrecondition`` when its schema does not
    fit.
    """

    def __init__(self, url: str, *, lanes: int = 1, read_pool: int = 4, now_ms: Now = wall_ms) -> None:
        parsed = parse_url(url)
        assert parsed.backend == POSTGRES
        assert parsed.url is not None
        self._conninfo = with_defaults(libpq_conninfo(parsed.url))
        engine = create_engine(
            sqlalchemy_url(parsed),
            creator=lambda: connect_plain(self._conninfo),
            pool_size=DIRECTORY_CONNECTIONS,
            max_overflow=0,
            pool_timeout=WAIT_S,
            pool_pre_ping=True,
        )
        super().__init__(engine, now_ms=now_ms)
        with self._connected() as connection:
            schema.check_connection(connection)
        self._lanes = LaneLocks(self._conninfo)
        self._writers = Pool(lanes, open_one=self._open_writer, alive=alive, close_one=close)
        self._readers = Pool(
            read_pool, open_one=lambda: connect(self._conninfo), alive=alive, close_one=close
        )

    def bypasses_row_security(self) -> bool:
        """Tell whether the role sees all rows whatever the program: a superuser's, or one with BYPASSRLS.

        Such a role is fit to migrate or verify, not to serve.
        """
        question = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        with self._connected() as connection:
            return bool(connection.scalar(question))

    @contextmanager
    def transaction(self, program_id: ProgramId) -> Iterator[Transaction]:
        """Open a read-write transaction for one program, with row level security set to it."""
        with self._in_transaction(self._writers) as connection:
            transaction = PostgresTransaction(connection, program_id, begin=_WRITE)
            yield transaction
            transaction.commit()

    @contextmanager
    def snapshot(self, program_id: ProgramId) -> Iterator[Snapshot]:
        """Open a snapshot of one program on a connection of its own, which may take as long as it takes."""
        connection = connect_plain(self._conninfo, autocommit=True)
        try:
            connection.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
            _begin(connection, program_id, _SNAPSHOT)
            yield PostgresSnapshot(connection, program_id)
        except psycopg.Error as error:
            raise StoreUnavailable(f"The snapshot was cut short: {error}".strip()) from error
        finally:
            close(connection)

    def claim_lane(self) -> int:
        """Return the lowest free lane number; it stays ours while this process has the database.

        Raises ``FailedPrecondition`` when all lanes are taken.
        """
        return self._lanes.claim()

    def close(self) -> None:
        """Give back connections and locks."""
        self._writers.close()
        self._readers.close()
        self._lanes.close()
        self._engine.dispose()

    def find(self, program_id: ProgramId, keys: Sequence[tuple[str, bytes]]) -> list[IdentifierRow]:
        """Return the rows of (kind, token), by one set-based query."""
        return self._reading(program_id, lambda reads: reads.identifiers(keys))

    def programs(self, *, after: str, limit: int) -> list[Program]:
        """Return programs by id, over all of them: through a function that gives out nothing else."""
        rows = self._function("SELECT * FROM programs_listed(:after, :most)", after=after, most=limit)
        return [program_from_row(row) for row in rows]

    def device_program(self, device_id: str) -> ProgramId | None:
        """Return the program of a device, over all programs."""
        ((found,),) = self._function("SELECT device_program(:device_id)", device_id=device_id)
        return None if found is None else ProgramId(found)

    def revoked_devices(self, *, since: Ms) -> list[str]:
        """Return device ids revoked since an instant, over all programs, the earliest first."""
        rows = self._function("SELECT devices_revoked(:since, :most)", since=since, most=REVOKED_MAX)
        return [row[0] for row in rows]

    def revoked_card_devices(self, *, since: Ms) -> list[tuple[ProgramId, str]]:
        """Return (program, kid) of members' devices revoked since an instant, over all programs, latest first."""
        call = "SELECT program_id, kid FROM card_devices_revoked(:since, :most)"
        return [(row[0], row[1]) for row in self._function(call, since=since, most=REVOKED_MAX)]

    def _function(self, call: str, **values: object) -> Sequence[Row]:
        return self._run(None, lambda connection: connection.execute(text(call), values).all())

    @contextmanager
    def _begun(
        self,
        connection: DirectoryConnection,
        program_id: ProgramId | None,
        *,
        write: bool,  # noqa: ARG002
    ) -> Iterator[None]:
        if program_id is not None:
            connection.execute(_SET_PROGRAM, {"program_id": program_id})
        yield

    def _fault_named(self, error: BaseException) -> TallystickError | None:
        if not isinstance(error, psycopg.Error):
            return None
        if reads_only(error):
            self._forget_all()
        return operating_error(error, connection_lost=lost(error))

    def _read(self, program_id: ProgramId, work: Callable[[Reads], T], *, at_one_instant: bool = False) -> T:
        return self._reading(program_id, work, begin=_SNAPSHOT if at_one_instant else "")

    def _reading(
        self, program_id: ProgramId, work: Callable[[PostgresTransaction], T], *, begin: str = ""
    ) -> T:
        last: StoreConflict | None = None
        for _ in range(READ_ATTEMPTS):
            try:
                with self._in_transaction(self._readers) as connection:
                    transaction = PostgresTransaction(connection, program_id, begin=begin)
                    result = work(transaction)
                    transaction.commit()
                    return result
            except StoreConflict as conflict:
                last = conflict
        raise StoreUnavailable(f"Reading failed {READ_ATTEMPTS} times: {last}") from last

    def _open_writer(self) -> Connection:
        connection = connect(self._conninfo)
        self._lanes.renew()
        return connection

    def _forget_all(self) -> None:
        """Connect anew everywhere: what reads only is not, or no longer, where the ledger is written."""
        self._writers.forget_idle()
        self._readers.forget_idle()
        self._lanes.reconnect()
        self._engine.dispose()

    @contextmanager
    def _in_transaction(self, pool: Pool[Connection]) -> Iterator[Connection]:
        with pool.use(require_open) as connection:
            try:
                yield connection
            except BaseException as error:
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK", prepare=False)
                if not isinstance(error, psycopg.Error):
                    raise
                gone = lost(error)
                if gone:
                    pool.forget_idle()
                elif reads_only(error):
                    close(connection)
                    self._forget_all()
                named = operating_error(error, connection_lost=gone)
                if named is None:
                    raise
                raise named from error


def _begin(connection: Connection, program_id: ProgramId, begin: str) -> None:
    """Begin and name the program for row level security, in one round trip."""
    try:
        connection.execute(f"{begin}; {_NAME_PROGRAM.format(literal(program_id))}", prepare=False)
    except psycopg.Error as error:
        raise StoreUnavailable(f"The database does not begin a transaction: {error}".strip()) from error
