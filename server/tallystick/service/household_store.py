"""What households need of a store: which people share one account."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record


class Part(IntEnum):
    """What somebody is in a household. The numbers are those of the contract's ``HouseholdRole``."""

    HEAD = 1
    PERSON = 2
    ASKING = 3


@record(frozen=True, slots=True)
class Belonging:
    """A member's place in a household; ``since_ms`` is when the member joined or asked."""

    member_id: MemberId
    household_id: MemberId
    part: Part
    since_ms: Ms


@record(frozen=True, slots=True)
class Pool:
    """Spendable points on one account that belong on another: a person's, on the household's; those of a household that
    all have left, on the last one's. Both accounts are open.
    """

    from_member_id: MemberId
    to_member_id: MemberId
    points: int
    seq: int


class HouseholdStore(Protocol):
    """Every call is one short transaction of one program.

    Where scans and tills are told of members, the identifiers of an open member in a household count as the
    household's: see ``LedgerReader.read_till_members`` and ``household_accounts``.
    """

    def add_household(self, program_id: ProgramId, household_id: MemberId, head: Belonging) -> Belonging:
        """Make a household of its head, and return where the head belongs now: to an earlier one, if there is one.

        Raises ``NotFound`` when the head or the household's account is unknown or erased, and ``AlreadyExists`` for a
        household that somebody has made before, also when all have left it.
        """
        ...

    def belonging(self, program_id: ProgramId, member_id: MemberId) -> Belonging | None: ...

    def people(self, program_id: ProgramId, household_id: MemberId) -> list[Belonging]:
        """Return those who belong to a household or have asked to, the head first, then by (part, since, id)."""
        ...

    def invite(
        self, program_id: ProgramId, household_id: MemberId, code_hash: bytes, *, expires_ms: Ms
    ) -> bool:
        """Store a household's one invitation; False without such a household."""
        ...

    def ask_to_join(
        self, program_id: ProgramId, member_id: MemberId, code_hash: bytes, *, now: Ms
    ) -> Belonging | None:
        """Use up a live invitation and note who asks; None when there is none with that hash.

        A member who has asked elsewhere asks here instead; one who is in a household is returned as that. Raises
        ``NotFound`` when the member is unknown or erased.
        """
        ...

    def take_in(
        self, program_id: ProgramId, household_id: MemberId, member_id: MemberId, *, most: int, now: Ms
    ) -> Belonging | None:
        """Make a person of somebody who asks, and return the place; None when nobody asks, and when ``most`` are in or
        none is any more.
        """
        ...

    def take_out(self, program_id: ProgramId, household_id: MemberId, member_id: MemberId) -> bool:
        """Let a member belong to the household no more; False for one who does not, and for a head of others.

        The household keeps who has left it last.
        """
        ...

    def household_accounts(
        self, program_id: ProgramId, member_ids: Sequence[MemberId]
    ) -> dict[MemberId, MemberId]:
        """Return the household to whose account each member's scans lead; members without one are absent."""
        ...

    def people_of(
        self, program_id: ProgramId, household_ids: Sequence[MemberId]
    ) -> dict[MemberId, list[MemberId]]:
        """Return the open members of each household, by id; ids of which nobody is in a household are absent."""
        ...

    def pools(self, program_id: ProgramId, *, after: str, limit: int) -> list[Pool]:
        """Return what people in households have on accounts of their own, and what has reached a household after the
        last one has left it; by the id of the account that has the points, after one.
        """
        ...
