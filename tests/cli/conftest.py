"""Fixtures of the command line's tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Running, Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """The shell of somebody who has started `tallystick run`."""
    return Shell(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def run(shop: Shell) -> Iterator[Running]:
    """`tallystick run` of the shop."""
    with shop.running("run") as server:
        yield server


@pytest.fixture(scope="module")
def member(run: Running) -> str:
    """The number of the member whose card `run` shows."""
    found = re.search(r"The card of member (99\d{14}):", run.shown)
    assert found is not None, run.shown
    return found[1]
