"""One serving process's share of the sync benchmark: a store, a lane, and advices that arrive in uploads of 500.

Prints ``ready``, waits for a line, settles its advices, prints its figures as JSON.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import time
from concurrent.futures import Future

from benchmarks.measure import own_cpu_s, percentile
from benchmarks.population import advices, now_ms
from tallystick.service.lane import Lane
from tallystick.service.rulebook import RuleBook
from tallystick.service.runtime import tune_interpreter
from tallystick.service.submission import Answer
from tallystick.storage.open import open_store

UPLOAD = 500
TILLS_AT_ONCE = 4
"""Uploads under way at once: as many tills as sync at the same moment."""


def main() -> None:
    """Run one worker as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True)
    parser.add_argument("--members", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--burning", type=float, default=0.2)
    args = parser.parse_args()
    store = open_store(args.database)
    lane = Lane(store, RuleBook(store), now_ms=now_ms)
    work = advices(args.count, members=args.members, seed=args.seed, burning=args.burning)
    tune_interpreter()
    print("ready", flush=True)
    sys.stdin.readline()
    started, cpu = time.perf_counter(), own_cpu_s()
    under_way: collections.deque[tuple[float, list[Future[Answer]]]] = collections.deque()
    latencies = []
    for at in range(0, len(work), UPLOAD):
        if len(under_way) == TILLS_AT_ONCE:
            latencies.append(_finish(*under_way.popleft()))
        under_way.append((time.perf_counter(), lane.submit_all(work[at : at + UPLOAD])))
    latencies += [_finish(*upload) for upload in under_way]
    seconds = time.perf_counter() - started
    figures = {
        "seconds": seconds,
        "cpu_s": own_cpu_s() - cpu,
        "upload_p99_ms": percentile(latencies, 0.99) * 1000,
    }
    lane.close()
    store.close()
    print(json.dumps(figures), flush=True)


def _finish(started: float, upload: list[Future[Answer]]) -> float:
    for future in upload:
        future.result()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
