"""Mistakes are planted one by one, and the simulated lives must find each: that is what their silence is worth.

`make mutants` hunts longer and prints the board. When a life does not find its fault any more, since lives go otherwise
after a change, the hunt goes on in others; write the one that it ends in beside the fault, so that it is short again.
"""

from __future__ import annotations

import logging

import pytest

from tests.simulation.faults import FAULTS, Fault
from tests.simulation.mutants import HARMLESS, hunt

FAULTS_MIN = 24
LIVES_MAX = 25
SECONDS_MAX = 40.0


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A till with a fault complains, and a line that is down is logged each time."""
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "_") for fault in FAULTS])
def test_the_simulated_lives_find(fault: Fault) -> None:
    outcome = hunt(fault, seeds_max=LIVES_MAX, seconds_max=SECONDS_MAX)
    assert outcome.killed or fault.name in HARMLESS, f"{outcome.lives} lives went well with it"


def test_every_excuse_is_for_a_fault_that_there_is_and_no_fault_is_listed_twice() -> None:
    names = [fault.name for fault in FAULTS]
    assert set(HARMLESS) <= set(names)
    assert len(set(names)) == len(names) >= FAULTS_MIN
