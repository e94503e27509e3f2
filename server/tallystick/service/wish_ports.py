"""What the use cases around wish lists and open baskets need of a store. All of it goes when its member is erased."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record


class WantedKind(IntEnum):
    """Where a member has put what it wants and has not bought yet. The numbers are those of the storage."""

    WISH_LIST = 1
    BASKET = 2


@record(frozen=True, slots=True)
class Wanted:
    """A member's wish list, or its one open basket.

    ``ref`` is the shop's name for a basket. ``seen_ms`` is when the member changed it, ``reminded_ms`` when it was
    reminded of as it is (0: not yet). ``body`` is its content, JSON.
    """

    member_id: MemberId
    kind: WantedKind
    ref: str
    seen_ms: Ms
    body: str
    reminded_ms: Ms = Ms(0)


@record(frozen=True, slots=True)
class Reminded:
    """A reminder that a member was given; ``kind`` is the word of its event type."""

    kind: str
    dedup_key: str
    made_ms: Ms


class WishDirectory(Protocol):
    """Wish lists and open baskets. Every call is one short transaction of one program."""

    def put_wanted(self, program_id: ProgramId, wanted: Wanted) -> bool:
        """Keep it instead of the one before; False when that is as new or newer, or the same, and stays.

        Raises ``NotFound`` when the member is unknown or erased.
        """
        ...

    def wanted(self, program_id: ProgramId, member_id: MemberId, kind: WantedKind) -> Wanted | None: ...

    def forget_wanted(
        self, program_id: ProgramId, member_id: MemberId, kind: WantedKind, *, up_to: Ms
    ) -> bool:
        """Remove it if it was seen no later than that; False when there was nothing to remove."""
        ...

    def due_wanted(
        self,
        program_id: ProgramId,
        kind: WantedKind,
        *,
        before: Ms,
        after: tuple[Ms, str] | None,
        limit: int,
    ) -> list[Wanted]:
        """Return what was seen before an instant and not reminded of, by (``seen_ms``, ``member_id``)."""
        ...

    def note_reminded(
        self, program_id: ProgramId, wanted: Wanted, reminded: Reminded, *, since: Ms, most: int
    ) -> bool:
        """Note that it is reminded of, for the one who asks first.

        False when it has changed meanwhile, was reminded of, or its member was given ``most`` reminders since.
        """
        ...

    def unnote_reminded(self, program_id: ProgramId, wanted: Wanted, reminded: Reminded) -> None:
        """Undo that: nobody could be told."""
        ...

    def reminders(self, program_id: ProgramId, member_id: MemberId) -> list[Reminded]:
        """Return what is kept of the reminders that a member was given, oldest first."""
        ...

    def forget_wants(self, program_id: ProgramId, *, baskets_before: Ms, reminders_before: Ms) -> int:
        """Remove baskets last seen and reminders given before an instant; return how many."""
        ...
