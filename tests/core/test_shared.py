"""Gifts and goals in the core: what a sale does for everybody, and what returns take of it back."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.command import Donate, ReturnLine, Spend
from tallystick.core.entry import Entry, EntryKind, Refusal
from tallystick.core.ids import Minor
from tests.core.world import World, line, rules_of

CHARITY: dict[str, Any] = {
    "projects": [{"id": "sea", "name": "Sea"}, {"id": "trees", "name": "Trees"}],
    "share": [
        {"project": "sea", "minor": 100, "sku": "watch"},
        {"project": "trees", "percent": "0.7"},
    ],
}
WHEN = {"from": "2026-01-01", "until": "2027-01-01", "award": {"points": 1}, "target": 9, "name": "x"}
GOALS = [{"id": each, "counts": each, **WHEN} for each in ("spend", "sales", "points", "pieces")]


def world_of(**parts: Any) -> World:
    return World(rules_of(**{"charity": CHARITY, "goals": GOALS, **parts}))


def sums(entries: list[Entry]) -> Counter[str]:
    total: Counter[str] = Counter()
    for entry in entries:
        for key, delta in entry.detail.sums:
            total[key] += delta
    return total


def test_a_sale_says_what_it_does_for_each_sum() -> None:
    world = world_of()
    entry = world.posted(world.sale(line(9_999, quantity=2, sku="watch"), line(2_001)))
    assert sums([entry]) == {
        "gift/sea": 100,
        "gift/trees": 84,
        "goal/spend": 12_000,
        "goal/sales": 1,
        "goal/points": 120,
        "goal/pieces": 3_000,
    }
    told = {one.rule_id: dict(one.args) for one in entry.detail.explanations if one.code == "gift"}
    assert told == {"sea": {"amount_minor": "100"}, "trees": {"amount_minor": "84"}}


def test_a_gift_is_of_what_is_paid_and_a_goal_of_what_earns() -> None:
    world = world_of(burning={"points": 1, "minor": 1, "assurance_caps": {"typed": "unlimited"}})
    world.posted(world.adjust(10_000))
    entry = world.posted(world.sale(line(10_000, sku="watch"), spend=Spend(4_000)))
    assert (sums([entry])["gift/trees"], sums([entry])["goal/spend"]) == (42, 6_000)
    free = world.posted(world.sale(line(5_000, sku="watch"), spend=Spend(5_000)))
    assert sums([free]) == {}


def test_a_donation_is_worth_what_points_are_worth_at_a_checkout() -> None:
    world = world_of(burning={"points": 3, "minor": 2, "assurance_caps": {"typed": "unlimited"}})
    world.posted(world.adjust(100))
    entry = world.posted(Donate(world.new_id(), world.account.member_id, world.origin, "sea", 9))
    assert (entry.kind, entry.moves.burned) == (EntryKind.DONATE, 9)
    assert sums([entry]) == {"donated/sea": 9, "worth/sea": 6}
    uneven = Donate(world.new_id(), world.account.member_id, world.origin, "sea", 10)
    assert world.why(uneven) is Refusal.NOT_WHOLE_UNITS


def test_a_reversed_sale_has_done_nothing() -> None:
    world = world_of()
    entry = world.posted(world.sale(line(9_999, quantity=2, sku="watch")))
    world.posted(world.reverse(entry))
    assert not any(sums(world.entries).values())


@settings(max_examples=80, deadline=None)
@given(
    prices=st.lists(st.integers(1, 30_000), min_size=1, max_size=5),
    parts=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9_000)), max_size=12),
)
def test_any_returns_take_back_no_more_than_was_done_and_all_of_them_exactly_that(
    prices: list[int], parts: list[tuple[int, int]]
) -> None:
    world = world_of()
    goods = [line(price, sku="watch" if at % 2 else "A") for at, price in enumerate(prices)]
    sale = world.posted(world.sale(*goods))
    left = dict(enumerate(prices, 1))
    for at, wanted in parts:
        number = at % len(prices) + 1
        amount = min(wanted, left[number])
        if amount:
            world.posted(world.give_back(sale, ReturnLine(number, 0, Minor(amount))))
            left[number] -= amount
        done = sums([sale])
        assert all(0 <= total <= done[key] for key, total in sums(world.entries).items())
    for number, amount in left.items():
        if amount:
            world.posted(world.give_back(sale, ReturnLine(number, 0, Minor(amount))))
    assert not any(sums(world.entries).values())
