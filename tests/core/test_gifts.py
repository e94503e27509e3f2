"""Gifts of tiers: given at the climb, once in a period, and gone with the goods that carried it."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.core.command import CatchUp, SettleUndo
from tallystick.core.entry import EntryKind
from tallystick.core.rules.parse import parse_rules
from tests.core.world import MEMBER, World, codes_of, document_of, rules_of

LEVELS = [
    {"id": "base", "from": 0},
    {"id": "silver", "from": 10_000, "gift": {"points": 200}},
    {"id": "gold", "from": 50_000, "gift": {"points": 1_000}},
]


def world_of(pending_days: int = 0, **tiers: Any) -> World:
    rules = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]
    standard = {"basis": "spend", "period": "calendar_year", "levels": LEVELS}
    earning = {"rules": rules, "pending_days": pending_days}
    return World(rules_of(tiers={**standard, **tiers}, earning=earning))


def gifts(world: World) -> list[tuple[str, int]]:
    """Return tier and signed points of every gift so far."""
    awards = [entry for entry in world.entries if entry.kind is EntryKind.AWARD]
    return [(entry.detail.explanations[0].rule_id, -entry.moves.issued) for entry in awards]


def test_the_sale_that_reaches_a_tier_brings_its_gift() -> None:
    world = world_of()
    world.posted(world.sale(9_999))
    assert gifts(world) == []
    world.posted(world.sale(1))
    assert gifts(world) == [("silver", 200)]
    assert codes_of(world.entries[-1]) == [("silver", 0, 200, "tier_gift")]
    assert world.account.active == 99 + 200


def test_two_tiers_at_once_bring_two_gifts() -> None:
    world = world_of()
    world.posted(world.sale(60_000))
    assert gifts(world) == [("silver", 200), ("gold", 1_000)]


def test_a_return_that_takes_the_tier_takes_its_gift_and_climbing_again_brings_it_again() -> None:
    world = world_of()
    world.posted(world.sale(8_000))
    sale = world.posted(world.sale(2_000))
    world.posted(world.all_back(sale))
    assert gifts(world) == [("silver", 200), ("silver", -200)]
    assert world.account.active == 80
    world.posted(world.sale(2_000))
    assert gifts(world)[2:] == [("silver", 200)]


@pytest.mark.parametrize("period", ["calendar_year", "anniversary"])
def test_a_return_in_the_next_period_takes_the_gift_of_the_last_one(period: str) -> None:
    world = world_of(period=period)
    world.wait_until("2026-12-20T12:00" if period == "calendar_year" else "2027-01-10T12:00")
    sale = world.posted(world.sale(10_000))
    world.wait_until("2027-01-20T12:00")
    world.posted(world.all_back(sale))
    assert gifts(world) == [("silver", 200), ("silver", -200)]
    world.posted(world.sale(10_000))
    assert gifts(world)[2:] == [("silver", 200)]


def test_a_return_that_leaves_the_tier_leaves_its_gift() -> None:
    world = world_of()
    world.posted(world.sale(12_000))
    sale = world.posted(world.sale(2_000))
    world.posted(world.all_back(sale))
    assert gifts(world) == [("silver", 200)]


@pytest.mark.parametrize("by_till", [False, True])
def test_a_mistake_takes_its_gift_also_where_returns_take_only_pending_points(by_till: bool) -> None:
    tiers = {"basis": "spend", "period": "calendar_year", "levels": LEVELS}
    world = World(rules_of(tiers=tiers, returns={"spent": "only_pending"}))
    sale = world.posted(world.sale(10_000))
    undo = SettleUndo(world.new_id(), MEMBER, world.origin, sale.command_id, 1)
    world.posted(undo if by_till else world.reverse(sale))
    assert gifts(world) == [("silver", 200), ("silver", -200)]
    assert world.account.active == 0


def test_a_tier_lost_at_a_review_keeps_its_gift_and_the_next_period_brings_another() -> None:
    world = world_of(downgrade="by_balance")
    world.posted(world.sale(10_000))
    world.wait_until("2028-01-02T12:00")
    assert world.account.tier.tier_id == "base"
    assert gifts(world) == [("silver", 200)]
    world.posted(world.sale(10_000))
    assert gifts(world) == [("silver", 200), ("silver", 200)]


def test_whoever_climbs_twice_within_a_rolling_period_is_given_once() -> None:
    world = world_of(period="rolling", rolling_days=90, downgrade="by_balance")
    world.posted(world.sale(10_000))
    world.rules = rules_of(
        tiers={"basis": "spend", "period": "rolling", "rolling_days": 90, "levels": LEVELS[:1]}
    )
    world.posted(world.sale(1))
    assert world.account.tier.tier_id == "base"
    world.wait_until("2026-02-15T12:00")
    world.rules = world_of(period="rolling", rolling_days=90).rules
    world.posted(world.sale(1))
    assert world.account.tier.tier_id == "silver"
    assert gifts(world) == [("silver", 200)]


def test_whoever_climbs_again_after_a_rolling_period_is_given_again() -> None:
    world = world_of(period="rolling", rolling_days=90, downgrade="by_balance")
    world.posted(world.sale(10_000))
    world.wait_until("2026-08-15T12:00")
    assert world.account.tier.tier_id == "base"
    world.posted(world.sale(10_000))
    assert gifts(world) == [("silver", 200), ("silver", 200)]


def test_a_gift_is_taken_back_as_long_as_the_rolling_period_lasts() -> None:
    world = world_of(period="rolling", rolling_days=730)
    sale = world.posted(world.sale(10_000))
    world.wait_until("2027-06-20T12:00")
    world.posted(world.all_back(sale))
    assert gifts(world) == [("silver", 200), ("silver", -200)]


def test_a_gift_is_remembered_for_a_whole_rolling_period_whatever_is_counted_meanwhile() -> None:
    world = world_of(period="rolling", rolling_days=1_000)
    silver = world.posted(world.sale(10_000))
    world.wait_until("2027-09-20T12:00")
    gold = world.posted(world.sale(40_000))
    world.posted(world.all_back(gold))
    world.posted(world.all_back(silver))
    assert world.account.tier.tier_id == "base"
    assert gifts(world) == [("silver", 200), ("gold", 1_000), ("gold", -1_000), ("silver", -200)]


def test_pending_points_that_mature_into_a_tier_bring_its_gift() -> None:
    world = world_of(pending_days=14)
    world.posted(world.sale(10_000))
    assert gifts(world) == []
    world.wait_until("2026-02-01T12:00")
    assert gifts(world) == [("silver", 200)]
    assert world.account.pending == 200, "a gift waits as other points do"
    before = len(world.entries)
    world.do(CatchUp(world.new_id(), MEMBER, world.origin))
    assert len(world.entries) == before, "a rerun gives nothing"


def test_a_gift_in_points_does_not_lift_the_tier_further() -> None:
    world = world_of(basis="points")
    world.posted(world.sale(1_000_000))
    assert (world.account.tier.tier_id, gifts(world)) == ("silver", [("silver", 200)])
    assert world.account.tier.buckets[0][1] == 10_000


@pytest.mark.parametrize(
    ("level", "gift", "place", "message"),
    [
        (1, {"points": 0}, "tiers.levels[1].gift.points", "from 1 to"),
        (1, {"point": 5, "points": 5}, "tiers.levels[1].gift.point", "not known"),
        (0, {"points": 5}, "tiers.levels[0].gift", "nobody climbs"),
    ],
)
def test_a_gift_that_cannot_be_given_is_named(
    level: int, gift: dict[str, int], place: str, message: str
) -> None:
    levels = [dict(one) for one in LEVELS]
    levels[level]["gift"] = gift
    document = document_of(tiers={"basis": "spend", "period": "calendar_year", "levels": levels})
    found = parse_rules(document, version=1, sha256="")
    assert isinstance(found, list)
    assert (found[0].path, len(found)) == (place, 1)
    assert message in found[0].message
