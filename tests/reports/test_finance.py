"""Deferred revenue by the standard's own example, and a roll-forward that ends at what members have."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin, TaxGroup
from tallystick.core.command import (
    Adjust,
    Burn,
    Capture,
    CatchUp,
    Command,
    PlaceHold,
    Return,
    ReturnLine,
    Sale,
    Spend,
    Void,
)
from tallystick.core.decide import Refs, decide
from tallystick.core.entry import Entry, Posted
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.core.state import Account, Lot, MemberState, MemberStatus
from tallystick.reports.deferral import ExpectationWrong, RevenueLine, allocate, journal, recognise, revenue
from tallystick.reports.liability import Liability, Movement, read_liability
from tallystick.reports.owed_lots import Cohort
from tests.reports.test_simulation import DAY_MS, START_MS, rules

UTC = ZoneInfo("UTC")
RULES = rules(returns={"spent": "debt", "grace_days": 30}, holds={"ttl_max_s": 2_592_000})
TAX = (TaxGroup("t", 0),)
YEAR_1, YEAR_2 = date(2025, 12, 1), date(2026, 12, 1)
OF_2025 = Cohort("", 2025)


def example_52() -> Liability:
    """IFRS 15, IE267-IE270: 100,000 of sales, 10,000 points of 1 each; 4,500 and then 4,000 more are burned."""
    return Liability(
        movements={},
        cohorts={
            (OF_2025, YEAR_1): Movement(earned=10_000, burned=-4_500),
            (OF_2025, YEAR_2): Movement(burned=-4_000),
        },
        sales_minor={("", YEAR_1): 100_000},
    )


def expected_in_example_52(_cohort: Cohort, month: date) -> Fraction:
    return Fraction(9_500, 10_000) if month < YEAR_2 else Fraction(9_700, 10_000)


def test_example_52_of_ifrs_15() -> None:
    assert allocate(100_000, 10_000, Fraction(1), Fraction(95, 100)) == 8_676
    lines = {
        line.month: line for line in revenue(example_52(), value=Fraction(1), expected=expected_in_example_52)
    }
    assert lines[YEAR_1].deferred_minor == 8_676
    assert 100_000 - lines[YEAR_1].deferred_minor == 91_324
    assert lines[YEAR_1].recognised_minor == 4_110
    assert lines[YEAR_1].closing_minor == 4_566
    assert lines[YEAR_2].recognised_minor == 3_493
    assert lines[YEAR_2].closing_minor == 1_073
    # The months between have their line, and nothing happens in them.
    assert len(lines) == 13
    assert sum(line.recognised_minor for line in lines.values()) == 4_110 + 3_493


def test_a_changed_expectation_is_caught_up_in_the_month_in_which_it_changes() -> None:
    def expected(_cohort: Cohort, month: date) -> Fraction:
        return Fraction(95, 100) if month < date(2026, 3, 1) else Fraction(50, 100)

    lines = {line.month: line for line in revenue(example_52(), value=Fraction(1), expected=expected)}
    march = lines[date(2026, 3, 1)]
    assert march.recognised_minor == recognise(8_676, 4_500, Fraction(5_000)) - 4_110 > 0


def test_what_is_left_when_no_point_is_left_is_recognised_whole() -> None:
    liability = example_52()
    liability.cohorts[OF_2025, YEAR_2] = Movement(burned=-4_000, expired=-1_500)
    lines = revenue(liability, value=Fraction(1), expected=expected_in_example_52)
    assert lines[-1].closing_minor == 0
    assert sum(line.recognised_minor for line in lines) == sum(line.deferred_minor for line in lines) == 8_676


def test_no_more_is_expected_to_be_burned_than_is_left_when_points_have_expired() -> None:
    liability = example_52()
    liability.cohorts[OF_2025, YEAR_2] = Movement(burned=-500, expired=-4_980)
    lines = revenue(liability, value=Fraction(1), expected=expected_in_example_52)
    # Of 10,000 points 5,000 are burned and 4,980 expired: 5,020 can be in the end, and not 9,700.
    assert (lines[0].expected_burned, lines[-1].expected_burned) == (9_500, 5_020)
    assert sum(line.recognised_minor for line in lines) == recognise(8_676, 5_000, Fraction(5_020))


def test_an_expectation_beyond_all_points_is_refused() -> None:
    with pytest.raises(ExpectationWrong, match="2025-12"):
        revenue(example_52(), value=Fraction(1), expected=lambda _cohort, _month: Fraction(11, 10))


def deferred_after(*days_and_amounts: tuple[int, int], back: tuple[int, int]) -> list[RevenueLine]:
    """Some sales, and on a day so many thousandths of the first brought back, with 0.9 of a minor unit a point."""
    life = Life("anna", random.Random(1))
    made = [
        life.do(
            Sale(
                life.id(),
                life.name,
                on(day),
                Basket("EUR", (Line("a", 1000, Minor(amount), "t"),), True, TAX),
            )
        )
        for day, amount in days_and_amounts
    ]
    assert made[0] is not None
    day, milli = back
    lines = (ReturnLine(1, milli),)
    assert life.do(Return(life.id(), life.name, on(day), made[0].command_id, lines), Refs(made[0]))
    liability = read_liability([(life.name, life.entries)], zone=UTC, entities={})
    return revenue(liability, value=Fraction(1), expected=lambda _cohort, _month: Fraction(9, 10))


def on(day: int) -> Origin:
    return Origin(Ms(START_MS + day * DAY_MS), Channel.STORE, "s1")


def test_a_return_takes_back_what_its_points_deferred_in_whichever_month_it_comes() -> None:
    (at_once,) = deferred_after((29, 1_000_000), back=(30, 990))
    sold, later = deferred_after((29, 1_000_000), back=(31, 990))
    # 10,000 points at 0.9 on 1,000,000; 100 of them, and 10,000 of the sale, are left.
    assert sold.deferred_minor == allocate(1_000_000, 10_000, Fraction(1), Fraction(9, 10)) == 8_920
    assert sold.deferred_minor + later.deferred_minor == at_once.deferred_minor == 89
    assert later.closing_minor == at_once.closing_minor == 89
    assert sold.recognised_minor == later.recognised_minor == 0
    *_, other_year = deferred_after((360, 1_000_000), back=(366, 990))
    assert (other_year.month, other_year.closing_minor) == (date(2026, 1, 1), 89)
    *_, among_sales = deferred_after((29, 1_000_000), (31, 1_000_000), back=(31, 990))
    assert among_sales.closing_minor == 8_920 + 89


def test_a_sale_brought_back_whole_leaves_nothing_deferred_and_recognises_nothing() -> None:
    sold, later = deferred_after((29, 1_000_000), back=(31, 1_000))
    assert (later.deferred_minor, later.recognised_minor, later.closing_minor) == (-sold.deferred_minor, 0, 0)


def test_what_was_recognised_of_points_that_stay_is_not_recognised_again_by_a_return() -> None:
    liability = example_52()
    liability.cohorts[OF_2025, date(2026, 1, 1)] = Movement(taken_back=-2_500)
    steady = revenue(liability, value=Fraction(1), expected=lambda _cohort, _month: Fraction(95, 100))
    lines = {line.month: line for line in steady}
    january = lines[date(2026, 1, 1)]
    assert (january.deferred_minor, january.recognised_minor) == (-2_169, 0)
    assert january.closing_minor == 8_676 - 2_169 - 4_110


def test_the_lines_of_a_journal_balance_for_each_entity_and_month() -> None:
    liability = read_liability(
        some_members(40), zone=UTC, entities={"s1": "north", "s2": "south", "s3": "south"}
    )
    lines = revenue(liability, value=Fraction(1), expected=lambda _cohort, _month: Fraction(9, 10))
    booked = journal(liability, lines, value=Fraction(1))
    sums: dict[tuple[str, date], int] = defaultdict(int)
    accounts: dict[str, int] = defaultdict(int)
    for line in booked:
        assert min(line.debit_minor, line.credit_minor) == 0 < max(line.debit_minor, line.credit_minor)
        sums[line.entity, line.month] += line.debit_minor - line.credit_minor
        accounts[line.account] += line.debit_minor - line.credit_minor
    assert set(sums.values()) == {0}
    assert accounts["settlement-payable"] == -accounts["settlement-receivable"] < 0
    assert -accounts["contract-liability"] == sum(
        {line.cohort: line.closing_minor for line in lines}.values()
    )


class Life:
    """Commands on one member, as the ledger would keep their entries."""

    def __init__(self, name: str, dice: random.Random) -> None:
        self.name = MemberId(name)
        self.dice = dice
        self.state = MemberState(Account(self.name, MemberStatus.OPEN, Ms(START_MS)), complete=True)
        self.lots: dict[int, Lot] = {}
        self.entries: list[Entry] = []
        self.sold: dict[CommandId, tuple[Entry, list[Entry]]] = {}
        self.holds: list[CommandId] = []
        self.at_ms = START_MS
        self.number = 0

    def id(self) -> CommandId:
        self.number += 1
        return CommandId(f"{self.name}/{self.number}")

    def origin(self) -> Origin:
        return Origin(Ms(self.at_ms), Channel.STORE, self.dice.choice(["s1", "s2", "s3"]))

    def do(self, command: Command, refs: Refs = Refs()) -> Entry | None:  # noqa: B008  immutable
        # What is empty and matured is read only where something names it.
        named = {alloc.lot_seq for hold in self.state.holds for alloc in hold.allocs}
        if refs.target is not None:
            named |= {refs.target.seq} | {alloc.lot_seq for alloc in refs.target.detail.allocs}
        lots = [lot for lot in self.lots.values() if lot.remaining or lot.pending or lot.lot_seq in named]
        outcome = decide(command, replace(self.state, lots=tuple(lots)), RULES, refs)
        self.state = outcome.state
        self.lots |= {lot.lot_seq: lot for lot in outcome.state.lots}
        self.entries += outcome.entries
        return outcome.decision.entry if isinstance(outcome.decision, Posted) else None

    def step(self) -> None:
        self.at_ms += self.dice.randrange(1, 40) * DAY_MS
        dice, origin, new = self.dice, self.origin(), self.id()
        basket = Basket(
            "EUR",
            (Line("a", 1000, Minor(dice.randrange(1_000, 60_000)), "t"),),
            True,
            (TaxGroup("t", 250_000),),
        )
        kind = dice.choice(
            ["sale", "sale", "burning sale", "return", "burn", "hold", "capture", "void", "adjust"]
        )
        sure = Assurance.STATIC_CARD
        if kind == "sale":
            self._sold(self.do(Sale(new, self.name, origin, basket)))
        elif kind == "burning sale":
            self._sold(self.do(Sale(new, self.name, origin, basket, Spend(500, up_to=True), assurance=sure)))
        elif kind == "return" and self.sold:
            sale_id = dice.choice(sorted(self.sold))
            target, before = self.sold[sale_id]
            part = (ReturnLine(1, dice.choice([250, 500])),)
            if made := self.do(Return(new, self.name, origin, sale_id, part), Refs(target, tuple(before))):
                before.append(made)
        elif kind == "burn":
            self.do(Burn(new, self.name, origin, 100, "gift", sure))
        elif kind == "hold" and self.do(
            PlaceHold(new, self.name, origin, 2_592_000, Spend(100), assurance=sure)
        ):
            self.holds.append(new)
        elif kind == "capture" and self.holds:
            self.do(Capture(new, self.name, origin, self.holds.pop()))
        elif kind == "void" and self.holds:
            self.do(Void(new, self.name, origin, self.holds.pop()))
        elif kind == "adjust":
            self.do(Adjust(new, self.name, origin, dice.choice([-50, 120]), "by hand"))

    def _sold(self, made: Entry | None) -> None:
        if made is not None:
            self.sold[made.command_id] = (made, [])


def lives(count: int, *, seed: int = 1) -> list[Life]:
    found = []
    for number in range(count):
        life = Life(f"m{number:03}", random.Random(seed * 1_000 + number))
        for _ in range(30):
            life.step()
        life.at_ms += 10 * DAY_MS
        life.do(CatchUp(life.id(), life.name, Origin(Ms(life.at_ms), Channel.UNKNOWN)))
        found.append(life)
    return found


def some_members(count: int) -> Sequence[tuple[MemberId, list[Entry]]]:
    return [(life.name, life.entries) for life in lives(count)]


def test_the_roll_forward_ends_at_what_members_have() -> None:
    all_lives = lives(60)
    kinds = {entry.kind.name for life in all_lives for entry in life.entries}
    assert kinds >= {"SALE", "RETURN", "BURN", "HOLD", "CAPTURE", "VOID", "ADJUST", "EXPIRE"}
    liability = read_liability(
        [(life.name, life.entries) for life in all_lives], zone=UTC, entities={"s3": "s2"}
    )
    accounts = [life.state.account for life in all_lives]
    owed = sum(account.active + account.pending + account.held - account.debt for account in accounts)
    lines = liability.roll_forward()
    last: dict[str, int] = {line.entity: line.closing for line in lines}
    assert set(last) == {"s1", "s2"}
    assert sum(last.values()) == owed > 0
    for before, after in pairwise(lines):
        if before.entity == after.entity:
            assert after.opening == before.closing
    assert sum(movement.change for movement in liability.cohorts.values()) == owed


def test_points_burned_elsewhere_are_settled_with_their_issuer() -> None:
    life = Life("anna", random.Random(1))
    basket = Basket("EUR", (Line("a", 1000, Minor(30_000)),))
    life.do(Sale(life.id(), life.name, Origin(Ms(START_MS), Channel.STORE, "s1"), basket))
    spent = life.do(
        Sale(
            life.id(),
            life.name,
            Origin(Ms(START_MS + DAY_MS), Channel.STORE, "s2"),
            basket,
            Spend(200),
            assurance=Assurance.STATIC_CARD,
        )
    )
    assert spent is not None
    month = date(2025, 1, 1)
    liability = read_liability([(life.name, life.entries)], zone=UTC, entities={})
    assert liability.settled == {("s1", "s2", month): 200}
    assert liability.movements["s1", month].burned == -200
    back = Return(
        life.id(),
        life.name,
        Origin(Ms(START_MS + 2 * DAY_MS), Channel.STORE, "s3"),
        spent.command_id,
        (ReturnLine(1, 500),),
    )
    assert life.do(back, Refs(spent))
    liability = read_liability([(life.name, life.entries)], zone=UTC, entities={})
    assert liability.settled == {("s1", "s2", month): 100}
    assert liability.movements["s1", month].given_back == 100
