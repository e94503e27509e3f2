"""In the middle of a sale and right after it: vouchers and points together, codes of strangers, training, undoing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.web.support.browser import open_context
from tests.web.support.screen import Screen
from tests.web.support.shop import FLOOR_SALE, STORE, Shop

pytestmark = pytest.mark.timeout(120)

OPENING = 1_000
VOUCHER = 200
STRANGE = "https://example.org/not-a-card"


def test_points_come_on_top_of_a_voucher_and_never_in_its_place(screen: Screen, shop: Shop) -> None:
    card = shop.stranger(OPENING)
    shop.online()
    voucher = shop.office.voucher(card.member_id, STORE, VOUCHER)
    shop.hears_of(card, OPENING - VOUCHER)
    shop.offline()
    screen.scan(voucher)
    screen.shows("voucher")
    screen.key_in(9_00)
    screen.says("stepper-value", f"^{VOUCHER}$")
    expect(screen.at("discount")).to_have_attribute("data-minor", str(VOUCHER))
    expect(screen.at("stepper-minus")).to_have_attribute("aria-disabled", "true")
    expect(screen.at("redeem")).to_have_attribute("aria-pressed", "false")

    screen.tap("stepper-plus")
    screen.says("stepper-value", f"^{VOUCHER + 1}$")
    expect(screen.at("discount")).to_have_attribute("data-minor", str(VOUCHER + 1))
    screen.tap("stepper-minus")
    screen.says("stepper-value", f"^{VOUCHER}$")

    assert screen.redeem_most() > VOUCHER
    screen.tap("redeem")
    screen.says("stepper-value", f"^{VOUCHER}$")
    screen.tap("stepper-plus")
    expect(screen.at("discount")).to_have_attribute("data-minor", str(VOUCHER + 1))
    sale = screen.done()
    rights = {each["kind"]: each["points"] for each in sale["authority"]}
    assert rights.pop("voucher") == VOUCHER
    assert sum(rights.values()) == 1


def test_a_small_basket_takes_what_it_has_room_for_of_a_voucher(screen: Screen, shop: Shop) -> None:
    card = shop.member(OPENING)
    voucher = shop.office.voucher(card.member_id, STORE, VOUCHER)
    shop.hears_of(card, OPENING - VOUCHER)
    screen.scan(voucher)
    screen.shows("voucher")
    screen.key_in(1_50)
    screen.says("stepper-value", "^150$")
    expect(screen.at("stepper-plus")).to_have_attribute("aria-disabled", "true")
    screen.tap("voucher-remove")
    expect(screen.at("discount")).to_have_count(0)
    assert screen.done()["burned_points"] == 0


def test_a_code_of_no_member_costs_neither_the_member_nor_the_amount(screen: Screen, shop: Shop) -> None:
    card = shop.member(OPENING)
    screen.scan_member(card.number)
    screen.key_in(12_34)
    screen.scan(STRANGE)
    screen.shows("refusal", reason="FORMAT")
    screen.says("refusal", "This is no card, code, voucher or receipt of ours")
    screen.shows("amount", minor=12_34)
    screen.shows("points", points=OPENING)
    expect(screen.at("done")).to_be_enabled()
    screen.tap("keypad-0")
    expect(screen.at("refusal")).to_have_count(0)
    sale = screen.done()
    shop.all_is_sent()
    assert shop.balance(card) == sale["balance_points"] == OPENING + 123


def test_a_sale_refused_as_the_line_breaks_says_why_until_something_else_is_done(
    screen: Screen, shop: Shop
) -> None:
    card = shop.stranger(OPENING)
    shop.online()
    screen.scan_member(card.number)
    screen.key_in(12_34)
    screen.redeem_most()
    screen.shows("discount", minor=OPENING)
    shop.line.cut()
    screen.tap("done")
    screen.shows("refusal", reason="ABOVE_FLOOR")
    # The till has seen the line break, then mend, and the screen has asked anew what can be redeemed.
    screen.shows("chip", link="offline")
    cut = shop.limit(card)
    assert FLOOR_SALE <= cut < OPENING
    screen.shows("discount", minor=cut)
    shop.online()
    screen.shows("chip", link="online")
    screen.shows("redeem", points=OPENING)
    screen.shows("refusal", reason="ABOVE_FLOOR")
    screen.tap("stepper-minus")
    expect(screen.at("refusal")).to_have_count(0)
    assert screen.done()["burned_points"] > 0


def test_the_answer_says_what_can_be_redeemed_now_also_when_the_line_has_changed(
    screen: Screen, shop: Shop
) -> None:
    card = shop.stranger(OPENING)
    screen.scan_member(card.number)
    screen.shows("burn-limit", points=FLOOR_SALE)
    shop.online()
    screen.shows("burn-limit", points=OPENING)
    screen.key_in(12_34)
    assert screen.redeem_most() == OPENING
    shop.offline()
    cut = shop.limit(card)
    assert FLOOR_SALE <= cut < OPENING
    screen.shows("burn-limit", points=cut)
    screen.shows("discount", minor=cut)
    screen.shows("points", points=OPENING)
    assert screen.done()["burned_points"] == cut


def test_a_strange_code_stays_refused_when_the_line_breaks(screen: Screen, shop: Shop) -> None:
    card = shop.stranger(OPENING)
    shop.online()
    screen.scan_member(card.number)
    screen.key_in(12_34)
    screen.scan(STRANGE)
    screen.shows("refusal", reason="FORMAT")
    shop.offline()
    screen.shows("chip", link="offline")
    screen.page.wait_for_timeout(500)
    screen.shows("refusal", reason="FORMAT")


def test_another_member_scanned_after_a_strange_code_takes_the_sale_over(screen: Screen, shop: Shop) -> None:
    first, second = shop.member(OPENING), shop.member(OPENING + 5)
    screen.scan_member(first.number)
    screen.key_in(8_00)
    screen.scan(STRANGE)
    screen.shows("refusal", reason="FORMAT")
    assert screen.scan_member(second.number) == OPENING + 5
    expect(screen.at("refusal")).to_have_count(0)
    screen.shows("amount", minor=8_00)
    assert screen.done()["balance_points"] == OPENING + 5 + 8


def test_training_is_no_outage(screen: Screen, shop: Shop) -> None:
    screen.tap("settings-link")
    screen.tap("training-on")
    screen.shows("chip", link="training")
    screen.says("chip", "Training")
    screen.tap("training-off")
    screen.shows("chip", link="online")
    screen.says("chip", "Online")


def test_of_a_sale_that_was_undone_nothing_is_left_to_print(screen: Screen, shop: Shop) -> None:
    card = shop.stranger(OPENING)
    screen.sell(card.number, 20_00)
    expect(screen.at("receipt-lines")).to_be_visible()
    expect(screen.page.get_by_role("img", name="Proof of this sale as a QR code")).to_be_visible()
    screen.tap("undo")
    screen.shows("receipt", undone="true")
    expect(screen.at("receipt-lines")).to_have_count(0)
    expect(screen.page.get_by_role("img", name="Proof of this sale as a QR code")).to_have_count(0)


def test_what_is_printed_speaks_the_language_of_the_screen(browser: Browser, shop: Shop) -> None:
    card = shop.stranger(OPENING)
    with open_context(browser, locale="sv-SE") as context:
        page = context.new_page()
        page.goto(shop.url)
        screen = Screen(page)
        screen.shows("idle")
        screen.scan_member(card.number)
        screen.key_in(10_00)
        assert screen.redeem_most() == FLOOR_SALE
        assert screen.done()["balance_points"] == OPENING - FLOOR_SALE + 9
        printed = [
            re.sub(r"\s", " ", line) for line in screen.at("receipt-lines").locator("li").all_inner_texts()
        ]
    shop.online()
    assert printed == [
        "60 poäng inlösta",
        "Avdrag: 0,60 €",
        "9 poäng intjänade",
        "Nytt saldo: 949",
    ]
