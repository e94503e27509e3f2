"""A line that loses: a TCP proxy that delays, cuts and drops connections, and can be unplugged."""

from __future__ import annotations

import asyncio
import threading
from random import Random
from types import TracebackType
from typing import Self

DELAY_S = 0.03
LIFE_S = 8.0
"""A connection on a bad line lasts so long at most, before it is cut in the middle of whatever it carries."""

DROPPED = 0.1
LOST = 0.03
"""How often what the far end answers is lost together with its connection: what it did, nobody knows."""

CHUNK = 16_384
START_S = 10.0


class LossyLine:
    """Carries connections from ``address`` to ``target``, both host:port. ``calm`` makes it a good line again."""

    def __init__(self, target: str, *, host: str = "127.0.0.1", seed: int = 1) -> None:
        self._target = target.rsplit(":", 1)
        self._host = host
        self._rng = Random(seed)
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lossy-line", daemon=True)
        self.address = ""
        self.calm = False
        self.unplugged = False
        self.cut = 0
        """How many connections were cut or dropped."""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_S), "the line does not listen"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_S)

    def unplug(self) -> None:
        """Cut every connection and take no new one."""
        self.unplugged = True
        self._loop.call_soon_threadsafe(self._cut_all)

    def plug_in(self) -> None:
        self.unplugged = False

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._carry, self._host, 0)
        self.address = f"{self._host}:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        self._cut_all()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.unplugged or (not self.calm and self._rng.random() < DROPPED):
            self._cut(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            self._cut(writer)
            return
        self._open |= {writer, far_writer}
        ways = [self._pump(reader, far_writer), self._pump(far_reader, writer, lost=LOST)]
        life_s = None if self.calm else self._rng.uniform(0.0, LIFE_S)
        tasks = [asyncio.ensure_future(way) for way in ways]
        await asyncio.wait(tasks, timeout=life_s, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        self._cut(writer)
        self._cut(far_writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lost: float = 0.0
    ) -> None:
        try:
            while data := await reader.read(CHUNK):
                if not self.calm:
                    if self._rng.random() < lost:
                        return
                    await asyncio.sleep(self._rng.uniform(0.0, DELAY_S))
                writer.write(data)
                await writer.drain()
        except OSError:
            return

    def _cut_all(self) -> None:
        for writer in list(self._open):
            self._cut(writer)

    def _cut(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        self.cut += 1
        # With a reset, as a line that breaks: what is in the buffers is gone.
        writer.transport.abort()
