"""Gifts of tiers: whoever climbs to a tier is given points, once in each period of the tiers.

A return that takes the tier away takes its gift too, as if the goods had never been sold; so buying, climbing and
bringing back gains nobody anything. A tier that is lost at a review keeps what it gave.
"""

from __future__ import annotations

from datetime import date, timedelta

from tallystick.core.basket import Origin
from tallystick.core.draft import Draft
from tallystick.core.ids import CommandId
from tallystick.core.lots import local_day
from tallystick.core.prize import WON, Prize, give, has_room, take_back, won
from tallystick.core.rules.model import Level, RuleSet, SpentPolicy, TierPeriod, Tiers
from tallystick.core.rules.tier import bucket_day

KEPT_DAYS = 100
"""How long after its end a period of the tiers is remembered, for goods that come back late."""


def settle_gifts(
    draft: Draft, rules: RuleSet, *, before: str, origin: Origin, cause: CommandId, policy: SpentPolicy
) -> None:
    """Post the gifts of the tiers that a command led to, or take back those of the tiers that it took away.

    ``before`` is the tier that the member had.
    """
    tiers = rules.tiers
    if tiers is None or draft.tier.tier_id == before:
        return
    was, now = tiers.ranks.get(before, 0), tiers.ranks.get(draft.tier.tier_id, 0)
    for level in tiers.levels[was + 1 : now + 1]:
        prize = _prize(draft, rules, tiers, level, origin)
        if level.gift_points and not won(draft, prize) and has_room(draft, prize):
            give(draft, rules, prize, 1, origin=origin, cause=cause)
    for level in tiers.levels[now + 1 : was + 1]:
        prize = _prize(draft, rules, tiers, level, origin, is_lost=True)
        if won(draft, prize):
            take_back(draft, rules, prize, 1, origin=origin, cause=cause, policy=policy)


def _prize(
    draft: Draft, rules: RuleSet, tiers: Tiers, level: Level, origin: Origin, *, is_lost: bool = False
) -> Prize:
    """Return the gift of a tier in the period that runs: the last one given if that is not over, else a new one.

    When the tier ``is_lost`` with its goods, it is the last one remembered: they may be of the period before.
    """
    today = local_day(max(origin.occurred_ms, draft.account.as_of_ms), rules.zone)
    enrolled = local_day(draft.account.enrolled_ms, rules.zone)
    key, period = f"gift/{level.tier_id}", bucket_day(tiers, today, enrolled)
    rolling = tiers.period is TierPeriod.ROLLING
    keep_from = period - tiers.rolling_days + 1 if rolling else _kept_from(tiers, today, enrolled)
    if rolling or is_lost:
        period = max((at for at in draft.tallies_of(f"{WON}{key}") if at >= keep_from), default=period)
    return Prize(
        key,
        period,
        level.gift_points,
        level.tier_id,
        level.tier_id,
        "tier_gift",
        "tier_gift_taken_back",
        keep_from=keep_from,
    )


def _kept_from(tiers: Tiers, today: date, enrolled: date) -> int:
    return bucket_day(tiers, today - timedelta(days=KEPT_DAYS), enrolled)
