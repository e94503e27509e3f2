"""Which members have changed since a place in a program's journal, and that place as a cursor for tills."""

from __future__ import annotations

import hmac
import struct
import uuid
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Protocol

from tallystick.core.chain import REF_BYTES
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.security.encoding import length_prefixed
from tallystick.service.directory import Directory
from tallystick.service.ports import LedgerReader

JOURNAL_PAGE = 100
ROUND_MAX = 5_000
"""About so many changes are read in one round, so that what is held at once stays small."""

BEHIND_MAX = 200_000
"""Most entries that somebody may be behind before a whole snapshot is the shorter way."""

OVERLAP_MS = 10_000
"""Members' changes bear the clock of the process that made them, and appear once committed: so far is looked back."""

CURSOR_BYTES_MAX = 4_096

_FORMAT = 2
_TAG_BYTES = 16
_PURPOSE = b"tallystick watch cursor v1"
_CHANGED = struct.Struct(">Q")
_MARK_BYTES = 8
_LANE = struct.Struct(f">IQ{_MARK_BYTES}s")
_HEAD_BYTES = 1 + _TAG_BYTES + _CHANGED.size
_UUID_BYTES = 16


class WatchStore(LedgerReader, Directory, Protocol):
    """What watching needs of a store."""


@record(frozen=True, slots=True)
class Place:
    """How far somebody has seen: the last journal row of each lane, and the instant up to which members' own changes
    (status, identifiers) were looked for.

    ``marks`` are the first bytes of those rows' hashes: a database that was set back may hold others at their numbers.
    A place that is kept in the database itself needs none.
    """

    lanes: Mapping[int, int]
    changed_ms: Ms
    marks: Mapping[int, bytes] = field(default_factory=dict)


@record(frozen=True, slots=True)
class Changes:
    """The members that have changed up to a place: by ``entries`` entries, and by (instant, member) in themselves.

    ``more`` says that there is more behind the place.
    """

    by_entries: frozenset[MemberId]
    by_themselves: tuple[tuple[Ms, MemberId], ...]
    entries: int
    place: Place
    more: bool


class ChangeLog:
    """Reads one program's changes."""

    def __init__(self, store: WatchStore, program_id: ProgramId, *, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._program_id = program_id
        self._now_ms = now_ms

    def here(self) -> Place:
        """Return the place of this moment: whatever is read afterwards has all that came before it."""
        now_ms = self._now_ms()
        return self._moved(Place({}, now_ms), self._store.read_journal_heads(self._program_id))

    def reaches(self, place: Place) -> bool:
        """Return whether it is worth reading on from a place: it is of this journal, and not too far behind."""
        if self.lost(place):
            return False
        heads = self._store.read_journal_heads(self._program_id)
        return sum(heads.values()) - sum(place.lanes.values()) <= BEHIND_MAX

    def lost(self, place: Place) -> bool:
        """Return whether the journal does not lead through a place: the database was set back to an earlier instant."""
        found = self._marks(place.lanes)
        return any(
            lane_id not in found or place.marks.get(lane_id, found[lane_id]) != found[lane_id]
            for lane_id in place.lanes
        )

    def since(self, place: Place) -> Changes:
        """Return the next round of what has changed since a place."""
        now_ms = self._now_ms()
        lanes = dict(place.lanes)
        found: set[bytes] = set()
        count, more = 0, True
        while more and count < ROUND_MAX:
            rows = self._store.read_journal(self._program_id, after=lanes, limit=JOURNAL_PAGE)
            for lane_id, lane_seq, payload in rows:
                lanes[lane_id] = lane_seq
                found.update(payload[at : at + _UUID_BYTES] for at in range(0, len(payload), REF_BYTES))
                count += len(payload) // REF_BYTES
            more = len(rows) == JOURNAL_PAGE
        by_entries = frozenset(MemberId(str(uuid.UUID(bytes=raw))) for raw in found)
        to = self._moved(place, lanes)
        if more:
            return Changes(by_entries, (), count, to, True)
        changed, seen_ms = self._changed_since(Ms(max(0, place.changed_ms - OVERLAP_MS)), now_ms)
        return Changes(by_entries, tuple(changed), count, replace(to, changed_ms=seen_ms), seen_ms < now_ms)

    def _moved(self, place: Place, lanes: Mapping[int, int]) -> Place:
        marks = self._marks(
            {lane_id: seq for lane_id, seq in lanes.items() if seq != place.lanes.get(lane_id)}
        )
        # A lane that has lost that row meanwhile stays where it was, and is found to be lost there or read again.
        moved = {lane_id: lanes[lane_id] for lane_id in marks}
        return Place({**place.lanes, **moved}, place.changed_ms, {**place.marks, **marks})

    def _marks(self, lanes: Mapping[int, int]) -> dict[int, bytes]:
        hashes = self._store.read_journal_hashes(self._program_id, lanes) if lanes else {}
        return {lane_id: row_hash[:_MARK_BYTES] for lane_id, row_hash in hashes.items()}

    def _changed_since(self, since: Ms, now_ms: Ms) -> tuple[list[tuple[Ms, MemberId]], Ms]:
        """Members changed since an instant, about a round of them, and up to when that is all of them."""
        found: list[tuple[Ms, MemberId]] = []
        while True:
            page = self._store.read_changed_members(
                self._program_id, since=since, after=found[-1] if found else None, limit=ROUND_MAX
            )
            found += page
            if len(page) < ROUND_MAX:
                return found, now_ms
            # What is read next begins an overlap before this: it must lie behind the instant that this began with.
            seen_ms = Ms(found[-1][0] + OVERLAP_MS)
            if found[-1][0] > since and seen_ms < now_ms:
                return found, seen_ms


class Cursors:
    """Places as texts that only the store of a program takes back; one that was touched is nobody's."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = key

    def make(self, program_id: ProgramId, store_id: str, place: Place) -> bytes:
        """Return the cursor of a place."""
        lanes = b"".join(
            _LANE.pack(lane_id, seq, place.marks[lane_id]) for lane_id, seq in sorted(place.lanes.items())
        )
        payload = _CHANGED.pack(place.changed_ms) + lanes
        cursor = bytes([_FORMAT]) + self._tag(program_id, store_id, payload) + payload
        assert len(cursor) <= CURSOR_BYTES_MAX, "a database has far fewer lanes"
        return cursor

    def read(self, program_id: ProgramId, store_id: str, cursor: bytes) -> Place | None:
        """Return the place of a cursor; None for one that is not of this store, this program and these keys."""
        if len(cursor) < _HEAD_BYTES or cursor[0] != _FORMAT:
            return None
        tag, payload = cursor[1 : 1 + _TAG_BYTES], cursor[1 + _TAG_BYTES :]
        if not hmac.compare_digest(tag, self._tag(program_id, store_id, payload)):
            return None
        (changed_ms,) = _CHANGED.unpack_from(payload)
        rows = list(_LANE.iter_unpack(payload[_CHANGED.size :]))
        lanes = {lane_id: seq for lane_id, seq, _ in rows}
        return Place(lanes, Ms(changed_ms), {lane_id: mark for lane_id, _, mark in rows})

    def _tag(self, program_id: ProgramId, store_id: str, payload: bytes) -> bytes:
        message = length_prefixed((_PURPOSE, program_id.encode(), store_id.encode(), payload))
        return hmac.digest(self._key(), message, "sha256")[:_TAG_BYTES]
