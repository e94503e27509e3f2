"""Runs `tallystick` as a person would: a process, its output, its exit code."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from tallystick.cli import main
from tests.support.warm import Warm, run_warm

COMMAND_TIMEOUT_S = 100.0
START_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell of somebody whose home is `home`."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
        return kept | {"HOME": str(self.home), "XDG_DATA_HOME": ""}

    @property
    def data_dir(self) -> Path:
        return self.home / ".local" / "share" / "tallystick"

    def run(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Finished:
        environment = {**self.environment, **(env or {})}
        words = [str(one) for one in arguments]
        done = run_warm("tallystick", words, env=environment, timeout_s=COMMAND_TIMEOUT_S)
        return Finished(done.returncode, done.stdout, done.stderr)

    def python(self, code: str, *arguments: str) -> str:
        """What a Python program says that runs in this shell; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=True,
        )
        return done.stdout

    def here(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Finished:
        """The same in this process, which is quicker: for commands that neither serve nor call a server."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, {**self.environment, **(env or {})}, clear=True),
            mock.patch.object(sys, "argv", ["tallystick", *map(str, arguments)]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main()
        return Finished(code, out.getvalue(), err.getvalue())

    def prepare(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Finished:
        """`here`, and it must succeed."""
        finished = self.here(*arguments, env=env)
        assert finished.code == 0, finished.out + finished.err
        return finished

    def succeed(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Finished:
        finished = self.run(*arguments, env=env)
        assert finished.code == 0, finished.out + finished.err
        return finished

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Running]:
        """`tallystick ARGUMENTS` on free ports until the block ends; it then must stop in good order."""
        ready_file, log = self.home / "ready.json", self.home / "server.log"
        ready_file.unlink(missing_ok=True)
        doors = ("--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ready-file", str(ready_file))
        with log.open("w") as output:
            # A balancer would need the wait; a test does not.
            environment = {**self.environment, "TALLYSTICK_DRAIN_WAIT_S": "0"}
            process = Warm("tallystick", [*arguments, *doors], env=environment, stdout=output, stderr=output)
        try:
            give_up_at = time.monotonic() + START_TIMEOUT_S
            while not ready_file.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < give_up_at, log.read_text()
                time.sleep(0.02)
            yield Running(process, log, json.loads(ready_file.read_text())["grpc_port"])
            process.send_signal(signal.SIGINT)
            assert process.wait(START_TIMEOUT_S) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs."""

    process: Warm
    log: Path
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def shown(self) -> str:
        """What it has printed so far."""
        return self.log.read_text()
