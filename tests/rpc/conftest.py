"""Fixtures of the edge's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rpc.edge import Edge, LoopThread, StartEdge, start_edge


@pytest.fixture(scope="session")
def loop() -> LoopThread:
    """The one event loop of all servers of this test process."""
    return LoopThread()


@pytest.fixture
def serve(loop: LoopThread) -> Iterator[StartEdge]:
    """Start edges that end with the test."""
    started: list[Edge] = []

    def start(*arguments: object, **settings: object) -> Edge:
        edge = start_edge(loop, *arguments, **settings)  # type: ignore[arg-type]
        started.append(edge)
        return edge

    yield start
    for edge in started:
        edge.stop()


@pytest.fixture(scope="module")
def edge(loop: LoopThread) -> Iterator[Edge]:
    """An edge whose handlers answer empty responses, for the tests of a module."""
    shared = start_edge(loop)
    yield shared
    shared.stop()
