"""What a member gets off a basket for points."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.core.basket import Assurance, Line, TaxGroup
from tallystick.core.command import Spend
from tallystick.core.entry import Entry, Refusal
from tests.core.world import World, basket, codes_of, line, rules_of

REWARDS = [
    {"id": "five", "kind": "money_off", "points": 50, "amount_minor": 500},
    {"id": "toys-three", "kind": "money_off", "points": 30, "amount_minor": 300, "category": "toys"},
    {"id": "tenth", "kind": "percent_off", "points": 30, "percent": 10},
    {"id": "half", "kind": "percent_off", "points": 10, "percent": 50, "amount_minor_max": 250},
    {"id": "toy", "kind": "free_item", "points": 20, "category": "toys"},
    {"id": "big", "kind": "money_off", "points": 0, "amount_minor": 100, "minimum_minor": 5000},
]


def rich(points: int = 10_000, **parts: Any) -> World:
    """Return a world whose member has points to spend."""
    world = World(rules_of(rewards=REWARDS, **parts))
    world.posted(world.adjust(points))
    return world


def toy(amount: int, *, quantity: int = 1) -> Line:
    return line(amount, quantity=quantity, categories=("toys",))


def burning(**parts: Any) -> dict[str, Any]:
    return {"points": 100, "minor": 100, "assurance_caps": {"typed": "unlimited"}, **parts}


def discounts(entry: Entry) -> list[int]:
    return [share.discount_minor for share in entry.detail.lines]


def test_points_pay_what_the_rule_set_says_they_are_worth() -> None:
    world = rich(burning=burning(points=10, minor=3, unit_points=10))
    entry = world.posted(world.sale(1000, spend=Spend(200)))
    assert (entry.moves.burned, sum(discounts(entry)), entry.detail.payable_minor) == (200, 60, 940)
    assert codes_of(entry)[0] == ("points", 0, -200, "points_as_money")


def test_the_unit_of_conversion_is_the_smallest_that_makes_whole_minor_units() -> None:
    world = rich(burning=burning(points=10, minor=4))
    assert world.why(world.sale(1000, spend=Spend(4))) is Refusal.NOT_WHOLE_UNITS
    assert sum(discounts(world.posted(world.sale(1000, spend=Spend(5))))) == 2


def test_a_discount_is_the_value_of_the_points_burned_to_the_cent() -> None:
    world = rich()
    for points in (1, 10, 333, 999):
        entry = world.posted(world.sale(333, 333, 334, spend=Spend(points)))
        assert sum(discounts(entry)) == entry.moves.burned == points


def test_up_to_burns_as_many_whole_units_as_balance_and_basket_allow() -> None:
    world = rich(1_234, burning=burning(unit_points=100))
    entry = world.posted(world.sale(2_000, spend=Spend(10_000, up_to=True)))
    assert entry.moves.burned == 1_200
    world.posted(world.adjust(5_000))
    assert world.posted(world.sale(350, spend=Spend(10_000, up_to=True))).moves.burned == 300
    assert world.posted(world.sale(1_000, spend=Spend(250, up_to=True))).moves.burned == 200


def test_up_to_burns_nothing_where_the_minimum_is_not_reached() -> None:
    world = rich(400, burning=burning(minimum_points=500))
    assert world.posted(world.sale(1_000, spend=Spend(10_000, up_to=True))).moves.burned == 0
    world.posted(world.adjust(200))
    assert world.posted(world.sale(1_000, spend=Spend(10_000, up_to=True))).moves.burned >= 500


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (450, Refusal.NOT_WHOLE_UNITS),
        (400, Refusal.BELOW_MINIMUM),
        (600, Refusal.ABOVE_SHARE_CAP),
        (-100, Refusal.BELOW_MINIMUM),
    ],
)
def test_a_spend_that_the_rule_set_does_not_allow_is_refused(points: int, reason: Refusal) -> None:
    world = rich(burning=burning(unit_points=100, minimum_points=500, share_max_percent=50))
    assert world.why(world.sale(1_000, spend=Spend(points))) is reason
    assert world.posted(world.sale(1_000, spend=Spend(500))).moves.burned == 500


def test_more_points_than_there_are_is_refused_and_says_how_many_there_are() -> None:
    world = rich(99)
    no = world.refused(world.sale(1_000, spend=Spend(100)))
    assert no.reason is Refusal.INSUFFICIENT_POINTS
    assert dict(no.details) == {"points": "100", "available": "99"}


def test_a_spend_of_no_points_is_a_plain_sale() -> None:
    world = rich()
    assert world.posted(world.sale(1_000, spend=Spend(0))).moves.burned == 0


@pytest.mark.parametrize(
    ("assurance", "most"),
    [
        (Assurance.TYPED, 0),
        (Assurance.STATIC_CARD, 500),
        (Assurance.SERVER_CODE, 10_000),
        (Assurance.ROTATING_CODE, 10_000),
        (Assurance.DEVICE_CODE, 10_000),
    ],
)
def test_a_scan_burns_no_more_than_its_assurance_allows(assurance: Assurance, most: int) -> None:
    caps = {"typed": 0, "static_card": 500}
    world = rich(burning=burning(assurance_caps=caps))
    over = world.sale(100_000, spend=Spend(10_001, up_to=True), assurance=assurance)
    assert world.posted(over).moves.burned == most
    if most < 10_000:
        no = world.refused(world.sale(100_000, spend=Spend(most + 1), assurance=assurance))
        assert no.reason is Refusal.ABOVE_ASSURANCE_CAP
        assert dict(no.details) == {"points": str(most + 1), "points_max": str(most)}


def test_rewards_and_points_together_stay_under_the_assurance_cap() -> None:
    world = rich(burning=burning(assurance_caps={"static_card": 100}))
    scan = Assurance.STATIC_CARD
    world.posted(world.sale(9_999, spend=Spend(50), rewards=("five",), assurance=scan))
    over = world.sale(9_999, spend=Spend(51), rewards=("five",), assurance=scan)
    assert world.why(over) is Refusal.ABOVE_ASSURANCE_CAP
    two = world.sale(9_999, rewards=("five", "five", "tenth"), assurance=scan)
    assert world.why(two) is Refusal.ABOVE_ASSURANCE_CAP
    most = world.sale(9_999, spend=Spend(999, up_to=True), rewards=("five",), assurance=scan)
    assert world.posted(most).moves.burned == 100


def test_rewards_come_before_points_and_points_pay_what_is_left() -> None:
    world = rich()
    entry = world.posted(world.sale(1_000, rewards=("five",), spend=Spend(9_999, up_to=True)))
    assert (sum(discounts(entry)), entry.moves.burned, entry.detail.payable_minor) == (1_000, 550, 0)
    assert [why.rule_id for why in entry.detail.explanations] == ["five", "points"]
    assert entry.detail.rewards[0].discount_minor == 500


def test_the_balance_must_cover_rewards_and_points_together() -> None:
    world = rich(100)
    no = world.refused(world.sale(1_000, rewards=("five",), spend=Spend(51)))
    assert no.reason is Refusal.INSUFFICIENT_POINTS
    assert world.why(world.sale(2_000, rewards=("five", "five", "tenth"))) is Refusal.INSUFFICIENT_POINTS
    assert world.posted(world.sale(1_000, rewards=("five",), spend=Spend(50))).active_after == 4


def test_up_to_leaves_the_points_that_the_rewards_cost() -> None:
    world = rich(100)
    entry = world.posted(world.sale(1_000, rewards=("five",), spend=Spend(9_999, up_to=True)))
    assert (entry.moves.burned, entry.detail.payable_minor) == (100, 450)


def test_money_off_is_spread_over_the_lines_that_fit() -> None:
    world = rich()
    entry = world.posted(world.sale(toy(200), 1_000, toy(400), rewards=("toys-three",)))
    assert discounts(entry) == [100, 0, 200]
    assert [share.burned_points for share in entry.detail.lines] == [10, 0, 20]


def test_money_off_needs_a_basket_that_is_worth_as_much() -> None:
    world = rich()
    assert world.why(world.sale(499, rewards=("five",))) is Refusal.REWARD_NOT_APPLICABLE
    assert world.posted(world.sale(500, rewards=("five",))).detail.payable_minor == 0
    toys = world.sale(toy(299), 1_000, rewards=("toys-three",))
    assert world.why(toys) is Refusal.REWARD_NOT_APPLICABLE


def test_a_percentage_is_rounded_down_once_and_limited() -> None:
    world = rich()
    assert sum(discounts(world.posted(world.sale(333, 333, 333, rewards=("tenth",))))) == 99
    assert sum(discounts(world.posted(world.sale(400, rewards=("half",))))) == 200
    assert sum(discounts(world.posted(world.sale(1_000, rewards=("half",))))) == 250


def test_a_percentage_of_next_to_nothing_is_no_reward() -> None:
    world = rich()
    assert world.why(world.sale(9, rewards=("tenth",))) is Refusal.REWARD_NOT_APPLICABLE


def test_a_free_item_is_one_piece_of_the_dearest_line_that_fits() -> None:
    world = rich()
    goods = (toy(300, quantity=2), toy(900, quantity=3), line(5_000))
    entry = world.posted(world.sale(*goods, rewards=("toy",)))
    assert discounts(entry) == [0, 300, 0]
    assert [share.burned_points for share in entry.detail.lines] == [0, 20, 0]


def test_of_equally_dear_lines_the_first_is_free() -> None:
    world = rich()
    entry = world.posted(world.sale(toy(300), toy(300), rewards=("toy",)))
    assert discounts(entry) == [300, 0]


def test_a_second_free_item_costs_what_the_first_did() -> None:
    world = rich()
    entry = world.posted(world.sale(toy(300, quantity=3), rewards=("toy", "toy", "toy")))
    assert [reward.discount_minor for reward in entry.detail.rewards] == [100, 100, 100]
    assert discounts(entry) == [300]
    fourth = world.sale(toy(300, quantity=3), rewards=("toy",) * 4)
    assert world.why(fourth) is Refusal.REWARD_NOT_APPLICABLE


def test_a_free_item_must_be_a_whole_piece_with_a_price() -> None:
    world = rich()
    half = Line("A", 500, line(300).amount_minor, categories=("toys",))
    assert world.why(world.sale(half, rewards=("toy",))) is Refusal.REWARD_NOT_APPLICABLE
    assert world.why(world.sale(toy(0), rewards=("toy",))) is Refusal.REWARD_NOT_APPLICABLE
    assert world.why(world.sale(line(300), rewards=("toy",))) is Refusal.REWARD_NOT_APPLICABLE


def test_a_reward_may_need_a_minimum_basket_and_cost_nothing() -> None:
    world = rich(1)
    assert world.why(world.sale(4_999, rewards=("big",))) is Refusal.REWARD_NOT_APPLICABLE
    entry = world.posted(world.sale(5_000, rewards=("big",)))
    assert (entry.moves.burned, entry.detail.payable_minor) == (0, 4_900)


def test_a_reward_that_the_rule_set_does_not_have_is_refused() -> None:
    world = rich()
    no = world.refused(world.sale(1_000, rewards=("five", "six")))
    assert no.reason is Refusal.REWARD_UNKNOWN
    assert dict(no.details) == {"reward_id": "six"}


def test_a_reward_is_to_be_had_only_where_and_when_it_says() -> None:
    rewards = [
        {"id": "web", "kind": "money_off", "points": 1, "amount_minor": 1, "channel": "webshop"},
        {"id": "gold", "kind": "money_off", "points": 1, "amount_minor": 1, "tier": "gold"},
    ]
    tiers = {
        "basis": "spend",
        "period": "calendar_year",
        "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 5000}],
    }
    world = World(rules_of(rewards=rewards, tiers=tiers))
    world.posted(world.adjust(10))
    assert world.why(world.sale(100, rewards=("web",))) is Refusal.REWARD_NOT_APPLICABLE
    no = world.refused(world.sale(5_000, rewards=("gold",)))
    assert (no.reason, dict(no.details)["tier_id"]) == (Refusal.REWARD_NOT_IN_TIER, "base")
    world.posted(world.sale(5_000))
    assert world.posted(world.sale(100, rewards=("gold",))).moves.burned == 1


def test_a_discount_is_spread_over_tax_groups_before_lines() -> None:
    groups = (TaxGroup("food", 120_000), TaxGroup("full", 250_000))
    goods = basket(line(100, tax="food"), line(100, tax="full"), line(100, tax="food"), groups=groups)
    world = rich()
    entry = world.posted(world.sale_of(goods, spend=Spend(100)))
    # 200 of 300 is food: 66.67 of 100 points, so 67, and 33 from the other group.
    assert discounts(entry) == [34, 33, 33]
    by_code = {total.code: total for total in entry.detail.tax_totals}
    assert by_code["food"].gross_minor == 133
    assert by_code["full"].gross_minor == 67


def test_nothing_is_left_to_pay_at_a_discount_of_everything() -> None:
    groups = (TaxGroup("food", 120_000), TaxGroup("full", 250_000))
    goods = basket(line(333, tax="food"), line(1, tax="full"), line(666), groups=groups)
    world = rich()
    entry = world.posted(world.sale_of(goods, spend=Spend(1_000)))
    assert entry.detail.payable_minor == 0
    assert all(total[1:] == (0, 0, 0) for total in map(_amounts, entry.detail.tax_totals))
    assert entry.moves.issued == 0


def _amounts(total: Any) -> tuple[str, int, int, int]:
    return (total.code, total.net_minor, total.tax_minor, total.gross_minor)
