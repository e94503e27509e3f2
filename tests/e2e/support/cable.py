"""A network cable between this machine and a process in a network namespace of its own: pulled, it says nothing at all.

A proxy that closes a connection tells both ends; a pulled cable tells nobody, and only deadlines notice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

TOOLS = ("ip", "unshare", "nsenter")
WAIT_S = 10.0
POLL_S = 0.02
COMMAND_S = 10.0


@lru_cache(maxsize=1)
def permitted() -> bool:
    """Return whether this user may make network namespaces and cables on this machine."""
    if any(shutil.which(tool) is None for tool in TOOLS) or not _works(_tool("unshare"), "-n", "true"):
        return False
    try:
        with Cable("try"):
            return True
    except subprocess.CalledProcessError:
        return False


class Cable:
    """A pair of virtual network cards; ``address`` is this machine's end. It goes at the end of the block."""

    def __init__(self, name: str = "") -> None:
        number = os.getpid()
        self._near, self._far = f"tsn{name}{number}", f"tsf{name}{number}"
        self._net = f"10.213.{number // 64 % 256}.{number % 64 * 4}"
        self.address = self._host(1)

    def __enter__(self) -> Self:
        _run(_tool("ip"), "link", "add", self._near, "type", "veth", "peer", "name", self._far)
        _run(_tool("ip"), "address", "add", f"{self.address}/30", "dev", self._near)
        self.plug_in()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It may have gone with the process at its other end.
        _works(_tool("ip"), "link", "delete", self._near)

    @property
    def around(self) -> tuple[str, ...]:
        """What goes before the command of a process that is to have this cable and no other."""
        return (_tool("unshare"), "-n", "--")

    def lead_to(self, process_id: int) -> None:
        """Put the other end into the process, which has begun with ``around``."""
        own, theirs = Path("/proc/self/ns/net"), Path(f"/proc/{process_id}/ns/net")
        until = time.monotonic() + WAIT_S
        while theirs.readlink() == own.readlink():
            assert time.monotonic() < until, "the process stays in the network of this one"
            time.sleep(POLL_S)
        inside = (_tool("nsenter"), "-t", str(process_id), "-n", _tool("ip"))
        _run(_tool("ip"), "link", "set", self._far, "netns", str(process_id))
        _run(*inside, "address", "add", f"{self._host(2)}/30", "dev", self._far)
        _run(*inside, "link", "set", self._far, "up")

    def pull(self) -> None:
        _run(_tool("ip"), "link", "set", self._near, "down")

    def plug_in(self) -> None:
        _run(_tool("ip"), "link", "set", self._near, "up")

    def _host(self, number: int) -> str:
        head, _, last = self._net.rpartition(".")
        return f"{head}.{int(last) + number}"


def _tool(name: str) -> str:
    return shutil.which(name) or name


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=COMMAND_S, capture_output=True)


def _works(*command: str) -> bool:
    return subprocess.run(command, check=False, timeout=COMMAND_S, capture_output=True).returncode == 0
