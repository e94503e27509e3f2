"""Seeded lives of stores and a gateway: whatever goes wrong on the way, what must hold holds in the end.

A failing seed is named in the test's id; `make sim ARGS="--seed N"` (with `--hostile`) replays it.
"""

from __future__ import annotations

import logging

import pytest

from tests.simulation.invariants import breaches
from tests.simulation.simulation import Simulation

SEEDS = 100


def live(seed: int, *, hostile: bool) -> list[str]:
    simulation = Simulation(seed, hostile=hostile)
    try:
        simulation.run()
        return breaches(simulation)
    finally:
        simulation.close()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A simulated line is down half of the time, and each time that is logged."""
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_honest_tills_lose_nothing_and_keep_every_promise(seed: int) -> None:
    assert live(seed, hostile=False) == []


@pytest.mark.parametrize("seed", range(1_000, 1_000 + SEEDS))
def test_hostile_tills_harm_nobody_but_their_store(seed: int) -> None:
    assert live(seed, hostile=True) == []


def test_a_seed_replays_exactly() -> None:
    traces = []
    for _ in range(2):
        simulation = Simulation(7, hostile=True, steps=120)
        simulation.run()
        books = [(sale.sale_id, sale.burned, sale.earned) for sale in simulation.sales]
        traces.append((books, simulation.did, simulation.refused, simulation.time.now_ms))
        simulation.close()
    assert traces[0] == traces[1]
