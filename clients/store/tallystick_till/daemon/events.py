"""What the screen is told without asking: the state whenever it changes, and each sale.

The till calls ``changed`` from whatever thread it is in. States are made at most every ``COALESCE_S`` and each
listener holds only the newest one, so that a slow listener costs nothing and misses nothing that still counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from tallystick_till.daemon.errors import UNAVAILABLE, ApiError
from tallystick_till.daemon.wording import json_bytes
from tallystick_till.errors import TillError

LISTENERS_MAX: Final = 16
SALES_KEPT_MAX: Final = 64
COALESCE_S: Final = 0.03
LOOK_S: Final = 2.0
"""Some of the state changes with time alone, such as a rule set that ends; so it is looked at that often."""
HEARTBEAT_S: Final = 15.0

_log = logging.getLogger(__name__)


def event(name: str, document: Any) -> bytes:
    """Return one event of a text/event-stream."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json_bytes(document))


class _Listener:
    def __init__(self) -> None:
        self.state: bytes = b""
        self.sales: deque[bytes] = deque(maxlen=SALES_KEPT_MAX)
        self.wake = asyncio.Event()

    def take(self) -> bytes:
        """All that waits, the state first: whoever hears of a sale knows the state after it."""
        self.wake.clear()
        waiting = self.state + b"".join(self.sales)
        self.state = b""
        self.sales.clear()
        return waiting


class Broadcast:
    """Tells listeners; ``state`` makes the document of the present state. Lives on one event loop."""

    def __init__(self, state: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._state = state
        self._listeners: set[_Listener] = set()
        self._loop = asyncio.get_running_loop()
        self._dirty = asyncio.Event()
        self._closed = False
        self._last = b""

    def changed(self) -> None:
        """The till has changed; from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._dirty.set)

    def sold(self, document: dict[str, Any]) -> None:
        """A sale was made; on the event loop."""
        for listener in self._listeners:
            listener.sales.append(event("sale", document))
            listener.wake.set()

    def close(self) -> None:
        """End all streams; on the event loop."""
        self._closed = True
        for listener in self._listeners:
            listener.wake.set()

    async def pump(self) -> None:
        """Make states and hand them out until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._dirty.wait()
            except TimeoutError:
                if not self._listeners:
                    continue
            await asyncio.sleep(COALESCE_S)
            self._dirty.clear()
            try:
                made = event("state", await self._state())
            except TillError as error:
                _log.warning("the state cannot be read: %s", error)
                continue
            except Exception:  # noqa: BLE001  one state that cannot be told must not end the till
                _log.exception("the state cannot be told")
                continue
            if made == self._last:
                continue
            self._last = made
            for listener in self._listeners:
                listener.state = made
                listener.wake.set()

    async def stream(self) -> AsyncIterator[bytes]:
        """The events of one listener, beginning with the present state. Raises ``ApiError`` when there are too many."""
        with self._listening() as listener:
            yield event("state", await self._state())
            while not self._closed:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await listener.wake.wait()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if waiting := listener.take():
                    yield waiting

    def check_room(self) -> None:
        """Raise ``ApiError`` when there are too many listeners, before a stream begins."""
        if len(self._listeners) >= LISTENERS_MAX:
            raise ApiError(
                UNAVAILABLE,
                "TOO_MANY_LISTENERS",
                f"{LISTENERS_MAX} screens listen already; close one of them.",
            )

    @contextmanager
    def _listening(self) -> Iterator[_Listener]:
        listener = _Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
