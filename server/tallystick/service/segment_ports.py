"""What segments need of a store: goods of sales while a segment asks about them, and who is in which segment.

Both are about persons: they go when their member is erased.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from tallystick.core.entry import Entry
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.state import Account

MEMBERS_CHUNK = 500
"""How many members one transaction puts into a segment or out of it."""


@record(frozen=True, slots=True)
class Purchase:
    """The goods of one sale; ``goods`` is compact JSON: a (sku, brand, categories) for each line."""

    member_id: MemberId
    seq: int
    at_ms: Ms
    goods: str


@record(frozen=True, slots=True)
class SegmentCount:
    """How many members a segment had when that was last worked out."""

    segment_id: str
    members: int
    refreshed_ms: Ms


class LedgerText(Protocol):
    """A row of the ledger, whose detail is text still."""

    @property
    def entry(self) -> Entry: ...

    @property
    def detail_text(self) -> str: ...


class Books(Protocol):
    """One program at one instant, in the order of members."""

    def entry_count(self) -> int: ...

    def ledger(self) -> Iterable[LedgerText]: ...

    def accounts(self) -> Iterable[Account]: ...

    def purchases(self) -> Iterable[Purchase]: ...


class BooksSource(Protocol):
    """Where whole ledgers are read from."""

    def snapshot(self, program_id: ProgramId) -> AbstractContextManager[Books]: ...


Memberships = Mapping[tuple[MemberId, str], Ms]
"""When members came into the segments that they are in."""


class SegmentTransaction(Protocol):
    """The part of a transaction that is about segments; called only for coupons that are for one."""

    def memberships(
        self, members: Iterable[MemberId], segment_ids: Iterable[str]
    ) -> dict[tuple[MemberId, str], Ms]:
        """Return when members came into those of the segments that they are in."""
        ...


class SegmentReader(Protocol):
    """Reads that do not go through the lane."""

    def read_memberships(
        self, program_id: ProgramId, members: Sequence[MemberId], segment_ids: Sequence[str]
    ) -> dict[tuple[MemberId, str], Ms]:
        """Return when members came into those of the segments that they are in."""
        ...


class SegmentDirectory(Protocol):
    """Who is in which segment, and goods of one's own."""

    def segment_counts(self, program_id: ProgramId) -> dict[str, SegmentCount]:
        """Return what was last worked out, by segment."""
        ...

    def segment_members(
        self, program_id: ProgramId, segment_id: str, *, after: str, limit: int
    ) -> list[tuple[MemberId, Ms]]:
        """Return who is in a segment since when, by id, behind one."""
        ...

    def change_segment(
        self,
        program_id: ProgramId,
        segment_id: str,
        *,
        come: Sequence[MemberId],
        gone: Sequence[MemberId],
        now_ms: Ms,
    ) -> None:
        """Put members into a segment and out of it; who is in it stays since when they were, the erased stay out."""
        ...

    def segment_refreshed(self, program_id: ProgramId, segment_id: str, *, now_ms: Ms) -> SegmentCount:
        """Note that a segment has been worked out, and count its members."""
        ...

    def forget_segments(self, program_id: ProgramId, *, keep: Sequence[str]) -> int:
        """Delete segments that no rule set describes any more; return how many."""
        ...

    def forget_purchases(self, program_id: ProgramId, *, before_ms: Ms) -> int:
        """Delete goods of sales before an instant; return of how many sales."""
        ...

    def purchases_of(self, program_id: ProgramId, member_id: MemberId) -> list[Purchase]:
        """Return the goods of a member's sales as far as they are kept, oldest first."""
        ...

    def segments_of(self, program_id: ProgramId, member_id: MemberId) -> list[tuple[str, Ms]]:
        """Return the segments that a member is in, and since when, by id."""
        ...


class SegmentStore(SegmentReader, SegmentDirectory, BooksSource, Protocol):
    """All of it."""
