"""A few connections, shared: the last one given back is the next one taken, a broken one is not given back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from tallystick.service.errors import StoreUnavailable

WAIT_S = 10.0
"""How long a caller waits for a connection before the store counts as away."""

C = TypeVar("C")


class Pool(Generic[C]):
    """At most ``size`` connections, opened when first needed.

    ``open_one`` may raise; ``alive`` tells whether a connection may be used again; ``close_one`` must not raise.
    """

    def __init__(
        self,
        size: int,
        *,
        open_one: Callable[[], C],
        alive: Callable[[C], bool],
        close_one: Callable[[C], None],
    ) -> None:
        assert size >= 1
        self._open_one = open_one
        self._alive = alive
        self._close_one = close_one
        self._free = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._idle: list[C] = []
        self._closed = False

    @contextmanager
    def use(self, start: Callable[[C], None]) -> Iterator[C]:
        """Give a connection on which ``start`` went well, for the length of a block.

        An idle connection may have died unnoticed: where ``start`` fails on it, a fresh one takes its place.
        Raises ``StoreUnavailable`` after ``WAIT_S`` seconds of waiting, and what ``start`` raises on a fresh one.
        """
        if not self._free.acquire(timeout=WAIT_S):
            raise StoreUnavailable(f"All connections were in use for {WAIT_S:.0f} s.")
        try:
            connection = self._started(start)
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._free.release()

    def forget_idle(self) -> None:
        """Close the idle connections: after one was lost, the others are most likely lost too."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self._close_one(connection)

    def close(self) -> None:
        """Close what is idle now, and each of the others when it is given back."""
        self._closed = True
        self.forget_idle()

    def _started(self, start: Callable[[C], None]) -> C:
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        with self._lock:
            idle = self._idle.pop() if self._idle else None
        if idle is not None:
            try:
                start(idle)
            except Exception:  # noqa: BLE001 - whatever it is, the fresh connection decides whether it is raised
                self._close_one(idle)
                self.forget_idle()
            else:
                return idle
        fresh = self._open_one()
        try:
            start(fresh)
        except BaseException:
            self._close_one(fresh)
            raise
        return fresh

    def _give_back(self, connection: C) -> None:
        if self._closed or not self._alive(connection):
            self._close_one(connection)
            return
        with self._lock:
            self._idle.append(connection)
