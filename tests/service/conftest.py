"""Fixtures of the use cases' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.security.key_dir import KeyDir, create_key_dir
from tests.core.world import at
from tests.service.front_door import FrontDoor
from tests.service.paper_till import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A program with a clock that the test moves, in memory."""
    made = Shop(tmp_path)
    yield made
    made.close()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FrontDoor]:
    """Two programs that people sign in to, with a postbox and a clock that the test moves."""
    made = FrontDoor(tmp_path)
    yield made
    made.gateway.close()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyDir:
    """The keys of a gateway, for the tests of a module."""
    return create_key_dir(tmp_path_factory.mktemp("keys") / "keys", now_s=at("2026-01-01T00:00") // 1000)
