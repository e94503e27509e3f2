"""Fixtures that every test package may use."""

from __future__ import annotations

import gc
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tallystick.storage.schema import migrate
from tallystick_till import db as till_db
from tests.support.ledgers import new_ledger_file
from tests.support.order import mixed
from tests.support.postgres import Database, PostgresCluster, cluster

# A shared machine makes single examples slow now and then; pytest-timeout is what ends a hanging test.
settings.register_profile("tallystick", deadline=None, print_blob=True)
settings.load_profile("tallystick")


def pytest_configure() -> None:
    """Let processes of a test be stopped by Ctrl+C, also when a shell without job control runs this in the background.

    Such a shell has it ignored, and whatever is started inherits that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix modules that wait with modules that reckon; within a module nothing changes."""
    place = {module: at for at, module in enumerate(mixed(list(dict.fromkeys(item.path for item in items))))}
    items.sort(key=lambda item: place[item.path])


def pytest_collection_finish() -> None:
    """Take what was collected out of the garbage collector's sight: it stays, and each look at it takes a while."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """The PostgreSQL of this test process; it starts with the first test that asks for it."""
    with cluster() as shared:
        yield shared


@pytest.fixture
def database(postgres: PostgresCluster) -> Iterator[Database]:
    """An empty database for one test, with the URLs of its owner, its service role and the superuser."""
    with postgres.database() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def module_database(postgres: PostgresCluster) -> Iterator[Database]:
    """An empty database that the tests of one module share."""
    with postgres.database() as fresh:
        yield fresh


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresCluster) -> Iterator[Database]:
    """A migrated database that others are copied from; nobody connects to it."""
    with postgres.database() as template:
        migrate(template.owner_url)
        yield template


@pytest.fixture
def ledger_database(postgres: PostgresCluster, migrated_postgres: Database) -> Iterator[Database]:
    """A migrated, empty PostgreSQL database for one test."""
    with postgres.database(template=migrated_postgres.name) as copy:
        yield copy


@pytest.fixture(scope="module")
def module_ledger_database(postgres: PostgresCluster, migrated_postgres: Database) -> Iterator[Database]:
    """A migrated, empty PostgreSQL database that the tests of one module share."""
    with postgres.database(template=migrated_postgres.name) as copy:
        yield copy


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    """A migrated, empty SQLite file for one test."""
    path = tmp_path / "ledger.db"
    new_ledger_file(path)
    return path


@pytest.fixture
def database_url(database: Database) -> str:
    """The owner's URL of an empty database, for tests to which the role does not matter."""
    return database.owner_url


@pytest.fixture(autouse=True)
def _close_tills(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the files of a test's tills at its end: a till that ends as a power cut ends it closes nothing itself."""
    opened: list[sqlite3.Connection] = []
    connect = till_db._connect

    def noted(path: str) -> sqlite3.Connection:
        opened.append(connect(path))
        return opened[-1]

    monkeypatch.setattr(till_db, "_connect", noted)
    yield
    for connection in opened:
        connection.close()
