"""Statements that run by name: their values arrive as they were, and a connection does not keep statements for ever."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.storage import postgres_connect
from tallystick.storage.postgres import PostgresStore
from tallystick.storage.postgres_connect import Connection, close, connect
from tests.storage.build import Books
from tests.support.postgres import Database, libpq


@pytest.fixture
def connection(ledger_database: Database) -> Iterator[Connection]:
    opened = connect(libpq(ledger_database.service_url))
    yield opened
    close(opened)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.none())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_text_arrives_as_it_was(connection: Connection, text: str | None) -> None:
    row = connection.execute(connection.call("SELECT $1::text", (text,))).fetchone()
    assert row == (text,)


@pytest.mark.parametrize("text", ["'", "''", "\\", "\\'", "'; DROP TABLE ledger; --", "$1", "E'\\n'"])
def test_what_means_something_to_sql_arrives_as_it_was(connection: Connection, text: str) -> None:
    row = connection.execute(connection.call("SELECT $1::text, $2::text", (text, "next"))).fetchone()
    assert row == (text, "next")


@pytest.mark.parametrize("value", [b"", b"\x00\xff'\\"])
def test_bytes_arrive_as_they_were(connection: Connection, value: bytes) -> None:
    row = connection.execute(connection.call("SELECT $1::bytea", (value,))).fetchone()
    assert row == (value,)


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63)])
def test_numbers_arrive_as_they_were(connection: Connection, value: int) -> None:
    row = connection.execute(connection.call("SELECT $1::bigint", (value,))).fetchone()
    assert row == (value,)


def test_a_text_that_postgresql_cannot_hold_is_not_sent(connection: Connection) -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        connection.call("SELECT $1::text", ("a\0b",))


def test_a_value_of_another_kind_is_a_fault_of_ours(connection: Connection) -> None:
    with pytest.raises(TypeError, match="float"):
        connection.call("SELECT $1::float8", (0.5,))


def test_a_connection_forgets_its_statements_before_they_become_too_many(
    ledger_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connect, "STATEMENTS_MAX", 3)
    store = PostgresStore(ledger_database.service_url)
    books = Books(store)
    books.enrol(1)
    for number in range(1, 6):
        books.post((1, books.earn(1)))
        assert books.account(1).active == number * 100
    store.close()
