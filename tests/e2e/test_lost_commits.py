"""A database that comes back with less than it had: a standby without the last commits, or a restore to an instant."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tallystick.core.entry import Posted
from tallystick.core.ids import Ms
from tallystick.service.lane import Lane
from tallystick.service.rulebook import RuleBook
from tallystick.storage.open import Store, open_store
from tallystick.storage.schema import migrate
from tests.e2e.support import ledger, plan
from tests.support.postgres import Database, PostgresCluster
from tests.support.set_back import Copy

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
