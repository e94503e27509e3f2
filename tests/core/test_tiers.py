"""Tiers: up at once, down at a review, corrected by a return; credits are apart from points."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.core.command import ReturnLine, Spend
from tallystick.core.entry import EntryKind
from tallystick.core.ids import NEVER_MS
from tallystick.core.lots import local_day
from tallystick.core.rules.tier import credits_in_period
from tests.core.world import World, at, basket, codes_of, line, rules_of

LEVELS = [{"id": "base", "from": 0}, {"id": "silver", "from": 10_000}, {"id": "gold", "from": 30_000}]
BASE = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]


def tiered(period: str = "calendar_year", basis: str = "spend", **more: Any) -> World:
    parts = {key: more.pop(key) for key in ("earning", "returns") if key in more}
    tiers = {"basis": basis, "period": period, "levels": LEVELS, **more}
    return World(rules_of(tiers=tiers, **parts))


def tier(world: World) -> str:
    return world.account.tier.tier_id


def credits_now(world: World) -> int:
    assert world.rules.tiers is not None
    today = local_day(world.now, world.rules.zone)
    enrolled = local_day(world.account.enrolled_ms, world.rules.zone)
    return credits_in_period(world.rules.tiers, world.account.tier, today, enrolled)


def sell(world: World, amount: int, when: str = "") -> str:
    """Sell something and return the tier after it."""
    if when:
        world.now = at(when)
    world.posted(world.sale(amount))
    return tier(world)


def test_a_member_starts_in_the_lowest_tier() -> None:
    world = tiered()
    assert sell(world, 100) == "base"
    assert world.account.tier.review_ms == NEVER_MS


def test_a_tier_is_reached_at_once_by_the_sale_that_reaches_it() -> None:
    world = tiered()
    assert sell(world, 9_999) == "base"
    entry = world.posted(world.sale(1))
    assert entry.tier_after == "silver"
    assert codes_of(entry)[-1] == ("tiers", 0, 0, "tier_reached")
    assert dict(entry.detail.explanations[-1].args) == {"from": "base", "to": "silver"}
    assert sell(world, 50_000) == "gold"


@pytest.mark.parametrize(
    ("basis", "amounts", "reached"),
    [("spend", [30_000], "gold"), ("points", [30_000], "base"), ("visits", [30_000], "base")],
)
def test_money_points_and_visits_qualify_each_by_its_own_measure(
    basis: str, amounts: list[int], reached: str
) -> None:
    world = tiered(basis=basis)
    for amount in amounts:
        sell(world, amount)
    assert tier(world) == reached
    assert credits_now(world) == {"spend": 30_000, "points": 300, "visits": 1}[basis]


def test_points_for_an_action_qualify_where_points_do() -> None:
    world = tiered(basis="points")
    world.posted(world.earn(10_000))
    assert tier(world) == "silver"
    money = tiered(basis="spend")
    money.posted(money.earn(10_000))
    assert tier(money) == "base"


def test_corrections_by_hand_never_qualify() -> None:
    world = tiered(basis="points")
    world.posted(world.adjust(50_000))
    sell(world, 100)
    assert (tier(world), credits_now(world)) == ("base", 1)


def test_a_visit_counts_once_and_not_for_a_sale_without_anything_paid() -> None:
    world = tiered(basis="visits")
    sell(world, 0)
    assert credits_now(world) == 0
    world.posted(world.sale(100, 200, 300))
    assert credits_now(world) == 1


def test_burning_points_never_lowers_the_tier() -> None:
    world = tiered(basis="points")
    world.posted(world.earn(10_000))
    world.posted(world.burn(10_000))
    sell(world, 100)
    assert (world.account.active, tier(world), credits_now(world)) == (1, "silver", 10_001)


def test_expiry_never_lowers_the_tier() -> None:
    world = World(
        rules_of(
            tiers={"basis": "points", "period": "calendar_year", "levels": LEVELS},
            expiry={"kind": "months", "months": 1},
        )
    )
    world.posted(world.earn(10_000))
    world.wait_until("2026-06-01")
    assert (world.account.active, tier(world)) == (0, "silver")


def test_the_part_that_points_paid_does_not_qualify() -> None:
    world = tiered()
    world.posted(world.adjust(500))
    world.posted(world.sale(1_000, spend=Spend(500)))
    assert credits_now(world) == 500


@pytest.mark.parametrize(("basis", "credits"), [("spend", 1_000), ("visits", 1)])
def test_the_part_that_points_paid_qualifies_where_it_earns(basis: str, credits: int) -> None:
    world = tiered(basis=basis, earning={"rules": BASE, "on_points_part": True})
    world.posted(world.adjust(1_000))
    world.posted(world.sale(1_000, spend=Spend(1_000)))
    assert credits_now(world) == credits


def test_excluded_lines_do_not_qualify() -> None:
    world = tiered(earning={"rules": BASE, "exclude": [{"sku": "POST"}]})
    world.posted(world.sale(line(400, sku="POST"), 600))
    assert credits_now(world) == 600


def test_a_tier_is_kept_to_the_end_of_the_next_calendar_year() -> None:
    world = tiered(downgrade="one_step")
    assert sell(world, 30_000, "2026-05-01") == "gold"
    world.wait_until("2027-12-31T22:59")
    assert tier(world) == "gold"
    world.wait_until("2027-12-31T23:00")
    assert tier(world) == "silver"
    fall = world.entries[-1]
    assert (fall.kind, fall.tier_after, sum(map(abs, fall.moves))) == (EntryKind.TIER, "silver", 0)
    assert codes_of(fall) == [("tiers", 0, 0, "tier_lowered")]
    assert fall.origin.occurred_ms == at("2027-12-31T23:00")
    world.wait_until("2028-12-31T22:59")
    assert tier(world) == "silver"
    world.wait_until("2028-12-31T23:00")
    assert (tier(world), world.account.tier.review_ms) == ("base", NEVER_MS)


def test_by_balance_falls_as_far_as_the_credits_carry() -> None:
    world = tiered(downgrade="by_balance")
    sell(world, 30_000, "2026-05-01")
    world.wait_until("2028-01-02")
    assert tier(world) == "base"
    half = tiered(downgrade="by_balance")
    sell(half, 30_000, "2026-05-01")
    sell(half, 12_000, "2027-05-01")
    half.wait_until("2028-01-02")
    assert tier(half) == "silver"


def test_a_tier_that_never_falls_is_never_reviewed() -> None:
    world = tiered(downgrade="never")
    sell(world, 30_000, "2026-05-01")
    assert world.account.tier.review_ms == NEVER_MS
    world.wait_until("2040-01-01")
    assert tier(world) == "gold"


def test_a_rule_set_that_stops_lowering_holds_for_those_who_await_a_review() -> None:
    world = tiered(downgrade="one_step")
    sell(world, 30_000, "2026-05-01")
    world.rules = tiered(downgrade="never").rules
    world.wait_until("2030-01-01")
    assert (tier(world), world.account.tier.review_ms) == ("gold", NEVER_MS)


def test_credits_of_the_period_that_ended_keep_the_tier_one_more() -> None:
    world = tiered(downgrade="by_balance")
    sell(world, 30_000, "2026-05-01")
    sell(world, 30_000, "2027-12-30T12:00")
    world.wait_until("2028-06-01")
    assert (tier(world), world.account.tier.review_ms) == ("gold", at("2028-12-31T23:00"))


def test_grace_lets_a_member_make_up_for_it_after_the_period() -> None:
    world = tiered(downgrade="by_balance", grace_days=30)
    sell(world, 30_000, "2026-05-01")
    sell(world, 30_000, "2028-01-20T12:00")
    world.wait_until("2028-02-15")
    assert tier(world) == "gold"
    late = tiered(downgrade="by_balance", grace_days=30)
    sell(late, 30_000, "2026-05-01")
    late.wait_until("2028-01-30T22:59")
    assert tier(late) == "gold"
    late.wait_until("2028-01-30T23:00")
    assert tier(late) == "base"


def test_a_rolling_period_forgets_day_by_day() -> None:
    world = tiered("rolling", rolling_days=90, downgrade="by_balance")
    sell(world, 6_000, "2026-01-15T12:00")
    assert sell(world, 4_000, "2026-04-14T12:00") == "silver"
    out = tiered("rolling", rolling_days=90)
    sell(out, 6_000, "2026-01-15T12:00")
    assert sell(out, 4_000, "2026-04-15T12:00") == "base"


def test_a_rolling_tier_is_reviewed_after_the_length_of_its_window() -> None:
    world = tiered("rolling", rolling_days=90, downgrade="by_balance")
    sell(world, 10_000, "2026-01-15T12:00")
    assert world.account.tier.review_ms == at("2026-04-14T22:00")
    sell(world, 10_000, "2026-03-01")
    world.wait_until("2026-04-16")
    assert (tier(world), world.account.tier.review_ms) == ("silver", at("2026-07-13T22:00"))
    world.wait_until("2026-08-01")
    assert tier(world) == "base"


def test_an_anniversary_period_begins_on_the_day_of_enrolment() -> None:
    world = tiered("anniversary", downgrade="by_balance")
    sell(world, 6_000, "2026-12-31T12:00")
    assert sell(world, 4_000, "2027-01-14T12:00") == "silver"
    assert world.account.tier.review_ms == at("2028-01-14T23:00")
    next_year = tiered("anniversary")
    sell(next_year, 6_000, "2026-12-31T12:00")
    assert sell(next_year, 4_000, "2027-01-15T12:00") == "base"


def test_who_enrolled_on_a_leap_day_has_an_anniversary_every_year() -> None:
    world = tiered("anniversary")
    world.now = at("2028-02-29T12:00")
    world.__post_init__()
    sell(world, 6_000, "2029-02-27T12:00")
    assert credits_now(world) == 6_000
    assert sell(world, 4_000, "2029-02-28T12:00") == "base"
    assert credits_now(world) == 4_000
    assert sell(world, 6_000, "2030-02-27T12:00") == "silver"


def test_pending_points_do_not_qualify_before_they_mature() -> None:
    world = tiered(earning={"rules": BASE, "pending_days": 14})
    assert sell(world, 30_000) == "base"
    assert credits_now(world) == 0
    world.wait_until("2026-02-01")
    assert (tier(world), credits_now(world)) == ("gold", 30_000)
    assert codes_of(world.entries[-1]) == [("tiers", 0, 0, "tier_reached")]


def test_a_purchase_of_december_counts_for_its_year_though_it_matures_in_january() -> None:
    world = tiered(earning={"rules": BASE, "pending_days": 14})
    sell(world, 30_000, "2026-12-28T12:00")
    world.wait_until("2027-02-01")
    assert (tier(world), credits_now(world)) == ("gold", 0)
    assert world.account.tier.review_ms == at("2027-12-31T23:00"), "as if it had been reached in December"


def test_returned_goods_that_were_pending_never_qualify() -> None:
    world = tiered(earning={"rules": BASE, "pending_days": 14})
    sale = world.posted(world.sale(30_000))
    world.posted(world.give_back(sale, ReturnLine(1, 0, line(20_000).amount_minor)))
    world.wait_until("2026-02-01")
    assert (tier(world), credits_now(world)) == ("silver", 10_000)


def test_a_return_of_what_carried_the_climb_takes_the_tier_back() -> None:
    world = tiered()
    sale = world.posted(world.sale(30_000))
    back = world.posted(world.all_back(sale))
    assert (tier(world), credits_now(world)) == ("base", 0)
    assert ("tiers", 0, 0, "tier_corrected") in codes_of(back)
    assert world.account.tier.review_ms == NEVER_MS


def test_a_return_that_leaves_enough_leaves_the_tier() -> None:
    world = tiered()
    sale = world.posted(world.sale(30_000, 500))
    world.posted(world.give_back(sale, ReturnLine(2, 1000)))
    assert (tier(world), credits_now(world)) == ("gold", 30_000)


def test_many_partial_returns_take_the_tier_as_far_as_one_full_return() -> None:
    world = tiered()
    sale = world.posted(world.sale(line(30_000, quantity=3)))
    seen = []
    for _ in range(3):
        world.posted(world.give_back(sale, ReturnLine(1, 1000)))
        seen.append(tier(world))
    assert seen == ["silver", "silver", "base"]


def test_two_climbs_of_one_year_are_both_taken_back() -> None:
    world = tiered()
    first, second = world.posted(world.sale(10_000)), world.posted(world.sale(20_000))
    assert tier(world) == "gold"
    world.posted(world.all_back(second))
    assert tier(world) == "silver"
    world.posted(world.all_back(first))
    assert tier(world) == "base"


def test_a_return_falls_back_to_the_tier_of_the_year_before_and_to_its_review() -> None:
    world = tiered()
    sell(world, 10_000, "2026-05-01")
    review = world.account.tier.review_ms
    world.now = at("2027-05-01")
    sale = world.posted(world.sale(30_000))
    assert tier(world) == "gold"
    world.posted(world.all_back(sale))
    assert (tier(world), world.account.tier.review_ms) == ("silver", review)


def test_a_small_return_in_january_does_not_take_the_tier_of_december() -> None:
    world = tiered()
    world.now = at("2026-12-20")
    sale = world.posted(world.sale(40_000, 500))
    world.now = at("2027-01-05")
    world.posted(world.give_back(sale, ReturnLine(2, 1000)))
    assert tier(world) == "gold"
    world.posted(world.give_back(sale, ReturnLine(1, 0, line(25_000).amount_minor)))
    assert tier(world) == "silver"
    world.posted(world.give_back(sale, ReturnLine(1, 0, line(15_000).amount_minor)))
    assert tier(world) == "base"


def test_a_small_return_does_not_take_a_rolling_tier_before_its_review() -> None:
    world = tiered("rolling", rolling_days=90)
    sell(world, 9_000, "2026-01-15T12:00")
    sell(world, 1_000, "2026-04-10T12:00")
    assert tier(world) == "silver"
    world.now = at("2026-05-01")
    small = world.posted(world.sale(100))
    world.posted(world.all_back(small))
    assert tier(world) == "silver"


def test_a_return_never_gives_back_a_tier_that_a_review_took() -> None:
    world = tiered("rolling", downgrade="by_balance")
    sell(world, 20_000)
    world.now = at("2027-01-05T12:00")
    small = world.posted(world.sale(3_000, 100))
    world.wait_until("2027-01-20T12:00")
    assert tier(world) == "base"
    world.posted(world.give_back(small, ReturnLine(2, 1000)))
    assert tier(world) == "base"


def test_a_return_never_takes_a_tier_that_a_review_has_confirmed() -> None:
    world = tiered(downgrade="by_balance")
    sell(world, 30_000, "2026-05-01")
    world.now = at("2027-05-01")
    sale = world.posted(world.sale(30_000))
    world.wait_until("2028-02-01")
    world.posted(world.all_back(sale))
    assert tier(world) == "gold"


def test_a_higher_threshold_takes_nobody_down_before_the_review() -> None:
    world = tiered()
    sale = world.posted(world.sale(30_000, 10))
    assert tier(world) == "gold"
    raised = [{"id": "base", "from": 0}, {"id": "silver", "from": 10_000}, {"id": "gold", "from": 90_000}]
    world.rules = rules_of(tiers={"basis": "spend", "period": "calendar_year", "levels": raised})
    world.posted(world.give_back(sale, ReturnLine(2, 1000)))
    assert tier(world) == "gold"


def test_reversing_an_action_takes_its_credits_back() -> None:
    world = tiered(basis="points")
    earn = world.posted(world.earn(10_000))
    assert tier(world) == "silver"
    world.posted(world.reverse(earn))
    assert (tier(world), credits_now(world)) == ("base", 0)


def test_money_does_not_count_as_points_when_the_basis_changes() -> None:
    world = tiered(basis="spend")
    sell(world, 20_000)
    world.rules = tiered(basis="points").rules
    sell(world, 1_000)
    assert (tier(world), credits_now(world)) == ("silver", 10)


def test_a_return_after_the_basis_changed_does_not_take_the_tier() -> None:
    world = tiered(basis="spend")
    sale = world.posted(world.sale(20_000))
    world.rules = tiered(basis="visits").rules
    world.posted(world.all_back(sale))
    assert tier(world) == "silver"


@pytest.mark.parametrize("before", ["rolling", "anniversary"])
def test_what_was_spent_this_year_counts_on_when_the_period_becomes_the_calendar_year(before: str) -> None:
    world = tiered(before)
    sell(world, 9_000, "2026-03-01")
    world.rules = tiered().rules
    assert sell(world, 1_000, "2026-04-01") == "silver"
    assert credits_now(world) == 10_000


def test_a_review_by_the_calendar_year_finds_what_a_rolling_period_has_counted() -> None:
    world = tiered("rolling")
    sale = world.posted(world.sale(30_000, 5_000))
    world.rules = tiered().rules
    world.wait_until("2027-02-01")
    assert tier(world) == "gold"
    assert sell(world, 100, "2027-02-01") == "gold"
    world.posted(world.give_back(sale, ReturnLine(2, 1000)))
    world.wait_until("2028-02-01")
    assert tier(world) == "silver", "the year before has carried it no more"


def test_a_member_of_a_tier_that_is_gone_begins_again_at_the_lowest() -> None:
    world = tiered()
    sell(world, 30_000)
    levels = [{"id": "bronze", "from": 0}, {"id": "iron", "from": 90_000}]
    world.rules = rules_of(tiers={"basis": "spend", "period": "calendar_year", "levels": levels})
    assert sell(world, 100) == "bronze"
    assert sell(world, 60_000) == "iron"


def test_a_rule_set_without_tiers_ends_them() -> None:
    world = tiered()
    sell(world, 30_000)
    world.rules = rules_of()
    assert sell(world, 100) == ""
    world.wait_until("2030-01-01")
    assert world.account.tier.buckets == ()


@pytest.mark.parametrize(
    ("levels", "left"), [([{"id": "base", "from": 0}, {"id": "guld", "from": 90_000}], "base"), ([], "")]
)
def test_the_review_of_a_tier_that_is_gone_ends_it_once_and_in_words(levels: list[Any], left: str) -> None:
    world = tiered()
    sell(world, 10_000)
    tiers = {"basis": "spend", "period": "calendar_year", "levels": levels}
    world.rules = rules_of(tiers=tiers) if levels else rules_of()
    world.wait_until("2028-02-01")
    (ended,) = world.entries[1:]
    assert (ended.kind, ended.tier_after, tier(world)) == (EntryKind.TIER, left, left)
    assert codes_of(ended) == [("tiers", 0, 0, "tier_ended")]
    assert dict(ended.detail.explanations[0].args) == {"from": "silver", "to": left}
    assert sell(world, 100) == left
    world.wait_until("2031-02-01")
    assert len(world.entries) == 3, "no review follows"


def test_credits_that_can_never_count_again_are_forgotten() -> None:
    world = tiered("rolling", rolling_days=30)
    for month in range(1, 10):
        sell(world, 100, f"2026-{month:02}-15T12:00")
    assert len(world.account.tier.buckets) == 2
    assert credits_now(world) == 100


def test_prices_without_tax_qualify_as_they_are() -> None:
    world = tiered()
    world.posted(world.sale_of(basket(5_000, includes_tax=False)))
    assert credits_now(world) == 5_000
