"""The three stores, each migrated and empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.storage import Store, open_store
from tests.storage.build import (
    Books,
    SetClock,
)
from tests.storage.tampering import Tampered, fill_and_close, run_in_postgres, run_in_sqlite
from tests.support.ledgers import new_ledger_file
from tests.support.postgres import Database, PostgresCluster

BACKENDS = ("memory", "sqlite", "postgres")


@pytest.fixture
def clock() -> SetClock:
    """The store's clock."""
    return SetClock()


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, clock: SetClock) -> Iterator[Store]:
    """Each store in turn, behind the service's own role."""
    opened = open_store(url_of(request, request.param), lanes=4, now_ms=clock)
    yield opened
    opened.close()


@pytest.fixture
def books(store: Store) -> Books:
    """A program with the means to write into it by hand."""
    return Books(store)


def url_of(request: pytest.FixtureRequest, backend: str) -> str:
    if backend == "memory":
        return "memory:"
    if backend == "sqlite":
        return f"sqlite:///{request.getfixturevalue('ledger_file')}"
    return str(request.getfixturevalue("ledger_database").service_url)


@pytest.fixture(scope="module")
def filled_sqlite(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a filled SQLite file."""
    path = tmp_path_factory.mktemp("filled") / "filled.db"
    fill_and_close(new_ledger_file(path))
    return path.read_bytes()


@pytest.fixture(scope="module")
def filled_postgres(postgres: PostgresCluster, migrated_postgres: Database) -> Iterator[Database]:
    """A filled database that others are copied from."""
    with postgres.database(template=migrated_postgres.name) as template:
        fill_and_close(template.service_url)
        yield template


@pytest.fixture(params=["sqlite", "postgres"])
def tampered(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tampered]:
    if request.param == "sqlite":
        path = tmp_path / "store.db"
        path.write_bytes(request.getfixturevalue("filled_sqlite"))
        yield Tampered(f"sqlite:///{path}", lambda statement: run_in_sqlite(path, statement))
        return
    cluster, template = (request.getfixturevalue(name) for name in ("postgres", "filled_postgres"))
    with cluster.database(template=template.name) as copy:
        yield Tampered(copy.service_url, lambda statement: run_in_postgres(copy.admin_url, statement))
