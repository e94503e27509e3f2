"""Collects what arrives while the last batch is being worked on, and hands it over as one batch.

No timer: one item alone waits for nothing, and the busier it gets the more a batch shares. The writer lane and the
coalesced reads are both built on it.

The thread is woken once for all that one turn of the event loop brought: to wake it for each item costs more than the
item's own work, and makes batches of one out of what arrived together.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from tallystick.service.errors import Draining, Overloaded

Item = TypeVar("Item")
Result = TypeVar("Result")

QUEUE_MAX = 20_000
"""Most items that wait; beyond it callers are told to come back."""


@dataclass(slots=True)
class Ticket(Generic[Item, Result]):
    """An item with the place where its result goes: exactly one of the two futures is set."""

    item: Item
    loop: asyncio.AbstractEventLoop | None
    waiter: asyncio.Future[Result] | None
    future: Future[Result] | None
    outcome: Result | BaseException | None = None


class Collector(Generic[Item, Result]):
    """One thread that works on batches. ``work`` gets up to ``batch_max`` tickets and sets every ``outcome``."""

    def __init__(
        self,
        work: Callable[[Sequence[Ticket[Item, Result]]], None],
        *,
        name: str,
        batch_max: int,
        queue_max: int = QUEUE_MAX,
    ) -> None:
        self._work = work
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._tickets: deque[Ticket[Item, Result]] = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._ringing: set[asyncio.AbstractEventLoop] = set()
        self._closing = False
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many items wait for a batch."""
        return len(self._tickets)

    async def submit(self, item: Item) -> Result:
        """Queue an item from the event loop and wait for its result.

        A caller that is cancelled stops waiting; the work is done all the same. Raises ``Overloaded`` when the
        queue is full and ``Draining`` when the process is about to stop, and then nothing has been done.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Result] = loop.create_future()
        self._put([Ticket(item, loop, waiter, None)])
        self._ring_soon(loop)
        return await waiter

    async def submit_together(self, items: Sequence[Item]) -> list[Result]:
        """Queue items from the event loop, side by side and in order, and wait for all results; else as ``submit``.

        The first error is raised; the others of these items may have been worked on all the same.
        """
        loop = asyncio.get_running_loop()
        waiters: list[asyncio.Future[Result]] = [loop.create_future() for _ in items]
        self._put([Ticket(item, loop, waiter, None) for item, waiter in zip(items, waiters, strict=True)])
        self._ring_soon(loop)
        return await asyncio.gather(*waiters)

    def submit_all(self, items: Sequence[Item]) -> list[Future[Result]]:
        """Queue items from any thread; they stay in order."""
        futures: list[Future[Result]] = [Future() for _ in items]
        self._put([Ticket(item, None, None, future) for item, future in zip(items, futures, strict=True)])
        self._bell.put(None)
        return futures

    def close(self, timeout_s: float = 30.0) -> None:
        """Take nothing more, finish what waits, stop the thread."""
        with self._gate:
            self._closing = True
        self._bell.put(None)
        self._thread.join(timeout_s)

    def _put(self, tickets: Sequence[Ticket[Item, Result]]) -> None:
        # The gate: nothing is queued once the thread may have looked for the last time.
        with self._gate:
            if self._closing:
                raise Draining
            if len(self._tickets) + len(tickets) > self._queue_max:
                raise Overloaded
            self._tickets.extend(tickets)

    def _ring_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop not in self._ringing:
            self._ringing.add(loop)
            loop.call_soon(self._ring_once, loop)

    def _ring_once(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ringing.discard(loop)
        self._bell.put(None)

    def _run(self) -> None:
        while True:
            if not self._tickets:
                if self._closing:
                    return
                self._bell.get()
            batch = self._collect()
            if batch:
                self._work_on(batch)

    def _collect(self) -> list[Ticket[Item, Result]]:
        """Take what is there, as much as one batch holds."""
        tickets = self._tickets
        return [tickets.popleft() for _ in range(min(len(tickets), self._batch_max))]

    def _work_on(self, batch: list[Ticket[Item, Result]]) -> None:
        try:
            self._work(batch)
        except BaseException as error:  # noqa: BLE001  the thread lives on; the callers of this batch are told
            for ticket in batch:
                if ticket.outcome is None:
                    ticket.outcome = error
        _deliver(batch)


def _deliver(batch: Sequence[Ticket[Item, Result]]) -> None:
    """Wake each event loop once for all of its tickets, and resolve plain futures here."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Ticket[Item, Result]]] = {}
    for ticket in batch:
        if ticket.loop is not None:
            by_loop.setdefault(ticket.loop, []).append(ticket)
        elif ticket.future is not None and ticket.future.set_running_or_notify_cancel():
            if isinstance(ticket.outcome, BaseException):
                ticket.future.set_exception(ticket.outcome)
            else:
                ticket.future.set_result(ticket.outcome)  # type: ignore[arg-type]
    for loop, tickets in by_loop.items():
        try:
            loop.call_soon_threadsafe(_wake, tickets)
        except RuntimeError:
            # The loop was closed while its callers waited: nobody is left to be told.
            continue


def _wake(tickets: Sequence[Ticket[Item, Result]]) -> None:
    for ticket in tickets:
        waiter = ticket.waiter
        if waiter is None or waiter.done():
            continue
        if isinstance(ticket.outcome, BaseException):
            waiter.set_exception(ticket.outcome)
        else:
            waiter.set_result(ticket.outcome)  # type: ignore[arg-type]
