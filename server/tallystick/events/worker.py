"""Work that goes on beside the calls: a thread and an event loop of its own, and what it does again and again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Protocol

from tallystick.core.ids import Ms, ProgramId
from tallystick.service.directory import Program
from tallystick.service.outliving import outliving

EVERY_S = 1.0
RETRY_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""When to try again, as Standard Webhooks suggests."""

JITTER = 0.2
"""By how much, up or down, an interval differs by chance: receivers that come back are not met by all at once."""

PROGRAMS_PAGE = 500


class Programs(Protocol):
    """The programs there are, in the order of their ids."""

    def programs(self, *, after: str, limit: int) -> list[Program]: ...


class Worker(ABC):
    """Does rounds on a thread and an event loop of its own; ``start`` begins them."""

    def __init__(
        self, name: str, store: Programs, *, forget_every_s: float, every_s: float = EVERY_S
    ) -> None:
        self._name = name
        self._log = logging.getLogger(f"tallystick.{name}")
        self._programs_of = store
        self._every_s = every_s
        self._forget_every_s = forget_every_s
        self._forgot_at = 0.0
        self._to_forget: set[ProgramId] = set()
        self._ending = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Work until ``close``."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name=self._name, daemon=True)
        self._thread.start()
        ready.wait()

    def close(self) -> None:
        """Stop; what is being sent is sent again by whoever comes next, unless it ends soon."""
        if self._thread is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()

    async def round(self) -> None:
        """Do what is due once; a program in which it fails keeps no other one waiting. Raises nothing."""
        with outliving(self._log, "the programs could not be read"):
            for program_id in await self._in_turn():
                with outliving(self._log, "a program was left out", program_id=program_id):
                    await self._see_to(program_id)

    @abstractmethod
    async def _see_to(self, program_id: ProgramId) -> None:
        """Do what is due in one program."""

    @abstractmethod
    def _forget(self, program_id: ProgramId) -> int:
        """Remove a page of what a program need not keep any longer; return how much that was."""

    @abstractmethod
    async def _end(self) -> None:
        """Let go of what is under way."""

    def _run(self, ready: threading.Event) -> None:
        async def work() -> None:
            self._loop = asyncio.get_running_loop()
            ready.set()
            try:
                while not self._ending.is_set():
                    await self.round()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._ending.wait(), self._every_s)
            finally:
                await self._end()

        asyncio.run(work())

    async def _in_turn(self) -> list[ProgramId]:
        """Return all programs; each ``forget_every_s`` there may be something old in any of them."""
        programs = await asyncio.to_thread(lambda: list(self._programs()))
        if time.monotonic() - self._forgot_at >= self._forget_every_s:
            self._forgot_at = time.monotonic()
            self._to_forget = set(programs)
        return programs

    async def _forget_some(self, program_id: ProgramId) -> None:
        """Remove a page of what is old, where there may be any: the next rounds go on, so nothing waits for long."""
        if program_id in self._to_forget:
            # Before, not after: one in which it fails waits until it is time again.
            self._to_forget.remove(program_id)
            if await asyncio.to_thread(self._forget, program_id):
                self._to_forget.add(program_id)

    def _programs(self) -> Iterable[ProgramId]:
        after = ""
        while page := self._programs_of.programs(after=after, limit=PROGRAMS_PAGE):
            after = page[-1].program_id
            yield from (program.program_id for program in page)


def wait_ms(tries: int, random_share: Callable[[], float] = random.random) -> Ms:
    """Return how long to wait after so many tries in vain before the last one."""
    interval_ms = 1000 * RETRY_S[min(tries, len(RETRY_S) - 1)]
    return Ms(round(interval_ms * (1 + JITTER * (2 * random_share() - 1))))
