"""What finance books, on every store: closed months stay as they were, and a debt that is paid is owed by nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from tallystick.core.basket import Basket, Channel, Line, Origin, TaxGroup
from tallystick.core.command import Burn, ReturnLine, Sale
from tallystick.core.entry import Entry
from tallystick.core.ids import Minor
from tallystick.reports.deferral import JournalLine, RevenueLine, allocate, journal, revenue
from tallystick.reports.entries import by_member
from tallystick.reports.liability import Liability, read_liability
from tallystick.reports.owed_lots import Cohort
from tallystick.storage.open import Store
from tests.core.world import at
from tests.service.desk import ANN, CLUB, Desk

ZONE = ZoneInfo("Europe/Stockholm")
BURNED = Fraction(9, 10)
NOW_TWICE = {"burning": {"points": 100, "minor": 200, "assurance_caps": {"typed": "unlimited"}}}


class Office:
    """Ann buys in two shops, and somebody closes the books."""

    def __init__(self, store: Store) -> None:
        self.desk = Desk(store)

    def come(self, text: str) -> None:
        self.desk.now = at(text)

    def publish(self, parts: Mapping[str, object]) -> None:
        self.desk.publish(**parts)
        self.desk.book.forget(CLUB)

    def sell(self, shop: str, amount_minor: int) -> Entry:
        goods = Basket("EUR", (Line("a", 1000, Minor(amount_minor), "t"),), True, (TaxGroup("t", 0),))
        return self.desk.posted(Sale(self.desk.new_id(), ANN, self.origin(shop), goods))

    def burn(self, shop: str, points: int) -> Entry:
        return self.desk.posted(Burn(self.desk.new_id(), ANN, self.origin(shop), points, "gift"))

    def origin(self, shop: str) -> Origin:
        return Origin(self.desk.now, Channel.STORE, shop)

    def value(self, version: int) -> Fraction:
        rules = self.desk.book.version(CLUB, version)
        assert rules is not None
        return Fraction(rules.burning.value_minor, rules.burning.value_points)

    def books(self) -> Liability:
        with self.desk.store.snapshot(CLUB) as snapshot:
            return read_liability(by_member(snapshot.ledger()), zone=ZONE, entities={})

    def revenue(self) -> list[RevenueLine]:
        return revenue(self.books(), value=self.value, expected=lambda _cohort, _month: BURNED)

    def journal(self) -> list[JournalLine]:
        return journal(self.books(), self.revenue(), value=self.value)


@pytest.fixture
def office(shared: Store) -> Iterator[Office]:
    made = Office(shared)
    yield made
    made.desk.close()


JANUARY, FEBRUARY = date(2026, 1, 1), date(2026, 2, 1)


def test_a_new_value_of_points_leaves_closed_months_as_they_were(office: Office) -> None:
    office.sell("north", 1_000_000)
    undone = office.burn("south", 2_000)
    closed = office.journal()
    office.come("2026-02-10T12:00")
    office.publish(NOW_TWICE)
    assert office.journal() == closed, "publishing alone books nothing"
    office.sell("north", 500_000)
    office.burn("south", 1_500)
    office.desk.posted(office.desk.reverse(undone.command_id))
    booked = office.journal()
    assert [line for line in booked if line.month == JANUARY] == closed
    deferred = {line.month: line.deferred_minor for line in office.revenue()}
    assert deferred[JANUARY] == allocate(1_000_000, 10_000, Fraction(1), BURNED)
    assert deferred[FEBRUARY] == allocate(500_000, 5_000, Fraction(2), BURNED)
    # A burn that is undone goes back at the value at which it was settled.
    settled = {line.month: line.credit_minor for line in booked if line.account == "settlement-payable"}
    assert settled == {JANUARY: 2_000, FEBRUARY: 1_500 * 2 - 2_000}


def test_a_month_of_two_values_defers_each_point_at_its_own(office: Office) -> None:
    office.sell("north", 300_000)
    office.publish(NOW_TWICE)
    undone = office.sell("north", 9_000_000)
    office.sell("north", 200_000)
    office.desk.posted(office.desk.reverse(undone.command_id))
    (line,) = office.revenue()
    price = 3_000 + 2 * 2_000
    assert line.deferred_minor == allocate(500_000, price, Fraction(1), BURNED)


def test_points_that_paid_a_debt_are_owed_and_deferred_by_nobody(office: Office) -> None:
    office.publish({"returns": {"spent": "debt"}})
    sold = office.sell("north", 1_000_000)
    office.burn("east", 10_000)
    closed = office.journal()
    office.come("2026-02-10T12:00")
    office.desk.posted(office.desk.give_back(sold.command_id, ReturnLine(1, 1000)))
    assert office.desk.account().debt == 10_000
    office.sell("south", 1_000_000)
    books = office.books()
    assert {line.entity: line.closing for line in books.roll_forward()} == {"north": 0, "south": 0}
    assert books.settled == {("north", "east", JANUARY): 10_000, ("south", "north", FEBRUARY): 10_000}
    lines = office.revenue()
    assert {line.cohort: line.closing_minor for line in lines if line.month == FEBRUARY} == {
        Cohort("north", 2026): 0,
        Cohort("south", 2026): 0,
    }
    assert [line for line in office.journal() if line.month == JANUARY] == closed
