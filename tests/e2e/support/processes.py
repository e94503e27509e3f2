"""Processes of a test, by their ids: they cannot outlive it, are stopped within a time, and all accounted for."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

from tests.support.warm import RUN, RUN_NAME, Warm, WarmServer, server_pid

ROOT = Path(__file__).parents[3]
CHILD = ROOT / "tests" / "support" / "child.py"
STOP_S = 20.0


class Child:
    """One process; as a context manager it is killed at the end when it still runs.

    A module of this tree starts warm, from ``warm`` when that is given; anything else, an installed program too, as it
    always does.

    Standard output is a pipe to read lines from; standard error goes to a file in ``place`` that is called after
    ``name``, and so do temporary files. The kernel kills the process when this one dies.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        place: Path,
        name: str,
        env: Mapping[str, str] | None = None,
        warm: WarmServer | None = None,
    ) -> None:
        self._log = place / f"{name}.log"
        self._text = b""
        env = {**environment(), **(env or {}), RUN_NAME: RUN, "TMPDIR": str(scratch(place))}
        pipe = subprocess.PIPE
        self._process: subprocess.Popen[bytes] | Warm
        with self._log.open("ab") as errors:
            if list(command[:2]) == [sys.executable, "-m"]:
                module, *arguments = command[2:]
                self._process = Warm(
                    module, arguments, env=env, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=errors, server=warm
                )
            else:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", str(CHILD), "-", str(int(signal.SIGKILL)), *command],
                    stdin=pipe,
                    stdout=pipe,
                    stderr=errors,
                    cwd=ROOT,
                    env=env,
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill it when it still runs, and close its pipes."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    @property
    def pid(self) -> int:
        """The process id; `exec` keeps it."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def say(self, line: str) -> None:
        """Write one line to its standard input."""
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write(line.encode() + b"\n")
        pipe.flush()

    def read_line(self, timeout_s: float) -> str:
        """Return the next line of its standard output, without the end of line; fails at the end or when time is up."""
        pipe = self._process.stdout
        assert pipe is not None
        until = time.monotonic() + timeout_s
        while b"\n" not in self._text:
            part = _read_some(pipe, until - time.monotonic())
            assert part, f"the process said no more within {timeout_s} s:\n{self.log()}"
            self._text += part
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def expect(self, wanted: str, timeout_s: float) -> list[str]:
        """Return its lines up to the first that contains a text."""
        until = time.monotonic() + timeout_s
        lines = [self.read_line(timeout_s)]
        while wanted not in lines[-1]:
            lines.append(self.read_line(max(0.0, until - time.monotonic())))
        return lines

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this one process."""
        self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Return the exit code; fails when it does not end in time."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the process did not end within {timeout_s} s:\n{self.log()}") from None

    def kill(self) -> None:
        """Kill it and what it has started with SIGKILL; nothing when it has ended."""
        if not self.running:
            return
        with suppress(psutil.NoSuchProcess):
            descendants = psutil.Process(self.pid).children(recursive=True)
            self._process.kill()
            for one in descendants:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            psutil.wait_procs(descendants, timeout=STOP_S)
        self._process.wait(STOP_S)

    def log(self) -> str:
        """Return the end of what it wrote to standard error."""
        return self._log.read_text(errors="replace")[-4_000:]


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this tree."""
    return [sys.executable, "-m", module, *arguments]


def program(name: str, *arguments: str) -> list[str]:
    """Return the command that runs an installed program of this environment."""
    return [str(Path(sys.executable).with_name(name)), *arguments]


def survivors() -> list[str]:
    """Return the processes that a test of this run has started, directly or not, and that still run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = process.environ().get(RUN_NAME) == RUN and process.pid != server_pid()
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid}: {' '.join(process.cmdline())}")
    return found


def scratch(place: Path) -> Path:
    """Return the directory for temporary files of the processes of a test; empty again when they have ended."""
    directory = place / "tmp"
    directory.mkdir(exist_ok=True)
    return directory


def environment() -> dict[str, str]:
    """Return this environment without settings of a server, which would reach the server under test."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}


def _read_some(pipe: IO[bytes], timeout_s: float) -> bytes:
    ready, _, _ = select.select([pipe], [], [], max(0.0, timeout_s))
    return os.read(pipe.fileno(), 65_536) if ready else b""
