"""One process for one directory: two that drained one queue would fork the till's chain."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tallystick_till.config import LOCK_FILE

LOCK_BYTES_MAX: Final = 1_024


class AnotherRuns(Exception):
    """Another process holds the directory. ``port`` is where its local API answers, 0 when it has none (yet)."""

    def __init__(self, directory: Path, *, process_id: int, port: int) -> None:
        who = f"process {process_id}" if process_id else "another process"
        super().__init__(f"{who} runs this till already (it holds {directory})")
        self.process_id = process_id
        self.port = port


class Instance:
    """The held directory."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.tell(port=0)

    def tell(self, *, port: int) -> None:
        """Write where this process's local API answers, for the commands of another shell."""
        text = json.dumps({"pid": os.getpid(), "port": port}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)


@contextmanager
def held(directory: Path) -> Iterator[Instance]:
    """Hold the directory while the block runs; the kernel lets go of it however the process ends.

    Raises ``AnotherRuns``.
    """
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process_id, port = _told(descriptor)
            raise AnotherRuns(directory, process_id=process_id, port=port) from None
        yield Instance(descriptor)
    finally:
        os.close(descriptor)


def _told(descriptor: int) -> tuple[int, int]:
    try:
        document = json.loads(os.pread(descriptor, LOCK_BYTES_MAX, 0))
        return int(document["pid"]), int(document["port"])
    except (ValueError, KeyError, TypeError):
        # The holder is just writing it.
        return 0, 0
