"""Lane numbers as locked files beside the database: a number is free again when the process that had it is gone."""

from __future__ import annotations

import fcntl
import os
import threading

from tallystick.service.errors import FailedPrecondition

LANES_MAX = 64
"""Most lanes of one file, over all processes."""


class LaneFiles:
    """The lane numbers that this store has, each the lock on an empty file ``<database>-lane-<number>``.

    Should two processes ever share a number, nothing is lost: the journal's key makes the second of two batches run
    again.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._held: dict[int, int] = {}

    def claim(self) -> int:
        """Return the lowest number that nobody has. Raises ``FailedPrecondition`` when there is none."""
        with self._guard:
            for lane in range(LANES_MAX):
                if lane not in self._held and (fd := self._try_lock(lane)) is not None:
                    self._held[lane] = fd
                    return lane
        raise FailedPrecondition(
            f"All {LANES_MAX} lanes of this database are taken.",
            mend="Run fewer processes, or fewer lanes in each.",
        )

    def close(self) -> None:
        """Give the numbers back. The files stay: removing one could take it from under another process."""
        with self._guard:
            for fd in self._held.values():
                os.close(fd)
            self._held.clear()

    def _try_lock(self, lane: int) -> int | None:
        fd = os.open(f"{self._path}-lane-{lane}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return fd
