"""A sale that was undone was none: no rule set is tried on it, and it defers nothing."""

from __future__ import annotations

import random
from datetime import date
from fractions import Fraction

import pytest

from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin, TaxGroup
from tallystick.core.command import Capture, PlaceHold, Reverse, Sale, Spend
from tallystick.core.decide import Refs
from tallystick.core.entry import Entry
from tallystick.core.ids import Minor, Ms
from tallystick.reports.comparison import project
from tallystick.reports.deferral import allocate, revenue
from tallystick.reports.history import History, add_entries
from tallystick.reports.liability import Liability, Movement, read_liability
from tallystick.reports.owed_lots import Cohort
from tallystick.reports.replay import replay
from tests.reports.test_finance import RULES, UTC, Life
from tests.reports.test_simulation import DAY_MS, START_MS


def at(day: int) -> Origin:
    return Origin(Ms(START_MS + day * DAY_MS), Channel.STORE, "s1")


def basket(amount_minor: int) -> Basket:
    return Basket("EUR", (Line("a", 1000, Minor(amount_minor), "t"),), True, (TaxGroup("t", 0),))


def sell(life: Life, day: int, amount_minor: int) -> Entry:
    made = life.do(Sale(life.id(), life.name, at(day), basket(amount_minor)))
    assert made is not None
    return made


def undo(life: Life, day: int, made: Entry) -> None:
    assert life.do(Reverse(life.id(), life.name, at(day), made.command_id, "typed wrong"), Refs(made))


def test_a_rule_set_is_not_tried_on_sales_that_were_undone() -> None:
    life = Life("anna", random.Random(1))
    sell(life, 0, 10_000)
    undo(life, 1, sell(life, 1, 9_000_000))
    held = life.do(PlaceHold(life.id(), life.name, at(2), 3_600, Spend(100), assurance=Assurance.STATIC_CARD))
    assert held is not None
    captured = life.do(Capture(life.id(), life.name, at(2), held.command_id, basket(800_000)))
    assert captured is not None
    undo(life, 3, captured)
    history = History("the ledger")
    add_entries(history, life.name, iter(life.entries), currency="EUR")
    told = project(RULES, replay(history, RULES))
    account = life.state.account
    assert (told.sales, told.spent_minor) == (1, 10_000)
    assert told.outstanding == account.active + account.pending == 100


def books_of(life: Life) -> Liability:
    return read_liability([(life.name, life.entries)], zone=UTC, entities={})


JANUARY, FEBRUARY = date(2025, 1, 1), date(2025, 2, 1)


@pytest.mark.parametrize("earns", [True, False], ids=["with points", "without points"])
def test_what_is_undone_in_its_month_is_neither_sold_nor_earned(earns: bool) -> None:
    life = Life("anna", random.Random(1))
    sell(life, 0, 10_000)
    typed_wrong = [sell(life, 1, 9_000_000)] if earns else [sell(life, 1, 99) for _ in range(9)]
    for made in typed_wrong:
        undo(life, 2, made)
    books = books_of(life)
    assert books.sales_minor == {("s1", JANUARY): 10_000}
    assert books.movements == {("s1", JANUARY): Movement(earned=100)}
    (line,) = revenue(books, value=Fraction(50), expected=lambda _cohort, _month: Fraction(1))
    assert line.deferred_minor == line.closing_minor == allocate(10_000, 100, Fraction(50), Fraction(1))


def test_what_is_undone_in_a_later_month_goes_back_in_that_month() -> None:
    life = Life("anna", random.Random(1))
    sell(life, 0, 10_000)
    typed_wrong = sell(life, 1, 9_000_000)
    before = books_of(life)
    undo(life, 31, typed_wrong)
    books = books_of(life)
    assert books.sales_minor == before.sales_minor
    assert books.cohorts[Cohort("s1", 2025), JANUARY] == before.cohorts[Cohort("s1", 2025), JANUARY]
    assert books.cohorts[Cohort("s1", 2025), FEBRUARY] == Movement(taken_back=-90_000)
    *_, line = revenue(books, value=Fraction(50), expected=lambda _cohort, _month: Fraction(1))
    assert line.closing_minor == allocate(10_000, 100, Fraction(50), Fraction(1))
