"""What goes wrong between a shop and its gateway, each told as a retailer would: nothing sold twice, nothing lost."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Browser, expect

from tallystick.v1 import ledger_pb2
from tests.oscar.support.books import entries_of, entry_of
from tests.oscar.support.errands import empty_the_basket, put, sign_in
from tests.oscar.support.pages import Customer
from tests.oscar.support.webshop import SHOPPER, Webshop
from tests.web.support.shop import Card, wait_for

pytestmark = pytest.mark.timeout(300)

CAPTURE = ledger_pb2.ENTRY_KIND_CAPTURE
SALE = ledger_pb2.ENTRY_KIND_SALE
HOLD_S = 12


@pytest.fixture
def anna(customer: Customer, webshop: Webshop) -> Card:
    """Anna, signed in, a member with 1,000 points: 10 euro."""
    card = webshop.gateway.member(1_000)
    webshop.link(SHOPPER[0], card.member_id)
    sign_in(customer, SHOPPER)
    empty_the_basket(customer)
    return card


def active(webshop: Webshop, card: Card) -> int:
    return int(webshop.gateway.office.balance(card.member_id).active)


def test_the_shop_dies_after_the_order_and_before_its_posting(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    webshop.restart_after_kill(DEMO_SHOP_POST_AT_ONCE="0")
    put(customer, webshop, "Kettle")
    customer.uses(900)
    customer.reviews()
    customer.orders()
    number = customer.has_ordered()
    assert webshop.postings()[-1] == ("capture", "waiting", "")
    assert active(webshop, anna) == 100

    webshop.restart_after_kill()
    webshop.manage("tallystick_post")
    webshop.manage("tallystick_post")

    assert entry_of(webshop.gateway, anna, number, CAPTURE).balance_after.active == 100 + 50
    assert webshop.postings()[-1] == ("capture", "posted", "")
    webshop.gateway.verified()


def test_the_answer_to_the_capture_is_lost_and_the_shop_dies(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    put(customer, webshop, "Kettle")
    customer.uses(500)
    customer.reviews("bank")
    customer.orders()
    webshop.line.mute()
    customer.page.click("button[value=pay]")
    number = customer.has_ordered()
    wait_for(lambda: active(webshop, anna) == 500 + 54, "the capture that nobody heard of")
    assert webshop.postings()[-1] == ("capture", "waiting", "")

    webshop.kill()
    webshop.line.cut()
    webshop.line.mend()
    webshop.start()
    webshop.manage("tallystick_post", "--now")

    assert webshop.postings()[-1] == ("capture", "posted", "")
    assert len(entries_of(webshop.gateway, anna, number, CAPTURE)) == 1
    assert active(webshop, anna) == 500 + 54


def test_the_shop_dies_while_the_customer_is_at_the_bank(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    put(customer, webshop, "Kettle")
    customer.uses(400)
    customer.reviews("bank")
    customer.orders()
    expect(customer.page).to_have_url(re.compile("/bank/"))

    webshop.restart_after_kill()
    customer.page.click("button[value=pay]")

    number = customer.has_ordered()
    assert entry_of(webshop.gateway, anna, number, CAPTURE).balance_after.active == 600 + 55


def test_a_payment_that_never_comes_gives_the_points_back(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    webshop.restart_after_kill(DEMO_SHOP_HOLD_S="1")
    put(customer, webshop, "Kettle")
    customer.uses(700)
    customer.reviews("bank")
    before = len(webshop.orders())
    customer.orders()
    expect(customer.page).to_have_url(re.compile("/bank/"))

    time.sleep(2)

    wait_for(lambda: active(webshop, anna) == 1_000, "the hold to run out", within_s=90)
    assert len(webshop.orders()) == before
    webshop.gateway.verified()
    webshop.restart_after_kill()


def test_a_payment_that_comes_too_late_is_an_order_while_the_points_are_there(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    webshop.restart_after_kill(DEMO_SHOP_HOLD_S="1")
    put(customer, webshop, "Kettle")
    customer.uses(700)
    customer.reviews("bank")
    customer.orders()
    time.sleep(2)

    customer.page.click("button[value=pay]")

    number = customer.has_ordered()
    wait_for(lambda: webshop.waiting() == 0, "the postings")
    assert webshop.orders()[-1].total_minor == 5900 - 700
    sold = [
        *entries_of(webshop.gateway, anna, number, CAPTURE),
        *entries_of(webshop.gateway, anna, number, SALE),
    ]
    assert len(sold) == 1
    assert active(webshop, anna) == 300 + 52
    webshop.restart_after_kill()
    webshop.gateway.verified()


def test_a_payment_that_comes_too_late_is_no_order_when_the_points_are_gone(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    webshop.restart_after_kill(DEMO_SHOP_HOLD_S="1")
    put(customer, webshop, "Kettle")
    customer.uses(700)
    customer.reviews("bank")
    before = len(webshop.orders())
    customer.orders()
    wait_for(lambda: active(webshop, anna) == 1_000, "the hold to run out", within_s=90)
    webshop.gateway.office.burn(anna.member_id, 900)

    customer.leaves_by("button[value=pay]")

    assert "was not placed" in customer.told() or "has changed" in customer.told()
    assert len(webshop.orders()) == before
    assert active(webshop, anna) == 100
    webshop.restart_after_kill()
    webshop.gateway.verified()


def test_without_the_gateway_the_shop_sells_says_so_and_posts_later(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    put(customer, webshop, "Kettle")
    customer.uses(600)
    customer.reviews()
    webshop.line.cut()
    before = len(webshop.orders())

    customer.orders()

    assert "cannot be used right now" in customer.told()
    assert "Nothing has been paid" in customer.told()
    assert customer.total_minor() == 5900
    assert len(webshop.orders()) == before
    customer.orders()
    number = customer.has_ordered()
    expect(customer.page.locator(".tallystick-order")).to_contain_text("follow shortly")
    assert webshop.postings()[-1] == ("sale", "waiting", "")
    assert active(webshop, anna) == 1_000

    placed_at = webshop.rows("SELECT date_placed FROM order_order ORDER BY id DESC LIMIT 1")[0][0]
    webshop.line.mend()
    webshop.manage("tallystick_post", "--now")
    wait_for(lambda: active(webshop, anna) == 1_059, "the posting")

    sold = entry_of(webshop.gateway, anna, number, SALE)
    assert sold.balance_after.active == 1_059
    assert sold.occurred_at.ToJsonString()[:19] == placed_at.replace(" ", "T")[:19]
    webshop.gateway.verified()


def test_a_basket_without_a_gateway_has_no_discount_and_says_so(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    put(customer, webshop, "Kettle")
    customer.uses(600)
    webshop.line.cut()
    customer.takes("Mug, 300 ml")
    customer.goes("/basket/")
    expect(customer.page.locator(".tallystick-panel")).to_contain_text("cannot be used right now")
    expect(customer.page.locator("#basket_totals")).not_to_contain_text("600 points")
    webshop.line.mend()

    def is_back() -> bool:
        # The shop looks for the gateway again only after a moment.
        customer.goes("/basket/")
        return "600 points" in customer.page.locator("#basket_totals").inner_text()

    wait_for(is_back, "the points to be used again")


def test_a_basket_that_changed_after_it_was_shown_is_shown_again(
    customer: Customer, anna: Card, webshop: Webshop, browser: Browser
) -> None:
    put(customer, webshop, "Kettle")
    customer.uses(600)
    customer.reviews()
    before = len(webshop.orders())
    another = customer.page.context.new_page()
    Customer(another, webshop).takes("Mug, 300 ml")

    customer.orders()

    assert "The total has changed" in customer.told()
    assert len(webshop.orders()) == before
    assert customer.total_minor() == 5900 + 1295 - 600


@pytest.mark.parametrize("points", ["-5", "99999999999999999999", "1e3", "7.5", "all"])
def test_points_that_are_no_points_change_nothing(
    customer: Customer, anna: Card, webshop: Webshop, points: str
) -> None:
    put(customer, webshop, "Kettle")
    customer.uses(100)
    with customer.page.expect_navigation():
        customer.page.evaluate(
            """points => {
                const input = document.querySelector('#tallystick-points');
                input.type = 'text'; input.value = points;
                setTimeout(() => input.form.submit(), 0);
            }""",
            points,
        )
    assert "whole number" in customer.told()
    expect(customer.page.locator("#basket_totals")).to_contain_text("100 points")


def test_more_points_than_there_are_change_nothing(customer: Customer, anna: Card, webshop: Webshop) -> None:
    put(customer, webshop, "Kettle")
    customer.uses(100)
    customer.page.evaluate("document.querySelector('#tallystick-points').max = 1e9")
    customer.page.fill("#tallystick-points", "1001")
    customer.leaves_by("form.tallystick-points button.btn-primary")
    assert "Not enough points" in customer.told()
    expect(customer.page.locator("#basket_totals")).to_contain_text("100 points")
