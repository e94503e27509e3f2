"""Challenges and badges as a retailer would tell them: who buys what, and what that wins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.command import ReturnLine
from tallystick.core.entry import EntryKind
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.core.world import at
from tests.scenarios.street import Street
from tests.scenarios.table import Scenario, brings_back, buys, play, reports, sent_again, until
from tests.scenarios.test_parallel import at_once, desks
from tests.service.desk import ANN, CLUB, Desk

COFFEE_WEEK: dict[str, Any] = {
    "id": "coffee-week",
    "name": "Three coffees a week",
    "counts": "pieces",
    "category": "coffee",
    "target": 3,
    "per": "week",
    "times": 2,
    "award": {"points": 100},
}
EXPLORER: dict[str, Any] = {
    "id": "explorer",
    "name": "Five days in January",
    "counts": "days",
    "target": 3,
    "from": "2026-01-01",
    "until": "2026-02-01",
    "award": {"badge": "explorer"},
}
BIG: dict[str, Any] = {
    "id": "big",
    "name": "200 in a year",
    "counts": "spend",
    "target": 20_000,
    "per": "year",
    "times": 5,
    "award": {"points": 500, "badge": "big-spender"},
}
RULES = {"challenges": [COFFEE_WEEK, EXPLORER, BIG]}
WAITING = {
    "earning": {
        "rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}],
        "pending_days": 14,
    },
    "returns": {"spent": "only_pending"},
}

SCENARIOS = {
    "the third coffee of a week": Scenario(
        "a coffee counts twice, or one of another week counts",
        "",
        (
            buys("monday", {"2 x coffee": "6.00", "bread": "4.00"}, earned=10, awarded=0),
            buys("tuesday", {"coffee": "3.00"}, earned=3, awarded=100, balance=113),
            sent_again("tuesday", earned=3, awarded=100, balance=113),
            until("2026-01-19T12:00"),
            buys("", {"2 x coffee": "6.00"}, awarded=100),
        ),
        RULES,
    ),
    "no more than twice a week": Scenario(
        "an award without a limit",
        "",
        (
            buys("", {"9 x coffee": "27.00"}, awarded=200, balance=227),
            buys("", {"9 x coffee": "27.00"}, awarded=200, balance=254),
        ),
        RULES,
    ),
    "coffee brought back": Scenario(
        "points of goods that came back are kept",
        "",
        (
            buys("three", {"3 x coffee": "9.00"}, awarded=100, balance=109),
            brings_back("three", "coffee", pieces=1, awarded=0, balance=6),
            buys("one", {"coffee": "3.00"}, awarded=100, balance=109),
            brings_back("three", "coffee", pieces=2, awarded=0, balance=3),
        ),
        RULES,
    ),
    "coffee of two awards brought back while the points wait": Scenario(
        "all but the last award are kept",
        "",
        (
            buys("first", {"3 x coffee": "9.00"}, awarded=100, balance=0),
            buys("second", {"3 x coffee": "9.00"}, awarded=200, balance=0),
            brings_back("first", "coffee", pieces=3, awarded=100),
            brings_back("second", "coffee", pieces=3, awarded=0),
            until("2026-02-01T12:00"),
            buys("", {"tea": "2.00"}, balance=0),
        ),
        {**RULES, **WAITING},
    ),
    "a badge for three days": Scenario(
        "a day counts as often as something is bought on it",
        "",
        (
            buys("", {"tea": "2.00"}, badges={}),
            buys("", {"tea": "2.00"}, badges={}),
            until("2026-01-20T12:00"),
            buys("", {"tea": "2.00"}, badges={}),
            until("2026-01-31T12:00"),
            buys("last", {"tea": "2.00"}, badges={"explorer": 1}, awarded=0),
            until("2026-02-01T12:00"),
            brings_back("last", "tea", badges={}),
        ),
        RULES,
    ),
    "a till that was offline over the weekend": Scenario(
        "what a till reports late counts in the wrong week",
        "",
        (
            buys("", {"2 x coffee": "6.00"}, awarded=0),
            until("2026-01-26T12:00"),
            buys("", {"2 x coffee": "6.00"}, awarded=0),
            reports("", {"coffee": "3.00"}, printed=3, awarded=100),
        ),
        RULES,
    ),
    "200 euros in a year": Scenario(
        "a target that is passed at once is awarded once",
        "",
        (
            buys("much", {"watch": "450.00"}, awarded=1_000, badges={"big-spender": 2}, balance=1_450),
            brings_back(
                "much", "watch", amount="100.00", awarded=500, badges={"big-spender": 1}, balance=850
            ),
            brings_back("much", "watch", amount="350.00", awarded=0, badges={}, balance=0),
        ),
        RULES,
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_challenge_is_met_as_it_says(scenario: Scenario, store: Store) -> None:
    play(scenario, store)


def test_forty_sales_at_once_win_ten_times_four(shared: Store) -> None:
    """Several servers write for one member at the same time: each fourth sale wins once, whoever decides it."""
    four = {"id": "four", "name": "Four", "counts": "sales", "target": 4, "times": 99, "award": {"points": 7}}
    with desks(shared) as three:
        three[0].publish(challenges=[four])
        for desk in three:
            desk.book.forget(desk.program_id)
        commands = [three[0].sale(100) for _ in range(40)]
        at_once(three, commands)
        at_once(three, commands)
        awards = [entry for entry in three[0].entries(ANN) if entry.kind is EntryKind.AWARD]
        assert [-entry.moves.issued for entry in awards] == [7] * 10
        assert three[0].account().active == 40 + 70


def test_a_challenge_whose_period_changes_begins_anew_and_the_books_agree(store: Store) -> None:
    with Desk(store, challenges=[per("year")]) as desk:
        desk.now = at("2026-11-05T12:00")
        first = desk.posted(desk.sale(1_000))
        for period in ("month", "year"):
            desk.publish(challenges=[per(period)])
            desk.book.forget(CLUB)
            desk.posted(desk.sale(1_000))
        assert desk.account().active == 3 * (10 + 50)
        report = verify(store)
        assert report.ok, report.first
        desk.posted(desk.give_back(first.command_id, ReturnLine(1, 1_000)))
        assert verify(store).ok


def per(period: str) -> dict[str, Any]:
    """Return a challenge that one sale in a period meets."""
    award = {"points": 50}
    return {"id": "once", "name": "Once", "counts": "sales", "target": 1, "per": period, "award": award}


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    two = {"id": "two", "name": "Two", "counts": "sales", "target": 2, "times": 9, "award": {"points": 30}}
    made = Street(tmp_path, challenges=[two])
    yield made
    assert made.books_are_right()
    made.close()


def test_a_till_without_a_line_sells_and_the_award_comes_when_it_is_back(street: Street) -> None:
    till, ann = street.till("s1"), street.member()
    street.sale(till, ann)
    street.sync(till)
    street.offline(till)
    before = street.balance(ann)
    done = street.sale(till, ann)
    assert done.stand_in
    assert street.balance(ann) == before
    street.online(till)
    street.sync(till)
    assert street.balance(ann) == before + done.earned_points + 30
    kinds = [entry.kind for entry in street.entries(ann)]
    assert kinds.count(EntryKind.AWARD) == 1
