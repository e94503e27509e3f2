"""Loads the project's modules once, and forks a process for each command: what `tests.support.warm` talks to.

    python -m tests.support.warm_server SOCKET [MODULE...]

Loads the modules that are named instead of the project's own. SOCKET is the number of an open socket that keeps
messages apart. A command comes as JSON with four file descriptors:
standard input, output and error, and a pipe. The answer is the process id; when that process ends, its exit code goes
into the pipe, as `subprocess` gives it. When the socket ends, so does this program, and the kernel kills what it has
started.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LOADED = (
    "alembic.command",
    "psycopg",
    "tallystick.cli.app",
    "tallystick.cli.client",
    "tallystick.cli.prepare",
    "tallystick.cli.wiring",
    "tallystick.rpc.server",
    "tallystick.storage.open",
    "tallystick.storage.postgres",
    "tallystick.storage.sqlite",
    "tallystick_till.cli",
)
"""What commands load, most of all; the rest they load themselves."""

COMMAND_BYTES_MAX = 1_000_000
FILES = 4
PR_SET_PDEATHSIG = 1


class Command(NamedTuple):
    """What a new process is to do: run a module as `python -m` does."""

    module: str
    arguments: list[str]
    env: dict[str, str]
    cwd: str


class Server:
    """Takes commands until the socket ends."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._pid = os.getpid()
        self._ends: dict[int, int] = {}  # the pipe of each process that runs

    def serve(self) -> Command | None:
        """Return a command in a new process that is to run it, and None in this one at its end."""
        ended, wake = socket.socketpair()
        ended.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with selectors.DefaultSelector() as selector, ended, wake, self._door:
            selector.register(self._door, selectors.EVENT_READ)
            selector.register(ended, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is ended:
                        ended.recv(4096)
                        self._tell_ends()
                        continue
                    text, files, _, _ = socket.recv_fds(self._door, COMMAND_BYTES_MAX, FILES)
                    if not text:
                        return None
                    command = self._fork(text, files)
                    if command is not None:
                        signal.set_wakeup_fd(-1)
                        return command

    def _fork(self, text: bytes, files: list[int]) -> Command | None:
        *streams, end = files
        pid = os.fork()
        if pid == 0:
            self._settle(streams)
            os.close(end)
            return Command(**json.loads(text))
        for stream in streams:
            os.close(stream)
        self._ends[pid] = end
        self._door.send(str(pid).encode())
        return None

    def _settle(self, streams: list[int]) -> None:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        for other in self._ends.values():
            os.close(other)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != self._pid:
            os._exit(1)

    def _tell_ends(self) -> None:
        while self._ends:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            end = self._ends.pop(pid)
            # Nobody may wait for it any more.
            with suppress(BrokenPipeError):
                os.write(end, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(end)


def become(command: Command) -> None:
    """Run a command's module as the main program of this process."""
    os.chdir(command.cwd)
    sys.path[0] = command.cwd
    os.environ.clear()
    os.environ.update(command.env)
    sys.argv = [command.module, *command.arguments]
    runpy.run_module(command.module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Serve; the processes that are forked come out here as well."""
    door = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:] or LOADED:
        importlib.import_module(name)
    threads = list(Path("/proc/self/task").iterdir())
    assert len(threads) == 1, "a module has started a thread, which a fork would lose"
    # What is loaded stays on its pages: neither looked through nor copied in what is forked.
    gc.collect()
    gc.freeze()
    command = Server(door).serve()
    if command is not None:
        become(command)


if __name__ == "__main__":
    main()
