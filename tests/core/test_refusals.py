"""Which requests are refused, and which reason is given where several hold: the one with the lowest number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.basket import LINES_MAX, QUANTITY_MILLI_MAX, Assurance, Basket, Line, TaxGroup
from tallystick.core.command import CatchUp, Command, ReturnLine, Spend
from tallystick.core.entry import EntryKind, Refusal, refused
from tallystick.core.ids import AMOUNT_MINOR_MAX, POINTS_MAX, Minor
from tallystick.core.state import MemberStatus
from tests.core.world import MEMBER, World, at, basket, line, rules_of

GROUPS = (TaxGroup("full", 250_000),)
REWARDS = [
    {"id": "gold", "kind": "money_off", "points": 10, "amount_minor": 1, "tier": "gold"},
    {"id": "later", "kind": "money_off", "points": 10, "amount_minor": 1, "from": "2099-01-01"},
    {"id": "five", "kind": "money_off", "points": 10, "amount_minor": 5},
]
BURNING = {
    "points": 10,
    "minor": 10,
    "unit_points": 10,
    "minimum_points": 100,
    "share_max_percent": 50,
    "assurance_caps": {"typed": 1_000},
}
TIERS = {
    "basis": "spend",
    "period": "calendar_year",
    "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 10**9}],
}


def strict() -> World:
    """Return a world where a sale can be wrong in every way at once."""
    return World(rules_of(rewards=REWARDS, burning=BURNING, tiers=TIERS))


def status_of(world: World, status: MemberStatus) -> None:
    world.state = replace(world.state, account=replace(world.account, status=status))


def sale_wrong_from(reason: Refusal) -> Command:
    """Return a sale that is wrong in every way from this reason on, and in no way before it."""
    world = strict()
    at_most = {wrong: wrong < reason for wrong in Refusal}
    right = at_most.get
    lines: tuple[Line, ...] = (line(200, tax="full" if right(Refusal.TAX_CODE_UNKNOWN) else "none"),)
    if not right(Refusal.BASKET_INVALID):
        lines = (replace(lines[0], quantity_milli=0),)
    if not right(Refusal.BASKET_EMPTY):
        lines = ()
    goods = Basket("EUR" if right(Refusal.CURRENCY_MISMATCH) else "SEK", lines, tax_groups=GROUPS)
    if reason is Refusal.AMOUNT_OVERFLOW:
        goods = basket(AMOUNT_MINOR_MAX, 1, groups=GROUPS)
    rewards: tuple[str, ...] = ("five",)
    if not right(Refusal.REWARD_NOT_APPLICABLE):
        rewards = ("later", *rewards)
    if not right(Refusal.REWARD_NOT_IN_TIER):
        rewards = ("gold", *rewards)
    if not right(Refusal.REWARD_UNKNOWN):
        rewards = (*rewards, "none")
    points = {
        Refusal.NOT_WHOLE_UNITS: 95,
        Refusal.BELOW_MINIMUM: 90,
        Refusal.ABOVE_SHARE_CAP: 990,
        Refusal.INSUFFICIENT_POINTS: 100 if right(Refusal.ABOVE_SHARE_CAP) else 0,
    }.get(reason, 1_111)
    if reason is Refusal.INSUFFICIENT_POINTS:
        goods = replace(goods, lines=(replace(lines[0], amount_minor=Minor(2_000)),))
    return world.sale_of(goods, spend=Spend(points), reward_ids=rewards, assurance=Assurance.TYPED)


@pytest.mark.parametrize(
    "reason",
    [reason for reason in Refusal if Refusal.CURRENCY_MISMATCH <= reason <= Refusal.INSUFFICIENT_POINTS],
    ids=lambda reason: reason.name,
)
def test_a_sale_that_is_wrong_in_many_ways_is_refused_for_the_first(reason: Refusal) -> None:
    assert strict().why(sale_wrong_from(reason)) is reason


def test_a_hold_is_refused_for_its_basket_before_its_length_and_for_that_before_the_number_of_holds() -> None:
    world = World(rules_of(holds={"open_max": 1, "ttl_max_s": 60}))
    world.posted(world.adjust(100))
    world.posted(world.hold(10, ttl_s=60))
    assert (
        world.why(world.hold(10, ttl_s=61, basket=basket(100, currency="SEK"))) is Refusal.CURRENCY_MISMATCH
    )
    assert world.why(world.hold(100, ttl_s=61)) is Refusal.INSUFFICIENT_POINTS
    assert world.why(world.hold(10, ttl_s=61)) is Refusal.HOLD_TTL
    assert world.why(world.hold(10, ttl_s=60)) is Refusal.HOLDS_TOO_MANY


def test_a_capture_is_refused_for_its_basket_before_its_hold() -> None:
    world = World(rules_of())
    nowhere = "00000000-0000-4000-8000-000000000000"
    assert world.why(world.capture(nowhere, basket(100, currency="SEK"))) is Refusal.CURRENCY_MISMATCH
    assert world.why(world.capture(nowhere, basket(100))) is Refusal.HOLD_UNKNOWN


def test_a_return_is_refused_for_its_own_shape_first_and_for_a_reversal_last() -> None:
    world = World(rules_of())
    sale = world.posted(world.sale(1_000))
    world.posted(world.reverse(sale))
    nobody = replace(sale, command_id=world.new_id())
    assert world.why(world.give_back(nobody)) is Refusal.BASKET_EMPTY
    assert world.why(world.give_back(nobody, ReturnLine(9, -1))) is Refusal.BASKET_INVALID
    assert world.why(world.give_back(nobody, ReturnLine(9, 1))) is Refusal.SALE_UNKNOWN
    assert world.why(world.give_back(sale, ReturnLine(1, 9999), ReturnLine(9, 1))) is Refusal.LINE_UNKNOWN
    assert world.why(world.give_back(sale, ReturnLine(1, 9999))) is Refusal.OVER_RETURN
    assert world.why(world.give_back(sale, ReturnLine(1, 1))) is Refusal.ALREADY_REVERSED


def test_a_burn_is_refused_for_the_scan_first_and_for_the_balance_last() -> None:
    world = strict()
    assert world.why(replace(world.burn(1_001), assurance=Assurance.TYPED)) is Refusal.ABOVE_ASSURANCE_CAP
    assert world.why(replace(world.burn(95), assurance=Assurance.TYPED)) is Refusal.NOT_WHOLE_UNITS
    assert world.why(replace(world.burn(90), assurance=Assurance.TYPED)) is Refusal.BELOW_MINIMUM
    assert world.why(replace(world.burn(100), assurance=Assurance.TYPED)) is Refusal.INSUFFICIENT_POINTS


@pytest.mark.parametrize("status", [MemberStatus.BLOCKED, MemberStatus.ERASED])
@pytest.mark.parametrize("what", ["sale", "earn", "burn", "hold", "capture"])
def test_a_blocked_or_erased_member_neither_earns_nor_burns(what: str, status: MemberStatus) -> None:
    world = World(rules_of())
    world.posted(world.adjust(100))
    hold = world.posted(world.hold(10))
    status_of(world, status)
    commands: dict[str, Command] = {
        "sale": world.sale(basket(100, currency="SEK").lines[0]),
        "earn": world.earn(1),
        "burn": world.burn(1),
        "hold": world.hold(1),
        "capture": world.capture(hold.hold_id),
    }
    no = world.refused(commands[what])
    assert (no.reason, dict(no.details)) == (Refusal.MEMBER_BLOCKED, {"status": status.name})


def test_goods_come_back_and_mistakes_are_undone_for_a_blocked_member() -> None:
    world = World(rules_of())
    sale, earn, hold = (
        world.posted(world.sale(1_000)),
        world.posted(world.earn(500)),
        world.posted(world.hold(100)),
    )
    status_of(world, MemberStatus.BLOCKED)
    world.posted(world.all_back(sale))
    world.posted(world.reverse(earn))
    world.posted(world.void(hold.hold_id))
    world.posted(world.adjust(5))
    assert world.account.status is MemberStatus.BLOCKED


def test_time_goes_on_for_a_blocked_member() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(1_000))
    status_of(world, MemberStatus.BLOCKED)
    world.now = at("2026-06-01")
    assert world.why(world.sale(100)) is Refusal.MEMBER_BLOCKED
    assert world.entries[-1].kind is EntryKind.EXPIRE
    world.do(CatchUp(world.new_id(), MEMBER, world.origin))


@pytest.mark.parametrize(
    ("goods", "fact"),
    [
        (Basket("EUR", (Line("A", 0, Minor(1)),)), ("line_no", "1")),
        (Basket("EUR", (line(1), Line("A", -1000, Minor(1)))), ("line_no", "2")),
        (Basket("EUR", (Line("A", QUANTITY_MILLI_MAX + 1, Minor(1)),)), ("line_no", "1")),
        (Basket("EUR", (line(-1),)), ("amount_minor", "-1")),
        (Basket("EUR", (line(AMOUNT_MINOR_MAX + 1),)), ("line_no", "1")),
        (Basket("EUR", (line(1),) * (LINES_MAX + 1)), ("lines_max", str(LINES_MAX))),
        (Basket("EUR", (line(1),), tax_groups=(TaxGroup("x", -1),)), ("rate_ppm", "-1")),
        (Basket("EUR", (line(1),), tax_groups=(TaxGroup("x", 1_000_001),)), ("rate_ppm", "1000001")),
    ],
)
def test_an_absurd_basket_is_refused_with_what_is_absurd(goods: Basket, fact: tuple[str, str]) -> None:
    world = World(rules_of())
    no = world.refused(world.sale_of(goods))
    assert no.reason is Refusal.BASKET_INVALID
    assert fact in no.details


def test_the_largest_basket_is_sold() -> None:
    world = World(rules_of())
    goods = Basket(
        "EUR", (Line("A", QUANTITY_MILLI_MAX, Minor(AMOUNT_MINOR_MAX)),) + (line(0),) * (LINES_MAX - 1)
    )
    assert -world.posted(world.sale_of(goods)).moves.issued == AMOUNT_MINOR_MAX // 100


def test_the_same_article_may_stand_on_many_lines() -> None:
    world = World(rules_of())
    assert -world.posted(world.sale(*[line(100, sku="A")] * 3)).moves.issued == 3


@pytest.mark.parametrize(
    "command",
    [lambda w: w.adjust(1), lambda w: w.earn(1), lambda w: w.sale(100), lambda w: w.settle(100)],
    ids=["adjust", "earn", "sale", "advice"],
)
def test_a_balance_never_leaves_its_range(command: Callable[[World], Any]) -> None:
    world = World(rules_of())
    world.posted(world.adjust(POINTS_MAX))
    no = world.refused(command(world))
    assert (no.reason, dict(no.details)) == (Refusal.AMOUNT_OVERFLOW, {"points_max": str(POINTS_MAX)})
    assert world.account.active == POINTS_MAX


def test_a_sale_earns_no_more_points_than_there_may_be() -> None:
    rules = rules_of(earning={"rules": [{"id": "x", "kind": "per_amount", "points": 10**9, "per_minor": 1}]})
    world = World(rules)
    assert world.why(world.sale(AMOUNT_MINOR_MAX)) is Refusal.AMOUNT_OVERFLOW


def test_what_time_made_due_stays_when_a_command_fails_half_way() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.sale(1_000))
    world.posted(world.adjust(POINTS_MAX - 10))
    world.rules = rules_of()
    world.state = replace(
        world.state, lots=(world.state.lots[0], replace(world.state.lots[1], expires_ms=at("2027-01-01")))
    )
    world.now = at("2026-06-01")
    assert world.why(world.earn(100)) is Refusal.AMOUNT_OVERFLOW
    assert world.entries[-1].kind is EntryKind.EXPIRE
    assert world.account.active == POINTS_MAX - 10


def test_facts_of_a_refusal_are_text() -> None:
    no = refused(Refusal.OVER_RETURN, line_no=3, sku="A")
    assert no.details == (("line_no", "3"), ("sku", "A"))
