"""Holds: points and coupons reserved for a checkout, then captured or given back; exactly one of the two, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.core.command import Capture, PlaceHold, Void
from tallystick.core.coupon import CouponUse
from tallystick.core.draft import Draft
from tallystick.core.due import release
from tallystick.core.entry import Detail, EntryKind, Explanation, Moves, Refusal, Refused, refused
from tallystick.core.ids import CommandId, Ms
from tallystick.core.rules.benefit import check_burn
from tallystick.core.rules.model import RuleSet
from tallystick.core.sale import check_basket, post_capture_sale, price
from tallystick.core.state import Alloc, HeldCoupon, Hold, HoldKind, HoldStatus


def place_hold(
    draft: Draft, rules: RuleSet, command: PlaceHold, coupons: Sequence[CouponUse] = ()
) -> Refused | None:
    """Reserve points and coupons; with a basket, what its spend and rewards cost at this moment.

    ``coupons`` is what is known of those that the command names.
    """
    spent = command.spend.points if command.spend else 0
    points, detail = spent, Detail()
    if command.basket is not None:
        priced = price(
            draft,
            rules,
            command.basket,
            command.origin,
            spend=command.spend,
            reward_ids=command.reward_ids,
            available=draft.active,
            assurance=command.assurance,
            coupons=coupons,
        )
        if isinstance(priced, Refused):
            earlier = _check_room(draft, rules, command) if priced.reason > Refusal.HOLDS_TOO_MANY else None
            return earlier or priced
        points, spent = priced.benefit.points, priced.benefit.spend_points
        detail = _of_burn(priced.detail)
    elif command.reward_ids or command.coupons:
        return refused(Refusal.BASKET_EMPTY)
    elif no := check_burn(rules.burning, points, available=draft.active, assurance=command.assurance):
        return no
    if points == 0 and not detail.coupons:
        return refused(Refusal.BELOW_MINIMUM, points=0, minimum_points=rules.burning.minimum_points)
    if no := _check_room(draft, rules, command):
        return no
    allocs = draft.take_active(points)
    at_ms = max(command.origin.occurred_ms, draft.account.as_of_ms)
    draft.set_hold(
        Hold(
            command.command_id,
            draft.seq + 1,
            points,
            HoldStatus.OPEN,
            Ms(at_ms + command.ttl_s * 1000),
            spent,
            command.reward_ids,
            allocs,
            command.assurance,
            coupons=tuple(HeldCoupon(coupon.coupon_id, coupon.token) for coupon in detail.coupons),
            rule_set=rules.version,
        )
    )
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.HOLD,
        moves=Moves(active=-points, held=points),
        origin=command.origin,
        rule_set=rules.version,
        assurance=command.assurance,
        detail=replace(detail, allocs=allocs),
        hold_id=command.command_id,
    )
    return None


def _check_room(draft: Draft, rules: RuleSet, command: PlaceHold) -> Refused | None:
    """Return why there cannot be this hold beside those that are open, None when there can.

    Holds without points are counted apart, and only when coupons or rewards are held: otherwise they are loaded or not
    as it happens. The same look closes those whose time is over.
    """
    if not 0 < command.ttl_s <= rules.holds.ttl_max_s:
        return refused(Refusal.HOLD_TTL, ttl_s=command.ttl_s, ttl_max_s=rules.holds.ttl_max_s)
    at_ms = max(command.origin.occurred_ms, draft.account.as_of_ms)
    with_points = without = 0
    for hold in [hold for hold in draft.holds.values() if hold.kind is HoldKind.CHECKOUT]:
        if not (hold.points or command.coupons or command.reward_ids):
            continue
        if _status_at(hold, at_ms) is HoldStatus.EXPIRED:
            draft.set_hold(replace(hold, status=HoldStatus.EXPIRED))
        elif hold.status is HoldStatus.OPEN and hold.points:
            with_points += 1
        elif hold.status is HoldStatus.OPEN:
            without += 1
    if max(with_points, without) >= rules.holds.open_max:
        return refused(Refusal.HOLDS_TOO_MANY, open_max=rules.holds.open_max)
    return None


def _status_at(hold: Hold, at_ms: int) -> HoldStatus:
    """Return what a hold is at an instant: one of coupons alone ends with its time, without an entry that says so.

    No points move when it does; so nobody has to watch for it, and whoever wants its coupons sees that it is over.
    """
    over = hold.status is HoldStatus.OPEN and not hold.points and hold.expires_ms <= at_ms
    return HoldStatus.EXPIRED if over else hold.status


def _of_burn(detail: Detail) -> Detail:
    """A hold earns nothing yet: keep only what belongs to the points and coupons held."""
    told = tuple(
        part
        for part in detail.explanations
        if part.code == "coupon" or (part.points < 0 and part.code != "capped")
    )
    lines = tuple(share._replace(earned_points=0, credits=0) for share in detail.lines)
    return replace(detail, explanations=told, lines=lines, counted=())


def _find(draft: Draft, hold_id: CommandId, occurred_ms: int) -> Hold | Refused:
    hold = draft.holds.get(hold_id)
    if hold is None or hold.kind is not HoldKind.CHECKOUT:
        return refused(Refusal.HOLD_UNKNOWN, hold_id=hold_id)
    if hold.status in (HoldStatus.CAPTURED, HoldStatus.VOIDED):
        return refused(Refusal.HOLD_CLOSED, hold_id=hold_id, status=hold.status.name)
    status = _status_at(hold, max(occurred_ms, draft.account.as_of_ms))
    return hold if status is hold.status else replace(hold, status=status)


def capture(
    draft: Draft, rules: RuleSet, command: Capture, coupons: Sequence[CouponUse] = ()
) -> Refused | None:
    """Burn what a hold reserved; one that ran out only if the rule set says so and the balance covers it.

    ``coupons`` is what is known of those that the hold has; after its time they must still be free.
    """
    if command.basket is not None and (no := check_basket(rules, command.basket)):
        return no
    hold = _find(draft, command.hold_id, command.origin.occurred_ms)
    if isinstance(hold, Refused):
        return hold
    if hold.coupons and command.basket is None:
        return refused(Refusal.BASKET_EMPTY)
    allocs: tuple[Alloc, ...] = hold.allocs
    if hold.status is HoldStatus.EXPIRED:
        if not rules.holds.late_capture_if_covered:
            return refused(Refusal.HOLD_EXPIRED, hold_id=hold.hold_id, expired_ms=hold.expires_ms)
        if draft.active < hold.points:
            return refused(Refusal.INSUFFICIENT_POINTS, points=hold.points, available=draft.active)
        late = [replace(coupon, reserved=False) for coupon in coupons]
        return _capture_late(draft, rules, command, hold, late)
    draft.set_hold(replace(hold, status=HoldStatus.CAPTURED))
    if command.basket is not None:
        return post_capture_sale(
            draft, rules, command, command.basket, hold, allocs, held=hold.points, coupons=coupons
        )
    _burn_hold(draft, rules, command, hold, allocs, held=hold.points)
    return None


def _capture_late(
    draft: Draft, rules: RuleSet, command: Capture, hold: Hold, coupons: Sequence[CouponUse]
) -> Refused | None:
    """The points went back when the hold ran out: take them again from the balance."""
    allocs = draft.take_active(hold.points)
    draft.set_hold(replace(hold, status=HoldStatus.CAPTURED, allocs=allocs))
    if command.basket is not None:
        return post_capture_sale(draft, rules, command, command.basket, hold, allocs, held=0, coupons=coupons)
    _burn_hold(draft, rules, command, hold, allocs, held=0)
    return None


def _burn_hold(
    draft: Draft, rules: RuleSet, command: Capture, hold: Hold, allocs: tuple[Alloc, ...], *, held: int
) -> None:
    why = Explanation("hold", 0, -hold.points, "hold_captured")
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.CAPTURE,
        moves=Moves(active=held - hold.points, held=-held, burned=hold.points),
        origin=command.origin,
        rule_set=rules.version,
        assurance=hold.assurance,
        detail=Detail(explanations=(why,), allocs=allocs),
        hold_id=hold.hold_id,
    )


def void(draft: Draft, rules: RuleSet, command: Void) -> Refused | None:
    """Give a hold back. One that ran out has been given back already: that is said, not done twice."""
    hold = _find(draft, command.hold_id, command.origin.occurred_ms)
    if isinstance(hold, Refused):
        return hold
    if hold.status is HoldStatus.EXPIRED:
        return refused(Refusal.HOLD_EXPIRED, hold_id=hold.hold_id, expired_ms=hold.expires_ms)
    at_ms = Ms(max(command.origin.occurred_ms, draft.account.as_of_ms))
    release(draft, rules, hold, command.origin, at_ms=at_ms, command_id=command.command_id)
    return None
