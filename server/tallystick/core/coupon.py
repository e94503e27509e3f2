"""Coupons that a command names: may they be used, and which rules do they stand for?

What is known of each, how often it was used and whether another hold has it, is looked up under lock by whoever asks
for the decision and comes in as data: the decision itself looks nothing up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tallystick.core.entry import Refusal, Refused, refused
from tallystick.core.rules.coupon import find_coupon
from tallystick.core.rules.match import ANY_SALE, Moment, holds_at
from tallystick.core.rules.model import Condition, Coupon, RuleSet

COUPONS_OF_COMMAND_MAX = 5


@dataclass(frozen=True, slots=True)
class CouponUse:
    """What is known of one coupon that a command names, in the order in which it names them.

    ``coupon_id`` is empty for a code that nobody has, or another member. ``token`` is that of a unique code. ``ended``
    says that the code was revoked, ``taken`` that a sale has used it or another hold reserves it. ``by_member`` and
    ``in_all`` count the uses of all codes of the coupon, open reservations included, those of the captured hold not.
    ``reserved`` says that the hold being captured still has it.
    """

    coupon_id: str = ""
    token: str = ""
    ended: bool = False
    taken: bool = False
    by_member: int = 0
    in_all: int = 0
    reserved: bool = False


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A coupon that may be used, with the token of the unique code that stands for it."""

    coupon: Coupon
    token: str = ""


def choose_coupons(
    rules: RuleSet, uses: Sequence[CouponUse], moment: Moment
) -> tuple[Redeemed, ...] | Refused:
    """Return the coupons to apply, in the order given, or the first reason in the order of ``Refusal``.

    What a hold still reserves was promised: neither its count nor its time is asked about again.
    """
    found: list[tuple[CouponUse, Coupon]] = []
    for number, use in enumerate(uses, 1):
        coupon = find_coupon(rules, use.coupon_id) if use.coupon_id else None
        if coupon is None:
            return refused(Refusal.COUPON_UNKNOWN, coupon_no=number)
        found.append((use, coupon))
    fresh = [(use, coupon) for use, coupon in found if not use.reserved]
    if coupon := _used_up(fresh):
        return refused(Refusal.COUPON_USED, coupon_id=coupon.coupon_id)
    for use, coupon in fresh:
        if use.ended or not holds_at(_time_of(coupon.when), moment):
            return refused(Refusal.COUPON_NOT_NOW, coupon_id=coupon.coupon_id)
    for number, (use, coupon) in enumerate(found):
        excluded = number > 0 and (coupon.exclusive or found[0][1].exclusive)
        if excluded or not (use.reserved or holds_at(coupon.when, moment)):
            return refused(Refusal.COUPON_NOT_APPLICABLE, coupon_id=coupon.coupon_id)
    return tuple(Redeemed(coupon, use.token) for use, coupon in found)


def can_use(coupon: Coupon, use: CouponUse, moment: Moment) -> bool:
    """Return whether a member can use a coupon at a moment in some store, if a basket fits it."""
    anywhere = replace(coupon.when, stores=frozenset(), channels=frozenset())
    return not use.ended and _used_up([(use, coupon)]) is None and holds_at(anywhere, moment)


def _used_up(asked: Sequence[tuple[CouponUse, Coupon]]) -> Coupon | None:
    """Return the first coupon of which there is none left, counting what the command itself takes before it."""
    before: Counter[str] = Counter()
    for use, coupon in asked:
        more = before[coupon.coupon_id]
        if (
            use.taken
            or 0 < coupon.per_member <= use.by_member + more
            or 0 < coupon.total <= use.in_all + more
        ):
            return coupon
        before[coupon.coupon_id] += 1
    return None


def _time_of(when: Condition) -> Condition:
    """Return the part of a condition that is about time."""
    if when is ANY_SALE:
        return when
    nobody: frozenset[str] = frozenset()
    return replace(when, stores=nobody, channels=frozenset(), tiers=nobody, memberships=nobody)
