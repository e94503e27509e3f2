"""Deciding at a till because the gateway is away: the same functions, with other points available.

What a till has of a member is less than a ``MemberState``: no lots, no credits. It is enough to price a sale and to say
what a return takes and gives; posting is the gateway's.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.core.basket import Assurance, Basket, Origin
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.draft import Draft
from tallystick.core.entry import Detail, LineShare, Refused, ReturnedLine
from tallystick.core.ids import MemberId, Minor, Ms
from tallystick.core.limited import needs_gateway
from tallystick.core.lots import local_day
from tallystick.core.record import record
from tallystick.core.returns import return_effects
from tallystick.core.rules.membership import memberships_at, tally_of
from tallystick.core.rules.model import RuleSet
from tallystick.core.sale import price
from tallystick.core.state import Account, MemberState, MemberStatus, TierState

NOBODY = MemberId("")
"""Whose a sale without a member is."""


@record(frozen=True, slots=True)
class StandIn:
    """A sale as a till decides it. ``detail`` holds the line shares, explanations, rewards and tax totals."""

    earned_points: int
    burned_points: int
    discount_minor: Minor
    payable_minor: Minor
    detail: Detail


def stand_in_sale(
    rules: RuleSet,
    *,
    basket: Basket,
    origin: Origin,
    tier_id: str,
    memberships: Sequence[tuple[str, int]] = (),
    spend: Spend | None,
    reward_ids: Sequence[str],
    available: int,
    assurance: Assurance,
    counted: bool = False,
    away: bool = True,
    member_id: MemberId = NOBODY,
) -> StandIn | Refused:
    """Price a sale as the gateway would; ``available`` is the authority less what was burned of it.

    Rewards that are counted are refused, unless they are ``counted`` elsewhere: by the gateway, which is asked next, or
    which has issued a voucher for them. Rules with a budget give nothing while the gateway is ``away``; what is left of
    one is said by the gateway that is asked next. The member says which groups of experiments the sale is in; without
    one it is in none. ``memberships`` are those that the member has paid for, with the ordinals of their last days.
    What the sale counts towards challenges is for the gateway to say, and so is what that wins.
    """
    tallies = tuple(tally_of(*one) for one in memberships)
    tier = TierState(tier_id=tier_id)
    nobody = Account(member_id, MemberStatus.OPEN, Ms(0), tier=tier, tallies=tallies)
    priced = price(
        Draft(MemberState(nobody)),
        rules,
        basket,
        origin,
        spend=spend,
        reward_ids=reward_ids,
        available=available,
        assurance=assurance,
        away=away,
    )
    if isinstance(priced, Refused):
        return priced
    if not counted and (no := needs_gateway(rules, reward_ids)):
        return no
    discount = sum(priced.benefit.discounts)
    return StandIn(
        priced.accrual.points,
        priced.benefit.points,
        Minor(discount),
        priced.detail.payable_minor,
        priced.detail,
    )


def held_memberships(rules: RuleSet, memberships: Sequence[tuple[str, int]], at_ms: int) -> list[str]:
    """Return the memberships that hold at an instant, by id."""
    if not memberships:
        return []
    day = local_day(at_ms, rules.zone).toordinal()
    return sorted(memberships_at(rules.memberships, [tally_of(*one) for one in memberships], day))


@record(frozen=True, slots=True)
class ReturnPreview:
    """What a return takes back of what was earned, gives back of what was burned, and pays out."""

    taken_points: int
    restored_points: int
    refund_minor: Minor
    returned: tuple[ReturnedLine, ...]


def stand_in_return(
    lines: Sequence[LineShare], before: Sequence[Sequence[ReturnedLine]], asks: Sequence[ReturnLine]
) -> ReturnPreview | Refused:
    """Say what a return does to a sale whose line shares are known; ``before`` are its earlier returns."""
    effects = return_effects(lines, before, asks)
    if isinstance(effects, Refused):
        return effects
    due, returned = effects
    return ReturnPreview(due.earned, due.burned, Minor(due.amount - due.discount), returned)
