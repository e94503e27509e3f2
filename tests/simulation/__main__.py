"""`make sim SEEDS=1000`: many seeded lives, or one of them again, with what happened in it."""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
import time

from tests.simulation.invariants import breaches
from tests.simulation.simulation import Simulation
from tests.simulation.town import STEPS


def live(job: tuple[int, bool, int]) -> tuple[int, bool, list[str], int]:
    """Run one life; return its seed, what did not hold and how many sales there were."""
    seed, hostile, steps = job
    logging.disable(logging.CRITICAL)
    simulation = Simulation(seed, hostile=hostile, steps=steps)
    try:
        simulation.run()
        return seed, hostile, breaches(simulation), len(simulation.sales)
    except Exception as error:  # noqa: BLE001  a life that broke off is a finding like any other
        return seed, hostile, [f"broke off: {error!r}"], len(simulation.sales)
    finally:
        simulation.close()


def main() -> int:
    """Read the command line, run, and say what did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds, half of them hostile")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--hostile", action="store_true", help="with --seed: the hostile life of it")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each life")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    given = parser.parse_args()
    jobs = [(given.first + n // 2, n % 2 == 1, given.steps) for n in range(given.seeds)]
    if given.seed is not None:
        jobs = [(given.seed, given.hostile, given.steps)]
    started, found, sales = time.monotonic(), [], 0
    with multiprocessing.Pool(min(len(jobs), os.cpu_count() or 1)) as pool:
        for seed, hostile, wrong, count in pool.imap_unordered(live, jobs):
            sales += count
            for breach in wrong:
                found.append({"seed": seed, "hostile": hostile, "breach": breach})
                print(f"seed {seed}{' hostile' if hostile else ''}: {breach}", file=sys.stderr)
    took_s = round(time.monotonic() - started, 1)
    outcome = {"lives": len(jobs), "sales": sales, "seconds": took_s, "breaches": found}
    if given.json:
        print(json.dumps(outcome))
    else:
        print(f"{len(jobs)} lives with {sales} sales in {took_s} s: {len(found) or 'no'} breaches")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
