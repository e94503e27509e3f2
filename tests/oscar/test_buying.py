"""From basket to order to return in a real browser, and what the ledger says of it, to the cent."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tallystick.v1 import ledger_pb2
from tests.oscar.support.books import entries_of, entry_of, net_by_rate, net_due
from tests.oscar.support.errands import empty_the_basket, put, sign_in
from tests.oscar.support.pages import Customer
from tests.oscar.support.webshop import OTHER, SHOPPER, STAFF, Webshop
from tests.web.support.browser import open_context
from tests.web.support.shop import Card, wait_for

pytestmark = pytest.mark.timeout(300)

CAPTURE = ledger_pb2.ENTRY_KIND_CAPTURE
SALE = ledger_pb2.ENTRY_KIND_SALE
RETURN = ledger_pb2.ENTRY_KIND_RETURN


@pytest.fixture
def anna(customer: Customer, webshop: Webshop) -> Card:
    """Anna, signed in, a member with 1,000 points: 10 euro."""
    card = webshop.gateway.member(1_000)
    webshop.link(SHOPPER[0], card.member_id)
    sign_in(customer, SHOPPER)
    empty_the_basket(customer)
    return card


def test_basket_order_and_return_in_parts_agree_with_the_ledger_and_the_till(
    customer: Customer, anna: Card, webshop: Webshop, browser: Browser
) -> None:
    shop = webshop.gateway
    customer.takes("House blend, 500 g", 3)
    customer.takes("Green tea, 100 g", 2)
    customer.takes("Paper filters, 100", 7)
    customer.uses(777)
    customer.reviews()
    total = 3 * 899 + 2 * 625 + 7 * 333 - 777
    assert customer.total_minor() == total

    customer.orders()
    number = customer.has_ordered()

    order = webshop.orders()[-1]
    rates = (7, 7, 19)
    assert order.number == number
    assert order.total_minor == total == sum(after for _q, _b, after, _n in order.lines)
    assert order.discount_minor == 777
    assert order.total_net_minor == sum(net_due(order, rates).values())
    assert net_by_rate(order, rates) == net_due(order, rates)
    sold = entry_of(shop, anna, number, CAPTURE)
    assert sold.balance_after.active == 1_000 - 777 + total // 100
    assert shop.office.balance(anna.member_id).held == 0
    shop.hears_of(anna, 1_000 - 777 + total // 100)
    expect(customer.page.locator(".tallystick-order")).to_contain_text(f"earned {total // 100} points")

    with open_context(browser) as context:
        staff = Customer(context.new_page(), webshop)
        staff.signs_in(STAFF)
        refunds = [
            staff.returns(number, {"House blend, 500 g": 1, "Paper filters, 100": 3}),
            staff.returns(number, {"Paper filters, 100": 1, "Green tea, 100 g": 1}),
            staff.returns(number, {"House blend, 500 g": 2, "Green tea, 100 g": 1, "Paper filters, 100": 3}),
        ]
    assert sum(refunds) == total
    assert all(refunds)
    assert len(entries_of(shop, anna, number, RETURN)) == 3
    assert shop.balance(anna) == 1_000
    shop.hears_of(anna, 1_000)
    assert webshop.postings()[-4:] == [("capture", "posted", ""), *[("return", "posted", "")] * 3]
    shop.verified()
    customer.takes("Kettle")
    customer.goes("/basket/")
    expect(customer.page.locator("#basket_totals")).not_to_contain_text("points")


def test_a_reward_and_points_together_are_one_discount(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    customer.takes("French press, 1 l")
    customer.goes("/basket/")
    customer.page.click(".tallystick-rewards button[aria-label='Use mug']")
    customer.uses(100)
    customer.reviews()
    assert customer.total_minor() == 3490 - 150 - 100

    customer.orders()
    number = customer.has_ordered()

    sold = entry_of(webshop.gateway, anna, number, CAPTURE)
    assert sold.balance_after.active == 1_000 - 250 + 32
    assert webshop.orders()[-1].discount_minor == 250


def test_an_order_without_points_earns(customer: Customer, anna: Card, webshop: Webshop) -> None:
    customer.takes("Kettle")
    customer.reviews()
    customer.orders()
    number = customer.has_ordered()
    assert entry_of(webshop.gateway, anna, number, SALE).balance_after.active == 1_059


def test_the_same_order_sent_twice_is_one_order_and_one_sale(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    put(customer, webshop, "Mug, 300 ml", 2)
    customer.uses(500)
    customer.reviews()
    before = len(webshop.orders())

    customer.page.evaluate(
        """async () => {
            const form = document.querySelector('#place_order_form');
            const send = () => fetch(location.href, {method: 'POST', body: new FormData(form)}).then(r => r.url);
            window.answers = await Promise.all([send(), send(), send()]);
        }"""
    )
    answers = customer.page.evaluate("window.answers")

    assert all("/thank-you/" in answer for answer in answers), answers
    (order,) = webshop.orders()[before:]
    assert order.discount_minor == 500
    assert len(entries_of(webshop.gateway, anna, order.number, CAPTURE)) == 1
    assert webshop.gateway.office.balance(anna.member_id).active == 1_000 - 500 + 20
    webshop.gateway.verified()


def test_going_back_and_ordering_again_leads_to_the_order(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    put(customer, webshop, "Mug, 300 ml")
    customer.uses(200)
    customer.reviews()
    customer.orders()
    number = customer.has_ordered()
    before = len(webshop.orders())

    customer.page.go_back()
    if customer.page.locator("#place-order").count():
        customer.orders()
        assert customer.has_ordered() == number

    assert len(webshop.orders()) == before
    assert len(entries_of(webshop.gateway, anna, number, CAPTURE)) == 1


def test_of_two_browsers_with_the_same_points_one_has_the_discount_and_the_other_is_told_before_paying(
    customer: Customer, anna: Card, webshop: Webshop, browser: Browser
) -> None:
    put(customer, webshop, "Kettle")
    customer.uses(1_000)
    customer.reviews()
    with open_context(browser) as context:
        second = Customer(context.new_page(), webshop)
        webshop.link_also(OTHER[0], anna.member_id)
        second.signs_in(OTHER)
        second.empties_the_basket()
        second.takes("French press, 1 l")
        second.uses(800)
        second.reviews()
        second.orders()
        number = second.has_ordered()

    before = len(webshop.orders())
    customer.orders()

    assert "Not enough points" in customer.told()
    assert "Nothing has been paid" in customer.told()
    assert len(webshop.orders()) == before
    assert customer.total_minor() == 5900
    customer.orders()
    assert customer.has_ordered() != number
    assert webshop.orders()[-1].discount_minor == 0
    assert webshop.gateway.office.balance(anna.member_id).active == 200 + 26 + 59
    webshop.gateway.verified()


def test_a_card_that_is_refused_gives_the_points_back(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    put(customer, webshop, "Kettle")
    customer.uses(1_000)
    customer.reviews("refused")
    before = len(webshop.orders())

    customer.orders()

    assert "refused" in customer.told()
    assert len(webshop.orders()) == before
    wait_for(lambda: webshop.gateway.office.balance(anna.member_id).active == 1_000, "the points to be back")
    assert webshop.postings()[-1] == ("void", "posted", "")
    customer.goes("/basket/")
    expect(customer.page.locator("#basket_totals")).to_contain_text("1000 points")


def test_whoever_pays_at_a_bank_gets_the_price_that_was_held(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    put(customer, webshop, "Kettle")
    customer.uses(900)
    customer.reviews("bank")
    customer.orders()
    expect(customer.page).to_have_url(re.compile("/bank/"))
    assert webshop.gateway.office.balance(anna.member_id).held == 900
    webshop.gateway.office.adjust(anna.member_id, -100)

    customer.page.click("button[value=pay]")

    number = customer.has_ordered()
    assert entry_of(webshop.gateway, anna, number, CAPTURE).balance_after.active == 50
    assert webshop.orders()[-1].total_minor == 5900 - 900


def test_whoever_cancels_at_the_bank_has_basket_and_points_again(
    customer: Customer, anna: Card, webshop: Webshop
) -> None:
    put(customer, webshop, "Kettle")
    customer.uses(900)
    customer.reviews("bank")
    customer.orders()

    customer.leaves_by("button[value=cancel]")

    wait_for(lambda: webshop.gateway.office.balance(anna.member_id).active == 1_000, "the points to be back")
    assert customer.total_minor() == 5900 - 900
    customer.orders()
    customer.page.click("button[value=pay]")
    customer.has_ordered()
    assert webshop.gateway.office.balance(anna.member_id).active == 100 + 50
    webshop.gateway.verified()
