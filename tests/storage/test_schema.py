"""The schema of both databases: what the migrations build is what the tables say, and nothing else is served."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, TextClause, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CheckConstraint, DefaultClause

from tallystick.core.basket import Assurance
from tallystick.core.ids import Ms, ProgramId
from tallystick.core.state import Alloc, Hold, HoldStatus, MemberStatus
from tallystick.service.errors import FailedPrecondition, InvalidInput, StoreUnavailable
from tallystick.service.ports import TillMember
from tallystick.storage import open_store, schema, sqlite_connect
from tallystick.storage.schema import HEAD, current, head, migrate
from tallystick.storage.tables import metadata
from tallystick.storage.url import libpq_conninfo, parse_url
from tests.storage.build import command_id, member_id
from tests.storage.conftest import BACKENDS
from tests.support.postgres import Database, PostgresCluster


@pytest.fixture(params=BACKENDS[1:])
def owner_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database as its owner sees it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("database").owner_url)


def run(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_a_migrated_database_is_what_the_tables_say(owner_url: str) -> None:
    migrate(owner_url)
    engine = create_engine(owner_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert indexes(connection) == indexes_of_metadata(connection)
        assert checks(connection) == checks_of_metadata()
    engine.dispose()


def indexes(connection: Connection) -> set[tuple[str, tuple[str | None, ...], str]]:
    dialect = connection.dialect.name
    return {
        (
            str(i["name"]),
            tuple(i["column_names"]),
            plain(i.get("dialect_options", {}).get(f"{dialect}_where", "")),
        )
        for table in metadata.tables
        for i in inspect(connection).get_indexes(table)
        if not i.get("duplicates_constraint")
    }


def indexes_of_metadata(connection: Connection) -> set[tuple[str, tuple[str | None, ...], str]]:
    dialect = connection.dialect.name
    return {
        (str(i.name), tuple(c.name for c in i.columns), plain(i.dialect_options[dialect]["where"]))
        for table in metadata.tables.values()
        for i in table.indexes
    }


def checks(connection: Connection) -> set[tuple[str, str]]:
    return {
        (str(check["name"]), plain(check["sqltext"]))
        for table in metadata.tables
        for check in inspect(connection).get_check_constraints(table)
    }


def checks_of_metadata() -> set[tuple[str, str]]:
    return {
        (str(check.name), plain(check.sqltext))
        for table in metadata.tables.values()
        for check in table.constraints
        if isinstance(check, CheckConstraint)
    }


def plain(condition: object) -> str:
    """A condition without what each database adds to it when it gives it back."""
    written = re.sub(r"::\w+", "", "" if condition is None else str(condition)).lower()
    written = re.sub(r"= any \(array\[(.*?)\]\)", r"in (\1)", written)
    return re.sub(r"[\s()']", "", written)


def test_a_check_that_the_migration_lacks_is_noticed(owner_url: str) -> None:
    migrate(owner_url)
    if owner_url.startswith("sqlite"):
        run(owner_url, "DROP INDEX account_due_idx")
    else:
        run(owner_url, "ALTER TABLE lot DROP CONSTRAINT lot_remaining_check")
    engine = create_engine(owner_url)
    with engine.connect() as connection:
        differs = indexes(connection) != indexes_of_metadata(connection)
        assert differs or checks(connection) != checks_of_metadata()
    engine.dispose()


def test_migrating_twice_is_migrating_once(owner_url: str) -> None:
    assert current(owner_url) is None
    assert migrate(owner_url) == head() == HEAD
    assert current(owner_url) == HEAD
    run(owner_url, "CREATE TABLE marker (id integer)")
    assert migrate(owner_url) == HEAD
    assert current(owner_url) == HEAD


ROWS_OF_0001 = (
    "INSERT INTO member VALUES ('p', '{member}', '000000000001', 1, 5, 1, 'store-1')",
    "INSERT INTO account VALUES ('p', '{member}', 60, 0, 40, 0, 5, 6, 5, 2, 1, '')",
    "INSERT INTO identifier VALUES ('p', 'phone', {token}, '{member}', '•••• 1234', 5)",
    "INSERT INTO hold VALUES ('p', '{member}', '{hold}', 2, 1, 3, 40, 40, 6, '[]', '[[1,40]]')",
)


def test_what_was_there_before_tills_is_there_behind_the_migration(
    owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.storage.schema.HEAD", "0001")
    migrate(owner_url)
    member, held = member_id(1), command_id(9)
    engine = create_engine(owner_url)
    with engine.begin() as connection:
        postgres = engine.dialect.name == "postgresql"
        if postgres:
            connection.execute(text("SELECT set_config('tallystick.program', 'p', true)"))
        token = r"'\x6162'" if postgres else "x'6162'"
        for statement in ROWS_OF_0001:
            connection.exec_driver_sql(statement.format(member=member, hold=held, token=token))
    engine.dispose()
    monkeypatch.undo()
    assert migrate(owner_url) == HEAD
    store = open_store(owner_url)
    try:
        program_id = ProgramId("p")
        expected = Hold(held, 2, 40, HoldStatus.OPEN, Ms(6), 40, (), (Alloc(1, 40),), Assurance.ROTATING_CODE)
        assert store.read_holds(program_id, member) == [expected]
        (row,) = store.find(program_id, [("phone", b"ab")])
        assert row.scan_tag == b""
        assert store.read_changed_members(program_id, since=Ms(0), after=None, limit=9) == [(0, member)]
        told = store.read_till_member_page(program_id, store_id="store-1", after="", limit=9)
        assert told == [TillMember(member, 2, 60, "", MemberStatus.OPEN, ())]
        assert store.set_status(program_id, member, MemberStatus.BLOCKED)
        assert store.add_identifier(program_id, replace(row, kind="card", scan_tag=b"t" * 16))
    finally:
        store.close()


def test_columns_that_came_later_have_the_defaults_that_the_tables_say(owner_url: str) -> None:
    migrate(owner_url)
    engine = create_engine(owner_url)
    with engine.connect() as connection:
        built = {
            (table, column["name"]): plain(column["default"])
            for table in metadata.tables
            for column in inspect(connection).get_columns(table)
            if column["default"] is not None
        }
    engine.dispose()
    said = {
        (table.name, column.name): plain(column.server_default.arg.text)
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.server_default, DefaultClause)
        and isinstance(column.server_default.arg, TextClause)
    }
    assert built == said
    assert len(said) >= 7


def test_a_hold_of_which_more_was_used_than_it_held_is_never_stored(owner_url: str) -> None:
    migrate(owner_url)
    columns = "program_id, member_id, hold_id, seq, status, assurance, points, spend_points, expires_ms, used"
    values = f"'p', '{member_id(1)}', '{command_id(1)}', 1, 1, 0, 40, 40, 6, 41"
    with pytest.raises(IntegrityError, match="hold_used_check"):
        run_for_program(
            owner_url, f"INSERT INTO hold ({columns}, reward_ids, allocs) VALUES ({values}, '', '')"
        )


def run_for_program(url: str, statement: str) -> None:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT set_config('tallystick.program', 'p', true)"))
            connection.execute(text(statement))
    finally:
        engine.dispose()


def test_the_head_is_the_last_of_the_migrations() -> None:
    from alembic.script import ScriptDirectory

    from tallystick.storage import schema

    scripts = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert scripts.get_heads() == [HEAD]


def test_a_database_without_schema_is_not_served(owner_url: str) -> None:
    with pytest.raises(FailedPrecondition) as failure:
        open_store(owner_url)
    assert failure.value.mend == "Run: tallystick migrate"


def test_looking_at_a_file_that_is_not_there_does_not_make_it(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(FailedPrecondition):
        open_store(f"sqlite:///{path}")
    assert current(f"sqlite:///{path}") is None
    assert not path.exists()


def test_a_database_newer_than_the_program_is_neither_served_nor_migrated(owner_url: str) -> None:
    migrate(owner_url)
    run(owner_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(FailedPrecondition, match="newer"):
        open_store(owner_url)
    with pytest.raises(FailedPrecondition, match="newer"):
        migrate(owner_url)


def test_a_failed_migration_leaves_nothing_behind(owner_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.storage.schema.HEAD", "not-a-revision")
    with pytest.raises(Exception, match="not-a-revision"):
        migrate(owner_url)
    monkeypatch.undo()
    assert current(owner_url) is None
    run(owner_url, "CREATE TABLE posting (id integer)")
    with pytest.raises(Exception, match="posting"):
        migrate(owner_url)
    engine = create_engine(owner_url)
    assert inspect(engine).get_table_names() == ["posting"]
    engine.dispose()


def test_postings_are_one_signed_row_for_each_account_that_moves(owner_url: str) -> None:
    migrate(owner_url)
    columns = (
        "program_id, member_id, seq, command_id, rule_set, kind, assurance, channel, occurred_ms, recorded_ms"
    )
    more = "m_active, m_issued, active_after, pending_after, held_after, debt_after, fingerprint, tier_after"
    member = "00000000-0000-4000-8000-000000000001"
    values = f"'p', '{member}', 1, '{member}', 1, 2, 0, 1, 5, 6, 40, -40, 40, 0, 0, 0, '', '', '', '', '', ''"
    engine = create_engine(owner_url)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT set_config('tallystick.program', 'p', true)"))
        connection.execute(
            text(
                f"INSERT INTO ledger ({columns}, {more}, store_id, till_id, reference, detail) VALUES ({values})"
            )
        )
        rows = connection.execute(text("SELECT account, points FROM posting ORDER BY account")).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [("active", 40), ("issued", -40)]


def test_a_role_that_does_not_own_the_tables_is_told_whose_url_it_takes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for existing in ("", "0022"):
        if existing:
            monkeypatch.setattr("tallystick.storage.schema.HEAD", existing)
            migrate(database.owner_url)
            monkeypatch.undo()
        with pytest.raises(FailedPrecondition, match="may not change the schema") as failure:
            migrate(database.service_url)
        assert "role that owns the tables" in failure.value.mend
        assert current(database.owner_url) == (existing or None)


def test_a_role_without_rights_as_behind_a_restore_before_the_roles_says_so(
    database: Database,
) -> None:
    migrate(database.owner_url)
    run(database.admin_url, "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM tallystick_app")
    with pytest.raises(FailedPrecondition, match="may not read the tables") as failure:
        open_store(database.service_url)
    assert "roles.sql" in failure.value.mend


def test_a_file_that_is_no_database_can_neither_be_looked_at_nor_migrated(tmp_path: Path) -> None:
    path = tmp_path / "junk.db"
    path.write_bytes(b"not a database" * 100)
    for use in (current, migrate):
        with pytest.raises(StoreUnavailable, match="not a database"):
            use(f"sqlite:///{path}")


def test_a_migration_waits_its_turn_and_says_when_it_did_not_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connect, "_PRAGMAS", ("PRAGMA busy_timeout = 50",))
    url = f"sqlite:///{tmp_path / 'busy.db'}"
    other = sqlite3.connect(tmp_path / "busy.db", isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="Somebody else writes") as failure:
        migrate(url)
    assert "run it again" in failure.value.mend
    other.execute("ROLLBACK")
    other.close()
    assert migrate(url) == HEAD


@contextmanager
def another_migration(url: str) -> Iterator[Callable[[int], None]]:
    """Another migration of a database, until the block ends; what it gives waits until so many wait for it."""
    engine = create_engine(url)
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
        "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
    )
    with engine.begin() as first:
        first.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": schema._MIGRATION_LOCK})

        def until_waiting(count: int) -> None:
            until = time.monotonic() + 30
            while first.scalar(waiting) != count:
                assert time.monotonic() < until, "they do not wait for each other"
                time.sleep(0.02)

        yield until_waiting
    engine.dispose()


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
def test_of_two_migrations_at_once_the_second_finds_what_the_first_did(
    database: Database, isolation: str
) -> None:
    run(
        database.admin_url,
        f"ALTER DATABASE {database.name} SET default_transaction_isolation = '{isolation}'",
    )
    with ThreadPoolExecutor(2) as pool:
        with another_migration(database.owner_url) as until_waiting:
            both = [pool.submit(migrate, database.owner_url) for _ in range(2)]
            until_waiting(2)
        assert [one.result(60) for one in both] == [HEAD, HEAD]


def test_a_migration_that_loses_its_connection_does_not_say_that_somebody_else_writes(
    database: Database,
) -> None:
    with ThreadPoolExecutor(1) as pool, another_migration(database.owner_url) as until_waiting:
        lost = pool.submit(migrate, database.owner_url)
        until_waiting(1)
        run(
            database.admin_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event = 'advisory'",
        )
        with pytest.raises(StoreUnavailable, match="connection to the database was lost") as failure:
            lost.result(60)
    assert "run it again" in failure.value.mend.lower()
    assert migrate(database.owner_url) == HEAD


def test_a_full_disk_ends_a_migration_with_nothing_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.storage.schema.HEAD", "0001")
    url = f"sqlite:///{tmp_path / 'full.db'}"
    migrate(url)
    monkeypatch.undo()
    with closing(sqlite3.connect(tmp_path / "full.db")) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    monkeypatch.setattr(sqlite_connect, "_PRAGMAS", (f"PRAGMA max_page_count = {pages}",))
    with pytest.raises(StoreUnavailable, match="full"):
        migrate(url)
    assert current(url) == "0001"


def test_a_new_database_that_cannot_hold_every_name_is_not_migrated(postgres: PostgresCluster) -> None:
    with postgres.database(encoding="LATIN1") as database:
        with pytest.raises(FailedPrecondition, match="LATIN1") as refused:
            migrate(database.owner_url)
        assert "--encoding UTF8" in refused.value.mend
        assert current(database.owner_url) is None


def test_a_role_that_may_not_make_the_service_role_says_so(database: Database) -> None:
    with pytest.raises(FailedPrecondition) as failure:
        migrate(database.owner_url, service_role="tallystick_other")
    assert "CREATE ROLE tallystick_other" in failure.value.mend
    assert current(database.owner_url) is None


def test_a_missing_service_role_is_made_where_that_is_allowed(database: Database) -> None:
    name = f"tallystick_made_{database.name[-6:]}"
    migrate(database.admin_url, service_role=name)
    try:
        engine = create_engine(database.admin_url)
        with engine.connect() as connection:
            granted = text("SELECT has_table_privilege(:role, 'ledger', 'INSERT')")
            assert connection.scalar(granted, {"role": name})
        engine.dispose()
    finally:
        run(database.admin_url, f"DROP OWNED BY {name}")
        run(database.admin_url, f"DROP ROLE {name}")


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:", "postgresql+asyncpg://h/d"]
)
def test_a_url_that_means_nothing_to_us_is_refused_with_the_forms_that_do(url: str) -> None:
    with pytest.raises(InvalidInput) as failure:
        open_store(url)
    assert "memory:" in failure.value.mend


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("u:a%20b@h/db", {"user": "u", "password": "a b", "host": "h", "dbname": "db"}),
        ("u:a+b%25%C3%A5@h/db", {"password": "a+b%å"}),
        ("u@/db?options=-c%20jit%3Doff", {"options": "-c jit=off"}),
        ("u@/db?host=a:5432&host=b:5433", {"host": "a,b", "port": "5432,5433", "dbname": "db"}),
        (
            "u@/db?host=%2Frun%2Fpostgresql&sslmode=verify-full",
            {"host": "/run/postgresql", "sslmode": "verify-full"},
        ),
    ],
)
def test_a_url_means_the_same_to_the_service_as_to_a_migration(rest: str, said: dict[str, str]) -> None:
    url = parse_url(f"postgresql://{rest}").url
    assert url is not None
    _, migrating = url.get_dialect()().create_connect_args(url)
    serving = conninfo_to_dict(libpq_conninfo(url))
    assert serving.items() >= said.items()
    assert serving == {key: str(value) for key, value in migrating.items()}


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:s3cret@host/db",
        "postgresql://user:s3cret@host:port/db",
        "postgresql://user:s3cret@host/db?sslmod=require",
    ],
)
def test_a_refused_url_does_not_repeat_its_password(url: str) -> None:
    for use in (open_store, current, migrate):
        with pytest.raises(InvalidInput) as failure:
            use(url)
        assert failure.value.mend
        assert "s3cret" not in f"{failure.value} {failure.value.mend}"


def test_memory_has_no_schema() -> None:
    with pytest.raises(InvalidInput):
        migrate("memory:")


def test_a_database_that_is_away_is_unavailable() -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(StoreUnavailable):
        open_store(url)
    with pytest.raises(StoreUnavailable):
        current(url)


def test_a_directory_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        migrate(f"sqlite:///{tmp_path}/none/store.db")
