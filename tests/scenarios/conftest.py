"""The stores that scenarios run on, each migrated and empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.storage.open import Store, open_store
from tests.scenarios.club import Club
from tests.scenarios.street import Street

LANES = 4


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store in memory, and one in a file."""
    opened = open_store(_url_of(request))
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def shared(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Each store in turn, for several writers at once."""
    opened = open_store(_url_of(request), lanes=LANES)
    yield opened
    opened.close()


def _url_of(request: pytest.FixtureRequest) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("ledger_database").service_url)
    return "memory:" if request.param == "memory" else f"sqlite:///{request.getfixturevalue('ledger_file')}"


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
