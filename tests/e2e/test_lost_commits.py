"""A database that comes back with less than it had: a standby without the last commits, or a restore to an instant."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from tallystick.core.entry import Posted
from tallystick.core.ids import Ms
from tallystick.service.lane import Lane
from tallystick.service.rulebook import RuleBook
from tallystick.storage.open import Store, open_store
from tallystick.storage.schema import migrate
from tests.e2e.support import ledger, plan
from tests.support.postgres import Database, PostgresCluster

WAIT_S = 30.0


@pytest.fixture
def own_database(postgres: PostgresCluster) -> Iterator[Database]:
    """A migrated database that may be set back."""
    with postgres.database() as database:
        migrate(database.owner_url)
        ledger.enrol_members(database.admin_url, count=5)
        yield database


@pytest.fixture
def store(own_database: Database) -> Iterator[Store]:
    """The store of a process that serves all the while."""
    with closing(open_store(own_database.service_url)) as opened:
        ledger.prepare(opened)
        yield opened


@pytest.fixture
def lane(store: Store) -> Iterator[Lane]:
    with closing(Lane(store, RuleBook(store), now_ms=lambda: Ms(plan.NOON_MS))) as opened:
        yield opened


class Copy:
    """A database as it is now; it can take the place of the original, whose later commits are lost then."""

    def __init__(self, database: Database) -> None:
        self._name = database.name
        self._server = database.admin_url.replace("+psycopg", "").rsplit("/", 1)[0]
        self._run("ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self._run("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = {text}")
        self._run("CREATE DATABASE {copy} TEMPLATE {name}")
        self._run("ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def take_over(self) -> None:
        self._run("DROP DATABASE {name} WITH (FORCE)")
        self._run("ALTER DATABASE {copy} RENAME TO {name}")

    def _run(self, statement: LiteralString) -> None:
        with psycopg.connect(f"{self._server}/postgres", autocommit=True) as admin:
            name, copy = sql.Identifier(self._name), sql.Identifier(f"{self._name}_copy")
            admin.execute(sql.SQL(statement).format(name=name, copy=copy, text=sql.Literal(self._name)))


def earn(lane: Lane, number: int) -> bool:
    """Give a member points; return whether the ledger had it already."""
    submission = plan.submission(plan.earn(number, points=10), deadline=time.monotonic() + WAIT_S)
    (future,) = lane.submit_all([submission])
    answer = future.result(WAIT_S)
    assert isinstance(answer.decision, Posted)
    return answer.replayed


def test_a_lane_that_was_quiet_while_the_database_lost_commits_goes_on_where_the_database_ends(
    lane: Lane, own_database: Database
) -> None:
    for number in range(3):
        assert not earn(lane, number)
    standby = Copy(own_database)
    assert not earn(lane, 3)
    standby.take_over()
    # The till sends again what it heard an answer to, and goes on selling.
    assert earn(lane, 2)
    assert not earn(lane, 3)
    assert not earn(lane, 4)
    ledger.assert_verified(own_database.admin_url)
