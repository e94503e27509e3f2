"""Fixtures of the end-to-end tests, and the last test of all: nothing of theirs is left behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support.processes import scratch, survivors
from tests.e2e.support.server import ports_in_use

_places: list[Path] = []


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """After the last test none of the processes, ports and directories of these tests is there."""
    yield
    assert survivors() == []
    assert ports_in_use() == []
    assert [place for place in _places if place.exists()] == []


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory that goes with the test; by then the processes in it have taken their temporary files away."""
    with tempfile.TemporaryDirectory(prefix="tallystick-e2e-") as name:
        directory = Path(name)
        _places.append(directory)
        yield directory
        assert list(scratch(directory).iterdir()) == []
