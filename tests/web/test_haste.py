"""Hands that are quicker than answers, keys that are held, and what fails while somebody waits."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.support.screen import Screen
from tests.web.support.shop import STORE, Shop

pytestmark = pytest.mark.timeout(120)

OPENING = 1_000
SETTLE_MS = 500
TRIES = 100
TRY_MS = 50


class Late:
    """Answers of the till program that are kept back until they are let through."""

    def __init__(self, page: Page, path: str) -> None:
        self._page = page
        self._kept: list[Route] = []
        self._is_open = False
        page.route(f"**/api/v1/{path}", self._take)

    def wait(self) -> None:
        """Wait until something has been asked."""
        for _ in range(TRIES):
            if self._kept:
                return
            self._page.wait_for_timeout(TRY_MS)
        raise AssertionError("nobody asked")

    def come(self) -> None:
        """Let through what was kept, and whatever is asked from now on."""
        self._is_open = True
        for route in self._kept:
            route.continue_()

    def _take(self, route: Route) -> None:
        if self._is_open:
            route.continue_()
        else:
            self._kept.append(route)


def test_a_sale_that_was_left_before_its_quote_came_is_never_made(screen: Screen, shop: Shop) -> None:
    first, second = shop.member(OPENING), shop.member(OPENING)
    screen.scan_member(first.number)
    late = Late(screen.page, "quote")
    screen.page.keyboard.type("1234", delay=120)
    screen.shows("amount", minor=12_34)
    late.wait()
    screen.page.keyboard.press("Enter")
    screen.page.keyboard.press("Escape")
    screen.shows("idle")
    screen.scan_member(second.number)
    screen.page.keyboard.type("5", delay=120)
    screen.shows("amount", minor=5)
    late.come()
    expect(screen.at("done")).to_be_enabled()
    screen.page.wait_for_timeout(SETTLE_MS)
    screen.shows("sale")
    assert screen.done()["earned_points"] == 0


def test_an_amount_that_was_changed_before_its_quote_came_is_confirmed_anew(
    screen: Screen, shop: Shop
) -> None:
    card = shop.member(OPENING)
    screen.scan_member(card.number)
    late = Late(screen.page, "quote")
    screen.page.keyboard.type("1234", delay=120)
    late.wait()
    screen.page.keyboard.press("Enter")
    screen.page.keyboard.press("5")
    screen.shows("amount", minor=123_45)
    late.come()
    expect(screen.at("done")).to_be_enabled()
    screen.page.wait_for_timeout(SETTLE_MS)
    screen.shows("sale")


def test_enter_that_is_held_finishes_the_sale_and_leaves_its_receipt(screen: Screen, shop: Shop) -> None:
    card = shop.member(OPENING)
    screen.scan_member(card.number)
    screen.key_in(12_34)
    screen.page.keyboard.down("Enter")
    screen.shows("receipt")
    screen.page.keyboard.down("Enter")
    screen.page.keyboard.up("Enter")
    screen.page.wait_for_timeout(SETTLE_MS)
    screen.shows("receipt")
    screen.page.keyboard.press("Enter")
    screen.shows("idle")


def test_a_receipt_scanned_while_a_return_waits_is_not_taken_for_the_returned_one(
    screen: Screen, shop: Shop
) -> None:
    card = shop.member(OPENING)
    first = screen.sell(card.number, 10_00)
    second = screen.sell(card.number, 30_00)
    screen.tap("next")
    screen.scan(first["receipt"]["qr"])
    screen.tap("return-all")
    screen.shows("refund", minor=10_00)
    late = Late(screen.page, "return")
    screen.tap("return-confirm")
    late.wait()
    screen.scan(second["receipt"]["qr"])
    screen.page.wait_for_timeout(SETTLE_MS)
    screen.tap("return-stepper-minus")
    late.come()
    screen.shows("return-done")
    screen.shows("refund", minor=10_00)
    screen.says("return-line", r"€10\.00.*1×")
    screen.tap("next")
    screen.scan(second["receipt"]["qr"])
    screen.says("return-line", r"€30\.00")


def test_an_undo_that_is_refused_says_why_where_the_next_card_is_awaited(screen: Screen, shop: Shop) -> None:
    card = shop.member(OPENING)
    sale = screen.sell(card.number, 10_00)
    screen.tap("next")
    # Another screen of this till was quicker.
    screen.page.evaluate(UNDO, sale["sale_id"])
    screen.tap("undo")
    screen.shows("refusal", reason="ALREADY_REVERSED")
    screen.scan_member(card.number)
    expect(screen.at("refusal")).to_have_count(0)


def test_sales_that_could_not_be_listed_are_listed_when_the_till_program_is_back(
    screen: Screen, shop: Shop
) -> None:
    screen.page.add_init_script(STREAMS)
    screen.page.reload()
    screen.sell(shop.member(OPENING).number, 10_00)
    screen.page.route("**/api/v1/**", lambda route: route.abort())
    screen.page.evaluate(CUT)
    screen.shows("chip", link="away")
    screen.tap("next")
    screen.tap("return-link")
    screen.shows("return")
    screen.page.wait_for_timeout(SETTLE_MS)
    expect(screen.page.get_by_text("No sales at this till yet")).to_have_count(0)
    screen.page.unroute("**/api/v1/**")
    expect(screen.at("sale-choice").first).to_be_visible()
    expect(screen.at("refusal")).to_have_count(0)


def test_cashiers_who_could_not_be_listed_are_listed_when_the_till_program_is_back(
    screen: Screen, shop: Shop
) -> None:
    shop.office.set_cashier(STORE, "ada", "Ada", "4711", active=True)
    try:
        screen.page.add_init_script(STREAMS)
        screen.page.reload()
        screen.shows("message", reason="PIN_REQUIRED")
        screen.page.route("**/api/v1/**", lambda route: route.abort())
        screen.page.evaluate(CUT)
        screen.shows("chip", link="away")
        screen.tap("cashier")
        screen.shows("cashier-page")
        screen.page.wait_for_timeout(SETTLE_MS)
        expect(screen.at("cashier-choice")).to_have_count(0)
        screen.page.unroute("**/api/v1/**")
        expect(screen.at("cashier-choice")).to_be_visible()
    finally:
        shop.office.set_cashier(STORE, "ada", "Ada", "", active=False)
    expect(screen.at("cashier")).to_have_count(0)


def test_a_camera_that_is_pulled_out_says_so(screen: Screen) -> None:
    screen.tap("settings-link")
    screen.tap("camera-setting-on")
    screen.tap("home")
    screen.shows("camera", ready="true")
    screen.page.evaluate(PULL_OUT)
    screen.shows("camera", trouble="missing")


PULL_OUT = """() => {
    const [track] = document.querySelector("video").srcObject.getTracks();
    track.stop();
    track.dispatchEvent(new Event("ended"));
}"""

UNDO = """(saleId) => fetch("/api/v1/undo", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ sale_id: saleId, undo_id: crypto.randomUUID() }),
}).then((answer) => { if (!answer.ok) throw new Error(answer.status); })"""

STREAMS = """(() => {
    const Real = window.EventSource;
    window.streams = [];
    window.EventSource = class extends Real {
        constructor(...how) {
            super(...how);
            window.streams.push(this);
        }
    };
})()"""

CUT = "() => { window.streams.forEach((each) => each.dispatchEvent(new Event('error'))); }"
