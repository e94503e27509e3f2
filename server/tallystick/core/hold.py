"""Holds: points reserved for a checkout, then captured or given back; exactly one of the two, once."""

from __future__ import annotations

from dataclasses import replace

from tallystick.core.command import Capture, PlaceHold, Void
from tallystick.core.draft import Draft
from tallystick.core.due import release
from tallystick.core.entry import Detail, EntryKind, Explanation, Moves, Refusal, Refused, refused
from tallystick.core.ids import CommandId, Ms
from tallystick.core.rules.benefit import check_burn
from tallystick.core.rules.model import RuleSet
from tallystick.core.sale import check_basket, post_capture_sale, price
from tallystick.core.state import Alloc, Hold, HoldKind, HoldStatus


def place_hold(draft: Draft, rules: RuleSet, command: PlaceHold) -> Refused | None:
    """Reserve points; with a basket, what its spend and rewards cost at this moment."""
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
        )
        if isinstance(priced, Refused):
            return priced
        points, spent = priced.benefit.points, priced.benefit.spend_points
        detail = _of_burn(priced.detail)
    elif command.reward_ids:
        return refused(Refusal.BASKET_EMPTY)
    elif no := check_burn(rules.burning, points, available=draft.active, assurance=command.assurance):
        return no
    if points == 0:
        return refused(Refusal.BELOW_MINIMUM, points=0, minimum_points=rules.burning.minimum_points)
    if not 0 < command.ttl_s <= rules.holds.ttl_max_s:
        return refused(Refusal.HOLD_TTL, ttl_s=command.ttl_s, ttl_max_s=rules.holds.ttl_max_s)
    open_now = sum(
        hold.status is HoldStatus.OPEN and hold.kind is HoldKind.CHECKOUT for hold in draft.holds.values()
    )
    if open_now >= rules.holds.open_max:
        return refused(Refusal.HOLDS_TOO_MANY, open_max=rules.holds.open_max)
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


def _of_burn(detail: Detail) -> Detail:
    """A hold earns nothing yet: keep only what belongs to the points held."""
    told = tuple(part for part in detail.explanations if part.points < 0 and part.code != "capped")
    lines = tuple(share._replace(earned_points=0, credits=0) for share in detail.lines)
    return replace(detail, explanations=told, lines=lines)


def _find(draft: Draft, hold_id: CommandId) -> Hold | Refused:
    hold = draft.holds.get(hold_id)
    if hold is None or hold.kind is not HoldKind.CHECKOUT:
        return refused(Refusal.HOLD_UNKNOWN, hold_id=hold_id)
    if hold.status in (HoldStatus.CAPTURED, HoldStatus.VOIDED):
        return refused(Refusal.HOLD_CLOSED, hold_id=hold_id, status=hold.status.name)
    return hold


def capture(draft: Draft, rules: RuleSet, command: Capture) -> Refused | None:
    """Burn what a hold reserved; one that ran out only if the rule set says so and the balance covers it."""
    if command.basket is not None and (no := check_basket(rules, command.basket)):
        return no
    hold = _find(draft, command.hold_id)
    if isinstance(hold, Refused):
        return hold
    allocs: tuple[Alloc, ...] = hold.allocs
    if hold.status is HoldStatus.EXPIRED:
        if not rules.holds.late_capture_if_covered:
            return refused(Refusal.HOLD_EXPIRED, hold_id=hold.hold_id, expired_ms=hold.expires_ms)
        if draft.active < hold.points:
            return refused(Refusal.INSUFFICIENT_POINTS, points=hold.points, available=draft.active)
        return _capture_late(draft, rules, command, hold)
    draft.set_hold(replace(hold, status=HoldStatus.CAPTURED))
    if command.basket is not None:
        return post_capture_sale(draft, rules, command, command.basket, hold, allocs, held=hold.points)
    _burn_hold(draft, rules, command, hold, allocs, held=hold.points)
    return None


def _capture_late(draft: Draft, rules: RuleSet, command: Capture, hold: Hold) -> Refused | None:
    """The points went back when the hold ran out: take them again from the balance."""
    allocs = draft.take_active(hold.points)
    draft.set_hold(replace(hold, status=HoldStatus.CAPTURED, allocs=allocs))
    if command.basket is not None:
        return post_capture_sale(draft, rules, command, command.basket, hold, allocs, held=0)
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
    hold = _find(draft, command.hold_id)
    if isinstance(hold, Refused):
        return hold
    if hold.status is HoldStatus.EXPIRED:
        return refused(Refusal.HOLD_EXPIRED, hold_id=hold.hold_id, expired_ms=hold.expires_ms)
    at_ms = Ms(max(command.origin.occurred_ms, draft.account.as_of_ms))
    release(draft, rules, hold, command.origin, at_ms=at_ms, command_id=command.command_id)
    return None
