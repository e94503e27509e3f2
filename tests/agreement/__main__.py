"""Live through many random lives on all cores: ``python -m tests.agreement [--sales N] [--seed N]``."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.agreement.living import SALES_A_LIFE, Lived, live

SALES_MAX = 10_000_000
CHUNK = 50


def main() -> int:
    """Compare, and say what was compared; 1 when some life was not decided alike."""
    parser = argparse.ArgumentParser(prog="python -m tests.agreement", description=__doc__)
    parser.add_argument("--sales", type=int, default=100_000, help=f"at most {SALES_MAX:,} (default 100,000)")
    parser.add_argument("--seed", type=int, help="live this one life only, and show where places disagree")
    asked = parser.parse_args()
    if asked.seed is not None:
        print(live(asked.seed))
        return 0
    if not 1 <= asked.sales <= SALES_MAX:
        parser.error(f"--sales from 1 to {SALES_MAX:,}")
    started = time.perf_counter()
    lives = -(-asked.sales // SALES_A_LIFE)
    total, wrong = Lived(), 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for lived, failures in pool.map(_live_some, range(0, lives, CHUNK), [lives] * (-(-lives // CHUNK))):
            total.add(lived)
            wrong += failures
    took_s = time.perf_counter() - started
    print(
        f"{total.sales:,} sales, {total.returns:,} returns, {total.checkouts:,} checkouts in {took_s:.0f} s"
    )
    print("decided:", ", ".join(f"{name} {count:,}" for name, count in total.outcomes.most_common()))
    print("explained:", ", ".join(f"{name} {count:,}" for name, count in total.codes.most_common()))
    print(f"{wrong} lives were not decided alike" if wrong else "all were decided alike")
    return 1 if wrong else 0


def _live_some(first: int, lives: int) -> tuple[Lived, int]:
    total, wrong = Lived(), 0
    for seed in range(first, min(first + CHUNK, lives)):
        try:
            total.add(live(seed))
        except AssertionError:
            print(f"--seed {seed}", file=sys.stderr)
            traceback.print_exc(limit=-3)
            wrong += 1
    return total, wrong


if __name__ == "__main__":
    sys.exit(main())
