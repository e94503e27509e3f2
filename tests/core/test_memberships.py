"""Paid memberships: the fee begins and prolongs one, its return ends it, and rules ask for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tallystick.core.command import ReturnLine
from tallystick.core.entry import Entry
from tallystick.core.rules.ladder import in_tier, next_reward
from tallystick.core.rules.parse import parse_rules
from tests.core.world import World, at, basket, document_of, line, rules_of

CLUB = {"id": "club", "name": "Club", "sku": "FEE", "months": 12, "grace_days": 7, "refund_days": 14}
PAID = (("name", "Club"), ("until", "2027-01-14"))
DOUBLE = {
    "rules": [
        {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100},
        {"id": "double", "kind": "multiply", "by": 2, "membership": "club"},
    ]
}


def world_of(**more: Any) -> World:
    return World(rules_of(memberships=[{**CLUB, **more}], earning=DOUBLE))


def pays(world: World, *, pieces: int = 1) -> Entry:
    return world.posted(world.sale(line(9_900, sku="FEE", quantity=pieces)))


def last_day(world: World) -> date | None:
    last = next((one.count for one in world.account.tallies if one.key == "member/club"), 0)
    return date.fromordinal(last) if last else None


def earns(world: World) -> int:
    """Return what a basket of 10.00 earns now."""
    return -world.posted(world.sale(1_000)).moves.issued


def test_the_fee_begins_a_membership_whose_rules_hold_from_the_next_sale() -> None:
    world = world_of()
    assert earns(world) == 10
    fee = pays(world)
    assert -fee.moves.issued == 99, "the sale of the fee itself is not a member's yet"
    assert fee.detail.explanations[-1] == ("club", 0, 0, "membership_paid", PAID)
    assert last_day(world) == date(2027, 1, 14)
    assert earns(world) == 20


def test_it_holds_through_its_last_day_and_the_days_of_grace() -> None:
    world = world_of()
    pays(world)
    for text, points in (("2027-01-14T22:59", 20), ("2027-01-21T22:59", 20), ("2027-01-21T23:00", 10)):
        world.wait_until(text)
        assert earns(world) == points, text


def test_renewing_in_time_or_in_grace_goes_on_from_the_last_day() -> None:
    world = world_of()
    pays(world)
    world.wait_until("2027-01-20T12:00")
    pays(world)
    assert last_day(world) == date(2028, 1, 14)
    pays(world)
    assert last_day(world) == date(2029, 1, 14), "early"


def test_renewing_after_the_grace_begins_anew() -> None:
    world = world_of()
    pays(world)
    world.wait_until("2027-02-01T12:00")
    pays(world)
    assert last_day(world) == date(2028, 1, 31)


def test_two_fees_in_one_sale_are_two_terms() -> None:
    world = world_of()
    pays(world, pieces=2)
    assert last_day(world) == date(2028, 1, 14)


def test_a_term_of_days_counts_the_day_on_which_it_was_paid() -> None:
    world = World(rules_of(memberships=[{"id": "club", "name": "C", "sku": "FEE", "days": 30}]))
    pays(world)
    assert last_day(world) == date(2026, 2, 13)


def test_a_full_refund_ends_it_as_it_was_before() -> None:
    world = world_of()
    fee = pays(world)
    world.wait_until("2026-01-29T12:00")
    back = world.posted(world.all_back(fee))
    assert back.detail.explanations[-1] == ("club", 0, 0, "membership_paid_back", (("name", "Club"),))
    assert (last_day(world), earns(world)) == (None, 10)


def test_a_refund_of_the_renewal_leaves_what_was_paid_before() -> None:
    world = world_of()
    pays(world)
    world.wait_until("2027-01-10T12:00")
    renewal = pays(world)
    world.posted(world.all_back(renewal))
    assert last_day(world) == date(2027, 1, 14)


def test_a_refund_after_a_lapse_brings_back_the_old_last_day() -> None:
    world = world_of()
    pays(world)
    world.wait_until("2027-05-01T12:00")
    world.posted(world.all_back(pays(world)))
    assert last_day(world) == date(2027, 1, 14)


@pytest.mark.parametrize("lapsed", [False, True])
def test_a_refund_of_the_first_fee_leaves_the_term_that_was_bought_after_it(lapsed: bool) -> None:
    world = world_of()
    if lapsed:
        pays(world)
        world.wait_until("2028-05-15T12:00")
    first, second = pays(world), pays(world)
    world.posted(world.all_back(first))
    assert last_day(world) == (date(2029, 5, 14) if lapsed else date(2027, 1, 14))
    world.posted(world.all_back(second))
    assert last_day(world) == (date(2028, 5, 14) if lapsed else date(2026, 1, 14)), (
        "the day before the first fee"
    )


def test_after_the_days_of_refund_the_goods_come_back_but_the_membership_stays() -> None:
    world = world_of()
    fee = pays(world)
    world.wait_until("2026-01-30T12:00")
    world.posted(world.all_back(fee))
    assert last_day(world) == date(2027, 1, 14)


def test_a_part_of_the_fee_ends_nothing() -> None:
    world = world_of()
    fee = pays(world, pieces=2)
    world.posted(world.give_back(fee, ReturnLine(1, 1_000)))
    assert last_day(world) == date(2028, 1, 14)
    world.posted(world.give_back(fee, ReturnLine(1, 1_000)))
    assert last_day(world) is None


def test_a_fee_that_a_till_reports_late_began_on_its_own_day() -> None:
    world = world_of()
    world.wait_until("2026-01-20T12:00")
    fee = replace(
        world.settle(1),
        basket=basket(line(9_900, sku="FEE")),
        origin=replace(world.origin, occurred_ms=at("2026-01-16T12:00")),
    )
    world.posted(fee)
    assert last_day(world) == date(2027, 1, 15)


def test_a_reward_of_members_is_for_members() -> None:
    reward = {"id": "lounge", "kind": "money_off", "points": 10, "amount_minor": 100, "membership": "club"}
    world = World(rules_of(memberships=[CLUB], rewards=[reward]))
    world.posted(world.adjust(50))
    assert world.why(world.sale(1_000, rewards=("lounge",))).name == "REWARD_NOT_APPLICABLE"
    pays(world)
    assert world.posted(world.sale(1_000, rewards=("lounge",))).moves.burned == 10


def test_a_coupon_of_members_is_for_members() -> None:
    coupon = {"id": "tea", "kind": "money_off", "amount_minor": 100, "code": "TEA", "membership": "club"}
    world = World(rules_of(memberships=[CLUB], coupons=[coupon]))
    world.codes["TEA"] = ("tea", "")
    assert world.why(world.sale(1_000, coupons=("TEA",))).name == "COUPON_NOT_APPLICABLE"
    pays(world)
    assert world.posted(world.sale(1_000, coupons=("TEA",))).detail.payable_minor == 900


def test_a_reward_of_members_is_in_reach_of_members() -> None:
    reward = {"id": "lounge", "kind": "money_off", "points": 10, "amount_minor": 100, "membership": "club"}
    (lounge,) = rules_of(memberships=[CLUB], rewards=[reward]).rewards
    assert not in_tier(lounge, "")
    assert in_tier(lounge, "", frozenset({"club"}))
    assert next_reward([lounge], "", 5) is None
    assert next_reward([lounge], "", 5, frozenset({"club"})) is lounge


FAULTS = [
    ({"months": None}, "", "must say how long a term is", "write days: 30 or months: 12"),
    ({"days": 30}, "", "has both days and months", "write days: 30 or months: 12"),
    ({"months": 0}, "months", "from 1 to 120", ""),
    ({"sku": 7}, "sku", "must be a text", ""),
    ({"grace": 7}, "grace", "not known", "did you mean 'grace_days'?"),
]


@pytest.mark.parametrize(("change", "place", "message", "mend"), FAULTS)
def test_a_membership_that_cannot_be_understood_says_where_and_how_to_mend_it(
    change: dict[str, Any], place: str, message: str, mend: str
) -> None:
    written = {key: value for key, value in {**CLUB, **change}.items() if value is not None}
    found = parse_rules(document_of(memberships=[written]), version=1, sha256="")
    assert isinstance(found, list)
    (finding,) = found
    assert finding.path == (f"memberships[0].{place}" if place else "memberships[0]")
    assert message in finding.message
    assert mend in finding.mend


def test_two_memberships_need_two_ids_and_two_articles() -> None:
    found = parse_rules(document_of(memberships=[CLUB, CLUB]), version=1, sha256="")
    assert isinstance(found, list)
    assert [one.path for one in found] == ["memberships[1].id", "memberships[1].sku"]


def test_too_many_memberships_are_refused() -> None:
    many = [{**CLUB, "id": f"m{number}", "sku": f"FEE{number}"} for number in range(21)]
    found = parse_rules(document_of(memberships=many), version=1, sha256="")
    assert isinstance(found, list)
    assert found[0].message == "has 21 items, at most 20 are allowed"
