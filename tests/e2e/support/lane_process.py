"""A process with lanes of its own on a shared database: does its work when told to, and writes down every answer.

    python -m tests.e2e.support.lane_process --url URL --work burns|day --process N ... --out FILE

Prints "ready", waits for a line on standard input, works, and ends. FILE is a pickled list of `Given`.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

from tallystick.core.command import Command
from tallystick.core.ids import Ms
from tallystick.service.lane import Lane
from tallystick.service.ports import BATCH_MAX
from tallystick.service.rulebook import RuleBook
from tallystick.service.runtime import tune_interpreter
from tallystick.service.submission import Answer, Submission
from tallystick.storage.open import open_store
from tests.e2e.support import plan
from tests.e2e.support.answers import Given, given

PATIENCE_S = 240.0
CHUNK = 250
WAITING_MAX = 4_000


async def submit_at_once(lanes: Sequence[Lane], commands: Iterable[tuple[int, Command]]) -> list[Given]:
    """Submit all commands at the same moment, spread over the lanes."""

    async def one(number: int, made: Command) -> Given:
        lane = lanes[number % len(lanes)]
        answer = await lane.submit(plan.submission(made, deadline=time.monotonic() + PATIENCE_S))
        return given(number, answer)

    return await asyncio.gather(*(one(number, made) for number, made in commands))


def submit_in_order(
    lanes: Sequence[Lane], numbers: Sequence[int], submissions: Sequence[Submission]
) -> list[Given]:
    """Submit chunk by chunk, each to the next lane, with a bounded number of commands waiting."""
    waiting: deque[tuple[int, Future[Answer]]] = deque()
    answers: list[Given] = []
    for at in range(0, len(numbers), CHUNK):
        lane, last = lanes[at // CHUNK % len(lanes)], at + CHUNK
        waiting.extend(zip(numbers[at:last], lane.submit_all(submissions[at:last]), strict=True))
        while len(waiting) > WAITING_MAX:
            number, future = waiting.popleft()
            answers.append(given(number, future.result(PATIENCE_S)))
    return answers + [given(number, future.result(PATIENCE_S)) for number, future in waiting]


def main() -> None:
    """Do one piece of work as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--work", choices=("burns", "day"), required=True)
    parser.add_argument("--process", type=int, required=True, help="which of the processes this is")
    parser.add_argument("--count", type=int, required=True, help="commands of the plan; burns of each member")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--points", type=int, default=1)
    parser.add_argument("--reach", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--batch-max", type=int, default=BATCH_MAX)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    store = open_store(args.url, lanes=args.lanes)
    rulebook = RuleBook(store)
    lanes = [
        Lane(store, rulebook, now_ms=lambda: Ms(time.time_ns() // 1_000_000), batch_max=args.batch_max)
        for _ in range(args.lanes)
    ]
    work = _burns(args, lanes) if args.work == "burns" else _day(args, lanes)
    tune_interpreter()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    answers = work()
    for lane in lanes:
        lane.close()
    store.close()
    args.out.write_bytes(pickle.dumps(answers))


def _burns(args: argparse.Namespace, lanes: Sequence[Lane]) -> Callable[[], list[Given]]:
    numbers = range(args.process, args.members * args.count, args.processes)
    burns = [(number, plan.burn(number, each=args.count, points=args.points)) for number in numbers]
    random.Random(args.process).shuffle(burns)
    return lambda: asyncio.run(submit_at_once(lanes, burns))


def _day(args: argparse.Namespace, lanes: Sequence[Lane]) -> Callable[[], list[Given]]:
    numbers = plan.shuffled(args.count, seed=args.process, reach=args.reach)
    deadline = time.monotonic() + PATIENCE_S
    submissions = [plan.submission(plan.command(number), deadline=deadline) for number in numbers]
    return lambda: submit_in_order(lanes, numbers, submissions)


if __name__ == "__main__":
    main()
