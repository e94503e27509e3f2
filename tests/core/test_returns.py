"""Returns and reversals: everything goes back to where it came from, and never twice."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.core.basket import TaxGroup
from tallystick.core.command import Command, ReturnLine, Spend
from tallystick.core.entry import Entry, EntryKind, Refusal
from tallystick.core.ids import Minor
from tests.core.world import World, at, basket, codes_of, line, lots_of, rules_of

BASE = [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]


def by_amount(line_no: int, amount: int) -> ReturnLine:
    return ReturnLine(line_no, 0, Minor(amount))


def world_with(points: int = 0, *, spent: str = "debt", **parts: Any) -> World:
    returns = {"spent": spent, "grace_days": parts.pop("grace_days", 0)}
    world = World(rules_of(returns=returns, **parts))
    if points:
        world.posted(world.adjust(points))
    return world


def facts(entry: Entry) -> tuple[int, int, int]:
    """Return (points due, points restored, refund) of a return."""
    return (entry.detail.due_points, entry.detail.restored_points, entry.detail.refund_minor)


def test_a_full_return_takes_back_what_was_earned_and_gives_back_what_was_burned() -> None:
    world = world_with(500)
    sale = world.posted(world.sale(1_000, spend=Spend(400)))
    assert sale.active_after == 106
    back = world.posted(world.all_back(sale))
    assert facts(back) == (6, 400, 600)
    assert (back.active_after, back.debt_after, back.reverses_seq) == (500, 0, sale.seq)
    assert codes_of(back) == [
        ("earned", 0, -6, "points_taken_back"),
        ("burned", 0, 400, "points_given_back"),
    ]


def test_half_of_the_goods_bring_back_half_of_everything() -> None:
    world = world_with(500)
    sale = world.posted(world.sale(line(1_000, quantity=2), spend=Spend(400)))
    assert facts(world.posted(world.give_back(sale, ReturnLine(1, 1000)))) == (3, 200, 300)
    assert facts(world.posted(world.give_back(sale, ReturnLine(1, 1000)))) == (3, 200, 300)
    assert world.account.active == 500


def test_only_the_line_that_comes_back_is_taken_back() -> None:
    world = world_with(500)
    sale = world.posted(world.sale(1_000, 3_000, spend=Spend(400)))
    assert facts(world.posted(world.give_back(sale, ReturnLine(1, 1000)))) == (9, 100, 900)
    assert facts(world.posted(world.give_back(sale, ReturnLine(2, 1000)))) == (27, 300, 2_700)


def test_three_thirds_are_a_whole() -> None:
    world = world_with(100)
    sale = world.posted(world.sale(line(1_000, quantity=3), spend=Spend(100)))
    thirds = [facts(world.posted(world.give_back(sale, ReturnLine(1, 1000)))) for _ in range(3)]
    assert thirds == [(2, 33, 300), (3, 33, 300), (4, 34, 300)]
    assert world.account.active == 100


def test_goods_come_back_by_amount_when_they_come_back_in_part() -> None:
    world = world_with()
    sale = world.posted(world.sale(1_000))
    first = world.posted(world.give_back(sale, by_amount(1, 250)))
    assert (facts(first), first.detail.returned[0].quantity_milli) == ((2, 0, 250), 250)
    rest = world.posted(world.give_back(sale, by_amount(1, 750)))
    assert (facts(rest), rest.detail.returned[0].quantity_milli) == ((8, 0, 750), 750)


def test_an_amount_is_of_the_line_before_the_discount_as_the_guide_for_other_shops_reckons() -> None:
    world = world_with(200)
    sale = world.posted(world.sale(1_000, spend=Spend(200)))
    half = world.posted(world.give_back(sale, by_amount(1, 500)))
    assert facts(half) == (4, 100, 400)


def test_amounts_and_quantities_may_be_mixed() -> None:
    world = world_with()
    sale = world.posted(world.sale(line(1_000, quantity=4)))
    world.posted(world.give_back(sale, by_amount(1, 100)))
    second = world.posted(world.give_back(sale, ReturnLine(1, 1000)))
    # 0.4 pieces came back for 1.00, 1.4 pieces are worth 3.50.
    assert second.detail.returned[0].amount_minor == 250
    rest = world.posted(world.give_back(sale, ReturnLine(1, 2_600)))
    assert rest.detail.returned[0].amount_minor == 650
    assert world.account.active == 0


def test_a_line_named_twice_in_one_return_comes_back_once_with_the_sum() -> None:
    world = world_with()
    sale = world.posted(world.sale(line(1_000, quantity=2)))
    twice = world.posted(world.give_back(sale, ReturnLine(1, 1000), ReturnLine(1, 1000)))
    assert [(part.line_no, part.quantity_milli) for part in twice.detail.returned] == [(1, 2000)]
    assert facts(twice) == (10, 0, 1_000)


def test_a_free_line_comes_back_by_quantity() -> None:
    world = world_with()
    sale = world.posted(world.sale(line(0, quantity=2), 1_000))
    assert facts(world.posted(world.give_back(sale, ReturnLine(1, 1000)))) == (0, 0, 0)
    assert facts(world.posted(world.give_back(sale, ReturnLine(1, 1000)))) == (0, 0, 0)
    assert world.why(world.give_back(sale, ReturnLine(1, 1))) is Refusal.OVER_RETURN


@pytest.mark.parametrize(
    "ask",
    [ReturnLine(1, 2001), by_amount(1, 1_001), ReturnLine(1, 1_000_000)],
    ids=["quantity", "amount", "absurd quantity"],
)
def test_no_more_comes_back_than_was_sold(ask: ReturnLine) -> None:
    world = world_with()
    sale = world.posted(world.sale(line(1_000, quantity=2)))
    assert world.why(world.give_back(sale, ask)) is Refusal.OVER_RETURN


def test_no_more_comes_back_than_is_left() -> None:
    world = world_with()
    sale = world.posted(world.sale(line(1_000, quantity=2)))
    world.posted(world.give_back(sale, ReturnLine(1, 1500)))
    no = world.refused(world.give_back(sale, ReturnLine(1, 501)))
    assert (no.reason, dict(no.details)["quantity_milli_left"]) == (Refusal.OVER_RETURN, "500")
    no = world.refused(world.give_back(sale, by_amount(1, 251)))
    assert no.reason is Refusal.OVER_RETURN
    assert dict(no.details) == {"line_no": "1", "quantity_milli_left": "500", "amount_minor_left": "250"}
    world.posted(world.give_back(sale, by_amount(1, 250)))
    assert world.why(world.give_back(sale, ReturnLine(1, 1))) is Refusal.OVER_RETURN


def test_a_return_that_names_too_much_on_one_line_does_nothing_on_the_others() -> None:
    world = world_with()
    sale = world.posted(world.sale(1_000, 1_000))
    assert world.why(world.give_back(sale, ReturnLine(1, 1000), ReturnLine(2, 1001))) is Refusal.OVER_RETURN
    assert world.account.active == 20


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((), Refusal.BASKET_EMPTY),
        ((ReturnLine(1, 0),), Refusal.BASKET_INVALID),
        ((ReturnLine(1, -1),), Refusal.BASKET_INVALID),
        ((by_amount(1, -1),), Refusal.BASKET_INVALID),
        ((ReturnLine(0, 1000),), Refusal.LINE_UNKNOWN),
        ((ReturnLine(2, 1000),), Refusal.LINE_UNKNOWN),
    ],
)
def test_a_return_must_name_goods_of_the_sale(lines: tuple[ReturnLine, ...], reason: Refusal) -> None:
    world = world_with()
    sale = world.posted(world.sale(1_000))
    assert world.why(world.give_back(sale, *lines)) is reason


def test_only_a_sale_can_be_returned() -> None:
    world = world_with(100)
    burn = world.posted(world.burn(10))
    assert world.why(world.give_back(burn, ReturnLine(1, 1000))) is Refusal.SALE_UNKNOWN
    sale = world.posted(world.sale(1_000))
    back = world.posted(world.all_back(sale))
    assert world.why(world.give_back(back, ReturnLine(1, 1000))) is Refusal.SALE_UNKNOWN


def test_burned_points_go_back_to_their_lots_with_their_old_expiry() -> None:
    world = world_with(expiry={"kind": "months", "months": 1})
    world.posted(world.earn(100))
    world.now = at("2026-01-25T12:00")
    world.posted(world.earn(100))
    world.now = at("2026-01-26T12:00")
    sale = world.posted(world.sale(10_000, spend=Spend(150)))
    world.posted(world.all_back(sale))
    assert [(lot.lot_seq, lot.remaining, lot.expires_ms) for lot in world.state.lots if lot.remaining] == [
        (1, 100, at("2026-02-15T23:00")),
        (2, 100, at("2026-02-25T23:00")),
    ]


def test_a_partial_return_gives_back_first_what_lasts_longest() -> None:
    world = world_with(expiry={"kind": "months", "months": 1})
    world.posted(world.earn(100))
    world.now = at("2026-01-25T12:00")
    world.posted(world.earn(100))
    sale = world.posted(world.sale(line(150, quantity=3), spend=Spend(150)))
    world.posted(world.give_back(sale, ReturnLine(1, 1000)))
    assert lots_of(world) == [(2, 100)]
    world.posted(world.give_back(sale, ReturnLine(1, 1000)))
    assert lots_of(world) == [(1, 50), (2, 100)]


@pytest.mark.parametrize(("grace_days", "active"), [(0, 0), (10, 400)])
def test_points_that_come_back_to_an_expired_lot_last_through_the_grace(grace_days: int, active: int) -> None:
    world = world_with(expiry={"kind": "months", "months": 1}, grace_days=grace_days)
    world.posted(world.earn(400))
    sale = world.posted(world.sale(400, spend=Spend(400)))
    world.now = at("2026-03-01T12:00")
    world.posted(world.all_back(sale))
    world.wait_until("2026-03-11T11:59")
    assert world.account.active == active
    world.wait_until("2026-03-11T12:00")
    assert world.account.active == 0


def test_points_taken_back_come_from_the_lot_that_the_sale_made() -> None:
    world = world_with(100, expiry={"kind": "months", "months": 1})
    sale = world.posted(world.sale(10_000))
    world.posted(world.all_back(sale))
    assert lots_of(world) == [(1, 100)]


def test_pending_points_are_taken_back_before_others() -> None:
    world = world_with(100, earning={"rules": BASE, "pending_days": 14})
    sale = world.posted(world.sale(10_000))
    back = world.posted(world.all_back(sale))
    assert (back.moves.pending, back.moves.active, back.pending_after) == (-100, 0, 0)
    world.wait_until("2026-03-01")
    assert world.account.active == 100


@pytest.mark.parametrize(
    ("spent", "active", "debt", "let_go"),
    [("debt", 0, 60, 0), ("within_balance", 0, 0, 60), ("only_pending", 40, 0, 100)],
)
def test_points_that_were_spent_meanwhile_are_dealt_with_as_the_rule_set_says(
    spent: str, active: int, debt: int, let_go: int
) -> None:
    world = world_with(spent=spent)
    sale = world.posted(world.sale(10_000))
    world.posted(world.burn(60))
    back = world.posted(world.all_back(sale))
    assert (back.active_after, back.debt_after, back.detail.due_points) == (active, debt, 100)
    told = {why.code: dict(why.args) for why in back.detail.explanations}
    assert told.get("points_let_go") == ({"points": str(let_go)} if let_go else None)
    assert told.get("points_owed") == ({"points": str(debt)} if debt else None)


def test_points_let_go_once_are_not_asked_for_again() -> None:
    world = world_with(spent="within_balance")
    sale = world.posted(world.sale(line(10_000, quantity=2)))
    world.posted(world.burn(100))
    world.posted(world.give_back(sale, ReturnLine(1, 1000)))
    world.posted(world.earn(500))
    second = world.posted(world.give_back(sale, ReturnLine(1, 1000)))
    assert (second.detail.due_points, second.active_after) == (50, 450)


def test_what_was_burned_on_the_sale_pays_for_what_it_earned() -> None:
    world = world_with(1_000)
    sale = world.posted(world.sale(101_000, spend=Spend(1_000)))
    world.posted(world.burn(1_000))
    assert world.account.active == 0
    back = world.posted(world.all_back(sale))
    # 1,000 come back and 1,000 are due.
    assert (back.active_after, back.debt_after) == (0, 0)


def test_later_earns_pay_the_debt_first() -> None:
    world = world_with()
    sale = world.posted(world.sale(10_000))
    world.posted(world.burn(100))
    world.posted(world.all_back(sale))
    assert world.account.debt == 100
    first = world.posted(world.sale(3_000))
    assert (first.active_after, first.debt_after, -first.moves.issued) == (0, 70, 30)
    assert codes_of(first)[-1] == ("debt", 0, -30, "debt_repaid")
    second = world.posted(world.earn(100))
    assert (second.active_after, second.debt_after) == (30, 0)


def test_a_gift_by_hand_pays_the_debt_too() -> None:
    world = world_with()
    sale = world.posted(world.sale(10_000))
    world.posted(world.burn(100))
    world.posted(world.all_back(sale))
    entry = world.posted(world.adjust(130))
    assert (entry.active_after, entry.debt_after) == (30, 0)


def test_a_return_of_the_sale_that_paid_a_debt_brings_the_debt_back() -> None:
    world = world_with()
    first = world.posted(world.sale(10_000))
    world.posted(world.burn(100))
    world.posted(world.all_back(first))
    second = world.posted(world.sale(10_000))
    assert world.account.debt == 0
    world.posted(world.all_back(second))
    assert (world.account.active, world.account.debt) == (0, 100)


def test_a_refund_is_in_the_terms_of_the_basket() -> None:
    world = world_with()
    groups = (TaxGroup("full", 250_000),)
    for includes_tax in (True, False):
        goods = basket(line(10_000, tax="full"), groups=groups, includes_tax=includes_tax)
        for undo in (world.all_back, world.reverse):
            assert world.posted(undo(world.posted(world.sale_of(goods)))).detail.refund_minor == 10_000


def test_a_sale_rung_up_by_mistake_is_reversed_whole() -> None:
    world = world_with(500)
    sale = world.posted(world.sale(1_000, spend=Spend(400)))
    back = world.posted(world.reverse(sale))
    assert (back.kind, back.reverses_seq, back.detail.reason) == (EntryKind.REVERSE, sale.seq, "mistake")
    assert (facts(back), back.active_after) == ((6, 400, 600), 500)
    assert [a + b for a, b in zip(sale.moves, back.moves, strict=True)] == [0] * 9


@pytest.mark.parametrize("what", ["earn", "burn", "give", "take"])
def test_what_was_done_by_hand_is_reversed_whole(what: str) -> None:
    world = world_with(500)
    commands: dict[str, Command] = {
        "earn": world.earn(70),
        "burn": world.burn(70),
        "give": world.adjust(70),
        "take": world.adjust(-70),
    }
    entry = world.posted(commands[what])
    back = world.posted(world.reverse(entry))
    assert [a + b for a, b in zip(entry.moves, back.moves, strict=True)] == [0] * 9
    assert back.active_after == 500


def test_reversing_a_gift_that_was_spent_leaves_a_debt() -> None:
    world = world_with(70)
    world.posted(world.burn(50))
    back = world.posted(world.reverse(world.entries[0]))
    assert (back.active_after, back.debt_after) == (0, 50)


def test_a_mistake_is_undone_also_where_returns_take_only_pending_points() -> None:
    world = world_with(70, spent="only_pending")
    back = world.posted(world.reverse(world.entries[0]))
    assert back.active_after == 0
    world.posted(world.earn(70))
    world.posted(world.burn(60))
    assert world.posted(world.reverse(world.entries[2])).active_after == 0


def test_an_entry_is_reversed_only_once() -> None:
    world = world_with(500)
    sale = world.posted(world.sale(1_000))
    world.posted(world.reverse(sale))
    assert world.why(world.reverse(sale)) is Refusal.ALREADY_REVERSED
    assert world.why(world.all_back(sale)) is Refusal.ALREADY_REVERSED


def test_a_sale_with_returns_is_brought_back_by_returns() -> None:
    world = world_with()
    sale = world.posted(world.sale(line(1_000, quantity=2)))
    world.posted(world.give_back(sale, ReturnLine(1, 1000)))
    assert world.why(world.reverse(sale)) is Refusal.NOT_REVERSIBLE
    world.posted(world.give_back(sale, ReturnLine(1, 1000)))


def test_a_return_or_a_reversal_cannot_itself_be_reversed() -> None:
    world = world_with()
    sale, other = world.posted(world.sale(1_000)), world.posted(world.sale(1_000))
    assert world.why(world.reverse(world.posted(world.all_back(sale)))) is Refusal.NOT_REVERSIBLE
    assert world.why(world.reverse(world.posted(world.reverse(other)))) is Refusal.NOT_REVERSIBLE


def test_what_nobody_posted_cannot_be_reversed() -> None:
    world = world_with(10)
    stranger = World(world.rules).posted(World(world.rules).earn(5))
    assert world.why(world.reverse(stranger)) is Refusal.ENTRY_UNKNOWN
