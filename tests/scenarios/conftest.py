"""The stores that scenarios run on, each migrated and empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.storage.open import Store, open_store
from tallystick.storage.schema import migrate
from tests.scenarios.club import Club
from tests.scenarios.street import Street
from tests.support.postgres import Database

LANES = 4


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a migrated SQLite file: copied for each scenario, which is quicker than migrating."""
    path = tmp_path_factory.mktemp("scenarios") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def file_url(empty_file: bytes, tmp_path: Path) -> str:
    path = tmp_path / "store.db"
    path.write_bytes(empty_file)
    return f"sqlite:///{path}"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store in memory, and one in a file."""
    opened = open_store("memory:" if request.param == "memory" else request.getfixturevalue("file_url"))
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def shared(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Each store in turn, for several writers at once."""
    if request.param == "postgres":
        database: Database = request.getfixturevalue("database")
        migrate(database.owner_url)
        url = database.service_url
    else:
        url = "memory:" if request.param == "memory" else request.getfixturevalue("file_url")
    opened = open_store(url, lanes=LANES)
    yield opened
    opened.close()


@pytest.fixture
def club(store: Store, tmp_path: Path) -> Iterator[Club]:
    """A club on each of these stores."""
    made = Club(tmp_path, store)
    yield made
    made.close()


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    """Stores, tills and members; afterwards the books must be right."""
    made = Street(tmp_path)
    yield made
    assert made.books_are_right()
    made.close()
