"""Fixtures of the handler tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.service.directory import Clock
from tests.rpc.handlers.world import PENDING_RULES, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A live program: points are spendable at once and expire after a year."""
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def pending_world(tmp_path: Path) -> Iterator[World]:
    """A live program in which points are pending for two weeks."""
    made = World(tmp_path, rules=PENDING_RULES)
    yield made
    made.close()


@pytest.fixture
def replay_world(tmp_path: Path) -> Iterator[World]:
    """A program into which the past is replayed."""
    made = World(tmp_path, clock=Clock.REPLAY)
    yield made
    made.close()
