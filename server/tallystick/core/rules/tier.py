"""Tiers: qualifying credits, climbing at once, falling at a review."""

from __future__ import annotations

from collections.abc import Iterable
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
    same_basis, known = state.basis == tiers.basis, state.tier_id in tiers.ranks
    if same_basis and known:
        return state
    lowest = tiers.levels[0].tier_id
    prior = state.prior_id if same_basis else state.tier_id
    return TierState(
        tier_id=state.tier_id if known else lowest,
        prior_id=prior if known else lowest,
        reached_ms=state.reached_ms,
        review_ms=state.review_ms if known else NEVER_MS,
        basis=tiers.basis.value,
        buckets=state.buckets if same_basis else (),
        prior_review_ms=state.prior_review_ms,
    )


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
    start = _period_start(tiers, day, enrolled)
    # Rules whose periods began on other days have left their credits under those.
    end = _period_start(tiers, start + timedelta(days=366), enrolled).toordinal()
    return sum(credits for at, credits in state.buckets if start.toordinal() <= at < end)


def add_credits(
    rules: RuleSet, state: TierState, credits: int, credit_day: int, at_ms: int, enrolled_ms: int
) -> TierState:
    """Return the state after credits (negative for a return) of a day, climbed at once or corrected.

    Credits count in the period of their own day even when they come later, as pending ones do. When goods that
    carried a climb come back, the member falls to what the rest carries, not below the tier before the climb.
    """
    tiers = rules.tiers
    if tiers is None:
        return state
    today, enrolled = local_day(at_ms, rules.zone), local_day(enrolled_ms, rules.zone)
    buckets = dict(state.buckets)
    buckets[credit_day] = max(0, buckets.get(credit_day, 0) + credits)
    before, state = state, _with_buckets(state, _kept(tiers, buckets, today))
    counted = today if bucket_day(tiers, today, enrolled) == credit_day else date.fromordinal(credit_day)
    rank = tiers.ranks[state.tier_id]
    carried, day = _most_carried(tiers, state, (today, counted), enrolled)
    if credits > 0 and carried > rank:
        return _climbed(rules, tiers, state, carried, at_ms=at_ms, day=day, enrolled=enrolled)
    prior = tiers.ranks.get(state.prior_id, 0)
    if credits >= 0 or prior >= rank:
        return state
    days = (today, counted, local_day(state.reached_ms, rules.zone))
    carried, _ = _most_carried(tiers, state, days, enrolled)
    lost = carried < _most_carried(tiers, before, days, enrolled)[0]
    return _corrected(tiers, state, carried, at_ms) if lost and carried < rank else state


def _with_buckets(state: TierState, buckets: tuple[tuple[int, int], ...]) -> TierState:
    """As ``replace`` does, at a third of its time: every sale that qualifies comes this way."""
    return TierState(
        state.tier_id,
        state.prior_id,
        state.reached_ms,
        state.review_ms,
        state.basis,
        buckets,
        state.prior_review_ms,
    )


def _most_carried(tiers: Tiers, state: TierState, days: Iterable[date], enrolled: date) -> tuple[int, date]:
    """Return the highest rank that the credits of the days' periods carry, and the day that does; ties: the first."""
    ranks = [
        (_carried(tiers, credits_in_period(tiers, state, day, enrolled)), day) for day in dict.fromkeys(days)
    ]
    return max(ranks, key=lambda pair: pair[0])


def _climbed(
    rules: RuleSet, tiers: Tiers, state: TierState, rank: int, *, at_ms: int, day: date, enrolled: date
) -> TierState:
    """Return the state in a higher tier; ``prior_id`` stays what it was before the first climb of this period."""
    moved = _moved(rules, tiers, state, rank, at_ms=at_ms, today=day, enrolled=enrolled)
    climbed_before = tiers.ranks[state.tier_id] > tiers.ranks.get(state.prior_id, 0)
    if climbed_before and _same_period(tiers, local_day(state.reached_ms, rules.zone), day, enrolled):
        return replace(moved, prior_id=state.prior_id)
    return replace(moved, prior_id=state.tier_id, prior_review_ms=state.review_ms)


def _same_period(tiers: Tiers, one: date, other: date, enrolled: date) -> bool:
    if tiers.period is TierPeriod.ROLLING:
        return abs((one - other).days) < tiers.rolling_days
    return _period_start(tiers, one, enrolled) == _period_start(tiers, other, enrolled)


def _corrected(tiers: Tiers, state: TierState, carried: int, at_ms: int) -> TierState:
    """Return the state after goods came back that had carried a climb: as if they had never been sold."""
    if carried > tiers.ranks.get(state.prior_id, 0):
        return replace(state, tier_id=tiers.levels[carried].tier_id)
    prior = tiers.levels[tiers.ranks.get(state.prior_id, 0)].tier_id
    return replace(
        state, tier_id=prior, prior_id=prior, reached_ms=Ms(at_ms), review_ms=state.prior_review_ms
    )


def review(rules: RuleSet, state: TierState, enrolled_ms: int) -> TierState:
    """Return the state after the review at ``state.review_ms``: kept, or fallen as the rule set says.

    Credits of the period that has ended and of the one that runs both count, whichever carries more. A state that
    awaits no review is kept.
    """
    tiers = rules.tiers
    if tiers is None or state.review_ms >= NEVER_MS:
        return replace(state, review_ms=NEVER_MS)
    today, enrolled = local_day(state.review_ms, rules.zone), local_day(enrolled_ms, rules.zone)
    ended = last_counted_day(tiers, today, enrolled)
    carried = max(
        _carried(tiers, credits_in_period(tiers, state, ended, enrolled)),
        _carried(tiers, credits_in_period(tiers, state, today, enrolled)),
    )
    rank = tiers.ranks[state.tier_id]
    if carried < rank and tiers.downgrade is not Downgrade.NEVER:
        rank = carried if tiers.downgrade is Downgrade.BY_BALANCE else rank - 1
    counted_from = today - timedelta(days=tiers.grace_days)
    moved = _moved(rules, tiers, state, rank, at_ms=state.review_ms, today=counted_from, enrolled=enrolled)
    moved = replace(moved, prior_id=moved.tier_id)
    if moved.review_ms == NEVER_MS:
        return moved
    return replace(moved, review_ms=_review_ms(rules, tiers, counted_from, enrolled, periods=1))


def _moved(
    rules: RuleSet,
    tiers: Tiers,
    state: TierState,
    rank: int,
    *,
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


def last_counted_day(tiers: Tiers, today: date, enrolled: date) -> date:
    """Return the last day of the period that a review on ``today`` finds ended."""
    if tiers.period is TierPeriod.ROLLING:
        return today - timedelta(days=tiers.grace_days)
    return _period_start(tiers, today - timedelta(days=tiers.grace_days), enrolled) - timedelta(days=1)


def _carried(tiers: Tiers, credits: int) -> int:
    rank = 0
    for level in tiers.levels:
        if level.threshold > credits:
            break
        rank = tiers.ranks[level.tier_id]
    return rank


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
