"""Lane numbers as advisory locks: a number is free again when the process that had it is gone."""

from __future__ import annotations

import threading

import psycopg

from tallystick.service.errors import FailedPrecondition
from tallystick.storage.postgres_connect import Connection, away_named, close, connect

LANES_MAX = 64
"""Most lanes of one database, over all its processes."""

_LOCK_CLASS = 0x7A11
_TRY_LOCK = "SELECT pg_try_advisory_lock($1::int, $2::int)"


class LaneLocks:
    """The lane numbers that this process has, on a connection that does nothing else."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._guard = threading.Lock()
        self._connection: Connection | None = None
        self._claimed: set[int] = set()

    def claim(self) -> int:
        """Return the lowest number that no process has. Raises ``FailedPrecondition`` when there is none."""
        with self._guard:
            connection = self._connected()
            for lane in range(LANES_MAX):
                if lane not in self._claimed and _try_lock(connection, lane):
                    self._claimed.add(lane)
                    return lane
        raise FailedPrecondition(
            f"All {LANES_MAX} lanes of this database are taken.",
            mend="Run fewer processes, or fewer lanes in each.",
        )

    def renew(self) -> None:
        """Take our numbers again after the server dropped us; called when a lane has had to reconnect.

        Should another process have taken one meanwhile, both write that lane: its journal's key makes the second
        of two batches run again, so nothing is lost but time.
        """
        with self._guard:
            if self._claimed:
                self._connected()

    def reconnect(self) -> None:
        """Give up the connection, which may lead to what was the primary: ``renew`` takes the numbers on another."""
        with self._guard:
            self._disconnect()

    def close(self) -> None:
        """Give the numbers back."""
        with self._guard:
            self._claimed.clear()
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            close(self._connection)
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is not None:
            try:
                self._connection.execute("SELECT 1")
            except psycopg.Error:
                close(self._connection)
            else:
                return self._connection
        self._connection = connect(self._conninfo)
        for lane in self._claimed:
            _try_lock(self._connection, lane)
        return self._connection


def _try_lock(connection: Connection, lane: int) -> bool:
    with away_named():
        row = connection.execute(_TRY_LOCK, (str(_LOCK_CLASS), str(lane))).fetchone()
    return row == (True,)
