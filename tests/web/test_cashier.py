"""A day at the counter with the line cut in the middle: till, screen and ledger agree to the point at its end."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from playwright.sync_api import expect

from tallystick.v1 import ledger_pb2
from tests.web.support.browser import Camera
from tests.web.support.office import new_id
from tests.web.support.screen import Screen
from tests.web.support.shop import FLOOR_MEMBER, FLOOR_SALE, STORE, Card, Shop, wait_for

pytestmark = pytest.mark.timeout(120)

OPENING = 1_000
VOUCHER = 200


def sign_up(screen: Screen, text: str) -> str:
    """Sign a new member up; return the member number."""
    screen.page.keyboard.press("F2")
    screen.at("enrol-field").fill(text)
    screen.tap("enrol-submit")
    screen.shows("enrol-done")
    number = screen.at("enrol-number").inner_text().replace(" ", "")
    screen.page.keyboard.press("Escape")
    screen.shows("idle")
    return number


def authority(sale: dict[str, Any]) -> list[tuple[str, int]]:
    """By what right a sale burned."""
    return [(each["kind"], each["points"]) for each in sale["authority"]]


def test_a_day_with_the_line_cut_ends_with_till_screen_and_ledger_in_agreement(
    screen: Screen, shop: Shop
) -> None:
    told: list[dict[str, Any]] = []

    # The line is up: a new member, points from the office, a sale, and points for a voucher put aside.
    number = sign_up(screen, "+46 70 174 06 35")
    member_id = shop.ask("POST", "/identify", {"scan": number, "source": "wedge"})["member"]["member_ref"]
    card = Card(member_id, number)
    shop.office.adjust(member_id, OPENING)
    shop.hears_of(card, OPENING)
    told.append(screen.sell(number, 50_00))
    assert (told[-1]["earned_points"], told[-1]["balance_points"]) == (50, OPENING + 50)
    voucher = shop.office.voucher(member_id, STORE, VOUCHER)
    points = OPENING + 50 - VOUCHER

    # The till loses its power and finds itself again; as it starts, it gets a lease of who comes to the store.
    restart(screen, shop)
    wait_for(lambda: shop.office.balance(member_id).held > VOUCHER, "the lease")
    lease = shop.office.balance(member_id).held - VOUCHER
    shop.hears_of(card, points)

    shop.offline()
    screen.shows("chip", link="offline", queued=0)
    screen.says("chip", "Offline")

    # Earning goes on.
    assert screen.scan_member(number) == points
    screen.shows("as-of")
    screen.key_in(10_00)
    told.append(screen.done())
    ten_euro = told[-1]
    assert (ten_euro["earned_points"], ten_euro["stand_in"]) == (10, True)
    points += 10
    screen.shows("chip", link="offline", queued=1)
    screen.says("chip", "Offline · 1 queued")

    # Burning by the lease, two points fewer than would be possible.
    assert screen.scan_member(number) == points
    assert screen.number("burn-limit") == lease + FLOOR_SALE
    screen.key_in(2_00)
    assert screen.redeem_most() == 200
    for _ in range(2):
        screen.tap("stepper-minus")
    screen.says("stepper-value", "^198$")
    expect(screen.at("discount")).to_have_attribute("data-minor", "198")
    told.append(screen.done())
    assert authority(told[-1]) == [("lease", 198)]
    points, lease = points - 198, lease - 198

    # Burning by the voucher, which is no part of the balance.
    screen.scan(voucher)
    screen.shows("voucher")
    assert screen.number("points") == points
    screen.key_in(3_00)
    expect(screen.at("discount")).to_have_attribute("data-minor", str(VOUCHER))
    told.append(screen.done())
    assert authority(told[-1]) == [("voucher", VOUCHER)]
    points += told[-1]["earned_points"]

    # Burning what is left of the lease and, beyond it, by the floor limit.
    assert screen.scan_member(number) == points
    screen.key_in(5_00)
    assert screen.redeem_most() == lease + FLOOR_SALE
    told.append(screen.done())
    assert authority(told[-1]) == [("lease", lease), ("floor", FLOOR_SALE)]
    points += told[-1]["earned_points"] - lease - FLOOR_SALE

    # The power goes once more: everything is still there.
    queued, sales = shop.state()["queued"], shop.ask("GET", "/sales")
    restart(screen, shop)
    screen.shows("chip", link="offline", queued=queued)
    assert shop.ask("GET", "/sales") == sales
    assert screen.scan_member(number) == points

    # The screen offers the rest of the floor limit; the shop's own till program is quicker: the offer is withdrawn.
    rest = FLOOR_MEMBER - FLOOR_SALE
    screen.key_in(1_00)
    assert screen.redeem_most() == rest
    quicker = {"currency": "EUR", "lines": [{"sku": "tea", "quantity_milli": 1000, "amount_minor": rest}]}
    ask = {"member_ref": member_id, "basket": quicker, "spend": {"points": rest}, "sale_id": new_id()}
    told.append(shop.ask("POST", "/sale", ask))
    assert authority(told[-1]) == [("floor", rest)]
    expect(screen.at("discount")).to_have_count(0)
    expect(screen.at("redeem")).to_have_attribute("aria-disabled", "true")
    points -= rest

    # Above the cap nothing is offered any more; a message and the answer say why.
    screen.shows("message", reason="FLOOR_SPENT")
    assert screen.scan_member(number) == points
    screen.shows("answer", tone="warn")
    screen.says("answer-word", "Earn only")
    screen.says("answer-reason", "may redeem offline")
    expect(screen.at("redeem")).to_have_count(0)
    refused = shop.ask("POST", "/sale", {**ask, "sale_id": new_id()})
    assert refused["error"]["reason"] == "ABOVE_FLOOR"
    screen.page.keyboard.press("Escape")

    # A sale that was a mistake is undone with one tap.
    mistake = screen.sell(number, 20_00)
    screen.tap("undo")
    screen.shows("receipt", undone="true")
    assert screen.number("balance") == points
    screen.tap("next")

    # A return shows what it does before it is confirmed.
    screen.tap("return-link")
    screen.page.locator(f"[data-sale='{ten_euro['sale_id']}']").click()
    screen.tap("return-all")
    screen.shows("refund", minor=10_00)
    screen.shows("taken", points=10)
    screen.shows("balance", points=points - 10)
    screen.tap("return-confirm")
    screen.shows("return-done", state="queued")
    screen.tap("next")
    points -= 10

    # The line is back: the queue empties, and what was told is what the books say.
    screen.tap("chip")
    expect(screen.at("queue-item").first).to_be_visible()
    shop.online()
    screen.shows("chip", link="online", queued=0)
    screen.shows("queue-empty")
    screen.shows("floor", used=0)
    expect(screen.at("message")).to_have_count(0)
    assert shop.balance(card) == points
    shop.hears_of(card, points)
    screen.tap("home")
    assert screen.scan_member(number) == points
    entries = shop.office.entries(member_id)
    assert_the_books_tell_the_same(entries, [*told, mistake], member_id)
    kinds = Counter(entry.kind for entry in entries)
    assert kinds[ledger_pb2.ENTRY_KIND_SALE] == len(told) + 1
    assert kinds[ledger_pb2.ENTRY_KIND_RETURN] == 1
    assert sum(entry.shortfall_points for entry in entries) == 0
    shop.verified()


def assert_the_books_tell_the_same(
    entries: list[ledger_pb2.Entry], told: list[dict[str, Any]], member_id: str
) -> None:
    """Each sale that a cashier was told of is one entry that moves as many points as was said."""
    before = 0
    moved: dict[str, list[int]] = {}
    for entry in entries:
        assert entry.member_id == member_id
        after = entry.balance_after.active + entry.balance_after.held
        moved.setdefault(entry.command_id, []).append(after - before)
        before = after
    for sale in told:
        assert moved[sale["sale_id"]] == [sale["earned_points"] - sale["burned_points"]]


def restart(screen: Screen, shop: Shop) -> None:
    """Kill the till, and start it: the screen says so, and comes back by itself."""
    shop.kill_till()
    screen.shows("message", reason="AWAY")
    screen.shows("chip", link="away")
    shop.start_till()
    expect(screen.at("message")).to_have_count(0)


def test_a_sale_whose_answer_is_lost_counts_once(screen: Screen, shop: Shop) -> None:
    card = shop.member(OPENING)
    screen.scan_member(card.number)
    screen.key_in(50)
    assert screen.redeem_most() == 50
    # The gateway sells, and nobody hears of it: the till decides by itself as well, and it is the same sale.
    shop.line.mute()
    sale = screen.done()
    screen.shows("chip", link="offline", queued=1)
    assert sale["stand_in"]
    assert sum(points for _, points in authority(sale)) == 50
    assert shop.balance(card) == OPENING - 50
    shop.offline()
    shop.online()
    entries = shop.office.entries(card.member_id)
    assert [entry.command_id for entry in entries if entry.kind == ledger_pb2.ENTRY_KIND_SALE] == [
        sale["sale_id"]
    ]
    assert shop.balance(card) == sale["balance_points"] == OPENING - 50


def test_a_gateway_that_is_killed_and_started_again_gets_what_was_sold_meanwhile(
    screen: Screen, shop: Shop
) -> None:
    card = shop.stranger(OPENING)
    shop.online()
    shop.installation.kill()
    try:
        sale = screen.sell(card.number, 30_00)
        screen.shows("chip", link="offline", queued=1)
    finally:
        shop.installation.start()
    screen.shows("chip", link="online", queued=0)
    assert shop.balance(card) == sale["balance_points"] == OPENING + 30


def test_a_card_before_the_camera_is_a_scan(screen: Screen, shop: Shop, camera: Camera) -> None:
    card = shop.member(OPENING)
    camera.show(card.number)
    screen.tap("settings-link")
    screen.tap("camera-setting-on")
    screen.tap("home")
    screen.shows("sale")
    assert screen.number("points") == OPENING
    screen.shows("answer", tone="ok")
    screen.key_in(7_00)
    sale = screen.done()
    shop.all_is_sent()
    assert shop.balance(card) == sale["balance_points"] == OPENING + 7


def test_what_the_gateway_counts_otherwise_is_shown_until_a_cashier_has_seen_it(
    screen: Screen, shop: Shop
) -> None:
    card = shop.stranger(OPENING)
    shop.office.burn(card.member_id, OPENING)
    screen.scan_member(card.number)
    screen.key_in(50)
    assert screen.redeem_most() == 50
    sale = screen.done()
    shop.online()
    screen.shows("chip", link="online", queued=0, attention=1)
    screen.says("chip", "1 to look at")
    screen.tap("chip")
    item = screen.page.locator(f"[data-advice='{sale['sale_id']}']")
    expect(item).to_have_attribute("data-state", "adjusted")
    expect(item.get_by_test_id("queue-reason")).to_have_attribute("data-reason", "SHORTFALL")
    expect(item.get_by_test_id("queue-reason")).to_contain_text("The store pays the rest, not the member.")
    expect(item.get_by_test_id("queue-shortfall")).to_have_text("50 points missing.")
    item.get_by_test_id("queue-seen").click()
    screen.shows("chip", attention=0)
    (entry,) = [one for one in shop.office.entries(card.member_id) if one.command_id == sale["sale_id"]]
    assert entry.shortfall_points == 50
