"""A daemon for the tests that ask it something."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon.served import Served, served


@pytest.fixture
def daemon() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture(scope="module")
def door() -> Iterator[Served]:
    """One for all tests that get nothing done."""
    with served() as running:
        yield running
