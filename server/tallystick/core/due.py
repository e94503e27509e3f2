"""What time has made due: maturity, expiry, holds that ran out, tier reviews; in the order in which it happened."""

from __future__ import annotations

from dataclasses import replace

from tallystick.core.basket import Channel, Origin
from tallystick.core.draft import Draft
from tallystick.core.earn import count_credits, tier_moved
from tallystick.core.entry import Detail, EntryKind, Explanation, Moves
from tallystick.core.gift import settle_gifts
from tallystick.core.ids import NEVER_MS, CommandId, Ms, derived_id
from tallystick.core.rules.model import DAY_MS, RuleSet
from tallystick.core.rules.tier import current_tier, review
from tallystick.core.state import Alloc, Hold, HoldKind, HoldStatus, Lot

STEPS_MAX = 100_000
"""More steps than lots, holds and reviews of one member can make due; a guard against a loop that does not end."""


def catch_up(draft: Draft, rules: RuleSet, at_ms: Ms) -> None:
    """Post everything that fell due up to ``at_ms``, oldest first, each with an id of its own that a rerun finds.

    The points that mature at an instant do so before those that expire at it.
    """
    if draft.account.due_ms > at_ms:
        return
    assert draft.state.rest_due_ms > at_ms, "what is due needs the member's lots"
    for _ in range(STEPS_MAX):
        step = _next_step(draft)
        if step is None or step[0] > at_ms:
            return
        due_ms, _order, subject = step
        origin = Origin(occurred_ms=Ms(due_ms), channel=Channel.UNKNOWN)
        if isinstance(subject, Hold):
            release(draft, rules, subject, origin, at_ms=Ms(due_ms))
        elif isinstance(subject, Lot) and subject.pending:
            _mature(draft, rules, subject, origin)
        elif isinstance(subject, Lot):
            _expire(draft, rules, subject, origin)
        else:
            _review(draft, rules, origin)
    raise AssertionError("what falls due is finite")


def _next_step(draft: Draft) -> tuple[int, int, Hold | Lot | None] | None:
    best: tuple[int, int, Hold | Lot | None] | None = None
    for lot in draft.lots.values():
        if lot.pending:
            step = (lot.matures_ms, lot.lot_seq, lot)
        elif lot.remaining and lot.expires_ms < NEVER_MS:
            step = (lot.expires_ms, (1 << 40) + lot.lot_seq, lot)
        else:
            continue
        best = step if best is None or step[:2] < best[:2] else best
    for hold in draft.holds.values():
        if hold.status is HoldStatus.OPEN and hold.points:
            held = (hold.expires_ms, (1 << 41) + hold.seq, hold)
            best = held if best is None or held[:2] < best[:2] else best
    if draft.tier.review_ms < NEVER_MS:
        tier = (draft.tier.review_ms, 1 << 42, None)
        best = tier if best is None or tier[:2] < best[:2] else best
    return best


def _mature(draft: Draft, rules: RuleSet, lot: Lot, origin: Origin) -> None:
    explanations: tuple[Explanation, ...] = ()
    tier_id = draft.tier.tier_id
    draft.lots[lot.lot_seq] = replace(lot, pending=False, credits=0)
    if lot.credits:
        explanations = count_credits(draft, rules, lot.credits, lot.credit_day, origin.occurred_ms)
    command_id = derived_id(draft.member_id, "mature", lot.lot_seq)
    draft.post(
        command_id=command_id,
        kind=EntryKind.MATURE,
        moves=Moves(active=lot.remaining, pending=-lot.remaining),
        origin=origin,
        rule_set=rules.version,
        detail=Detail(explanations=explanations),
    )
    policy = rules.returns.spent
    settle_gifts(draft, rules, before=tier_id, origin=origin, cause=command_id, policy=policy)


def _expire(draft: Draft, rules: RuleSet, lot: Lot, origin: Origin) -> None:
    draft.lots[lot.lot_seq] = replace(lot, remaining=0)
    draft.post(
        command_id=derived_id(draft.member_id, "expire", draft.seq + 1),
        kind=EntryKind.EXPIRE,
        moves=Moves(active=-lot.remaining, breakage=lot.remaining),
        origin=origin,
        rule_set=rules.version,
        detail=Detail(
            explanations=(Explanation("expiry", 0, -lot.remaining, "expired"),),
            allocs=(Alloc(lot.lot_seq, lot.remaining),),
        ),
    )


def release(
    draft: Draft,
    rules: RuleSet,
    hold: Hold,
    origin: Origin,
    *,
    at_ms: Ms,
    command_id: CommandId | None = None,
) -> None:
    """Give back what is left of a hold: because it ran out, or, with the id of a command, because that gives it up."""
    status = HoldStatus.VOIDED if command_id else HoldStatus.EXPIRED
    draft.give_back(hold.allocs, at_ms, grace_ms(rules, at_ms))
    draft.set_hold(replace(hold, status=status))
    draft.post(
        command_id=command_id or derived_id(draft.member_id, "release", hold.hold_id),
        kind=EntryKind.VOID if command_id else EntryKind.HOLD_RELEASE,
        moves=Moves(active=hold.left, held=-hold.left),
        origin=origin,
        rule_set=rules.version,
        detail=Detail(explanations=(Explanation("hold", 0, hold.left, f"{_BACK[hold.kind]}_given_back"),)),
        hold_id=hold.hold_id,
    )


_BACK = {HoldKind.CHECKOUT: "hold", HoldKind.LEASE: "lease", HoldKind.VOUCHER: "voucher"}


def _review(draft: Draft, rules: RuleSet, origin: Origin) -> None:
    held = draft.tier.tier_id
    before = current_tier(rules, draft.tier)
    after = review(rules, before, draft.account.enrolled_ms)
    draft.set_tier(after)
    if after.tier_id == held:
        return
    # A tier that the rules no longer have is not lost for want of credits.
    code = "tier_lowered" if before.tier_id == held else "tier_ended"
    draft.post(
        command_id=derived_id(draft.member_id, "tier", draft.seq + 1),
        kind=EntryKind.TIER,
        moves=Moves(),
        origin=origin,
        rule_set=rules.version,
        detail=Detail(explanations=(tier_moved(held, after.tier_id, code),)),
    )


def grace_ms(rules: RuleSet, at_ms: int) -> Ms:
    """Return until when points can be spent that come back to an expired lot."""
    return Ms(at_ms + rules.returns.grace_days * DAY_MS)
