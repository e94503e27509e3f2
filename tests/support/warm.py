"""Processes that start warm: forked from an interpreter that has loaded the project's modules already.

A third of the time of all tests went into loading the same modules for some four hundred commands and servers. What
starts warm is a process all the same, with an id, an environment, streams, signals and an exit code of its own; only
the way from the program's file to its first line is not its own. That way is gone in full by the newcomer's test, the
documents' tests and the test of what each command loads.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
START_S = 60.0

RUN_NAME = "TALLYSTICK_TEST_RUN"
"""Every process that a test starts, and every process which that starts, carries this in its environment. The server's
settings leave it alone."""

RUN = f"{os.getpid()}-{secrets.token_hex(6)}"


class Warm:
    """One process; as much of `subprocess.Popen` as tests use.

    ``module`` is run as `python -m` does. Streams are file descriptors or files; PIPE, which is possible for standard
    input and output, gives unbuffered pipes.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.DEVNULL,
        stderr: int | IO[Any] = subprocess.DEVNULL,
        server: WarmServer | None = None,
    ) -> None:
        self.args = [module, *arguments]
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        self.returncode: int | None = None
        end, their_end = os.pipe()
        self._end = os.fdopen(end, "rb", buffering=0)
        theirs = [their_end]
        try:
            if stdin == subprocess.PIPE:
                stdin, mine = os.pipe()
                theirs.append(stdin)
                self.stdin = os.fdopen(mine, "wb", buffering=0)
            if stdout == subprocess.PIPE:
                mine, stdout = os.pipe()
                theirs.append(stdout)
                self.stdout = os.fdopen(mine, "rb", buffering=0)
            with Path(os.devnull).open("r+b", buffering=0) as nothing:
                streams = [
                    nothing.fileno()
                    if one == subprocess.DEVNULL
                    else one
                    if isinstance(one, int)
                    else one.fileno()
                    for one in (stdin, stdout, stderr)
                ]
                command = {"module": module, "arguments": list(arguments), "env": dict(env)}
                self.pid = (server or _server()).fork(
                    command | {"cwd": str(cwd or Path.cwd())}, [*streams, their_end]
                )
        finally:
            for one in theirs:
                os.close(one)

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises ``subprocess.TimeoutExpired``."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout_s: float | None) -> int | None:
        if self.returncode is None and select.select([self._end], [], [], timeout_s)[0]:
            # Without a word of it the server has ended, and the kernel has killed what it had started.
            self.returncode = int(self._end.read() or -signal.SIGKILL)
            self._end.close()
        return self.returncode


def run_warm(
    module: str,
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout_s: float,
    server: WarmServer | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a module to its end, with nothing to read. Raises ``subprocess.TimeoutExpired``, and kills it then."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Warm(module, arguments, env=env, stdout=out, stderr=err, server=server)
        try:
            code = process.wait(timeout_s)
        finally:
            process.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(process.args, code, out.read().decode(), err.read().decode())


class WarmServer:
    """An interpreter that is forked, with some modules loaded; without a name, those that most commands load."""

    def __init__(self, *loaded: str, env: Mapping[str, str] | None = None) -> None:
        self._lock = threading.Lock()
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.warm_server", str(theirs.fileno()), *loaded],
                cwd=ROOT,
                env={**(os.environ if env is None else env), RUN_NAME: RUN},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self.pid = self._process.pid
        self._door.settimeout(START_S)
        atexit.register(self.close)

    def fork(self, command: Mapping[str, object], files: list[int]) -> int:
        """Return the id of a new process."""
        text = json.dumps(command).encode()
        with self._lock:
            sent = socket.send_fds(self._door, [text], files)
            assert sent == len(text), "the command is too long for one message"
            answer = self._door.recv(32)
        assert answer, "the server of warm processes has ended"
        return int(answer)

    def close(self) -> None:
        """End it, and with it all that it has started."""
        atexit.unregister(self.close)
        self._door.close()
        self._process.wait(START_S)


# One for each process that runs tests, from the first use on.
_servers: list[WarmServer] = []
_starting = threading.Lock()


def _server() -> WarmServer:
    with _starting:
        if not _servers:
            _servers.append(WarmServer())
    return _servers[0]


def server_pid() -> int:
    """The process that is forked, which is none of a test; 0 when there is none yet."""
    return _servers[0].pid if _servers else 0
