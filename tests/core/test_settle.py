"""Advices: a till reports a fact, and a fact is posted in full."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.basket import Basket, TaxGroup
from tallystick.core.command import ReturnLine, SettleReturn
from tallystick.core.entry import Entry, Refusal
from tallystick.core.ids import Minor
from tallystick.core.state import MemberStatus
from tests.core.world import MEMBER, World, at, basket, line, rules_of

LEVELS = [{"id": "base", "from": 0}, {"id": "gold", "from": 5_000}]
SPEND = {"basis": "spend", "period": "calendar_year", "levels": LEVELS}


def version(number: int, **parts: Any) -> Any:
    return replace(rules_of(**parts), version=number)


def test_a_fact_that_the_points_cover_is_posted_like_a_sale() -> None:
    world = World(rules_of())
    world.posted(world.adjust(500))
    entry = world.posted(world.settle(1_000, burned=400, discount=400, earned=6))
    assert (entry.moves.burned, -entry.moves.issued, entry.active_after) == (400, 6, 106)
    assert (entry.shortfall, entry.moves.store_loss, entry.claimed_points) == (0, 0, 6)


def test_what_the_points_do_not_cover_is_the_stores_loss_and_never_the_members() -> None:
    world = World(rules_of())
    world.posted(world.adjust(100))
    entry = world.posted(world.settle(1_000, burned=400, discount=400, earned=6))
    assert (entry.moves.burned, entry.moves.store_loss, entry.shortfall) == (400, -300, 300)
    assert (entry.active_after, entry.debt_after) == (6, 0)


def test_a_fact_is_posted_even_when_the_rules_would_have_refused_the_request() -> None:
    burning = {
        "points": 100,
        "minor": 100,
        "unit_points": 100,
        "minimum_points": 500,
        "share_max_percent": 10,
    }
    world = World(rules_of(burning=burning))
    assert world.posted(world.settle(1_000, burned=333, discount=333)).shortfall == 333


def test_what_the_till_printed_is_kept_beside_what_the_rules_say() -> None:
    world = World(rules_of())
    entry = world.posted(world.settle(1_000, earned=999))
    assert (-entry.moves.issued, entry.claimed_points) == (10, 999)


def test_a_request_claims_nothing() -> None:
    world = World(rules_of())
    assert world.posted(world.sale(1_000)).claimed_points == -1


def test_a_discount_without_points_is_spread_and_does_not_earn() -> None:
    world = World(rules_of())
    entry = world.posted(world.settle(600, 400, discount=500))
    assert [share.discount_minor for share in entry.detail.lines] == [300, 200]
    assert (-entry.moves.issued, entry.moves.burned, entry.detail.payable_minor) == (5, 0, 500)


def test_points_without_a_discount_still_count_as_burned() -> None:
    world = World(rules_of())
    world.posted(world.adjust(50))
    entry = world.posted(world.settle(600, 400, burned=50))
    assert [share.burned_points for share in entry.detail.lines] == [50, 0]
    assert entry.active_after == 10


@pytest.mark.parametrize("status", [MemberStatus.BLOCKED, MemberStatus.ERASED])
def test_a_fact_is_posted_for_a_member_who_is_blocked_or_erased(status: MemberStatus) -> None:
    world = World(rules_of())
    world.state = replace(world.state, account=replace(world.account, status=status))
    assert world.posted(world.settle(1_000)).active_after == 10


def test_a_return_gives_the_store_its_loss_back_before_the_member() -> None:
    world = World(rules_of())
    world.posted(world.adjust(100))
    sale = world.posted(world.settle(line(1_000, quantity=2), burned=400, discount=400))
    assert (sale.shortfall, sale.active_after) == (300, 6)
    first = world.posted(world.give_back(sale, ReturnLine(1, 1000)))
    assert (first.moves.store_loss, first.moves.active) == (200, -3)
    second = world.posted(world.give_back(sale, ReturnLine(1, 1000)))
    assert (second.moves.store_loss, second.moves.active) == (100, 97)
    assert world.account.active == 100


def brought_back(world: World, sale: Entry, *lines: ReturnLine) -> Entry:
    """Post a return that a till has already made."""
    return world.posted(SettleReturn(world.new_id(), MEMBER, world.origin, sale.command_id, lines, 1))


def test_a_till_may_name_a_line_by_amount_and_by_quantity_beyond_what_is_left() -> None:
    world = World(rules_of())
    sale = world.posted(world.sale(1_000))
    brought_back(world, sale, ReturnLine(1, 500))
    rest = brought_back(world, sale, ReturnLine(1, 0, Minor(200)), ReturnLine(1, 500))
    assert rest.detail.returned == ((1, 500, 500),)
    assert [why.code for why in rest.detail.explanations] == ["points_taken_back", "over_return"]
    assert world.account.active == 0


asks = st.builds(
    ReturnLine, st.integers(1, 2), st.integers(0, 5_000), st.integers(0, 2_000).map(Minor)
).filter(lambda ask: bool(ask.quantity_milli or ask.amount_minor))


@given(st.integers(0, 1_000), st.integers(1, 4), st.lists(st.lists(asks, min_size=1, max_size=4), max_size=4))
def test_whatever_tills_bring_back_is_what_was_sold_at_most(
    amount: int, pieces: int, returns: list[list[ReturnLine]]
) -> None:
    world = World(rules_of())
    sale = world.posted(world.sale(line(amount, quantity=pieces), 700))
    for lines in returns:
        brought_back(world, sale, *lines)
    back = [part for entry in world.entries[1:] for part in entry.detail.returned]
    for number, share in enumerate(sale.detail.lines, 1):
        assert sum(part.quantity_milli for part in back if part.line_no == number) <= share.quantity_milli
        assert sum(part.amount_minor for part in back if part.line_no == number) <= share.amount_minor


@pytest.mark.parametrize(
    ("goods", "reason"),
    [
        (basket(100, currency="SEK"), Refusal.CURRENCY_MISMATCH),
        (Basket("EUR", ()), Refusal.BASKET_EMPTY),
        (basket(line(100, tax="none")), Refusal.TAX_CODE_UNKNOWN),
        (basket(line(100, tax="x"), groups=(TaxGroup("x", -1_000_000),)), Refusal.BASKET_INVALID),
        (basket(line(100, tax="x"), groups=(TaxGroup("x", 1_000_001),)), Refusal.BASKET_INVALID),
        (basket(line(-1)), Refusal.BASKET_INVALID),
    ],
)
def test_only_what_is_no_sale_of_this_program_at_all_is_left_to_be_parked(
    goods: Basket, reason: Refusal
) -> None:
    world = World(rules_of())
    assert world.why(replace(world.settle(100), basket=goods)) is reason


@pytest.mark.parametrize(
    ("burned", "discount", "reason"),
    [
        (0, 101, Refusal.BASKET_INVALID),
        (0, -1, Refusal.BASKET_INVALID),
        (-1, 0, Refusal.AMOUNT_OVERFLOW),
        (10**15 + 1, 0, Refusal.AMOUNT_OVERFLOW),
    ],
)
def test_a_discount_of_more_than_the_basket_is_no_fact(burned: int, discount: int, reason: Refusal) -> None:
    world = World(rules_of())
    assert world.why(world.settle(100, burned=burned, discount=discount)) is reason


def test_a_fact_is_judged_by_the_rules_that_the_till_had() -> None:
    old = version(1)
    world = World(version(2, earning={"rules": [{"id": "x", "kind": "per_item", "points": 999}]}), pinned=old)
    entry = world.posted(world.settle(1_000, earned=10))
    assert (-entry.moves.issued, entry.rule_set) == (10, 1)


def test_an_old_rule_set_without_tiers_takes_nobodys_tier() -> None:
    world = World(version(2, tiers=SPEND))
    world.posted(world.sale(5_000))
    world.pinned = version(1)
    entry = world.posted(world.settle(1_000))
    assert entry.tier_after == "gold"
    assert world.account.tier.buckets[0][1] == 6_000


def test_an_old_rule_set_with_another_basis_does_not_reset_the_credits() -> None:
    world = World(version(2, tiers=SPEND))
    world.posted(world.sale(5_000))
    world.pinned = version(1, tiers={**SPEND, "basis": "visits"})
    world.posted(world.settle(1_000))
    assert (world.account.tier.basis, world.account.tier.buckets[0][1]) == ("spend", 6_000)


def test_what_time_made_due_goes_by_the_rules_in_force() -> None:
    world = World(version(2, tiers={**SPEND, "downgrade": "never"}, expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(5_000))
    world.now = at("2026-06-01")
    world.pinned = version(1)
    world.posted(world.settle(1_000))
    assert [(entry.kind.name, entry.rule_set) for entry in world.entries[1:]] == [("EXPIRE", 2), ("SALE", 1)]
