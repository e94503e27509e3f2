"""A sale that was undone was none: no rule set is tried on it."""

from __future__ import annotations

import random

from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin, TaxGroup
from tallystick.core.command import Capture, PlaceHold, Reverse, Sale, Spend
from tallystick.core.decide import Refs
from tallystick.core.entry import Entry
from tallystick.core.ids import Minor, Ms
from tallystick.reports.comparison import project
from tallystick.reports.history import History, add_entries
from tallystick.reports.replay import replay
from tests.reports.test_finance import RULES, Life
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
