"""The ladder: what the next tier and reward need, what keeps the tier, and which points expire next."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest

from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.lots import local_day, midnight_ms
from tallystick.core.rules.ladder import (
    Standing,
    expiring_points,
    in_tier,
    next_reward,
    standing_of,
    to_be_had,
)
from tallystick.core.rules.model import DAY_MS
from tallystick.core.rules.tier import last_counted_day
from tests.core.world import World, at, rules_of

LEVELS = [{"id": "base", "from": 0}, {"id": "silver", "from": 10_000}, {"id": "gold", "from": 30_000}]
REWARDS = [
    {"id": "mug", "kind": "money_off", "points": 300, "amount_minor": 300},
    {"id": "cup", "kind": "money_off", "points": 200, "amount_minor": 200, "tier": "gold"},
    {"id": "bag", "kind": "money_off", "points": 900, "amount_minor": 900},
    {"id": "tea", "kind": "money_off", "points": 100, "amount_minor": 100, "until": "2026-01-01"},
    {"id": "hat", "kind": "money_off", "points": 100, "amount_minor": 100, "from": "2026-07-01"},
]


def tiered(period: str = "calendar_year", **more: Any) -> World:
    parts = {key: more.pop(key) for key in ("earning", "rewards") if key in more}
    return World(rules_of(tiers={"basis": "spend", "period": period, "levels": LEVELS, **more}, **parts))


def stands(world: World) -> Standing:
    account = world.account
    return standing_of(world.rules, account.tier, enrolled_ms=account.enrolled_ms, at_ms=world.now)


def sold(world: World, amount: int, when: str = "") -> Standing:
    if when:
        world.now = at(when)
    world.posted(world.sale(amount))
    return stands(world)


def test_a_new_member_has_the_lowest_tier_and_all_of_the_way_to_the_next() -> None:
    assert stands(tiered()) == Standing("base", 0, NEVER_MS, 0, "silver", 10_000)


def test_each_sale_shortens_the_way_to_the_next_tier() -> None:
    world = tiered()
    assert sold(world, 4_000).next_credits == 6_000
    silver = sold(world, 6_500)
    assert (silver.tier_id, silver.credits, silver.next_tier_id, silver.next_credits) == (
        "silver",
        10_500,
        "gold",
        19_500,
    )


def test_at_the_top_there_is_no_next_tier() -> None:
    top = sold(tiered(), 30_000)
    assert (top.tier_id, top.next_tier_id, top.next_credits) == ("gold", "", 0)


def test_a_program_without_tiers_has_no_ladder() -> None:
    assert stands(World(rules_of())) == Standing()


def test_in_the_year_of_the_climb_nothing_counts_for_the_year_that_decides() -> None:
    world = tiered()
    now = sold(world, 30_000, "2026-05-01")
    assert (now.review_ms, now.keep_credits) == (at("2027-12-31T23:00"), 30_000)
    year_after = sold(world, 12_000, "2027-03-01")
    assert (year_after.credits, year_after.keep_credits) == (12_000, 18_000)
    assert sold(world, 18_000).keep_credits == 0


def test_a_year_since_joining_is_counted_from_the_day_of_joining() -> None:
    world = tiered("anniversary")
    joined = sold(world, 10_000, "2026-06-01")
    assert (joined.review_ms, joined.keep_credits) == (at("2028-01-14T23:00"), 10_000)
    assert sold(world, 4_000, "2027-01-14").keep_credits == 10_000
    assert sold(world, 4_000, "2027-01-15T12:00").keep_credits == 6_000


def test_in_a_rolling_window_what_is_too_old_by_then_does_not_count() -> None:
    world = tiered("rolling", rolling_days=90)
    climbed = sold(world, 10_000, "2026-03-01")
    assert (climbed.review_ms, climbed.keep_credits) == (at("2026-05-29T22:00"), 10_000)
    assert sold(world, 3_000, "2026-04-01").keep_credits == 7_000


def test_in_the_days_of_grace_a_year_that_is_over_takes_no_more() -> None:
    world = tiered(grace_days=30)
    sold(world, 10_000, "2026-05-01")
    assert sold(world, 9_000, "2027-11-01").keep_credits == 1_000
    graced = sold(world, 500, "2028-01-10")
    assert (graced.review_ms, graced.credits, graced.keep_credits) == (at("2028-01-30T23:00"), 500, 9_500)


def test_in_the_days_of_grace_a_year_that_sufficed_suffices() -> None:
    world = tiered(grace_days=30)
    sold(world, 10_000, "2026-05-01")
    sold(world, 10_000, "2027-11-01")
    assert sold(world, 1, "2028-01-10").keep_credits == 0


def test_a_tier_that_is_never_lost_has_no_review() -> None:
    gold = sold(tiered(downgrade="never"), 30_000)
    assert (gold.review_ms, gold.keep_credits) == (NEVER_MS, 0)


def test_a_review_of_rules_that_are_gone_is_not_shown() -> None:
    world = tiered()
    sold(world, 30_000)
    world.rules = tiered(downgrade="never").rules
    assert (stands(world).review_ms, stands(world).keep_credits) == (NEVER_MS, 0)


def test_credits_that_are_pending_count_when_they_mature_and_not_before() -> None:
    base = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]
    world = tiered(earning={"rules": base, "pending_days": 14})
    waiting = sold(world, 9_000, "2026-05-01")
    assert (waiting.credits, waiting.next_credits) == (0, 10_000)
    world.wait_until("2026-05-16")
    assert (stands(world).credits, stands(world).next_credits) == (9_000, 1_000)


def test_a_threshold_that_was_lowered_since_leaves_nothing_to_be_earned_first() -> None:
    world = tiered()
    sold(world, 9_000)
    lower = [{"id": "base", "from": 0}, {"id": "silver", "from": 8_000}]
    world.rules = rules_of(tiers={"basis": "spend", "period": "calendar_year", "levels": lower})
    assert (stands(world).tier_id, stands(world).next_credits) == ("base", 0)


@pytest.mark.parametrize("downgrade", ["one_step", "by_balance"])
@pytest.mark.parametrize("grace_days", [0, 20])
@pytest.mark.parametrize("period", ["calendar_year", "anniversary", "rolling"])
def test_what_is_said_to_keep_the_tier_keeps_it_and_one_less_does_not(
    period: str, grace_days: int, downgrade: str
) -> None:
    """The ladder's figure against the review itself, over many lives."""
    judged = 0
    for seed in range(25):
        dice = random.Random(f"{period} {grace_days} {seed}")
        life = dice.random()
        for short in (0, 1):
            world = tiered(period, grace_days=grace_days, downgrade=downgrade)
            live_a_while(world, random.Random(life))
            before = stands(world)
            if before.review_ms >= NEVER_MS or before.keep_credits <= short:
                continue
            spend_in_time(world, before.keep_credits - short)
            world.now = before.review_ms
            world.wait_until_now()
            assert (stands(world).tier_id == before.tier_id) is (short == 0), (seed, short, before)
            judged += 1
    assert judged > 10


def live_a_while(world: World, dice: random.Random) -> None:
    for _ in range(dice.randint(1, 6)):
        world.now = Ms(world.now + dice.randint(1, 200) * DAY_MS)
        world.posted(world.sale(dice.choice([500, 4_000, 9_500, 10_000, 31_000])))
    world.now = Ms(world.now + dice.randint(0, 100) * DAY_MS)
    world.wait_until_now()


def spend_in_time(world: World, amount: int) -> None:
    """Spend on the last day that counts at the review, or today when that is over."""
    tiers = world.rules.tiers
    assert tiers is not None
    zone, review_ms = world.rules.zone, world.account.tier.review_ms
    enrolled = local_day(world.account.enrolled_ms, zone)
    last = last_counted_day(tiers, local_day(review_ms, zone), enrolled)
    in_time_ms = min(midnight_ms(last, zone) + DAY_MS // 2, review_ms - 1)
    world.now = Ms(max(world.now, in_time_ms))
    world.posted(world.sale(amount))


def test_the_next_reward_is_the_cheapest_that_the_tier_may_take_and_the_points_do_not_reach() -> None:
    rules = tiered(rewards=REWARDS).rules
    now = at("2026-03-01")
    assert [reward.reward_id for reward in to_be_had(rules.rewards, now)] == ["mug", "cup", "bag"]

    def wanted(tier_id: str, active: int) -> str:
        found = next_reward(to_be_had(rules.rewards, now), tier_id, active)
        return found.reward_id if found else ""

    assert wanted("base", 0) == "mug"
    assert wanted("gold", 0) == "cup"
    assert wanted("gold", 200) == "mug"
    assert wanted("base", 300) == "bag"
    assert wanted("base", 900) == ""
    assert [in_tier(reward, "base") for reward in rules.rewards[:2]] == [True, False]


def test_points_that_expire_on_one_day_are_one_sum_and_the_soonest_come_first() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    for when, amount in (("2026-01-20", 500), ("2026-01-20T22:30", 700), ("2026-01-20T23:30", 900)):
        world.now = at(when)
        world.posted(world.sale(amount))
    found = expiring_points(world.rules, world.state.lots, days_max=12)
    # The last of the three is a sale of the next day in Stockholm.
    assert found == [(date(2026, 2, 20), 12), (date(2026, 2, 21), 9)]


def test_points_can_be_burned_on_the_day_that_is_said_to_be_the_last() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(500))
    ((last_day, points),) = expiring_points(world.rules, world.state.lots, days_max=12)
    world.now = Ms(midnight_ms(last_day, world.rules.zone) + DAY_MS - 1)
    world.posted(world.burn(points))
    late = World(rules_of(expiry={"kind": "months", "months": 1}))
    late.posted(late.sale(500))
    late.now = Ms(midnight_ms(last_day, world.rules.zone) + DAY_MS)
    late.refused(late.burn(points))


def test_no_more_days_are_told_than_asked_for() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 6}))
    for day in range(1, 15):
        world.now = at(f"2026-02-{day:02d}T12:00")
        world.posted(world.sale(100))
    assert len(expiring_points(world.rules, world.state.lots, days_max=12)) == 12


def test_points_that_do_not_expire_are_pending_or_held_are_not_among_those_that_do() -> None:
    forever = World(rules_of())
    forever.posted(forever.sale(500))
    assert expiring_points(forever.rules, forever.state.lots, days_max=12) == []
    base = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]
    expiry = {"kind": "months", "months": 6}
    waiting = World(rules_of(earning={"rules": base, "pending_days": 14}, expiry=expiry))
    waiting.posted(waiting.sale(500))
    assert expiring_points(waiting.rules, waiting.state.lots, days_max=12) == []
    held = World(rules_of(expiry=expiry))
    held.posted(held.sale(500))
    held.posted(held.hold(2))
    assert [points for _, points in expiring_points(held.rules, held.state.lots, days_max=12)] == [3]
