"""What looking after fraud needs of a store: the review list, counters that all processes share, who is staff."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record

NOBODY = MemberId("")

STAFF_MAX = 500
"""Most cashiers of one store that are linked to members: as many as a store has cashiers."""


class ReviewState(IntEnum):
    """What became of a review. The numbers are those of the contract."""

    OPEN = 1
    RELEASED = 2
    REFUSED = 3


@record(frozen=True, slots=True)
class Review:
    """One thing for a person to look at; ``review_id`` is derived, so that the same finding is there once.

    ``member_id`` and ``other_id`` are whom it is about, or nobody. ``facts`` are figures and ids of devices and
    stores, never personal data. With ``holds`` something waits for the decision; ``held`` is a command as text where it
    is one, and ``asked_by`` the device that sent it. ``followed`` is whether what waited has gone on since.
    """

    review_id: str
    kind: str
    member_id: MemberId
    other_id: MemberId
    facts: Mapping[str, str]
    made_ms: Ms
    holds: bool = False
    asked_by: str = ""
    held: str = field(default="", repr=False)
    state: ReviewState = ReviewState.OPEN
    decided_ms: Ms = Ms(0)
    decided_by: str = ""
    note: str = ""
    followed: bool = False


@record(frozen=True, slots=True)
class StaffMember:
    """A member who works at a store, and the short name with which the person signs in there."""

    store_id: str
    cashier_id: str
    member_id: MemberId


@record(frozen=True, slots=True)
class WatchPlace:
    """Up to where the journal has been watched, lane by lane; ``moves`` tells two processes apart."""

    lanes: Mapping[int, int]
    moves: int = 0


class ReviewStore(Protocol):
    """Every call is one short transaction of one program. What is about a member goes when the member is erased."""

    def add_review(self, program_id: ProgramId, review: Review) -> Review | None:
        """Store a review, or return the one that is stored under its id. None when a member of it is gone."""
        ...

    def review(self, program_id: ProgramId, review_id: str) -> Review | None: ...

    def reviews(
        self,
        program_id: ProgramId,
        *,
        state: ReviewState | None,
        kind: str,
        before: tuple[Ms, str] | None,
        limit: int,
    ) -> list[Review]:
        """Return reviews, newest first by (made_ms, review_id); of all states with None, of all kinds with ""."""
        ...

    def reviews_of(self, program_id: ProgramId, member_id: MemberId, *, limit: int) -> list[Review]:
        """Return reviews that are about a member, newest first."""
        ...

    def decide_review(
        self, program_id: ProgramId, review_id: str, state: ReviewState, *, by: str, note: str, now: Ms
    ) -> Review | None:
        """Close an open review and return it as it is then; one that is closed stays as it was. None when unknown."""
        ...

    def reviews_to_follow(self, program_id: ProgramId, *, limit: int) -> list[Review]:
        """Return decided reviews behind which something waits that has not gone on, by id."""
        ...

    def review_followed(self, program_id: ProgramId, review_id: str) -> None:
        """Note that what waited has gone on or ended."""
        ...

    def forget_reviews(self, program_id: ProgramId, *, before: Ms) -> int:
        """Remove reviews that were decided before an instant and behind which nothing waits; return how many."""
        ...

    def count_watched(self, program_id: ProgramId, kind: str, subject: str, *, bucket: Ms) -> int:
        """Add one to a counter and return it: a bucket of time, a kind, and whom it is about."""
        ...

    def forget_watched(self, program_id: ProgramId, *, before: Ms) -> int:
        """Remove the counters of buckets before an instant; return how many."""
        ...

    def watch_place(self, program_id: ProgramId) -> WatchPlace | None: ...

    def move_watch_place(self, program_id: ProgramId, to: WatchPlace) -> bool:
        """Store the place; ``to.moves`` is that of the place that was read (0: none): False when it has moved since."""
        ...

    def put_staff(self, program_id: ProgramId, staff: StaffMember) -> bool:
        """Note which member a cashier is, instead of what was noted; nobody: forget it. False when the member is gone
        or the store has ``STAFF_MAX`` others.
        """
        ...

    def staff_of_store(self, program_id: ProgramId, store_id: str) -> list[StaffMember]:
        """Return a store's, by cashier_id."""
        ...

    def staff_among(self, program_id: ProgramId, member_ids: Collection[MemberId]) -> Sequence[StaffMember]:
        """Return in which stores members work."""
        ...
