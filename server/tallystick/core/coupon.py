"""Coupons that a command names: may they be used, and which rules do they stand for?

What is known of each, how often it was used and whether another hold has it, is looked up under lock by whoever asks
for the decision and comes in as data: the decision itself looks nothing up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tallystick.core.entry import Refusal, Refused, refused
from tallystick.core.record import record
from tallystick.core.rules.coupon import find_coupon
from tallystick.core.rules.match import ANY_SALE, Moment, holds_at
from tallystick.core.rules.model import DAY_MS, Condition, Coupon, RuleSet

COUPONS_OF_COMMAND_MAX = 5


@record(frozen=True, slots=True)
class CouponUse:
    """What is known of one coupon that a command names, in the order in which it names them.

    ``coupon_id`` is empty for a code that nobody has, or another member. ``token`` is that of a unique code. ``ended``
    says that the code was revoked, ``taken`` that a sale has used it or another hold reserves it. ``by_member`` and
    ``in_all`` count the uses of all codes of the coupon, open reservations included, those of the captured hold not.
    ``reserved`` says that the hold being captured still has it. ``since_ms`` is when the member came into the coupon's
    segment, -1 when not in it; a coupon without a segment does not ask.
    """

    coupon_id: str = ""
    token: str = ""
    ended: bool = False
    taken: bool = False
    by_member: int = 0
    in_all: int = 0
    reserved: bool = False
    since_ms: int = -1


@record(frozen=True, slots=True)
class Redeemed:
    """A coupon that may be used, with the token of the unique code that stands for it."""

    coupon: Coupon
    token: str = ""


def choose_coupons(
    rules: RuleSet, uses: Sequence[CouponUse], moment: Moment, *, held_out: bool = False
) -> tuple[Redeemed, ...] | Refused:
    """Return the coupons to apply, in the order given, or the first reason in the order of ``Refusal``.

    What a hold still reserves was promised: neither its count, its time nor its audience is asked about again.
    ``held_out``: the member is one whom no offer reaches.
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
        if excluded or not (use.reserved or holds_at(_for_anybody(coupon.when), moment)):
            return refused(Refusal.COUPON_NOT_APPLICABLE, coupon_id=coupon.coupon_id)
    for use, coupon in fresh:
        if not _is_for(coupon, use, moment, held_out=held_out):
            return refused(Refusal.COUPON_NOT_FOR_MEMBER, coupon_id=coupon.coupon_id)
    return tuple(Redeemed(coupon, use.token) for use, coupon in found)


def can_use(coupon: Coupon, use: CouponUse, moment: Moment, *, held_out: bool = False) -> bool:
    """Return whether a member can use a coupon at a moment in some store, if a basket fits it."""
    anywhere = replace(coupon.when, stores=frozenset(), channels=frozenset())
    return (
        not use.ended
        and _used_up([(use, coupon)]) is None
        and holds_at(anywhere, moment)
        and _is_for(coupon, use, moment, held_out=held_out)
    )


def ends_ms(coupon: Coupon, since_ms: int) -> int:
    """Return when a coupon ends for a member who came into its segment then."""
    days = coupon.days if coupon.segment else 0
    return min(coupon.when.until_ms, since_ms + days * DAY_MS) if days else coupon.when.until_ms


def _is_for(coupon: Coupon, use: CouponUse, moment: Moment, *, held_out: bool) -> bool:
    """Return whether a member belongs to a coupon's audience; one without an audience is for everybody."""
    if not coupon.segment and not coupon.when.groups:
        return True
    if held_out or not holds_at(Condition(groups=coupon.when.groups), moment):
        return False
    return not coupon.segment or (use.since_ms >= 0 and moment.at_ms < ends_ms(coupon, use.since_ms))


def _for_anybody(when: Condition) -> Condition:
    return replace(when, groups=frozenset()) if when.groups else when


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
    return replace(when, stores=nobody, channels=frozenset(), tiers=nobody, memberships=nobody, groups=nobody)
