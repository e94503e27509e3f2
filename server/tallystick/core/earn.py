"""Points that come in: a debt is repaid first, the rest becomes a lot, and what qualifies counts towards the tier."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from tallystick.core.basket import Origin
from tallystick.core.draft import Draft
from tallystick.core.entry import Explanation, Moves
from tallystick.core.ids import Ms
from tallystick.core.lots import expires_ms, local_day, midnight_ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.tier import add_credits, bucket_day, current_tier
from tallystick.core.state import Lot


class Earned(NamedTuple):
    """An earn, ready to be part of the entry about to be posted."""

    moves: Moves
    explanations: tuple[Explanation, ...] = ()
    credit_day: int = 0


def earn_into(
    draft: Draft,
    rules: RuleSet,
    origin: Origin,
    moves: Moves,
    points: int,
    credits: int,
    *,
    at_once: bool = False,
) -> Earned:
    """Add an earn to the moves of the entry about to be posted: a debt is repaid first, the rest becomes a lot.

    Credits of points that are still pending wait in the lot until it matures; with ``at_once`` none is pending.
    """
    if not points and not credits:
        return Earned(moves)
    at_ms = max(origin.occurred_ms, draft.account.as_of_ms)
    repaid = min(draft.debt, points)
    rest = points - repaid
    told: tuple[Explanation, ...] = (Explanation("debt", 0, -repaid, "debt_repaid"),) if repaid else ()
    credit_day = _credit_day(draft, rules, at_ms) if credits else 0
    matures_ms = Ms(at_ms) if at_once else _matures_ms(rules, at_ms)
    pending = matures_ms > at_ms
    if rest or (pending and credits):
        waiting = (credits, credit_day) if pending else (0, 0)
        expiry_ms = expires_ms(rules.expiry, at_ms, rules.zone)
        draft.add_lot(Lot(draft.seq + 1, rest, rest, Ms(at_ms), expiry_ms, matures_ms, pending, *waiting))
    if credits and not pending:
        told += count_credits(draft, rules, credits, credit_day, at_ms)
    to_active, to_pending = (0, rest) if pending else (rest, 0)
    moves = moves._replace(
        active=moves.active + to_active,
        pending=moves.pending + to_pending,
        debt=moves.debt + repaid,
        issued=moves.issued - points,
    )
    return Earned(moves, told, credit_day)


def _credit_day(draft: Draft, rules: RuleSet, at_ms: int) -> int:
    if rules.tiers is None:
        return 0
    enrolled = local_day(draft.account.enrolled_ms, rules.zone)
    return bucket_day(rules.tiers, local_day(at_ms, rules.zone), enrolled)


def _matures_ms(rules: RuleSet, at_ms: int) -> Ms:
    """Return when points earned now become spendable: as the local day begins that is so many days on, or at once."""
    days = rules.earning.pending_days
    if days == 0:
        return Ms(at_ms)
    day = local_day(at_ms, rules.zone) + timedelta(days=days)
    return midnight_ms(day, rules.zone)


def count_credits(
    draft: Draft, rules: RuleSet, credits: int, credit_day: int, at_ms: int
) -> tuple[Explanation, ...]:
    """Add qualifying credits (negative after a return), move the tier if they call for it, and explain that."""
    before = current_tier(rules, draft.tier)
    after = add_credits(rules, before, credits, credit_day, at_ms, draft.account.enrolled_ms)
    draft.set_tier(after)
    if after.tier_id == before.tier_id:
        return ()
    code = "tier_reached" if credits > 0 else "tier_corrected"
    return (tier_moved(before.tier_id, after.tier_id, code),)


def tier_moved(before: str, after: str, code: str) -> Explanation:
    """Say that a member moved from one tier to another."""
    return Explanation("tiers", 0, 0, code, (("from", before), ("to", after)))
