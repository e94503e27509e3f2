"""Challenges where the cashier meets them: what is nearly met with a scan, and what a sale has won after it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web.support.screen import Screen
from tests.web.support.shop import RULES, Card, Shop, wait_for

pytestmark = pytest.mark.timeout(120)

OPENING = 1_000
TODAY = datetime.now(tz=UTC).date()
LAST_DAY = TODAY + timedelta(days=3)
THREE: dict[str, Any] = {
    "id": "three",
    "name": "Three visits",
    "counts": "sales",
    "target": 3,
    "award": {"points": 50, "badge": "regular"},
}
BIG: dict[str, Any] = {
    "id": "big",
    "name": "A hundred by then",
    "counts": "spend",
    "target": 100_00,
    "from": f"{TODAY - timedelta(days=20)}",
    "until": f"{LAST_DAY + timedelta(days=1)}",
    "award": {"points": 20},
}
FAR: dict[str, Any] = {
    "id": "far",
    "name": "Ninety visits",
    "counts": "sales",
    "target": 90,
    "award": {"badge": "marathon"},
}


@pytest.fixture(scope="module", autouse=True)
def challenges(shop: Shop) -> None:
    """A program with challenges; the till knows of them, too."""
    before = shop.state()["rules"]["version"]
    shop.office.publish({**RULES, "challenges": [FAR, THREE, BIG]})
    wait_for(lambda: shop.state()["rules"]["version"] > before, "the till to have the new rules")


def buy(shop: Shop, card: Card, amount_minor: int) -> None:
    """Sell something at the till without its screen; the gateway has it when this returns."""
    line = {"sku": "tea", "quantity_milli": 1000, "amount_minor": amount_minor}
    basket = {"currency": "EUR", "lines": [line]}
    assert "error" not in shop.ask("POST", "/sale", {"member_ref": card.member_id, "basket": basket})
    shop.all_is_sent()


def near(screen: Screen) -> list[tuple[str, int]]:
    """What the screen says is nearly met, and how much is missing."""
    rows = screen.at("challenge").all()
    return [
        (str(row.get_attribute("data-challenge")), int(row.get_attribute("data-left") or 0)) for row in rows
    ]


def test_a_scan_tells_the_two_challenges_that_are_nearest(screen: Screen, shop: Shop) -> None:
    card = shop.member(OPENING)
    screen.scan_member(card.number)
    assert near(screen) == [], "nothing is begun"
    buy(shop, card, 20_00)
    screen.scan_member(card.number)
    assert near(screen) == [("three", 2), ("big", 80_00)]
    three, big = screen.at("challenge").all()
    expect(three).to_have_text("2 more purchases until Three visits")
    expect(big).to_contain_text("€80.00 more until A hundred by then")
    expect(big).to_contain_text(f"by {LAST_DAY:%a}")
    buy(shop, card, 20_00)
    screen.scan_member(card.number)
    expect(screen.at("challenge").first).to_have_text("1 more purchase until Three visits")


def test_redeeming_is_one_tap_away_with_challenges_as_without(screen: Screen, shop: Shop) -> None:
    card = shop.member(OPENING)
    buy(shop, card, 20_00)
    screen.page.set_viewport_size({"width": 360, "height": 740})
    screen.scan_member(card.number)
    assert len(near(screen)) == 2
    for name in ("amount", "redeem", "done"):
        expect(screen.at(name)).to_be_in_viewport(ratio=1)
    for row in screen.at("challenge").all():
        box = row.bounding_box()
        assert box is not None
        assert box["height"] < 2 * 24, "a line each"


def test_a_sale_that_is_reported_tells_what_it_has_won(screen: Screen, shop: Shop) -> None:
    card = shop.member(OPENING)
    buy(shop, card, 1_00)
    buy(shop, card, 1_00)
    first = screen.sell(card.number, 1_00)
    expect(screen.at("met")).to_have_text(re.compile(r"Reached: Three visits\s+\+50 · Regular"))
    screen.shows("met", challenge="three", points=50)
    screen.tap("next")
    second = screen.sell(card.number, 1_00)
    assert second["balance_points"] == first["balance_points"] + 50 + 1
    shop.all_is_sent()
    assert shop.ask("GET", f"/sales/{second['sale_id']}")["challenges_met"] == []
    expect(screen.at("met")).to_have_count(0)


def test_a_sale_that_the_gateway_decides_tells_it_as_well_until_it_is_undone(
    screen: Screen, shop: Shop
) -> None:
    card = shop.member(OPENING)
    screen.scan_member(card.number)
    screen.key_in(250_00)
    screen.redeem_most()
    for _ in range(3):
        screen.tap("stepper-minus")
    sale = screen.done()
    assert sale["authority"] == [{"kind": "server", "points": sale["burned_points"]}]
    screen.shows("met", challenge="big", points=20)
    screen.tap("undo")
    screen.shows("receipt", undone="true")
    expect(screen.at("met")).to_have_count(0)


def test_without_a_line_nothing_is_told_that_may_be_wrong(screen: Screen, shop: Shop) -> None:
    card = shop.stranger(OPENING)
    shop.online()
    buy(shop, card, 1_00)
    buy(shop, card, 1_00)
    shop.offline()
    screen.scan_member(card.number)
    screen.shows("as-of")
    assert near(screen) == []
    screen.key_in(1_00)
    screen.done()
    expect(screen.at("met")).to_have_count(0)
    # The line comes back while the receipt is still on screen: now it is known.
    shop.online()
    screen.shows("met", challenge="three", points=50)
