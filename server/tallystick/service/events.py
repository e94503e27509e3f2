"""Events out of what exists: the journal's entries and the members' own changes, as messages for those who listen.

The journal is what the ledger seals anyway, so nothing is written twice on the hot path and nothing can be forgotten:
a process that dies is followed by another one from the same place. What has become of a member is kept with it, in the
transaction that queues its messages, so that no entry is told twice and of each member they are queued in order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.security.encoding import length_prefixed
from tallystick.service.changes import OVERLAP_MS
from tallystick.service.event_store import Event, EventPlace, EventStore, EventType, MemberNow, SeenMember
from tallystick.service.journal import entries_between
from tallystick.service.ports import LedgerReader

CHANGES_PAGE = 1_000
MEMBERS_AT_ONCE = 200
"""Most members whose events are queued in one transaction."""

ENTRIES_AT_ONCE = 1_000
"""About so many entries are queued in one transaction."""

MOVE_EVERY_MS = 60_000
"""How often the place moves although nothing happened: looking back over a quiet hour is cheap, over a year is not."""

KEPT_MS = 30 * 86_400_000
"""How long messages that were delivered or given up can be sent again."""

_ID_CHARS = 32

EntryData = Callable[[Entry, Ms], Mapping[str, Any]]
"""Makes the JSON of an entry, recorded at an instant, as the contract has it."""


class EventSource(EventStore, LedgerReader, Protocol):
    """What making events needs of a store."""


@dataclass(slots=True)
class _News:
    """What a round found of one member: new entries by number, and its own changes."""

    seqs: list[int] = field(default_factory=list)
    changed: bool = False


def here(store: LedgerReader, program_id: ProgramId, now_ms: Ms) -> EventPlace:
    """Return the place of this moment: what happens from now on lies behind it."""
    return EventPlace(store.read_journal_heads(program_id), now_ms, now_ms)


class EventFollower:
    """Makes events of one store's programs. Safe to use from several threads and processes at once."""

    def __init__(self, store: EventSource, *, entry_data: EntryData, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._entry_data = entry_data
        self._now_ms = now_ms

    def follow(self, program_id: ProgramId) -> int:
        """Queue messages of all that has happened since the last time; return how many events there were.

        Another process that is quicker leaves nothing to do.
        """
        place = self._store.event_place(program_id)
        if place is None:
            return 0
        now_ms = self._now_ms()
        # First the journal: a member is stored before its first entry, so whoever has an entry is found below.
        heads = self._store.read_journal_heads(program_id)
        news: dict[MemberId, _News] = {}
        for member_id, seq in entries_between(self._store, program_id, after=place.lanes, heads=heads):
            news.setdefault(member_id, _News()).seqs.append(seq)
        for member_id in self._changed(program_id, Ms(max(0, place.changed_ms - OVERLAP_MS))):
            news.setdefault(member_id, _News()).changed = True
        to = replace(place, lanes=heads, changed_ms=now_ms)
        return self._queue(program_id, news, place, to)

    def _changed(self, program_id: ProgramId, since: Ms) -> Iterable[MemberId]:
        after: tuple[Ms, str] | None = None
        while True:
            page = self._store.read_changed_members(program_id, since=since, after=after, limit=CHANGES_PAGE)
            yield from (member_id for _, member_id in page)
            if len(page) < CHANGES_PAGE:
                return
            after = page[-1]

    def _queue(
        self, program_id: ProgramId, news: Mapping[MemberId, _News], place: EventPlace, to: EventPlace
    ) -> int:
        """Queue the events, members together in one transaction after the other, and move the place with the last."""
        count, moves = 0, place.moves
        groups = list(_groups(news))
        for number, group in enumerate(groups, 1):
            events, seen = self._events(program_id, {one: news[one] for one in group}, place.began_ms)
            last = number == len(groups)
            if not events and not seen and not last:
                continue
            # Until the last one the place stands still: who goes on after us finds what is queued by the members.
            goal = replace(to if last else place, moves=moves)
            if last and not events and not seen and not _is_worth_moving(place, to):
                return count
            if not self._store.queue_events(program_id, events, seen, to=goal, now=self._now_ms()):
                return count
            moves += 1
            count += len(events)
        if not groups and _is_worth_moving(place, to):
            self._store.queue_events(program_id, (), (), to=to, now=self._now_ms())
        return count

    def _events(
        self, program_id: ProgramId, news: Mapping[MemberId, _News], began_ms: Ms
    ) -> tuple[list[Event], list[SeenMember]]:
        seen = self._store.seen_members(program_id, news)
        now = self._store.members_now(program_id, [one for one, found in news.items() if found.changed])
        fresh = {one: _fresh(found.seqs, seen.get(one)) for one, found in news.items()}
        entries = self._entries(program_id, fresh, seen)
        events: list[Event] = []
        told: list[SeenMember] = []
        for member_id in sorted(news):
            before = seen.get(member_id)
            # What changed before anybody listened is not told.
            unseen = SeenMember(member_id, changed_ms=Ms(began_ms - 1))
            maker = _Maker(program_id, before or unseen, self._entry_data)
            state = now.get(member_id)
            is_new = before is None and state is not None and state.made_ms >= began_ms
            if state is not None and is_new:
                maker.enrolled(state)
            for entry, recorded_ms in entries.get(member_id, ()):
                maker.entry(entry, recorded_ms, is_told=entry.seq in fresh[member_id])
            if state is not None:
                maker.changed(state)
            if maker.seen != before:
                told.append(maker.seen)
            events += maker.events
        return events, told

    def _entries(
        self,
        program_id: ProgramId,
        fresh: Mapping[MemberId, Sequence[int]],
        seen: Mapping[MemberId, SeenMember],
    ) -> dict[MemberId, list[tuple[Entry, Ms]]]:
        """Read the entries, and of a member seen for the first time the one before: it says the tier until then."""
        refs = [(member_id, seq) for member_id, seqs in fresh.items() for seq in seqs]
        for member_id, seqs in fresh.items():
            before = seen.get(member_id)
            if seqs and seqs[0] > 1 and (before is None or not before.seq):
                refs.append((member_id, seqs[0] - 1))
        found: dict[MemberId, list[tuple[Entry, Ms]]] = {}
        for start in range(0, len(refs), ENTRIES_AT_ONCE):
            part = refs[start : start + ENTRIES_AT_ONCE]
            for entry, recorded_ms in self._store.read_entries_named(program_id, part):
                found.setdefault(entry.member_id, []).append((entry, recorded_ms))
        for rows in found.values():
            rows.sort(key=lambda row: row[0].seq)
        return found


class _Maker:
    """Makes the events of one member in their order, and keeps what has become events."""

    def __init__(self, program_id: ProgramId, seen: SeenMember, entry_data: EntryData) -> None:
        self.events: list[Event] = []
        self.seen = seen
        self._program_id = program_id
        self._entry_data = entry_data

    def enrolled(self, state: MemberNow) -> None:
        """Tell of a member who is new; what the member is now is told with that."""
        self._add(EventType.MEMBER_ENROLLED, state.made_ms, state.made_ms, _member_data(state.member_id))
        gone = state.status is MemberStatus.ERASED
        self.seen = replace(self.seen, changed_ms=state.made_ms if gone else state.changed_ms)

    def entry(self, entry: Entry, recorded_ms: Ms, *, is_told: bool) -> None:
        """Tell of an entry and what it means; one that is not told only says which tier there was."""
        if is_told:
            data = self._entry_data(entry, recorded_ms)
            self._add(EventType.ENTRY_POSTED, entry.seq, recorded_ms, data)
            if entry.kind is EntryKind.HOLD_RELEASE:
                self._add(EventType.HOLD_EXPIRED, entry.seq, recorded_ms, data)
            if entry.tier_after != self.seen.tier_id:
                self._add(EventType.TIER_CHANGED, entry.seq, recorded_ms, self._tier_data(entry))
        self.seen = replace(self.seen, seq=entry.seq, tier_id=entry.tier_after)

    def changed(self, state: MemberNow) -> None:
        """Tell of what a member is now, where that is new."""
        if state.changed_ms <= self.seen.changed_ms:
            return
        kind, data = EventType.MEMBER_CHANGED, _member_data(state.member_id)
        if state.status is MemberStatus.ERASED:
            kind = EventType.MEMBER_ERASED
        else:
            data["blocked"] = state.status is MemberStatus.BLOCKED
        self._add(kind, state.changed_ms, state.changed_ms, data)
        self.seen = replace(self.seen, status=state.status, changed_ms=state.changed_ms)

    def _tier_data(self, entry: Entry) -> dict[str, Any]:
        return {
            **_member_data(entry.member_id),
            "tierId": entry.tier_after,
            "previousTierId": self.seen.tier_id,
            "seq": str(entry.seq),
        }

    def _add(self, kind: EventType, mark: int, at_ms: Ms, data: Mapping[str, Any]) -> None:
        self.events.append(event_of(self._program_id, self.seen.member_id, kind, str(mark), at_ms, data))


def event_of(
    program_id: ProgramId, member_id: MemberId, kind: EventType, mark: str, at_ms: Ms, data: Mapping[str, Any]
) -> Event:
    """Return the event of a member, a type and a mark; the same has the same id for ever, also when told again."""
    body = {"type": kind.value, "timestamp": instant_text(at_ms), "data": data}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    named = (program_id, member_id, kind.value, mark)
    digest = hashlib.sha256(length_prefixed([part.encode() for part in named])).hexdigest()
    return Event(f"evt_{digest[:_ID_CHARS]}", kind.value, member_id, at_ms, text)


def _fresh(seqs: Sequence[int], seen: SeenMember | None) -> list[int]:
    told = 0 if seen is None else seen.seq
    return sorted(seq for seq in set(seqs) if seq > told)


def _groups(news: Mapping[MemberId, _News]) -> Iterable[list[MemberId]]:
    group: list[MemberId] = []
    entries = 0
    for member_id in sorted(news):
        group.append(member_id)
        entries += len(news[member_id].seqs)
        if len(group) >= MEMBERS_AT_ONCE or entries >= ENTRIES_AT_ONCE:
            yield group
            group, entries = [], 0
    if group:
        yield group


def _is_worth_moving(place: EventPlace, to: EventPlace) -> bool:
    return dict(place.lanes) != dict(to.lanes) or to.changed_ms - place.changed_ms >= MOVE_EVERY_MS


def _member_data(member_id: MemberId) -> dict[str, Any]:
    return {"memberId": member_id}


def instant_text(at_ms: Ms) -> str:
    """Return an instant as messages tell it (RFC 3339)."""
    instant = Timestamp()
    instant.FromMilliseconds(at_ms)
    return instant.ToJsonString()
