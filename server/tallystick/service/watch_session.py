"""One till's catching up: what it is told from its cursor to now, piece by piece, without threads or waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.changes import BEHIND_MAX, ChangeLog, Changes, Cursors, Place, WatchStore
from tallystick.service.member_states import MEMBERS_MAX, Grants, in_messages, member_states
from tallystick.service.ports import TillMember
from tallystick.service.signed import Signer
from tallystick.service.store_news import StoreShelf
from tallystick.v1 import store_pb2 as pb

PROTOCOL = 1


@dataclass(frozen=True, eq=False)
class StoreView:
    """What the streams of one store share. (Not slotted: it is referred to weakly.)"""

    store: WatchStore
    log: ChangeLog
    shelf: StoreShelf
    cursors: Cursors
    grants: Grants
    signer: Signer
    now_ms: Callable[[], Ms]

    @property
    def program_id(self) -> ProgramId:
        """The program of the store."""
        return self.shelf.program.program_id

    def cursor(self, place: Place) -> bytes:
        """Return the cursor of a place for tills of this store."""
        return self.cursors.make(self.program_id, self.shelf.store_id, place)

    def states(self, members: Sequence[TillMember]) -> list[pb.MemberState]:
        """Return what tills are told of members; a tier that is new is looked up first."""
        program = self.shelf.program
        if any(member.tier_id and member.tier_id not in program.tier_numbers for member in members):
            self.shelf.refresh(at_once=True)
        return member_states(
            members,
            program_id=self.program_id,
            store_key=self.shelf.store_key,
            tier_numbers=program.tier_numbers,
            grants=self.grants,
            now_ms=self.now_ms(),
        )

    def news_of(self, changed: set[MemberId], *, before: bytes, place: Place) -> list[pb.WatchResponse]:
        """Return the members that have changed as messages; with the last one a till is at ``place``."""
        wanted = sorted(changed)
        responses = []
        for start in range(0, len(wanted), MEMBERS_MAX):
            chunk = wanted[start : start + MEMBERS_MAX]
            found = self.store.read_till_members(self.program_id, chunk, store_id=self.shelf.store_id)
            for piece in in_messages(self.states(found)):
                news = pb.MemberNews(members=piece)
                responses.append(pb.WatchResponse(cursor=before, protocol=PROTOCOL, members=news))
        if responses:
            responses[-1].cursor = self.cursor(place)
        return responses


class Session:
    """Where one till is.

    ``place`` is None while it has nothing, ``cursor`` the last one that it was given, and ``digest`` that of what it
    knows of its store.
    """

    def __init__(self, view: StoreView, till_id: str) -> None:
        self.view = view
        self.till_id = till_id
        self.place: Place | None = None
        self.cursor = b""
        self.digest = b""

    def begin(self, request: pb.WatchRequest) -> Iterator[pb.WatchResponse]:
        """Yield what the till lacks: its store's news and the time, then everything or what has changed since.

        What is yielded must be read to the end before the session goes on elsewhere. Raises ``StoreUnavailable``.
        """
        view = self.view
        view.shelf.refresh()
        place = view.cursors.read(view.program_id, view.shelf.store_id, request.cursor)
        if place is not None and view.log.reaches(place):
            self.place, self.cursor = place, request.cursor
        yield from self.store_news()
        yield self.heartbeat()
        entries, more = 0, True
        while more:
            if self.place is None or entries > BEHIND_MAX:
                yield from self._snapshot()
                entries = 0
            assert self.place is not None, "a snapshot leads to a place"
            changes = view.log.since(self.place)
            entries += changes.entries
            more = changes.more
            yield from self.take(changes)

    def take(self, changes: Changes) -> Iterator[pb.WatchResponse]:
        """Yield changes since the session's place, and move there."""
        changed = {*changes.by_entries, *(member_id for _, member_id in changes.by_themselves)}
        responses = self.view.news_of(changed, before=self.cursor, place=changes.place)
        # Before the members: they may be in a tier that the till has not heard of.
        yield from self.store_news()
        for response in responses:
            self.cursor = response.cursor
            yield response
        self.place = changes.place

    def store_news(self, *, cursor: bytes | None = None) -> Iterator[pb.WatchResponse]:
        """Yield the store's news when they are not those that the till knows; with a ``cursor`` other than its own."""
        told = self.view.shelf.told(self.till_id)
        if told.digest != self.digest:
            self.digest = told.digest
            at = self.cursor if cursor is None else cursor
            yield pb.WatchResponse(cursor=at, protocol=PROTOCOL, store=told.news)

    def heartbeat(self) -> pb.WatchResponse:
        """Return the gateway's time."""
        beat = pb.Heartbeat(anchor=self.view.signer.anchor(self.till_id))
        return pb.WatchResponse(cursor=self.cursor, protocol=PROTOCOL, heartbeat=beat)

    def _snapshot(self) -> Iterator[pb.WatchResponse]:
        """Yield all members. The place is noted before the first page: what changes meanwhile is told afterwards."""
        view = self.view
        here = view.log.here()
        self.place, self.cursor = None, b""
        after, total, first, last = "", 0, True, False
        while not last:
            page = view.store.read_till_member_page(
                view.program_id, store_id=view.shelf.store_id, after=after, limit=MEMBERS_MAX
            )
            pieces = list(in_messages(view.states(page)))
            yield from self.store_news()
            for number, piece in enumerate(pieces, 1):
                last = len(page) < MEMBERS_MAX and number == len(pieces)
                total += len(piece)
                part = pb.SnapshotPart(first=first, last=last, total=total, members=piece)
                first = False
                if last:
                    self.cursor = view.cursor(here)
                yield pb.WatchResponse(cursor=self.cursor, protocol=PROTOCOL, snapshot=part)
            after = page[-1].member_id if page else after
        self.place = here
