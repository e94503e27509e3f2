"""`make mutants`: plant one mistake after the other, and see whether the simulated lives find it.

A fault that no life finds says that the simulator is blind there; each one that is known to be harmless says why.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from tests.simulation import faults_gateway, faults_till
from tests.simulation.faults import FAULTS, Fault
from tests.simulation.invariants import breaches
from tests.simulation.simulation import Simulation
from tests.simulation.town import STEPS

SEEDS_MAX = 60
SECONDS_MAX = 120.0
PLANTED_IN = (faults_gateway, faults_till)
"""Importing them lists their faults."""


class NoLongerFits(Exception):
    """What a fault changes is not there any more: plant it where the product does that now."""


HARMLESS: dict[str, str] = {}
"""Faults that may survive, and why nobody loses anything by them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a fault: the life that found it and what did not hold there; empty when none did."""

    name: str
    killed_by: str
    breach: str
    lives: int
    seconds: float
    why: str = ""

    @property
    def killed(self) -> bool:
        return bool(self.breach)


def hunt(fault: Fault, *, seeds_max: int = SEEDS_MAX, seconds_max: float = SECONDS_MAX) -> Outcome:
    """Live with a fault until something does not hold, beginning with the life that is known to show it."""
    started, lives = time.monotonic(), 0
    for seed, hostile in _lives(fault, seeds_max):
        if lives and time.monotonic() - started > seconds_max:
            break
        lives += 1
        breach = _live(fault, seed, hostile=hostile)
        if breach:
            took_s = round(time.monotonic() - started, 1)
            return Outcome(fault.name, f"{seed}{' hostile' if hostile else ''}", breach, lives, took_s)
    return Outcome(fault.name, "", "", lives, round(time.monotonic() - started, 1))


def _lives(fault: Fault, seeds_max: int) -> Iterator[tuple[int, bool]]:
    known = (fault.seed, fault.hostile)
    yield known
    for number in range(seeds_max - 1):
        # Where a fault has to do with copies and thieves, peaceful lives are seldom of use.
        life = (number, True) if fault.hostile else (number // 2, number % 2 == 1)
        if life != known:
            yield life


def _live(fault: Fault, seed: int, *, hostile: bool) -> str:
    """Return the first thing that did not hold in one life, empty when everything did."""
    with ExitStack() as planted:
        try:
            planted.enter_context(fault.planted())
        except AttributeError as error:
            raise NoLongerFits(fault.name) from error
        simulation = Simulation(seed, hostile=hostile, steps=STEPS)
        try:
            simulation.run()
            found = breaches(simulation)
        except Exception as error:  # noqa: BLE001  a life that broke off is a finding like any other
            return f"broke off: {error!r}"
        finally:
            simulation.close()
    return found[0] if found else ""


def _hunt_by_number(job: tuple[int, int, float]) -> Outcome:
    logging.disable(logging.CRITICAL)
    number, seeds_max, seconds_max = job
    try:
        return hunt(FAULTS[number], seeds_max=seeds_max, seconds_max=seconds_max)
    except NoLongerFits as error:
        return Outcome(FAULTS[number].name, "", "", 0, 0.0, why=f"cannot be planted: {error.__cause__}")


def main() -> int:
    """Read the command line, hunt, print the board; 1 when a fault survived that has no excuse."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="most lives for one fault")
    parser.add_argument("--seconds", type=float, default=SECONDS_MAX, help="most seconds for one fault")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--json", action="store_true", help="print the board as JSON")
    given = parser.parse_args()
    jobs = [
        (number, given.seeds, given.seconds)
        for number, fault in enumerate(FAULTS)
        if given.only in fault.name
    ]
    board = []
    with multiprocessing.Pool(max(1, min(len(jobs), os.cpu_count() or 1))) as pool:
        for outcome in pool.imap(_hunt_by_number, jobs):
            board.append(outcome)
            if not given.json:
                _show(outcome)
    killed = sum(outcome.killed for outcome in board)
    if given.json:
        print(json.dumps([asdict(outcome) for outcome in board], indent=1))
    else:
        print(f"{killed} of {len(board)} faults found")
    return 0 if all(outcome.killed or outcome.name in HARMLESS for outcome in board) else 1


def _show(outcome: Outcome) -> None:
    if outcome.killed:
        print(
            f"found     {outcome.name}\n          life {outcome.killed_by} of {outcome.lives}: {outcome.breach}",
            flush=True,
        )
    else:
        why = outcome.why or HARMLESS.get(outcome.name, "nobody knows why")
        print(f"SURVIVED  {outcome.name}\n          {outcome.lives} lives: {why}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
