"""Points without a basket: for an action, on something outside the shop, and corrections by hand."""

from __future__ import annotations

from tallystick.core.action import take_action, told_of
from tallystick.core.command import ACTION, Adjust, Burn, Earn, SettleEnrolment
from tallystick.core.draft import Draft
from tallystick.core.earn import earn_into
from tallystick.core.entry import Detail, EntryKind, Explanation, Moves, Refusal, Refused, refused
from tallystick.core.ids import POINTS_MAX, Ms
from tallystick.core.lots import expires_ms
from tallystick.core.rules.benefit import check_burn
from tallystick.core.rules.model import RuleSet, TierBasis
from tallystick.core.rules.tier import current_tier
from tallystick.core.state import Lot


def post_earn(draft: Draft, rules: RuleSet, command: Earn) -> Refused | None:
    """Post points for an action; they mature, expire and qualify as the rule set says.

    Those that the program itself gives for something else have waited long enough, and qualify for nothing.
    """
    points, why = command.points, Explanation(command.why, 0, command.points, command.why)
    if command.action_id and not points:
        action = take_action(draft, rules, command)
        if isinstance(action, Refused):
            return action
        points, why = action.points, told_of(action)
    if not 0 < points <= POINTS_MAX:
        return refused(Refusal.AMOUNT_OVERFLOW, points=points, points_max=POINTS_MAX)
    draft.set_tier(current_tier(rules, draft.tier))
    by_action = command.why == ACTION
    qualifies = by_action and rules.tiers is not None and rules.tiers.basis is TierBasis.POINTS
    credits = points if qualifies else 0
    earned = earn_into(draft, rules, command.origin, Moves(), points, credits, at_once=not by_action)
    detail = Detail(
        explanations=(why, *earned.explanations), credit_day=earned.credit_day, reason=command.reason
    )
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.EARN,
        moves=earned.moves,
        origin=command.origin,
        rule_set=rules.version,
        assurance=command.assurance,
        detail=detail,
    )
    return None


def settle_enrolment(draft: Draft, rules: RuleSet, advice: SettleEnrolment) -> None:
    """Note in the ledger that a person joined at a till while the gateway was away; it moves nothing."""
    draft.post(
        command_id=advice.command_id,
        kind=EntryKind.ENROL,
        moves=Moves(),
        origin=advice.origin,
        rule_set=rules.version,
        detail=Detail(explanations=(Explanation("enrolment", 0, 0, "joined_at_till"),)),
    )


def post_burn(draft: Draft, rules: RuleSet, command: Burn) -> Refused | None:
    """Burn points outside a basket."""
    no = check_burn(rules.burning, command.points, available=draft.active, assurance=command.assurance)
    if no:
        return no
    allocs = draft.take_active(command.points)
    why = Explanation("burn", 0, -command.points, "burned")
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.BURN,
        moves=Moves(active=-command.points, burned=command.points),
        origin=command.origin,
        rule_set=rules.version,
        assurance=command.assurance,
        detail=Detail(explanations=(why,), allocs=allocs, reason=command.reason),
    )
    return None


def post_adjust(draft: Draft, rules: RuleSet, command: Adjust) -> Refused | None:
    """Correct a balance by hand: neither issued nor burned, but on an account of its own for the books.

    Points given are spendable at once and never qualify for a tier; points taken must be there.
    """
    if command.points == 0 or abs(command.points) > POINTS_MAX:
        return refused(Refusal.AMOUNT_OVERFLOW, points=command.points, points_max=POINTS_MAX)
    at_ms = max(command.origin.occurred_ms, draft.account.as_of_ms)
    why = Explanation("adjust", 0, command.points, "adjusted")
    detail = Detail(explanations=(why,), reason=command.reason)
    if command.points < 0:
        points = -command.points
        if points > draft.active:
            return refused(Refusal.INSUFFICIENT_POINTS, points=points, available=draft.active)
        detail = Detail(explanations=(why,), reason=command.reason, allocs=draft.take_active(points))
        moves = Moves(active=-points, adjusted=points)
    else:
        repaid = min(draft.debt, command.points)
        rest = command.points - repaid
        expiry = command.expires_ms or expires_ms(rules.expiry, at_ms, rules.zone)
        if rest:
            draft.add_lot(Lot(draft.seq + 1, rest, rest, Ms(at_ms), Ms(expiry), Ms(at_ms)))
        moves = Moves(active=rest, debt=repaid, adjusted=-command.points)
    draft.post(
        command_id=command.command_id,
        kind=EntryKind.ADJUST,
        moves=moves,
        origin=command.origin,
        rule_set=rules.version,
        detail=detail,
    )
    return None
