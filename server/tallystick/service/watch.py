"""Telling tills what has changed: a stream begins with what a till lacks and goes on with the news."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator

from tallystick.core.ids import Ms, ProgramId
from tallystick.security.key_dir import KeyDir
from tallystick.service.changes import ChangeLog, Cursors, WatchStore
from tallystick.service.errors import TallystickError
from tallystick.service.follower import Feed, Follower, SetBack
from tallystick.service.member_states import Grants
from tallystick.service.reads import ReadPool
from tallystick.service.rulebook import RuleBook
from tallystick.service.signed import Signer
from tallystick.service.store_news import ProgramShelf, StoreShelf
from tallystick.service.watch_session import Session, StoreView
from tallystick.v1 import store_pb2 as pb

HEARTBEAT_S = 15.0
"""Longest time between two signed anchors of a stream."""

CATCH_UPS_MAX = 2
"""Most streams that read what they lack at one time: the other threads of the pool are for everybody else."""

FOLLOW_EVERY_S = 0.25
FOLLOW_APART_S = 0.05
"""Shortest pause between two looks at the journal, however often this process commits."""

log = logging.getLogger(__name__)


class Watch:
    """The streams of one process. Nothing runs while nobody watches."""

    def __init__(
        self,
        store: WatchStore,
        rulebook: RuleBook,
        pool: ReadPool,
        signer: Signer,
        *,
        keys: Callable[[], KeyDir],
        now_ms: Callable[[], Ms],
        region: str,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._pool = pool
        self._signer = signer
        self._keys = keys
        self._now_ms = now_ms
        self._region = region
        self._cursors = Cursors(lambda: keys().tag_key)
        self._grants = Grants(signer)
        self._lock = threading.Lock()
        self._programs: weakref.WeakValueDictionary[ProgramId, ProgramShelf] = weakref.WeakValueDictionary()
        self._views: weakref.WeakValueDictionary[tuple[ProgramId, str], StoreView] = (
            weakref.WeakValueDictionary()
        )
        self._followers: dict[ProgramId, Follower] = {}
        self._following: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(CATCH_UPS_MAX)
        self._bell = _Bell()

    def catch_up(
        self, program_id: ProgramId, store_id: str, till_id: str, request: pb.WatchRequest
    ) -> Iterator[pb.WatchResponse]:
        """Yield what a till lacks at this moment: the beginning of every stream, without waiting for more.

        Raises ``StoreUnavailable``.
        """
        return Session(self._view(program_id, store_id), till_id).begin(request)

    async def stream(
        self, program_id: ProgramId, store_id: str, till_id: str, request: pb.WatchRequest
    ) -> AsyncGenerator[pb.WatchResponse, None]:
        """Yield what a till lacks, then whatever happens, until the caller stops.

        A heartbeat comes at least every ``HEARTBEAT_S``. Raises ``StoreUnavailable``, and ``Overloaded`` when the till
        reads too slowly.
        """
        session = Session(self._view(program_id, store_id), till_id)
        beat_at = time.monotonic() + HEARTBEAT_S
        beginning = session.begin(request)
        while True:
            # Taken for one piece at a time: a till that reads slowly does not keep it.
            async with self._room:
                response = await self._pool.run(next, beginning, None)
            if response is None:
                break
            yield response
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + HEARTBEAT_S
                yield session.heartbeat()
        feed = Feed(session)
        follower = self._enter(program_id)
        try:
            for response in await self._pool.run(follower.join, feed):
                yield response
            while True:
                response = await feed.get(max(0.0, beat_at - time.monotonic()))
                if response is not None:
                    session.cursor = response.cursor
                    yield response
                if time.monotonic() >= beat_at:
                    beat_at = time.monotonic() + HEARTBEAT_S
                    yield session.heartbeat()
        finally:
            follower.leave(feed)
            self._exit(program_id, follower)

    def wake(self) -> None:
        """Look at the journal now; from any thread, and cheap when nobody watches."""
        self._bell.ring()

    def _view(self, program_id: ProgramId, store_id: str) -> StoreView:
        with self._lock:
            view = self._views.get((program_id, store_id))
            if view is None:
                shelf = StoreShelf(
                    self._store, self._program(program_id), store_id, signer=self._signer, keys=self._keys
                )
                view = self._views[program_id, store_id] = StoreView(
                    self._store,
                    ChangeLog(self._store, program_id, now_ms=self._now_ms),
                    shelf,
                    self._cursors,
                    self._grants,
                    self._signer,
                    self._now_ms,
                )
            return view

    def _program(self, program_id: ProgramId) -> ProgramShelf:
        shelf = self._programs.get(program_id)
        if shelf is None:
            shelf = self._programs[program_id] = ProgramShelf(
                self._store,
                self._rulebook,
                program_id,
                signer=self._signer,
                keys=self._keys,
                now_ms=self._now_ms,
                region=self._region,
            )
        return shelf

    def _enter(self, program_id: ProgramId) -> Follower:
        follower = self._followers.get(program_id)
        if follower is None:
            log_ = ChangeLog(self._store, program_id, now_ms=self._now_ms)
            follower = self._followers[program_id] = Follower(log_)
        follower.users += 1
        if self._following is None:
            self._bell.hang(asyncio.get_running_loop())
            self._following = asyncio.create_task(self._follow(), name="watch")
        return follower

    def _exit(self, program_id: ProgramId, follower: Follower) -> None:
        follower.users -= 1
        if not follower.users:
            del self._followers[program_id]
        if not self._followers and self._following is not None:
            self._bell.take_down()
            self._following.cancel()
            self._following = None

    async def _follow(self) -> None:
        """Step all followers again and again, at most half of the time, until nobody watches."""
        while True:
            began = time.monotonic()
            more = False
            for program_id, follower in list(self._followers.items()):
                more |= await self._step(program_id, follower)
            took_s = time.monotonic() - began
            await asyncio.sleep(max(FOLLOW_APART_S, took_s))
            if not more:
                await self._bell.wait(FOLLOW_EVERY_S - FOLLOW_APART_S)

    async def _step(self, program_id: ProgramId, follower: Follower) -> bool:
        try:
            deliveries, more = await self._pool.run(follower.step)
        except SetBack as error:
            log.warning("the database was set back; tills begin anew", extra={"program_id": program_id})
            _end(follower, error)
            return False
        except TallystickError as error:
            # Nothing was handed out and nothing is lost: the next step reads the same again.
            log.warning("the journal could not be read", extra={"reason": error.reason})
            return False
        except Exception as error:
            log.exception("the journal could not be followed", extra={"program_id": program_id})
            _end(follower, error)
            return False
        for feed, responses in deliveries:
            feed.put(responses)
        return more


def _end(follower: Follower, error: Exception) -> None:
    for feed in follower.feeds:
        feed.fail(error)
        follower.leave(feed)


class _Bell:
    """Wakes the event loop from other threads; while it is not hung up, ringing it does nothing."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung = asyncio.Event()
        self._ringing = False

    def hang(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rung = asyncio.Event()
        self._ringing = False

    def take_down(self) -> None:
        self._loop = None

    def ring(self) -> None:
        loop = self._loop
        if loop is None or self._ringing:
            return
        self._ringing = True
        try:
            loop.call_soon_threadsafe(self._rung.set)
        except RuntimeError:
            # The loop was closed: nobody watches any more.
            self._ringing = False

    async def wait(self, most_s: float) -> None:
        """Return when it was rung, or after a while."""
        try:
            async with asyncio.timeout(most_s):
                await self._rung.wait()
        except TimeoutError:
            return
        finally:
            self._rung.clear()
            self._ringing = False
