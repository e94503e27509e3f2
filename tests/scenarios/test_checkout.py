"""What must not happen at a webshop's checkout: a discount sold that is not there, points taken for an order that did
not happen, anything twice, anything lost. Real server processes on a real PostgreSQL; the shop has its own database.
"""

from __future__ import annotations

import dataclasses
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tallystick_webshop import (
    Away,
    BadRequest,
    Basket,
    Held,
    HoldRef,
    Line,
    Posting,
    Refused,
    ReturnLine,
    Sale,
    Shop,
    new_id,
)
from tests.e2e.support.server import Installation
from tests.scenarios.checkout_shop import Orders, capture_of
from tests.support.postgres import Database
from tests.web.support.office import Office
from tests.webshop.street import RULES, TAXES, Street, shirts_and_tea

BASKET = shirts_and_tea()
PRICE_MINOR = 2_780


@pytest.fixture(scope="module")
def street(module_ledger_database: Database) -> Iterator[Street]:
    """A gateway on PostgreSQL; at the end its ledger must add up."""
    with (
        tempfile.TemporaryDirectory(prefix="tallystick-checkout-") as name,
        Installation(Path(name), module_ledger_database.service_url, members=0) as installation,
        Office(installation) as office,
        Shop.open(installation.data_dir / "profiles" / "caller") as shop,
    ):
        office.publish(RULES)
        street = Street(installation, office, shop)
        yield street
        assert street.ledger_adds_up()


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[Orders]:
    opened = Orders(tmp_path / "shop.db")
    yield opened
    opened.close()


def refusal_of(call: Callable[[], Any]) -> str:
    with pytest.raises(Refused) as raised:
        call()
    return raised.value.reason


def outcome_of(call: Callable[[], Any]) -> str:
    """Why a call was refused; empty when it was not."""
    try:
        call()
    except Refused as refused:
        return refused.reason
    return ""


def held_points(street: Street, member_id: str, points: int = 500, ttl_s: int = 900) -> Held:
    return street.shop.hold(new_id(), member_id, BASKET, points=points, ttl_s=ttl_s)


def points_of(street: Street, member_id: str) -> tuple[int, int]:
    """Points that can be burned, and points on hold."""
    balance = street.shop.balance(member_id)
    return balance.points, balance.held


def test_an_order_that_is_placed_twice_burns_and_earns_once(street: Street, orders: Orders) -> None:
    """The buyer presses the button twice, and the browser sends the form a third time."""
    member_id = street.member(1_000)
    held = held_points(street, member_id)
    posting = capture_of(held, BASKET, "2001")
    assert [orders.place("2001", 2_280, posting) for _ in range(3)] == [True, False, False]
    assert orders.drain(street.shop) == ["posted"]
    assert street.shop.post(posting) == street.shop.post(posting)
    assert points_of(street, member_id) == (522, 0)


def test_the_same_hold_captured_for_two_orders_is_sold_to_the_first_alone(street: Street) -> None:
    member_id = street.member(1_000)
    held = held_points(street, member_id)
    street.shop.capture(new_id(), held, BASKET, order="2002")
    assert refusal_of(lambda: street.shop.capture(new_id(), held, BASKET, order="2003")) == "HOLD_CLOSED"
    assert points_of(street, member_id) == (522, 0)


def test_a_shop_that_crashes_after_placing_the_order_captures_it_when_it_is_back(
    street: Street, tmp_path: Path
) -> None:
    member_id = street.member(1_000)
    before = Orders(tmp_path / "shop.db")
    before.place("2004", 2_280, capture_of(held_points(street, member_id), BASKET, "2004"))
    before.close()
    after = Orders(tmp_path / "shop.db")
    with Shop.open(street.profile_dir) as shop:
        assert after.drain(shop) == ["posted"]
        assert after.drain(shop) == []
    after.close()
    assert points_of(street, member_id) == (522, 0)


def test_a_shop_that_crashes_before_it_reads_the_answer_does_not_sell_twice(
    street: Street, orders: Orders
) -> None:
    member_id = street.member(1_000)
    posting = capture_of(held_points(street, member_id), BASKET, "2005")
    orders.place("2005", 2_280, posting)
    first = street.shop.post(posting)
    # Nothing of that answer was stored.
    assert orders.drain(street.shop) == ["posted"]
    again = street.shop.post(posting)
    assert isinstance(first, Sale)
    assert isinstance(again, Sale)
    assert (first.replayed, again.replayed) == (False, True)
    assert dataclasses.replace(again, replayed=False) == first
    assert points_of(street, member_id) == (522, 0)


def test_a_shop_that_crashes_before_placing_the_order_takes_no_points(street: Street) -> None:
    """The hold was made, and then nothing more is heard of the order."""
    member_id = street.member(1_000)
    held_points(street, member_id, ttl_s=1)
    assert points_of(street, member_id) == (500, 500)
    time.sleep(1.1)
    assert points_of(street, member_id) == (1_000, 0)


def test_a_capture_after_the_hold_ran_out_is_refused_and_the_points_are_back(street: Street) -> None:
    member_id = street.member(1_000)
    held = held_points(street, member_id, ttl_s=1)
    time.sleep(1.1)
    with pytest.raises(Refused) as raised:
        street.shop.capture(new_id(), held, BASKET, order="2006")
    assert raised.value.reason == "HOLD_EXPIRED"
    assert raised.value.mend.startswith("the discount is gone: take the full price")
    sale = street.shop.sell(new_id(), member_id, BASKET, order="2006")
    assert (sale.payable_minor, sale.balance_after) == (PRICE_MINOR, 1_027)


def test_where_the_rules_allow_it_a_late_capture_burns_from_the_balance_if_that_is_enough(
    street: Street,
) -> None:
    member_id, poor_id = street.member(1_000), street.member(500)
    street.office.publish(RULES | {"holds": {"late_capture": "if_covered"}})
    try:
        late, too_late = held_points(street, member_id, ttl_s=1), held_points(street, poor_id, ttl_s=1)
        time.sleep(1.1)
        street.shop.sell(new_id(), poor_id, BASKET, order="2007", points=100)
        sale = street.shop.capture(new_id(), late, BASKET, order="2008")
        assert (sale.payable_minor, sale.balance_after) == (2_280, 522)
        refusal = refusal_of(lambda: street.shop.capture(new_id(), too_late, BASKET, order="2009"))
        assert refusal == "INSUFFICIENT_POINTS"
    finally:
        street.office.publish(RULES)


def test_an_order_costs_what_was_agreed_though_new_rules_are_published_before_its_payment(
    street: Street,
) -> None:
    """The retailer drops a reward and a coupon, and halves what points are worth, while a buyer is at the bank."""
    buying = [street.member(1_000) for _ in range(2)]
    held = [
        street.shop.hold(
            new_id(), one, BASKET, points=200, rewards=["five-off"], coupons=["SPRING25"], ttl_s=ttl_s
        )
        for one, ttl_s in zip(buying, (900, 1), strict=True)
    ]
    base = RULES["earning"]["rules"][0]
    street.office.publish(
        RULES
        | {"rewards": [], "coupons": [], "earning": {"rules": [{**base, "points": 3}]}}
        | {"burning": {"points": 100, "minor": 50, "unit_points": 10}}
    )
    try:
        time.sleep(1.1)
        sale = street.shop.capture(new_id(), held[0], BASKET, order="2020")
        assert sale.payable_minor == held[0].benefits.payable_minor == PRICE_MINOR - 278 - 500 - 200
        assert (sale.earned_points, sale.balance_after) == (18, 1_000 - 600 + 18)
        assert [one.id for one in sale.rewards] == ["five-off"]
        assert street.shop.sell(new_id(), buying[0], BASKET, order="2021").earned_points == 83
        refusal = refusal_of(lambda: street.shop.capture(new_id(), held[1], BASKET, order="2022"))
        assert refusal == "HOLD_EXPIRED", "what was agreed lasts as long as the hold"
    finally:
        street.office.publish(RULES)


def test_an_order_that_was_placed_in_time_is_captured_though_the_gateway_hears_of_it_late(
    street: Street, orders: Orders
) -> None:
    """The gateway was away from before the payment until after the hold had run out."""
    member_id = street.member(1_000)
    held = held_points(street, member_id, ttl_s=1)
    orders.place("2010", 2_280, capture_of(held, BASKET, "2010"))
    time.sleep(1.2)
    assert orders.drain(street.shop) == ["posted"]
    assert points_of(street, member_id) == (522, 0)


def test_a_payment_that_expires_gives_the_points_back_once(street: Street) -> None:
    """mollie/magento2#928: an expired payment gave the points back twice."""
    member_id, void_id = street.member(1_000), new_id()
    held = held_points(street, member_id)
    for _ in range(3):
        assert street.shop.void(void_id, held, order="2011").balance_after == 1_000
    assert refusal_of(lambda: street.shop.void(new_id(), held)) == "HOLD_CLOSED"
    assert points_of(street, member_id) == (1_000, 0)


def test_a_payment_that_expires_after_the_hold_did_gives_nothing_back_a_second_time(street: Street) -> None:
    member_id = street.member(1_000)
    held = held_points(street, member_id, ttl_s=1)
    time.sleep(1.1)
    assert refusal_of(lambda: street.shop.void(new_id(), held)) == "HOLD_EXPIRED"
    assert points_of(street, member_id) == (1_000, 0)


def test_a_capture_after_the_void_and_a_void_after_the_capture_are_refused(street: Street) -> None:
    member_id = street.member(1_000)
    voided, captured = held_points(street, member_id), held_points(street, member_id)
    street.shop.void(new_id(), voided)
    street.shop.capture(new_id(), captured, BASKET, order="2012")
    with pytest.raises(Refused) as after_void:
        street.shop.capture(new_id(), voided, BASKET, order="2013")
    with pytest.raises(Refused) as after_capture:
        street.shop.void(new_id(), captured)
    assert (after_void.value.details["status"], after_capture.value.details["status"]) == (
        "VOIDED",
        "CAPTURED",
    )
    assert points_of(street, member_id) == (522, 0)


def test_two_browsers_that_spend_the_same_points_get_them_once(street: Street) -> None:
    member_id = street.member(1_000)
    start = threading.Barrier(8)

    def browser(number: int) -> int | str:
        with Shop.open(street.profile_dir) as shop:
            shop.balance(member_id)
            start.wait(10)
            try:
                held = shop.hold(new_id(), member_id, BASKET, points=500)
                return shop.capture(new_id(), held, BASKET, order=f"21{number:02}").burned_points
            except Refused as refused:
                return refused.reason

    with ThreadPoolExecutor(8) as browsers:
        burned = list(browsers.map(browser, range(8)))
    assert Counter(burned) == {500: 2, "INSUFFICIENT_POINTS": 6}
    # Two orders at 22.80 earned 22 points each.
    assert points_of(street, member_id) == (44, 0)


def test_capture_and_void_at_the_same_moment_end_in_one_of_the_two(street: Street) -> None:
    """The payment comes in while the buyer cancels."""
    for number in range(5):
        member_id = street.member(500)
        held = held_points(street, member_id)
        ends = [
            lambda held=held, number=number: street.shop.capture(
                new_id(), held, BASKET, order=f"22{number:02}"
            ),
            lambda held=held: street.shop.void(new_id(), held),
        ] * 3

        with ThreadPoolExecutor(6) as both:
            assert Counter(both.map(outcome_of, ends)) == {"": 1, "HOLD_CLOSED": 5}
        assert points_of(street, member_id) in {(22, 0), (500, 0)}


def test_a_coupon_that_there_is_once_is_sold_once_and_free_again_when_its_order_came_to_nothing(
    street: Street,
) -> None:
    """Two browsers with the same coupon; the first to pay does not, the second does."""
    shop, ann, ben = street.shop, street.member(), street.member()
    first = shop.hold(new_id(), ann, BASKET, coupons=["only-one"])
    assert (first.benefits.discount_minor, [one.id for one in first.benefits.coupons]) == (300, ["first"])
    assert refusal_of(lambda: shop.hold(new_id(), ben, BASKET, coupons=["ONLYONE"])) == "COUPON_USED"
    assert (
        refusal_of(lambda: shop.sell(new_id(), ben, BASKET, order="2301", coupons=["ONLYONE"]))
        == "COUPON_USED"
    )
    shop.void(new_id(), first)
    second = shop.hold(new_id(), ben, BASKET, coupons=["ONLYONE"])
    sale = shop.capture(new_id(), second, BASKET, order="2302")
    assert (sale.payable_minor, sale.earned_points) == (PRICE_MINOR - 300, 24)
    assert refusal_of(lambda: shop.hold(new_id(), ann, BASKET, coupons=["ONLYONE"])) == "COUPON_USED"


def test_an_order_that_shrinks_before_the_capture_gives_back_what_it_does_not_need(street: Street) -> None:
    member_id = street.member(3_000)
    held = held_points(street, member_id, points=2_780)
    smaller = Basket("EUR", [Line("tea", 3, 780, tax="food", categories=("tea",))], TAXES)
    sale = street.shop.capture(new_id(), held, smaller, order="2014")
    assert (sale.discount_minor, sale.payable_minor, sale.burned_points) == (780, 0, 780)
    assert points_of(street, member_id) == (2_220, 0)


def test_an_order_that_grows_before_the_capture_keeps_its_discount_and_pays_the_rest(street: Street) -> None:
    member_id = street.member(1_000)
    held = held_points(street, member_id)
    larger = Basket("EUR", [*BASKET.lines, Line("cap", 1, 1_000)], TAXES)
    sale = street.shop.capture(new_id(), held, larger, order="2015")
    assert (sale.discount_minor, sale.payable_minor, sale.earned_points) == (500, 3_280, 32)


def test_a_basket_that_is_changed_behind_a_posted_order_is_refused_and_changes_nothing(
    street: Street,
) -> None:
    member_id, sale_id = street.member(1_000), new_id()
    held = held_points(street, member_id)
    street.shop.capture(sale_id, held, BASKET, order="2016")
    cheaper = Basket("EUR", [Line("shirt", 2, 1), *BASKET.lines[1:]], TAXES)
    assert (
        refusal_of(lambda: street.shop.capture(sale_id, held, cheaper, order="2016")) == "COMMAND_ID_REUSED"
    )
    assert points_of(street, member_id) == (522, 0)


def test_an_order_in_another_currency_is_refused_and_the_hold_stays(street: Street) -> None:
    member_id = street.member(1_000)
    held = held_points(street, member_id)
    dollars = Basket("USD", BASKET.lines, TAXES)
    assert (
        refusal_of(lambda: street.shop.capture(new_id(), held, dollars, order="2017")) == "CURRENCY_MISMATCH"
    )
    assert refusal_of(lambda: street.shop.quote(member_id, dollars)) == "CURRENCY_MISMATCH"
    assert points_of(street, member_id) == (500, 500)
    assert street.shop.capture(new_id(), held, BASKET, order="2017").burned_points == 500


@pytest.mark.parametrize(
    ("field", "value"), [("amount_minor", -500), ("amount_minor", 10**13), ("quantity_milli", 0), ("sku", "")]
)
def test_a_line_that_no_shop_sells_is_refused_by_the_gateway_and_writes_nothing(
    street: Street, field: str, value: object
) -> None:
    """The package refuses such a line before it is sent; here somebody goes around it."""
    member_id = street.member(1_000)
    posting = Posting.sale(new_id(), member_id, BASKET, order="2018", at=None)
    setattr(posting.request.basket.lines[0], field, value)
    with pytest.raises(BadRequest) as raised:
        street.shop.post(posting)
    assert raised.value.violations[0].startswith(f"basket.lines[0].{field}: ")
    assert [one.kind for one in street.shop.statement(member_id)] == ["adjust"]


def test_lines_that_are_dear_one_by_one_and_too_dear_together_are_refused(street: Street) -> None:
    member_id = street.member()
    posting = Posting.sale(new_id(), member_id, BASKET, order="2019", at=None)
    for line in posting.request.basket.lines:
        line.amount_minor = 10**12
    assert refusal_of(lambda: street.shop.post(posting)) == "AMOUNT_OVERFLOW"
    assert street.shop.statement(member_id) == ()


def test_a_hold_of_another_member_cannot_be_captured(street: Street) -> None:
    ann, ben = street.member(1_000), street.member(1_000)
    held = held_points(street, ann)
    stolen = HoldRef(held.hold_id, ben)
    assert refusal_of(lambda: street.shop.capture(new_id(), stolen, BASKET, order="2020")) == "HOLD_UNKNOWN"
    assert (points_of(street, ann), points_of(street, ben)) == ((500, 500), (1_000, 0))


def test_more_than_was_sold_cannot_be_returned(street: Street) -> None:
    member_id, sale_id = street.member(1_000), new_id()
    street.shop.capture(sale_id, held_points(street, member_id), BASKET, order="2021")
    street.shop.give_back(new_id(), member_id, sale_id, [ReturnLine(1, quantity=1)])
    again = [ReturnLine(1, quantity=2)]
    assert refusal_of(lambda: street.shop.give_back(new_id(), member_id, sale_id, again)) == "OVER_RETURN"


def test_with_the_gateway_away_the_shop_sells_without_rewards_and_posts_the_earn_when_it_is_back(
    street: Street, orders: Orders
) -> None:
    member_id = street.member(1_000)
    with Shop.open(street.profile_dir, deadline_s=1.0) as shop:
        street.installation.kill()
        asked_at = time.monotonic()
        with pytest.raises(Away, match="sell without rewards"):
            shop.quote(member_id, BASKET, points="max")
        assert time.monotonic() - asked_at < 1.5
        sale = Posting.sale(new_id(), member_id, BASKET, order="2022", at=datetime.now(UTC))
        orders.place("2022", PRICE_MINOR, sale)
        assert (orders.drain(shop), orders.waiting) == ([], 1)
        street.installation.start()
        until = time.monotonic() + 20
        while orders.waiting and time.monotonic() < until:
            orders.drain(shop)
        assert orders.drain(shop) == []
    assert points_of(street, member_id) == (1_027, 0)


def test_a_gateway_that_is_killed_while_it_captures_loses_and_doubles_nothing(
    street: Street, tmp_path: Path
) -> None:
    members = [street.member(1_000) for _ in range(12)]
    postings = [capture_of(held_points(street, one), BASKET, f"23{n:02}") for n, one in enumerate(members)]

    def send(posting: Posting) -> None:
        with Shop.open(street.profile_dir, deadline_s=0.5) as shop:
            for _ in range(3):
                try:
                    shop.post(posting)
                except Away:
                    return

    with ThreadPoolExecutor(6) as senders:
        sent = [senders.submit(send, posting) for posting in postings]
        time.sleep(0.05)
        street.installation.restart_after_kill()
        for one in sent:
            one.result(20)
    with Shop.open(street.profile_dir, deadline_s=20.0) as shop:
        for posting in postings:
            shop.post(posting)
    assert [points_of(street, one) for one in members] == [(522, 0)] * 12
