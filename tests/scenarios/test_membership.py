"""Paid membership as a retailer would tell it: the fee, what it gives, renewal, grace, refund, and a till offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.basket import Basket, Line
from tallystick.core.ids import Minor
from tallystick.storage.open import Store
from tallystick_till.types import SaleAsk
from tests.scenarios.street import Person, Street
from tests.scenarios.table import Scenario, brings_back, buys, has, play, reports, until
from tests.simulation.machine import Machine

CLUB: dict[str, Any] = {
    "id": "club",
    "name": "The Club",
    "sku": "club-fee",
    "months": 12,
    "grace_days": 14,
    "refund_days": 30,
}
RULES: dict[str, Any] = {
    "memberships": [CLUB],
    "earning": {
        "rules": [
            {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100},
            {"id": "members", "kind": "multiply", "by": 3, "membership": "club"},
        ],
        "exclude": [{"sku": "club-fee"}],
    },
    "rewards": [
        {"id": "lounge", "kind": "money_off", "points": 50, "amount_minor": 500, "membership": "club"}
    ],
}
PAID = {"club": "2027-01-14"}
FEE = {"club-fee": "99.00"}

SCENARIOS = {
    "a year of membership": Scenario(
        "benefits before the fee is paid, or after it has run out",
        "",
        (
            buys("", {"shoes": "10.00"}, earned=10),
            buys("fee", FEE, earned=0, member_until=PAID),
            buys("", {"shoes": "10.00"}, earned=30),
            until("2027-01-28T12:00"),
            buys("", {"shoes": "10.00"}, earned=30),
            until("2027-01-29T12:00"),
            buys("", {"shoes": "10.00"}, earned=10),
        ),
        RULES,
    ),
    "renewed in the days of grace": Scenario(
        "whoever pays late loses days, or gets days for nothing",
        "",
        (
            buys("fee", FEE, member_until=PAID),
            until("2027-01-20T12:00"),
            buys("again", FEE, member_until={"club": "2028-01-14"}),
        ),
        RULES,
    ),
    "the fee paid back": Scenario(
        "a membership that was paid back goes on",
        "",
        (
            buys("fee", FEE, member_until=PAID),
            until("2026-02-10T12:00"),
            brings_back("fee", "club-fee", refund="99.00", member_until={}),
            buys("", {"shoes": "10.00"}, earned=10),
        ),
        RULES,
    ),
    "the renewal paid back": Scenario(
        "a refund of the renewal ends the year that was paid before",
        "",
        (
            buys("fee", FEE, member_until=PAID),
            buys("again", FEE, member_until={"club": "2028-01-14"}),
            brings_back("again", "club-fee", member_until=PAID),
        ),
        RULES,
    ),
    "a reward of the club": Scenario(
        "anybody takes what only members may",
        "",
        (
            has(100),
            buys("", {"shoes": "10.00"}, reward="lounge", refused="REWARD_NOT_APPLICABLE"),
            buys("fee", FEE),
            buys("", {"shoes": "10.00"}, reward="lounge", burned=50, to_pay="5.00"),
        ),
        RULES,
    ),
    "a till reports the fee": Scenario(
        "a membership bought at a till without a line begins when the line is back",
        "",
        (reports("", FEE, printed=0, member_until=PAID), buys("", {"shoes": "10.00"}, earned=30)),
        RULES,
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_membership_is_what_was_paid_for(scenario: Scenario, store: Store) -> None:
    play(scenario, store)


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path, memberships=[CLUB], earning=RULES["earning"])
    yield made
    assert made.books_are_right()
    made.close()


def rings_up(street: Street, till: Machine, person: Person, sku: str, minor: int) -> int:
    """Sell one article at a till; return what the receipt says was earned."""
    return street.sale(till, person, minor, sku=sku).earned_points


def test_a_till_without_a_line_sells_to_members_as_members(street: Street) -> None:
    till, ann, ben = street.till("s1"), street.member(), street.member()
    rings_up(street, till, ann, "club-fee", 9_900)
    street.sync(till)
    street.offline(till)
    assert rings_up(street, till, ann, "shoes", 1_000) == 30
    assert rings_up(street, till, ben, "shoes", 1_000) == 10
    street.online(till)
    street.sync(till)
    assert (street.balance(ann), street.balance(ben)) == (30, 10)
    assert street.inbox() == [], "the gateway comes to the same"


def test_a_line_that_falls_between_scan_and_sale_takes_no_membership_away(street: Street) -> None:
    till, ann = street.till("s1"), street.member()
    rings_up(street, till, ann, "club-fee", 9_900)
    street.sync(till)
    street.scan(till, ann)
    street.offline(till)
    goods = Basket("EUR", (Line("shoes", 1_000, Minor(1_000)),))
    done = till.running.sale(SaleAsk(ann.member_id, goods, sale_id=till.new_id()))
    assert done.earned_points == 30
    street.online(till)
    street.sync(till)
