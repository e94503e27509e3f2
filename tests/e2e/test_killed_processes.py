"""Servers and databases that are killed in the middle of their work: what was acknowledged is there, and once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick.storage.open import open_store
from tallystick.storage.schema import migrate
from tests.e2e.support.calls import Till
from tests.e2e.support.ledger import assert_verified
from tests.e2e.support.load import Load
from tests.e2e.support.protocol import Protocol, assert_books_agree
from tests.e2e.support.server import DRAIN_WAIT_S, PROGRAM, Installation
from tests.support.ledgers import new_ledger_file
from tests.support.postgres import Database, PostgresCluster, PostgresServer

pytestmark = pytest.mark.timeout(300)

MEMBERS = 40
KILLS = 3
BETWEEN = 400
"""How many commands are answered between two kills."""

STOP_S = 30.0
QUICKLY_S = 3.0
ON_THE_WAY_S = 0.5


def assert_nothing_lost(told: Protocol, url: str) -> None:
    """The ledger holds exactly what the tills were told, and its own sums and hashes agree."""
    store = open_store(url)
    try:
        assert_books_agree(told, store, PROGRAM)
    finally:
        store.close()
    assert_verified(url)


def stop_gracefully(installation: Installation) -> None:
    """Stop the server as systemd would."""
    installation.server.send(signal.SIGTERM)
    assert installation.server.wait(STOP_S) == 0, installation.server.log()


@pytest.fixture
def sqlite_url(place: Path) -> str:
    """A SQLite database with the schema."""
    return new_ledger_file(place / "tallystick.db")


def kill_the_server_again_and_again(place: Path, url: str) -> Protocol:
    """Let tills sell while their server is killed and started anew; return what they were told."""
    with Installation(place, url, members=MEMBERS) as installation, Load(installation, place) as load:
        for _ in range(KILLS):
            load.wait_for(BETWEEN)
            installation.restart_after_kill()
        load.wait_for(BETWEEN)
        told = load.stop()
        stop_gracefully(installation)
    assert told.failed == {}
    assert told.asked_again
    return told


def test_a_server_killed_under_load_on_postgresql_loses_nothing_that_it_acknowledged_and_doubles_nothing(
    place: Path, ledger_database: Database
) -> None:
    told = kill_the_server_again_and_again(place, ledger_database.service_url)
    assert_nothing_lost(told, ledger_database.admin_url)


def test_a_server_killed_under_load_on_sqlite_loses_nothing_that_it_acknowledged_and_doubles_nothing(
    place: Path, sqlite_url: str
) -> None:
    told = kill_the_server_again_and_again(place, sqlite_url)
    assert_nothing_lost(told, sqlite_url)


@contextmanager
def own_postgres() -> Iterator[tuple[PostgresServer, Database]]:
    """A durable PostgreSQL that a test may kill, with a migrated database."""
    with PostgresServer(durable=True) as server:
        database = PostgresCluster(server.conninfo).create_database()
        migrate(database.owner_url)
        yield server, database


def test_a_postgresql_killed_under_load_loses_nothing_acknowledged_and_the_server_recovers_by_itself(
    place: Path,
) -> None:
    with own_postgres() as (postgres, database):
        with (
            Installation(place, database.service_url, members=MEMBERS) as installation,
            Load(installation, place) as load,
        ):
            for _ in range(KILLS):
                load.wait_for(BETWEEN)
                postgres.kill()
                postgres.start()
            load.wait_for(BETWEEN)
            told = load.stop()
            stop_gracefully(installation)
        assert told.failed == {}, installation.server.log()
        assert_nothing_lost(told, database.admin_url)


def test_while_the_database_is_away_callers_are_told_so_at_once_and_when_to_come_back(place: Path) -> None:
    with own_postgres() as (postgres, database):
        with Installation(place, database.service_url, members=1) as installation, Till(installation) as till:
            (member,) = installation.members
            assert till.earn(member).code == "OK"
            postgres.kill()
            for call in (till.earn, till.look_up) * 3:
                said = call(member)
                assert (said.code, said.reason, said.retry_info) == ("UNAVAILABLE", "STORE_UNAVAILABLE", True)
                assert said.after_s < QUICKLY_S
            postgres.start()
            assert till.earn(member).code == "OK"
            assert till.look_up(member).code == "OK"
            stop_gracefully(installation)
        assert_verified(database.admin_url)


@contextmanager
def all_accounts_locked(database: Database) -> Iterator[None]:
    """Let every command that comes in wait for the database."""
    with database.as_admin() as connection:
        connection.execute("SELECT 1 FROM account FOR UPDATE")
        yield


def test_a_server_told_to_stop_under_load_ends_the_calls_on_their_way_and_then_itself(
    place: Path, ledger_database: Database
) -> None:
    with (
        Installation(place, ledger_database.service_url, members=MEMBERS) as installation,
        Load(installation, place, patience_s=0) as load,
    ):
        load.wait_for(BETWEEN)
        with all_accounts_locked(ledger_database):
            # By now every till has a call on its way, which is taken in and cannot be answered yet.
            time.sleep(ON_THE_WAY_S)
            installation.server.send(signal.SIGTERM)
            time.sleep(DRAIN_WAIT_S + ON_THE_WAY_S)
            assert installation.server.running
        assert installation.server.wait(STOP_S) == 0, installation.server.log()
        told = load.ended()
    # Each till was answered, went on until the door was shut, and what failed then had never been taken in.
    assert set(told.failed.values()) == {"UNAVAILABLE"}
    assert not any(answer.replayed for answer in told.answered.values())
    assert_nothing_lost(told, ledger_database.admin_url)
