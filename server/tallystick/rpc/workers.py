"""Several serving processes on the same ports (SO_REUSEPORT), started and watched over by one parent.

The parent never touches grpc, because a process that did cannot be forked: each worker is a program of its own. A
worker that dies is started again, later each time when it dies at once, unless it says that no start can succeed and
no other one serves: then all end. The parent passes signals on and ends with the last worker; when the parent is
killed, the workers notice that their lifeline, a pipe that only the parent holds open, has ended, and drain.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

WORKER_VARIABLE = "TALLYSTICK_WORKER"
"""Number of a worker, from 0; set in its environment."""

LIFELINE_VARIABLE = "TALLYSTICK_LIFELINE"
"""File descriptor on which a worker sees the end of its parent."""

WORKERS_MAX = 64
BACKOFF_MIN_S = 0.5
BACKOFF_MAX_S = 30.0
HEALTHY_AFTER_S = 10.0
TICK_S = 0.1

log = logging.getLogger("tallystick.workers")


@dataclass(slots=True)
class _Worker:
    number: int
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    backoff_s: float = BACKOFF_MIN_S


class Workers:
    """The worker processes of one parent.

    ``command`` starts a worker; it finds its number in WORKER_VARIABLE. ``patience_s`` is how long a drain may take
    before what is left is killed. ``hopeless_code`` is the exit code of a worker that would end the same way again,
    because the command line or a setting is wrong.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        *,
        patience_s: float,
        hopeless_code: int,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        assert 1 <= count <= WORKERS_MAX, "more workers than WORKERS_MAX"
        self._command = tuple(command)
        self._environment = dict(os.environ if environment is None else environment)
        self._patience_s = patience_s
        self._hopeless_code = hopeless_code
        self._clock = clock
        self._sleep = sleep
        self._workers = [_Worker(number) for number in range(count)]
        self._signals: list[int] = []

    def run(self) -> int:
        """Run until SIGTERM or SIGINT and the drain of all workers; 0, or 1 when some had to be killed.

        ``hopeless_code`` when a worker ended with it, and with that all of them.
        """
        previous = {number: signal.signal(number, self._on_signal) for number in _PASSED_ON}
        reader, writer = os.pipe()
        try:
            while not self._signals:
                if self._tend(reader):
                    self._signals.append(signal.SIGTERM)
                    self._drain()
                    return self._hopeless_code
                self._sleep(TICK_S)
            return self._drain()
        finally:
            os.close(reader)
            os.close(writer)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def pids(self) -> list[int]:
        """The processes that run."""
        return [worker.process.pid for worker in self._workers if worker.process is not None]

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _tend(self, lifeline: int) -> bool:
        """Start what is due, and note what has died; true when starting again is of no use."""
        now = self._clock()
        for worker in self._workers:
            if worker.process is None:
                if now >= worker.start_at:
                    self._start(worker, lifeline)
            elif (code := worker.process.poll()) is not None:
                if code == self._hopeless_code and not self._any_healthy(now):
                    return True
                lived_s = now - worker.started_at
                if lived_s >= HEALTHY_AFTER_S:
                    worker.backoff_s = BACKOFF_MIN_S
                log.error(
                    "a worker died; it is started again",
                    extra={
                        "worker": worker.number,
                        "exit_code": code,
                        "in_s": worker.backoff_s,
                    },
                )
                worker.process = None
                worker.start_at = now + worker.backoff_s
                worker.backoff_s = min(BACKOFF_MAX_S, worker.backoff_s * 2)
        return False

    def _any_healthy(self, now: float) -> bool:
        # A file of settings that somebody has broken since must not end those that serve.
        return any(
            worker.process is not None
            and worker.process.poll() is None
            and now - worker.started_at >= HEALTHY_AFTER_S
            for worker in self._workers
        )

    def _start(self, worker: _Worker, lifeline: int) -> None:
        environment = self._environment | {
            WORKER_VARIABLE: str(worker.number),
            LIFELINE_VARIABLE: str(lifeline),
        }
        worker.process = subprocess.Popen(
            self._command,
            env=environment,
            pass_fds=(lifeline,),
            stdin=subprocess.DEVNULL,
            # A Ctrl+C goes to the whole group of the terminal; workers shall hear of it from the parent alone.
            start_new_session=True,
        )
        worker.started_at = self._clock()

    def _drain(self) -> int:
        passed_on = 0
        give_up_at = self._clock() + self._patience_s
        while self._alive():
            for number in self._signals[passed_on:]:
                passed_on += 1
                for process in self._alive():
                    process.send_signal(number)
            if self._clock() >= give_up_at:
                for process in self._alive():
                    process.kill()
                    process.wait()
                return 1
            self._sleep(TICK_S)
        return 0

    def _alive(self) -> list[subprocess.Popen[bytes]]:
        return [
            worker.process
            for worker in self._workers
            if worker.process is not None and worker.process.poll() is None
        ]


_PASSED_ON = (signal.SIGTERM, signal.SIGINT)


def worker_number() -> int | None:
    """The number of this process among the workers; None when it is not one of them."""
    text = os.environ.get(WORKER_VARIABLE, "")
    return int(text) if text else None
