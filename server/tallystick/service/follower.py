"""Follows one program's journal for all streams of this process, and hands each what its till has to hear."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable

from tallystick.core.ids import MemberId, Ms
from tallystick.core.state import MemberStatus
from tallystick.service.changes import ChangeLog, Changes, Place
from tallystick.service.errors import Overloaded, StoreUnavailable
from tallystick.service.member_states import MEMBERS_MAX
from tallystick.service.watch_session import Session, StoreView
from tallystick.v1 import store_pb2 as pb

WAITING_MAX = 256
WAITING_BYTES_MAX = 1_048_576
"""Most that waits for one till; a till that reads slower is let go and comes back with its cursor."""


class Feed:
    """What waits to be written to one stream. Everything but ``session`` is the event loop's.

    ``ended`` is set for good when the stream has.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.ended = False
        self._waiting: deque[pb.WatchResponse] = deque()
        self._bytes = 0
        self._error: Exception | None = None
        self._bell = asyncio.Event()

    def put(self, responses: Iterable[pb.WatchResponse]) -> None:
        """Let responses wait; when that is too much, the stream fails."""
        for response in responses:
            size = response.ByteSize()
            full = len(self._waiting) >= WAITING_MAX or self._bytes + size > WAITING_BYTES_MAX
            if self._waiting and full:
                self.fail(Overloaded("The till reads too slowly.", mend="Come back with the last cursor."))
                return
            self._waiting.append(response)
            self._bytes += size
        self._bell.set()

    def fail(self, error: Exception) -> None:
        """Make the stream end with an error; what waits is dropped."""
        self._waiting.clear()
        self._bytes = 0
        self._error = error
        self._bell.set()

    async def get(self, wait_s: float) -> pb.WatchResponse | None:
        """Return the next response, None when there is none in time. Raises what the stream failed with."""
        if not self._waiting and self._error is None:
            try:
                async with asyncio.timeout(wait_s):
                    await self._bell.wait()
            except TimeoutError:
                return None
        if self._error is not None:
            raise self._error
        response = self._waiting.popleft()
        self._bytes -= response.ByteSize()
        if not self._waiting:
            self._bell.clear()
        return response


class SetBack(StoreUnavailable):
    """The database was set back to an earlier instant: what was told since may no longer be so."""


RECHECK_MS = 1_000
"""How long a change of a member may be followed by another one that bears the same instant."""

_Change = tuple[Ms, MemberId]
_Looks = tuple[MemberStatus, tuple[bytes, ...]]

Delivery = tuple[Feed, list[pb.WatchResponse]]


class Follower:
    """Reads the journal once for all streams of a program.

    ``step`` and ``join`` block and run on threads, one at a time. ``users`` counts the streams that want to join or
    have joined; it belongs to the event loop.
    """

    def __init__(self, log: ChangeLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._feeds: set[Feed] = set()
        self._place: Place | None = None
        self._seen: dict[_Change, _Looks] = {}
        self.users = 0

    @property
    def feeds(self) -> list[Feed]:
        """The streams that have joined."""
        return list(self._feeds)

    def join(self, feed: Feed) -> list[pb.WatchResponse]:
        """Take a stream in, and return what it lacks until then.

        No step runs meanwhile, so the stream is at least where the follower is, and whatever a step tells it later
        was read later: no till is told an older state last.
        """
        with self._lock:
            session = feed.session
            responses: list[pb.WatchResponse] = []
            more = True
            while more:
                assert session.place is not None, "a session joins when it has caught up"
                changes = self._log.since(session.place)
                more = changes.more
                responses += session.take(changes)
            if not self._feeds:
                self._place = session.place
            self._feeds.add(feed)
            # Looked at after it was added, as it is set before it is taken out: a stream that ended meanwhile, on the
            # event loop, would be followed for ever.
            if feed.ended:
                self._feeds.discard(feed)
            return responses

    def leave(self, feed: Feed) -> None:
        """Forget a stream, for good: also one that is just joining."""
        feed.ended = True
        self._feeds.discard(feed)

    def step(self) -> tuple[list[Delivery], bool]:
        """Return what is new for each stream, and whether there is more.

        Raises ``StoreUnavailable``: step again; and ``SetBack``: every stream has to begin anew.
        """
        with self._lock:
            feeds = list(self._feeds)
            if not feeds or self._place is None:
                return [], False
            if self._log.lost(self._place):
                raise SetBack(mend="Come back with the last cursor.")
            changes = self._log.since(self._place)
            changed, seen = self._changed(changes, feeds[0].session.view)
            by_view: dict[StoreView, list[Feed]] = {}
            for feed in feeds:
                by_view.setdefault(feed.session.view, []).append(feed)
            # All is read before anything is handed out: a step that fails is done again as a whole.
            before = {view: view.cursor(self._place) for view in by_view}
            news = {}
            for view in by_view:
                view.shelf.refresh()
                news[view] = view.news_of(changed, before=before[view], place=changes.place)
            deliveries: list[Delivery] = []
            for view, of_store in by_view.items():
                for feed in of_store:
                    # Not the session's cursor: that is of what was written, and more may wait already.
                    responses = [*feed.session.store_news(cursor=before[view]), *news[view]]
                    if responses:
                        deliveries.append((feed, responses))
            self._place = changes.place
            self._seen = self._seen | seen if changes.more else seen
            return deliveries, changes.more

    def _changed(self, changes: Changes, view: StoreView) -> tuple[set[MemberId], dict[_Change, _Looks]]:
        """The members to tell of, and how those look that changed in themselves.

        The overlap shows each of these again and again; the first time was enough, unless the member looks different:
        a second change may bear the same instant.
        """
        assert self._place is not None, "a step begins somewhere"
        settled_ms = self._place.changed_ms - RECHECK_MS
        changed = set(changes.by_entries)
        seen = {one: self._seen[one] for one in changes.by_themselves if one in self._seen}
        open_ = sorted({one[1] for one in changes.by_themselves if one not in seen or one[0] >= settled_ms})
        looks: dict[MemberId, _Looks] = {}
        for start in range(0, len(open_), MEMBERS_MAX):
            chunk = open_[start : start + MEMBERS_MAX]
            found = view.store.read_till_members(view.program_id, chunk, store_id=view.shelf.store_id)
            looks.update({member.member_id: (member.status, member.scan_tags) for member in found})
        for one in changes.by_themselves:
            now = looks.get(one[1])
            if now is not None and seen.get(one) != now:
                seen[one] = now
                changed.add(one[1])
        return changed, seen
