"""Points taken back after they were burned: others of the member make up for them, at once or by paying a debt."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest

from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin, TaxGroup
from tallystick.core.command import (
    Adjust,
    Authority,
    AuthorityKind,
    Burn,
    GrantLease,
    IssueVoucher,
    Return,
    ReturnLease,
    ReturnLine,
    Reverse,
    Sale,
    SettleSale,
)
from tallystick.core.decide import Refs
from tallystick.core.entry import Entry
from tallystick.core.ids import Minor, Ms
from tallystick.core.lots import local_day
from tallystick.core.rules.model import Expiry, ExpiryKind
from tallystick.core.state import HoldStatus
from tallystick.reports.deferral import allocate, revenue
from tallystick.reports.liability import Liability, Movement, read_liability
from tallystick.reports.owed_lots import Cohort
from tests.reports import test_finance
from tests.reports.test_finance import UTC, Life
from tests.reports.test_simulation import DAY_MS, START_MS, rules

DECEMBER, JANUARY = date(2025, 12, 1), date(2026, 1, 1)
NORTH, SOUTH = Cohort("north", 2025), Cohort("south", 2026)


def at(day: int, store: str) -> Origin:
    return Origin(Ms(START_MS + day * DAY_MS), Channel.STORE, store)


def sell(life: Life, day: int, store: str, amount_minor: int = 1_000_000) -> Entry:
    """Ten thousand points, unless it is another amount."""
    goods = Basket("EUR", (Line("a", 1000, Minor(amount_minor), "t"),), True, (TaxGroup("t", 0),))
    made = life.do(Sale(life.id(), life.name, at(day, store), goods))
    assert made is not None
    return made


def burn(life: Life, day: int, store: str, points: int) -> None:
    assert life.do(Burn(life.id(), life.name, at(day, store), points, "gift", Assurance.STATIC_CARD))


def bring_back(life: Life, day: int, store: str, sold: Entry) -> None:
    back = Return(life.id(), life.name, at(day, store), sold.command_id, (ReturnLine(1, 1000),))
    assert life.do(back, Refs(sold))


def books_of(life: Life) -> Liability:
    return read_liability([(life.name, life.entries)], zone=UTC, entities={})


def owed(books: Liability) -> dict[Cohort, int]:
    sums: Counter[Cohort] = Counter()
    for (cohort, _), movement in books.cohorts.items():
        sums[cohort] += movement.change
    return {cohort: points for cohort, points in sums.items() if points}


def deferred(books: Liability) -> dict[Cohort, int]:
    lines = revenue(books, value=Fraction(1), expected=lambda _cohort, _month: Fraction(9, 10))
    return {line.cohort: line.closing_minor for line in lines}


@pytest.fixture
def life() -> Life:
    return Life("anna", random.Random(1))


def test_points_that_pay_a_debt_are_owed_no_longer_and_defer_nothing(life: Life) -> None:
    sold = sell(life, 360, "north")
    burn(life, 361, "north", 10_000)
    bring_back(life, 370, "north", sold)
    assert life.state.account.debt == 10_000
    assert owed(books_of(life)) == {NORTH: -10_000}
    sell(life, 371, "south", 1_500_000)
    books = books_of(life)
    assert owed(books) == {SOUTH: 5_000} == {SOUTH: life.state.account.active}
    assert books.cohorts[NORTH, JANUARY] == Movement(taken_back=-10_000, burned=10_000)
    assert books.cohorts[SOUTH, JANUARY] == Movement(earned=15_000, burned=-10_000)
    # South's points paid for what north had given for its own.
    assert books.settled == {("south", "north", JANUARY): 10_000}
    kept = allocate(1_500_000, 15_000, Fraction(1), Fraction(9, 10))
    assert deferred(books) == {NORTH: 0, SOUTH: kept - round(kept * 10_000 / 13_500)}


def test_points_that_a_return_takes_instead_of_burned_ones_are_owed_no_longer(life: Life) -> None:
    sold = sell(life, 340, "north")
    burn(life, 341, "east", 10_000)
    sell(life, 342, "south")
    bring_back(life, 343, "north", sold)
    books = books_of(life)
    assert owed(books) == {}
    assert books.settled == {("north", "east", DECEMBER): 10_000, ("south", "north", DECEMBER): 10_000}
    assert set(deferred(books).values()) == {0}


def test_a_debt_is_paid_to_whoever_it_came_from_first(life: Life) -> None:
    first, second = sell(life, 330, "north", 300_000), sell(life, 331, "south", 200_000)
    burn(life, 332, "east", 5_000)
    bring_back(life, 333, "south", second)
    bring_back(life, 333, "north", first)
    sell(life, 335, "west", 250_000)
    settled = {key[:2]: points for key, points in books_of(life).settled.items()}
    assert settled[("west", "south")] == 2_000
    assert settled[("west", "north")] == 500
    assert owed(books_of(life)) == {NORTH: -2_500}


def test_a_gift_by_hand_that_was_spent_and_undone_is_made_up_for_as_well(life: Life) -> None:
    given = life.do(Adjust(life.id(), life.name, at(360, "north"), 100, "sorry"))
    assert given is not None
    burn(life, 361, "north", 100)
    assert life.do(
        Reverse(life.id(), life.name, at(370, "east"), given.command_id, "not so sorry"), Refs(given)
    )
    assert owed(books_of(life)) == {NORTH: -100}
    sell(life, 371, "south", 10_000)
    assert owed(books_of(life)) == {}


BASE = {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}
WAITING = {"earning": {"rules": [BASE], "pending_days": 30}}
PRIZE = {"id": "any", "name": "Any", "counts": "sales", "target": 1, "times": 9, "per": "month"}
PRIZES = {"challenges": [{**PRIZE, "award": {"points": 150}}]}


@pytest.mark.parametrize(
    "changes",
    [{}, WAITING, PRIZES, WAITING | PRIZES],
    ids=["at once", "pending", "prizes", "pending prizes"],
)
def test_who_owes_what_agrees_with_the_lots_of_random_members(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    made = rules(returns={"spent": "debt", "grace_days": 30}, holds={"ttl_max_s": 2_592_000}, **changes)
    offline = replace(made.offline, lease_share_ppm=500_000)
    # Where nothing expires, the lots that a return takes from are the oldest; otherwise the ledger does not say.
    forever = replace(made, expiry=Expiry(ExpiryKind.NEVER), offline=offline)
    monkeypatch.setattr(test_finance, "RULES", forever)
    in_debt = 0
    for number in range(60):
        life = Life(f"m{number:03}", random.Random(number))
        rights: list[tuple[Authority, Origin]] = []
        for _ in range(30):
            life.step()
            step_away(life, rights)
            if life.dice.random() < 0.3 and (whole := life.state.account.active // 100 * 100):
                life.do(Burn(life.id(), life.name, life.origin(), whole, "all", Assurance.STATIC_CARD))
        in_debt += any(entry.debt_after for entry in life.entries)
        if debt := life.state.account.debt:
            sell(life, (life.at_ms - START_MS) // DAY_MS + 1, "s1", 100 * debt)
        assert owed(books_of(life)) == in_lots(life), life.name
    assert in_debt > 20


def step_away(life: Life, rights: list[tuple[Authority, Origin]]) -> None:
    """What stores ask for to be able to burn without a line, and what they report later; and sales undone."""
    dice, new, origin = life.dice, life.id(), life.origin()
    kind = dice.choice(["lease", "voucher", "return", "sale", "sale", "undo"])
    store = origin.store_id
    if kind == "lease" and life.do(GrantLease(new, life.name, origin, store)):
        rights.append((Authority(AuthorityKind.LEASE, 200, new), origin))
    elif kind == "voucher" and life.do(
        IssueVoucher(new, life.name, origin, store, 300, assurance=Assurance.STATIC_CARD)
    ):
        rights.append((Authority(AuthorityKind.VOUCHER, 200, new), origin))
    elif kind == "undo" and life.sold:
        target, before = life.sold[dice.choice(sorted(life.sold))]
        undo = Reverse(new, life.name, origin, target.command_id, "undone")
        if done := life.do(undo, Refs(target, tuple(before))):
            before.append(done)
    elif kind in ("return", "sale") and rights:
        right, granted = dice.choice(rights)
        there = replace(granted, occurred_ms=origin.occurred_ms)
        goods = Basket("EUR", (Line("a", 1000, Minor(20_000), "t"),), True, (TaxGroup("t", 0),))
        if kind == "return":
            life.do(ReturnLease(new, life.name, there, right.hold_id))
        else:
            life.do(
                SettleSale(new, life.name, there, goods, 1, 0, right.points, Minor(200), authorities=(right,))
            )


def in_lots(life: Life) -> dict[Cohort, int]:
    """What is left and what is held of a member's lots, by who issued them in which year."""
    left = Counter({lot.lot_seq: lot.remaining for lot in life.lots.values()})
    for hold in life.state.holds:
        if hold.status is HoldStatus.OPEN:
            left.update(dict(hold.allocs))
    sums: Counter[Cohort] = Counter()
    for entry in life.entries:
        made_in = local_day(entry.origin.occurred_ms, UTC).year
        sums[Cohort(entry.origin.store_id, made_in)] += left[entry.seq]
    return {cohort: points for cohort, points in sums.items() if points}
