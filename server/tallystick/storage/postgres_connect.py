"""How the service's own connections to PostgreSQL are made, and what their errors mean."""

from __future__ import annotations

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Cursor, RawCursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import TextLoader

from tallystick.service.errors import StoreConflict, StoreUnavailable, TallystickError

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_S = 15
LOCK_TIMEOUT_S = 5
IDLE_IN_TRANSACTION_TIMEOUT_S = 30
SILENCE_TIMEOUT_S = 15
"""How long bytes may stay unacknowledged before the connection counts as lost."""

STATEMENTS_MAX = 300
"""How many statements a connection keeps prepared before it forgets them all."""

_DEFAULTS: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": SILENCE_TIMEOUT_S,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": SILENCE_TIMEOUT_S * 1000,
    "application_name": "tallystick",
    "client_encoding": "UTF8",
}

# What we rely on, whatever a role, a database or the server sets: row locks that are waited for show what was committed
# meanwhile at this level alone.
_SESSION = f"""
SET statement_timeout = '{STATEMENT_TIMEOUT_S}s';
SET lock_timeout = '{LOCK_TIMEOUT_S}s';
SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_TIMEOUT_S}s';
SET idle_session_timeout = 0;
SET default_transaction_isolation = 'read committed';
SET row_security = on;
SET array_nulls = on;
SET standard_conforming_strings = on;
SELECT set_config('transaction_timeout', '0', false) WHERE current_setting('transaction_timeout', true) IS NOT NULL;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""

# Planning each batch anew costs more than running it; and every statement of a batch goes through a key, whereas a
# plan made while a table was still small would scan it for as long as it stays cached.
_BATCH_SESSION = """
SET plan_cache_mode = force_generic_plan;
SET jit = off;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off
"""

_RUN_AGAIN = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "23505",  # unique_violation: another replica answered the same command, or wrote the same lane
        "22012",  # division_by_zero: a write did not change as many rows as it was to
    }
)
_GONE = frozenset(
    {
        None,  # no answer at all
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "25P03",  # idle_in_transaction_session_timeout
        "57P05",  # idle_session_timeout
    }
)
# connection, resources, operator intervention, system errors, and a standby that does not write
_AWAY_CLASSES = ("08", "53", "57", "58")
_READ_ONLY = "25006"
_LOCKED = "55P03"  # lock_not_available


class Connection(psycopg.Connection[Any]):
    """A connection of ours. ``call`` makes the text that runs a statement by name, parsed and planned once.

    A message of several statements cannot bind values, so those of a call stand in its text. That is one round trip
    for many, where each waits for its turn on a busy machine twice; planned anew, the look-ups of a small batch would
    cost more than they do.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._names: dict[str, str] = {}

    def call(self, statement: str, values: Sequence[object]) -> str:
        """Return the text that runs a statement, its placeholders ``$1`` and on, with values; a new one is prepared.

        Raises ``psycopg.DataError`` for a text that PostgreSQL cannot hold.
        """
        name = self._names.get(statement)
        if name is None:
            name = f"ours_{len(self._names)}"
            self.execute(f"PREPARE {name} AS {statement}", prepare=False)
            self._names[statement] = name
        return f"EXECUTE {name}({','.join([literal(value) for value in values])})"

    def forget_many(self) -> None:
        """Forget the statements once they have become too many; not between making a call and sending it."""
        if len(self._names) >= STATEMENTS_MAX:
            self.execute("DEALLOCATE ALL", prepare=False)
            self._names.clear()


def literal(value: object) -> str:
    """Return a value as PostgreSQL reads it in a statement; the type is what the place asks for.

    Raises ``psycopg.DataError`` for a text with a NUL.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    if not isinstance(value, (str, int)):
        raise TypeError(f"no literal for {type(value).__name__}")
    text = str(value)
    if "\0" in text:
        raise psycopg.DataError("PostgreSQL text cannot hold NUL (0x00)")
    return "'" + text.replace("'", "''") + "'"


def connect(conninfo: str) -> Connection:
    """Return a connection for batches: what runs on it are calls. Raises ``StoreUnavailable``."""
    connection = _connect(conninfo, RawCursor, autocommit=True)
    with away_named():
        connection.execute(_BATCH_SESSION, prepare=False)
    return connection


def connect_plain(conninfo: str, *, autocommit: bool = False) -> Connection:
    """Return a connection with the driver's and the server's own habits. Raises ``StoreUnavailable``."""
    return _connect(conninfo, Cursor, autocommit=autocommit)


def _connect(conninfo: str, cursor: type[Cursor[Any]], *, autocommit: bool) -> Connection:
    with away_named():
        connection = Connection.connect(conninfo, autocommit=True, cursor_factory=cursor)
        connection.execute(_SESSION)
    # Canonical text is what the core knows as an id; making a UUID object of each costs more than the row.
    connection.adapters.register_loader("uuid", TextLoader)
    connection.autocommit = autocommit
    return connection


@contextmanager
def away_named() -> Iterator[None]:
    """Raise ``StoreUnavailable`` for what a driver says before anything of a caller's was sent."""
    try:
        yield
    except psycopg.Error as error:
        raise StoreUnavailable(f"The database is away: {error}".strip()) from error


def close(connection: Connection) -> None:
    """Close a connection, whatever state it is in."""
    with suppress(psycopg.Error):
        connection.close()


def with_defaults(conninfo: str) -> str:
    """Return a libpq connection string with our time limits where it sets none of its own."""
    return make_conninfo("", **(_DEFAULTS | conninfo_to_dict(conninfo)))


def alive(connection: Connection) -> bool:
    """Tell whether a connection may be used again: open, and outside any transaction."""
    return not connection.closed and connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def require_open(connection: Connection) -> None:
    """Raise ``StoreUnavailable`` when the server has closed an idle connection, without asking it anything.

    A server that ends or is killed leaves that on the socket; one whose machine vanished is found by the next batch,
    which is then run again on another connection.
    """
    with away_named():
        # Its last words come first, then the end, which reading on raises.
        while select.select([connection.pgconn.socket], [], [], 0)[0]:
            connection.pgconn.consume_input()
        if connection.pgconn.status != psycopg.pq.ConnStatus.OK:
            raise psycopg.OperationalError("the server has closed the connection")


def lost(error: psycopg.Error) -> bool:
    """Tell whether an error means that the connection is gone: the server did not answer, or said good-bye."""
    return isinstance(error, psycopg.OperationalError) and error.sqlstate in _GONE


def reads_only(error: psycopg.Error) -> bool:
    """Tell whether an error means that the session does not write.

    It may never do: it was begun while the database was set to be read, or leads to what was the primary.
    """
    return error.sqlstate == _READ_ONLY


def operating_error(error: psycopg.Error, *, connection_lost: bool) -> TallystickError | None:
    """Return the operating error that a driver's error stands for; None for an error of ours.

    A lost connection is a conflict: the batch is run again, and its command ids find what was committed meanwhile.
    """
    state = error.sqlstate or ""
    if connection_lost:
        return StoreConflict("The connection was lost; the batch may be run again.")
    if state == _LOCKED:
        return StoreConflict(
            f"Somebody holds a lock on what is needed ({state}); the batch may be run again."
        )
    if state in _RUN_AGAIN:
        return StoreConflict(f"Another writer was first ({state}); the batch may be run again.")
    if reads_only(error) or state[:2] in _AWAY_CLASSES:
        return StoreUnavailable(f"The database cannot serve now ({state}).")
    return None
