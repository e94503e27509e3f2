"""Where a member stands: what the next tier and the next reward need, and what would be lost and when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.lots import local_day
from tallystick.core.rules.model import Downgrade, Reward, RuleSet, Tiers
from tallystick.core.rules.tier import bucket_day, credits_in_period, current_tier, last_counted_day
from tallystick.core.state import Lot, TierState


class Standing(NamedTuple):
    """A member among the tiers of a program; credits are in the unit of the tiers' basis.

    ``credits`` are what counts now. ``review_ms`` is when the tier is looked at again (NEVER_MS: it is not), and
    ``keep_credits`` what is still needed by then to keep it. ``next_tier_id`` is empty at the top, ``next_credits``
    what is still needed for it. Credits of points that are pending are in none of them: the goods may come back.
    """

    tier_id: str = ""
    credits: int = 0
    review_ms: Ms = NEVER_MS
    keep_credits: int = 0
    next_tier_id: str = ""
    next_credits: int = 0


class Expiring(NamedTuple):
    """Points that can be burned for the last time on ``last_day``, a day of the program's time zone."""

    last_day: date
    points: int


def standing_of(rules: RuleSet, state: TierState, *, enrolled_ms: int, at_ms: int) -> Standing:
    """Return where a member stands at an instant at which no review is due any more."""
    tiers = rules.tiers
    if tiers is None:
        return Standing()
    state = current_tier(rules, state)
    today, enrolled = local_day(at_ms, rules.zone), local_day(enrolled_ms, rules.zone)
    credits = credits_in_period(tiers, state, today, enrolled)
    rank = tiers.ranks[state.tier_id]
    above = tiers.levels[rank + 1] if rank + 1 < len(tiers.levels) else None
    found = Standing(
        tier_id=state.tier_id,
        credits=credits,
        next_tier_id=above.tier_id if above else "",
        next_credits=max(0, above.threshold - credits) if above else 0,
    )
    if rank == 0 or tiers.downgrade is Downgrade.NEVER or state.review_ms >= NEVER_MS:
        return found
    keep = _needed_to_keep(rules, tiers, state, rank, today=today, enrolled=enrolled)
    return found._replace(review_ms=state.review_ms, keep_credits=keep)


def _needed_to_keep(
    rules: RuleSet, tiers: Tiers, state: TierState, rank: int, *, today: date, enrolled: date
) -> int:
    """Return what the review will miss if nothing more is earned.

    It looks at the period that has ended by then and at the one that runs by then. A period that is over today takes
    no more credits: it carries the tier already, or does not count.
    """
    threshold = tiers.levels[rank].threshold
    review_day = local_day(state.review_ms, rules.zone)
    now_in = bucket_day(tiers, today, enrolled)
    missing = []
    for day in (last_counted_day(tiers, review_day, enrolled), review_day):
        still = max(0, threshold - credits_in_period(tiers, state, day, enrolled))
        if still == 0 or now_in <= bucket_day(tiers, day, enrolled):
            missing.append(still)
    return min(missing)


NOBODY: frozenset[str] = frozenset()


def in_tier(reward: Reward, tier_id: str, memberships: frozenset[str] = NOBODY) -> bool:
    """Return whether a member of a tier, with these memberships, may take a reward."""
    when = reward.when
    paid = not when.memberships or not when.memberships.isdisjoint(memberships)
    return paid and (not when.tiers or tier_id in when.tiers)


def to_be_had(rewards: Iterable[Reward], at_ms: int) -> list[Reward]:
    """Return the rewards whose time has come and is not over, in their order."""
    return [reward for reward in rewards if reward.when.from_ms <= at_ms < reward.when.until_ms]


def next_reward(
    rewards: Iterable[Reward], tier_id: str, active: int, memberships: frozenset[str] = NOBODY
) -> Reward | None:
    """Return the cheapest reward that the tier may take and the points do not reach yet; ties: the first."""
    far = [one for one in rewards if in_tier(one, tier_id, memberships) and one.cost > active]
    return min(far, key=lambda reward: reward.cost, default=None)


def expiring_points(rules: RuleSet, lots: Iterable[Lot], *, days_max: int) -> list[Expiring]:
    """Return the points that expire next, by day and soonest first, on at most ``days_max`` days.

    What is pending, or lies in a hold, is not among them.
    """
    days: dict[date, int] = {}
    for lot in lots:
        if lot.remaining and not lot.pending and lot.expires_ms < NEVER_MS:
            day = local_day(lot.expires_ms - 1, rules.zone)
            days[day] = days.get(day, 0) + lot.remaining
    return [Expiring(day, days[day]) for day in sorted(days)[:days_max]]
