"""What the use cases around recommendations need of a store. Who knows whom goes when one of the two is erased."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import NamedTuple, Protocol

from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId, derived_id
from tallystick.core.record import record

NO_SALE = CommandId("")


class ReferralState(IntEnum):
    """What became of a recommendation. The first three wait for something; the others are ends, but for HELD.

    NOTED waits for a purchase, BOUGHT for the end of its return window, PAYING for the ledger's answers, HELD for a
    person. LAPSED came too late, REFUSED was refused by a person or by the referrer's limit.
    """

    NOTED = 1
    BOUGHT = 2
    PAYING = 3
    PAID = 4
    LAPSED = 5
    HELD = 6
    REFUSED = 7


REFERRAL = "referral"
"""The kind of review, the reason in the ledger, and the code of the explanation."""

WAITING = (ReferralState.NOTED, ReferralState.BOUGHT, ReferralState.PAYING)
STILL_OPEN = (*WAITING, ReferralState.HELD)


@record(frozen=True, slots=True)
class Referral:
    """A member who joined because another one recommended the program, and what became of that.

    ``sale_id`` is the purchase that counts. Time changes something at ``due_ms``; entries of the joiner up to
    ``seen_seq`` have been looked at. ``changed_ms`` is when the state was reached. ``reason`` says why it is held or
    has ended, and ``cleared`` that a person has released it. The points are what each was promised when the state
    became PAYING, and has been paid when it is PAID. ``moves`` counts changes.
    """

    member_id: MemberId
    referrer_id: MemberId
    noted_ms: Ms
    state: ReferralState = ReferralState.NOTED
    sale_id: CommandId = NO_SALE
    due_ms: Ms = Ms(0)
    seen_seq: int = 0
    changed_ms: Ms = Ms(0)
    reason: str = ""
    cleared: bool = False
    referrer_points: int = 0
    joiner_points: int = 0
    moves: int = 0


class Room(NamedTuple):
    """How many pay-outs a referrer may have: ``most`` since an instant."""

    since_ms: Ms
    most: int


def pay_id(joiner_id: MemberId, side: str) -> CommandId:
    """Return the id of the command that pays the "referrer" or the "joiner"."""
    return derived_id(joiner_id, REFERRAL, side)


class ReferralSums(NamedTuple):
    """What came of a referrer's recommendations: how many joined, wait and were paid, and the points of those."""

    joined: int = 0
    waiting: int = 0
    paid: int = 0
    points: int = 0


class ReferralDirectory(Protocol):
    """Recommendations. Every call is one short transaction of one program."""

    def add_referral(self, program_id: ProgramId, referral: Referral) -> bool:
        """Note who recommended a member: once, and never again. False when it was noted before.

        False also when one of the two is unknown or erased.
        """
        ...

    def referral(self, program_id: ProgramId, member_id: MemberId) -> Referral | None:
        """Return by whom a member came."""
        ...

    def count_referrals(self, program_id: ProgramId, referrer_id: MemberId, *, since: Ms, until: Ms) -> int:
        """Return how many new members were noted for a referrer from an instant on and before another."""
        ...

    def referral_sums(self, program_id: ProgramId, referrer_id: MemberId) -> ReferralSums:
        """Return what came of a referrer's recommendations."""
        ...

    def referrals_due(
        self,
        program_id: ProgramId,
        states: Collection[ReferralState],
        *,
        now: Ms,
        after: MemberId | None,
        limit: int,
    ) -> list[Referral]:
        """Return referrals in some of the waiting states of which there is something to look at, by the joiner's id.

        Those whose ``due_ms`` has come, and noted ones whose joiner has entries behind ``seen_seq``.
        """
        ...

    def move_referral(
        self, program_id: ProgramId, to: Referral, *, room: Room | None = None
    ) -> Referral | None:
        """Store what a referral has become and return it; ``to.moves`` is that of the one that was read.

        None, and nothing stored, when it has moved since, is gone, or the referrer has no ``room``: as many paid or
        being paid as there may be.
        """
        ...
