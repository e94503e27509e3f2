"""How a basket becomes points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.basket import Basket, Channel, Line, Origin, TaxGroup
from tallystick.core.command import Sale, Spend
from tallystick.core.entry import Entry
from tests.core.world import MEMBER, World, at, basket, codes_of, line, rules_of

BASE = {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}
DOUBLE = {"id": "double", "kind": "multiply", "by": 2}


def earning(*rules: dict[str, Any], **more: Any) -> World:
    """Return a world whose rule set earns by these rules."""
    return World(rules_of(earning={"rules": [BASE, *rules], **more}))


def earned(world: World, *lines: Line | int, **origin: Any) -> int:
    """Return what a sale earns, at another place or time if that is given."""
    sale = world.sale(*lines)
    return -world.posted(replace(sale, origin=replace(sale.origin, **origin))).moves.issued


def test_a_sale_earns_a_point_for_each_whole_euro() -> None:
    world = earning()
    assert earned(world, 100) == 1
    assert earned(world, 199) == 1
    assert earned(world, 99) == 0


def test_cents_of_several_lines_are_added_before_the_one_floor() -> None:
    entry = (world := earning()).posted(world.sale(50, 50, 99))
    assert -entry.moves.issued == 1
    assert sum(share.earned_points for share in entry.detail.lines) == 1


def test_a_sale_without_points_is_an_entry_all_the_same() -> None:
    entry = (world := earning()).posted(world.sale(0))
    assert sum(map(abs, entry.moves)) == 0
    assert world.state.lots == ()


@pytest.mark.parametrize(
    ("selector", "goods"),
    [
        ({"sku": "B"}, line(1000, sku="B")),
        ({"sku": ["X", "B"]}, line(1000, sku="B")),
        ({"category": "toys"}, line(1000, categories=("books", "toys"))),
        ({"brand": "acme"}, line(1000, brand="acme")),
    ],
)
def test_a_multiplier_looks_only_at_the_lines_that_it_names(selector: dict[str, Any], goods: Line) -> None:
    world = earning({**DOUBLE, **selector})
    assert earned(world, goods) == 20
    assert earned(world, line(1000, sku="other")) == 10
    entry = world.posted(world.sale(goods, line(1000, sku="other")))
    assert [share.earned_points for share in entry.detail.lines] == [20, 10]
    assert codes_of(entry) == [
        ("base", 1, 10, "per_amount"),
        ("double", 1, 10, "multiply"),
        ("base", 2, 10, "per_amount"),
    ]


def test_a_line_must_fit_every_kind_of_selector_that_is_given() -> None:
    world = earning({**DOUBLE, "category": "toys", "brand": "acme"})
    assert earned(world, line(1000, categories=("toys",))) == 10
    assert earned(world, line(1000, brand="acme")) == 10
    assert earned(world, line(1000, brand="acme", categories=("toys",))) == 20


@pytest.mark.parametrize(
    ("when", "origin", "points"),
    [
        ({"store": ["s1"]}, {"store_id": "s1"}, 20),
        ({"store": ["s1"]}, {"store_id": "s2"}, 10),
        ({"channel": ["webshop", "app"]}, {"channel": Channel.APP}, 20),
        ({"channel": ["webshop", "app"]}, {"channel": Channel.STORE}, 10),
        ({"weekday": "sat"}, {"occurred_ms": at("2026-01-16T22:59")}, 10),
        ({"weekday": "sat"}, {"occurred_ms": at("2026-01-16T23:00")}, 20),
        ({"weekday": ["fri", "sun"]}, {"occurred_ms": at("2026-01-17T12:00")}, 10),
        ({"hours": "17:00-19:00"}, {"occurred_ms": at("2026-01-15T15:59")}, 10),
        ({"hours": "17:00-19:00"}, {"occurred_ms": at("2026-01-15T16:00")}, 20),
        ({"hours": "17:00-19:00"}, {"occurred_ms": at("2026-01-15T17:59")}, 20),
        ({"hours": "17:00-19:00"}, {"occurred_ms": at("2026-01-15T18:00")}, 10),
        ({"hours": ["00:00-01:00", "23:00-24:00"]}, {"occurred_ms": at("2026-01-15T22:30")}, 20),
        ({"from": "2026-02-01"}, {"occurred_ms": at("2026-01-31T22:59")}, 10),
        ({"from": "2026-02-01"}, {"occurred_ms": at("2026-01-31T23:00")}, 20),
        ({"until": "2026-02-01T08:00"}, {"occurred_ms": at("2026-02-01T06:59")}, 20),
        ({"until": "2026-02-01T08:00"}, {"occurred_ms": at("2026-02-01T07:00")}, 10),
        ({"store": "s1", "weekday": "mon"}, {"store_id": "s1"}, 10),
    ],
)
def test_a_multiplier_holds_where_and_when_it_says_in_local_time(
    when: dict[str, Any], origin: dict[str, Any], points: int
) -> None:
    assert earned(earning({**DOUBLE, **when}), 1000, **origin) == points


def test_local_time_follows_the_clocks_in_summer() -> None:
    world = earning({**DOUBLE, "hours": "17:00-19:00"})
    assert earned(world, 1000, occurred_ms=at("2026-07-01T15:00")) == 20
    assert earned(world, 1000, occurred_ms=at("2026-07-01T17:00")) == 10


def test_a_multiplier_for_a_tier_is_for_the_tier_before_the_sale() -> None:
    tiers = {
        "basis": "spend",
        "period": "calendar_year",
        "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 5000}],
    }
    world = World(rules_of(earning={"rules": [BASE, {**DOUBLE, "tier": "gold"}]}, tiers=tiers))
    first = world.posted(world.sale(5000))
    assert (first.tier_after, -first.moves.issued) == ("gold", 50)
    assert earned(world, 1000) == 20


@pytest.mark.parametrize(
    ("combine", "points"),
    [("highest", 300), ("sum", 450), ("product", 750)],
    ids=["highest", "sum", "product"],
)
def test_several_multipliers_combine_as_the_rule_set_says(combine: str, points: int) -> None:
    world = earning({**DOUBLE, "id": "a", "by": "2.5"}, {**DOUBLE, "id": "b", "by": 3}, combine=combine)
    assert earned(world, 10_000) == points


def test_the_highest_of_equal_multipliers_is_the_one_that_stands_first() -> None:
    world = earning({**DOUBLE, "id": "a"}, {**DOUBLE, "id": "b"})
    entry = world.posted(world.sale(1000))
    assert [rule for rule, *_ in codes_of(entry)] == ["base", "a"]


def test_multipliers_do_not_touch_points_for_the_whole_sale() -> None:
    world = earning(DOUBLE, {"id": "visit", "kind": "per_sale", "points": 7})
    entry = world.posted(world.sale(1000, 3000))
    assert -entry.moves.issued == 2 * 40 + 7
    assert ("visit", 0, 7, "per_sale") in codes_of(entry)
    assert [share.earned_points for share in entry.detail.lines] == [22, 65]


def test_points_for_a_sale_need_a_fitting_line_that_was_paid_for() -> None:
    world = earning({"id": "toys", "kind": "per_sale", "points": 7, "category": "toys"})
    assert earned(world, 1000) == 10
    assert earned(world, line(0, categories=("toys",)), 1000) == 10
    assert earned(world, line(100, categories=("toys",)), 900) == 17


def test_points_for_pieces_count_thousandths_of_a_piece() -> None:
    world = World(rules_of(earning={"rules": [{"id": "piece", "kind": "per_item", "points": 3}]}))
    assert earned(world, line(500, quantity=4)) == 12
    assert earned(world, Line("A", 1500, line(500).amount_minor)) == 4
    assert earned(world, line(0, quantity=4)) == 0


def test_an_excluded_line_earns_nothing_by_any_rule() -> None:
    world = earning(
        {"id": "piece", "kind": "per_item", "points": 5},
        DOUBLE,
        exclude=[{"sku": "POST"}, {"category": "gift cards", "brand": "acme"}],
    )
    assert earned(world, line(1000, sku="POST")) == 0
    assert earned(world, line(1000, categories=("gift cards",))) == 30
    assert earned(world, line(1000, categories=("gift cards",), brand="acme")) == 0


def test_a_basket_below_the_minimum_earns_nothing_and_says_why() -> None:
    world = earning(minimum_minor=1000)
    entry = world.posted(world.sale(999))
    assert entry.moves.issued == 0
    assert codes_of(entry) == [("minimum", 0, 0, "below_minimum")]
    assert earned(world, 1000) == 10


def test_the_minimum_looks_at_the_basket_before_points_pay_for_it() -> None:
    world = earning(minimum_minor=1000)
    world.posted(world.adjust(500))
    assert -world.posted(world.sale(1000, spend=Spend(500))).moves.issued == 5


def test_a_sale_earns_at_most_the_maximum_and_says_what_was_cut() -> None:
    world = earning(points_max=15)
    entry = world.posted(world.sale(1000, 2000))
    assert -entry.moves.issued == 15
    assert codes_of(entry)[-1] == ("maximum", 0, -15, "capped")
    assert [share.earned_points for share in entry.detail.lines] == [5, 10]
    assert earned(world, 1500) == 15


@pytest.mark.parametrize(
    ("rounding", "points"),
    [("down", (0, 0, 1)), ("half_up", (0, 1, 1)), ("up", (1, 1, 1))],
    ids=["down", "half up", "up"],
)
def test_the_one_rounding_of_a_sale_is_the_rule_sets(rounding: str, points: tuple[int, ...]) -> None:
    world = earning(rounding=rounding)
    assert tuple(earned(world, amount) for amount in (1, 50, 100)) == points


def test_rounding_up_does_not_make_a_point_of_nothing() -> None:
    assert earned(earning(rounding="up"), 0) == 0


@pytest.mark.parametrize(("amount", "points"), [("gross", 125), ("net", 100)])
def test_points_count_amounts_with_or_without_tax(amount: str, points: int) -> None:
    world = earning(amount=amount)
    goods = basket(line(12_500, tax="full"), groups=(TaxGroup("full", 250_000),))
    assert -world.posted(world.sale_of(goods)).moves.issued == points


def test_prices_without_tax_are_net_already() -> None:
    world = earning(amount="net")
    goods = basket(line(10_000, tax="full"), groups=(TaxGroup("full", 250_000),), includes_tax=False)
    assert -world.posted(world.sale_of(goods)).moves.issued == 100


def test_nothing_is_earned_on_the_part_that_points_paid() -> None:
    world = earning()
    world.posted(world.adjust(400))
    entry = world.posted(world.sale(1000, spend=Spend(400)))
    assert -entry.moves.issued == 6


def test_a_rule_set_may_let_the_part_that_points_paid_earn() -> None:
    world = earning(on_points_part=True)
    world.posted(world.adjust(400))
    assert -world.posted(world.sale(1000, spend=Spend(400))).moves.issued == 10


def test_the_part_that_a_reward_paid_never_earns() -> None:
    reward = {"id": "four", "kind": "money_off", "points": 40, "amount_minor": 400}
    world = World(rules_of(earning={"rules": [BASE], "on_points_part": True}, rewards=[reward]))
    world.posted(world.adjust(40))
    assert -world.posted(world.sale(1000, rewards=("four",))).moves.issued == 6


def test_explanations_sum_to_the_points_also_when_fractions_meet() -> None:
    world = earning(
        {**DOUBLE, "by": "1.3333", "sku": "A"}, {"id": "piece", "kind": "per_item", "points": 1, "sku": "B"}
    )
    entry = world.posted(
        world.sale(line(333), line(777, sku="B", quantity=3), line(55), line(1, sku="C"), line(99, sku="B"))
    )
    assert sum(points for _, _, points, _ in codes_of(entry)) == -entry.moves.issued
    # 333 and 55 count 1.3333 times, 777, 1 and 99 once, and four pieces of B one point each: 18.94
    assert -entry.moves.issued == (388 * 13_333 + 877 * 10_000) // 1_000_000 + 4


def test_a_tie_of_remainders_goes_to_the_line_that_was_rung_up_first() -> None:
    entry: Entry = (world := earning()).posted(world.sale(50, 50))
    assert [share.earned_points for share in entry.detail.lines] == [1, 0]


def test_what_was_rung_up_at_another_place_is_judged_by_that_place() -> None:
    world = earning({**DOUBLE, "channel": "webshop"})
    origin = Origin(world.now, Channel.WEBSHOP)
    sale = Sale(world.new_id(), MEMBER, origin, Basket("EUR", (line(1000),)))
    assert -world.posted(sale).moves.issued == 20
