"""Tiers: qualifying credits, climbing at once, falling at a review."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.lots import add_months, local_day, midnight_ms
from tallystick.core.rules.model import Downgrade, RuleSet, TierPeriod, Tiers
from tallystick.core.state import TierState


def current_tier(rules: RuleSet, state: TierState) -> TierState:
    """Return the state under these rules: a member without a known tier starts at the lowest.

    Credits of another basis do not count on: money and visits are different things.
    """
    tiers = rules.tiers
    if tiers is None:
        return state if state.tier_id == "" else TierState()
    if state.basis != tiers.basis:
        state = replace(state, basis=tiers.basis.value, buckets=())
    if rank_of(tiers, state.tier_id) is None:
        lowest = tiers.levels[0].tier_id
        state = replace(state, tier_id=lowest, prior_id=lowest, review_ms=NEVER_MS)
    return state


def rank_of(tiers: Tiers, tier_id: str) -> int | None:
    """Return the position of a tier from the lowest = 0, None when the rule set does not know it."""
    return next((i for i, level in enumerate(tiers.levels) if level.tier_id == tier_id), None)


def bucket_day(tiers: Tiers, day: date, enrolled: date) -> int:
    """Return the ordinal of the day under which credits of a day are kept."""
    if tiers.period is TierPeriod.ROLLING:
        return day.toordinal()
    return _period_start(tiers, day, enrolled).toordinal()


def credits_in_period(tiers: Tiers, state: TierState, day: date, enrolled: date) -> int:
    """Return the qualifying credits that count on a day."""
    if tiers.period is TierPeriod.ROLLING:
        first = day.toordinal() - tiers.rolling_days + 1
        return sum(credits for at, credits in state.buckets if first <= at <= day.toordinal())
    start = _period_start(tiers, day, enrolled).toordinal()
    return sum(credits for at, credits in state.buckets if at == start)


def add_credits(
    rules: RuleSet, state: TierState, credits: int, credit_day: int, at_ms: int, enrolled_ms: int
) -> TierState:
    """Return the state after credits (negative for a return) of a day, having climbed at once or, when goods
    that carried a climb of this period came back, fallen to what the rest carries but not below the tier before it.
    """
    tiers = rules.tiers
    if tiers is None:
        return state
    buckets = dict(state.buckets)
    buckets[credit_day] = max(0, buckets.get(credit_day, 0) + credits)
    today, enrolled = local_day(at_ms, rules.zone), local_day(enrolled_ms, rules.zone)
    kept = _kept(tiers, buckets, today)
    state = TierState(state.tier_id, state.prior_id, state.reached_ms, state.review_ms, state.basis, kept)
    rank = rank_of(tiers, state.tier_id) or 0
    carried = _carried(tiers, credits_in_period(tiers, state, today, enrolled))
    if carried > rank:
        return _moved(rules, tiers, state, carried, prior=rank, at_ms=at_ms, today=today, enrolled=enrolled)
    if credits >= 0 or carried == rank or not state.reached_ms:
        return state
    reached = local_day(state.reached_ms, rules.zone)
    if bucket_day(tiers, reached, enrolled) == credit_day or tiers.period is TierPeriod.ROLLING:
        floor = max(carried, rank_of(tiers, state.prior_id) or 0)
        if floor < rank:
            return _moved(
                rules, tiers, state, floor, prior=floor, at_ms=at_ms, today=today, enrolled=enrolled
            )
    return state


def review(rules: RuleSet, state: TierState, enrolled_ms: int) -> TierState:
    """Return the state after the review at ``state.review_ms``: kept, or fallen as the rule set says.

    Credits of the period that has ended and of the one that runs both count, whichever carries more.
    """
    tiers = rules.tiers
    if tiers is None:
        return replace(state, review_ms=NEVER_MS)
    today, enrolled = local_day(state.review_ms, rules.zone), local_day(enrolled_ms, rules.zone)
    ended = _last_counted_day(tiers, today, enrolled)
    carried = max(
        _carried(tiers, credits_in_period(tiers, state, ended, enrolled)),
        _carried(tiers, credits_in_period(tiers, state, today, enrolled)),
    )
    rank = rank_of(tiers, state.tier_id) or 0
    if carried < rank:
        rank = carried if tiers.downgrade is Downgrade.BY_BALANCE else rank - 1
    counted_from = today - timedelta(days=tiers.grace_days)
    moved = _moved(
        rules, tiers, state, rank, prior=rank, at_ms=state.review_ms, today=counted_from, enrolled=enrolled
    )
    if moved.review_ms == NEVER_MS:
        return moved
    return replace(moved, review_ms=_review_ms(rules, tiers, counted_from, enrolled, periods=1))


def _moved(
    rules: RuleSet,
    tiers: Tiers,
    state: TierState,
    rank: int,
    *,
    prior: int,
    at_ms: int,
    today: date,
    enrolled: date,
) -> TierState:
    falls = rank > 0 and tiers.downgrade is not Downgrade.NEVER
    review_ms = _review_ms(rules, tiers, today, enrolled) if falls else NEVER_MS
    changed = tiers.levels[rank].tier_id != state.tier_id
    return replace(
        state,
        tier_id=tiers.levels[rank].tier_id,
        prior_id=tiers.levels[prior].tier_id,
        reached_ms=Ms(at_ms) if changed else state.reached_ms,
        review_ms=review_ms,
    )


def _review_ms(rules: RuleSet, tiers: Tiers, today: date, enrolled: date, periods: int = 2) -> Ms:
    """A tier reached in a period is kept to the end of the next one, and reviewed each period from then on
    (rolling: after the length of the window).
    """
    if tiers.period is TierPeriod.ROLLING:
        end = today + timedelta(days=tiers.rolling_days)
    else:
        end = add_months(_period_start(tiers, today, enrolled), 12 * periods)
    return midnight_ms(end + timedelta(days=tiers.grace_days), rules.zone)


def _last_counted_day(tiers: Tiers, today: date, enrolled: date) -> date:
    if tiers.period is TierPeriod.ROLLING:
        return today - timedelta(days=tiers.grace_days)
    return _period_start(tiers, today - timedelta(days=tiers.grace_days), enrolled) - timedelta(days=1)


def _carried(tiers: Tiers, credits: int) -> int:
    return max(i for i, level in enumerate(tiers.levels) if level.threshold <= credits)


def _period_start(tiers: Tiers, day: date, enrolled: date) -> date:
    if tiers.period is TierPeriod.CALENDAR_YEAR:
        return date(day.year, 1, 1)
    years = day.year - enrolled.year
    start = add_months(enrolled, 12 * years)
    return start if start <= day else add_months(enrolled, 12 * (years - 1))


def _kept(tiers: Tiers, buckets: dict[int, int], today: date) -> tuple[tuple[int, int], ...]:
    """Drop what can never count again: older than two periods and the grace."""
    span = tiers.rolling_days if tiers.period is TierPeriod.ROLLING else 366
    first = today.toordinal() - 2 * span - tiers.grace_days
    return tuple(sorted((day, credits) for day, credits in buckets.items() if day >= first and credits))
