"""The state of a database's schema: what it is, what it must be, and the way from one to the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, inspect, text

from tallystick.service.errors import (
    FailedPrecondition,
    StoreConflict,
    StoreUnavailable,
    TallystickError,
)
from tallystick.storage.url import POSTGRES, SQLITE, parse_url, sqlalchemy_url

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.exc import DBAPIError

HEAD = "0023"
"""The revision that this version of the program works with."""

SERVICE_ROLE = "tallystick_app"
"""The PostgreSQL role that serves: it owns nothing, so that row level security binds it."""

_MIGRATION_LOCK = 7_461_828_001
_VERSION_TABLE = "alembic_version"
_HOLD_ALL_TEXTS = ("UTF8", "SQL_ASCII")  # the latter keeps the bytes that it is given, and they are UTF-8
_NOT_ALLOWED = "42501"  # insufficient_privilege


def head() -> str:
    """Return the revision that this version of the program works with."""
    return HEAD


def current(url: str) -> str | None:
    """Return the revision of a database, or None where nothing has been migrated yet.

    Raises ``StoreUnavailable`` when the database is away, ``FailedPrecondition`` when the role may not look,
    ``InvalidInput`` for a URL without a schema (memory).
    """
    parsed = parse_url(url)
    if parsed.backend == SQLITE and not Path(parsed.path).exists():
        return None
    engine = _engine(url)
    try:
        with _faults_named(), _connect(engine) as connection:
            return _revision(connection)
    finally:
        engine.dispose()


def migrate(url: str, *, service_role: str = SERVICE_ROLE) -> str:
    """Bring the schema of a database to ``head()`` and return it; does nothing when it is there.

    The whole way is one transaction, and only one process at a time goes it. On PostgreSQL ``url`` names the role
    that owns the tables; ``service_role`` is granted what the service needs and is made (with LOGIN, without a
    password) when it is missing. Raises ``FailedPrecondition`` when the role may not do it, when the database is
    newer than the program, or when a new one cannot hold every text, and ``StoreUnavailable`` when the database is
    away, full, or written by somebody else.
    """
    from alembic import command  # only the command line migrates; serving starts faster without it

    engine = _engine(url)
    try:
        with _faults_named(), _connect(engine) as connection:
            postgres = engine.dialect.name == "postgresql"
            if postgres:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            else:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            before = _revision(connection)
            if before is not None and before not in _known_revisions():
                raise _newer(before)
            if before is None and postgres:
                _require_all_texts(connection)
            if before != HEAD:
                role = _ensure_role(connection, service_role) if postgres else ""
                command.upgrade(_config(connection, role), HEAD)
            connection.commit()
    finally:
        engine.dispose()
    return HEAD


def check(revision: str | None) -> None:
    """Raise ``FailedPrecondition`` unless a database at ``revision`` can be served."""
    if revision == HEAD:
        return
    if revision is None:
        raise FailedPrecondition("The database has no schema yet.", mend="Run: tallystick migrate", head=HEAD)
    if revision in _known_revisions():
        raise FailedPrecondition(
            f"The database is at revision {revision}, older than this program's {HEAD}.",
            mend="Run: tallystick migrate",
            revision=revision,
            head=HEAD,
        )
    raise _newer(revision)


def check_connection(connection: Connection) -> None:
    """Raise ``FailedPrecondition`` unless the database behind a connection can be served, and by its role."""
    from sqlalchemy.exc import ProgrammingError

    try:
        revision = _revision(connection)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_ALLOWED:
            raise
        raise FailedPrecondition(
            "This role may not read the tables.",
            mend=f"Serve with the URL of {SERVICE_ROLE}. If the database was restored before deploy/roles.sql had run, "
            "restore it again: the rights of the roles were left out.",
        ) from error
    check(revision)


def _newer(revision: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"The database is at revision {revision}, which this program does not know: it is newer than {HEAD}.",
        mend="Install the newer Tallystick; tallystick migrate never goes back.",
        revision=revision,
        head=HEAD,
    )


def _engine(url: str) -> Engine:
    parsed = parse_url(url)
    driver_url = sqlalchemy_url(parsed)
    if parsed.backend == SQLITE:
        from tallystick.storage.sqlite_connect import explicit_transactions

        engine = create_engine(driver_url)
        explicit_transactions(engine)
        return engine
    assert parsed.backend == POSTGRES
    # Whoever has waited for another migration has to see what it did.
    return create_engine(
        driver_url, isolation_level="READ COMMITTED", connect_args={"client_encoding": "UTF8"}
    )


@contextmanager
def _faults_named() -> Iterator[None]:
    """Raise what a driver says of the database's state as an operating error; a fault of ours goes through."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        named = _fault(error)
        if isinstance(named, StoreConflict):
            named = StoreUnavailable(
                "Somebody else writes into the database.", mend="Nothing was changed; run it again."
            )
        if named is None:
            raise
        raise named from error


def _fault(error: DBAPIError) -> TallystickError | None:
    said = error.orig
    if isinstance(said, sqlite3.Error):
        from tallystick.storage.sqlite_connect import sqlite_fault

        return sqlite_fault(said)
    from psycopg import Error

    from tallystick.storage.postgres_connect import lost, operating_error

    assert isinstance(said, Error)
    if said.sqlstate == _NOT_ALLOWED:
        return FailedPrecondition(
            f"This role may not change the schema: {said.diag.message_primary}.",
            mend="Run tallystick migrate with the URL of the role that owns the tables.",
        )
    if lost(said):
        # Should it have been the answer to COMMIT that was lost, everything is done: nobody knows.
        return StoreUnavailable(
            "The connection to the database was lost.", mend="Run it again: it goes on from what is there."
        )
    return operating_error(said, connection_lost=False)


def _connect(engine: Engine) -> Connection:
    from sqlalchemy.exc import OperationalError

    try:
        return engine.connect()
    except OperationalError as error:
        raise StoreUnavailable(f"The database is away: {error.orig}") from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    row = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).first()
    return None if row is None else str(row[0])


def _config(connection: Connection | None, service_role: str) -> Config:
    from alembic.config import Config

    config = Config()
    place = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", place.replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["service_role"] = service_role
    return config


def _known_revisions() -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(_config(None, "")).walk_revisions()}


def _require_all_texts(connection: Connection) -> None:
    encoding = str(connection.scalar(text("SHOW server_encoding")))
    if encoding not in _HOLD_ALL_TEXTS:
        raise FailedPrecondition(
            f"The database's encoding is {encoding}, which cannot hold every name.",
            mend="Make it anew with createdb --template template0 --encoding UTF8, then run: tallystick migrate",
        )


def _ensure_role(connection: Connection, name: str) -> str:
    """Return the role's name, quoted; make the role when it is missing."""
    quoted = str(connection.scalar(text("SELECT quote_ident(:name)"), {"name": name}))
    if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": name}):
        return quoted
    allowed = connection.scalar(
        text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    )
    if not allowed:
        raise FailedPrecondition(
            f"The role {name} does not exist, and this role may not create it.",
            mend=f"As a superuser run: CREATE ROLE {quoted} LOGIN; and then again: tallystick migrate",
        )
    connection.exec_driver_sql(f"CREATE ROLE {quoted} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS")
    return quoted
