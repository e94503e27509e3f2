"""A phone that keeps nothing for a while: its database was closed, is full, or does not open."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.web.support.office import Office
from tests.web_card.support.card import AGE, Card
from tests.web_card.support.gateway import new_address
from tests.web_card.test_own_data import ASK, KEPT

pytestmark = pytest.mark.timeout(240)

CONNECTIONS = """(() => {
    const open = IDBFactory.prototype.open;
    window.connections = [];
    IDBFactory.prototype.open = function (...how) {
        const request = open.apply(this, how);
        request.addEventListener("success", () => window.connections.push(request.result));
        return request;
    };
})()"""
CLOSE = "() => { window.connections.forEach((each) => each.close()); }"

SHUT = """(() => {
    const open = IDBFactory.prototype.open;
    IDBFactory.prototype.open = function (...how) {
        if (localStorage.getItem("shut")) throw new DOMException("no database", "UnknownError");
        return open.apply(this, how);
    };
})()"""
"""The database does not open while the mark is set."""

READ_ONLY = """(() => {
    const begin = IDBDatabase.prototype.transaction;
    IDBDatabase.prototype.transaction = function (names, mode, ...how) {
        if (mode === "readwrite" && localStorage.getItem("full"))
            throw new DOMException("the disk is full", "QuotaExceededError");
        return begin.call(this, names, mode, ...how);
    };
})()"""
"""Nothing can be written and nothing removed while the mark is set."""


def mark(card: Card, name: str) -> None:
    card.page.evaluate("(name) => localStorage.setItem(name, 'yes')", name)


def unmark(card: Card, name: str) -> None:
    card.page.evaluate("(name) => localStorage.removeItem(name)", name)


def test_a_database_that_the_browser_has_closed_is_opened_anew(card: Card, office: Office) -> None:
    card.page.add_init_script(CONNECTIONS)
    card.open()
    card.sign_up()
    office.adjust(card.member_id(), 1240)
    card.page.evaluate(CLOSE)
    card.page.evaluate(ASK)
    expect(card.at("balance")).to_have_attribute("data-points", "1240")
    card.is_kept()
    card.page.context.set_offline(True)
    card.page.reload()
    expect(card.at("balance")).to_have_attribute("data-points", "1240")
    card.page.context.set_offline(False)
    card.page.evaluate(CLOSE)
    card.sign_out()
    assert card.page.evaluate(KEPT) == []


def test_a_full_phone_renews_its_credential_and_says_nothing(card: Card) -> None:
    card.page.add_init_script(READ_ONLY)
    card.open()
    card.sign_up()
    card.page.evaluate(AGE)
    mark(card, "full")
    errors: list[str] = []
    card.page.on("pageerror", lambda error: errors.append(str(error)))
    with card.page.expect_response("**/tallystick.v1.CodeService/RenewCredential"):
        card.page.reload()
    card.gateway.opened(card.digits)
    assert errors == []


def test_whoever_signs_out_of_a_full_phone_stays_signed_out(card: Card) -> None:
    card.page.add_init_script(READ_ONLY)
    card.open()
    card.sign_up()
    mark(card, "full")
    card.page.context.set_offline(True)
    card.sign_out()
    card.page.context.set_offline(False)
    card.page.reload()
    card.shows("sign-in")
    unmark(card, "full")
    card.page.reload()
    card.shows("sign-in")
    assert "demo/device" not in card.page.evaluate(KEPT)


def test_a_card_whose_database_does_not_open_says_so_and_is_there_when_it_does(card: Card) -> None:
    card.page.add_init_script(SHUT)
    card.open()
    card.sign_up()
    mark(card, "shut")
    card.page.reload()
    card.shows("unbound")
    unmark(card, "shut")
    card.page.reload()
    card.shows("code")


def test_a_card_whose_database_did_not_open_tries_again_also_without_a_network(card: Card) -> None:
    card.page.add_init_script(SHUT)
    card.open()
    card.sign_up()
    card.is_kept()
    card.keeps_the_card()
    mark(card, "shut")
    card.page.context.set_offline(True)
    card.page.reload()
    card.shows("unbound")
    card.page.evaluate(ASK)
    card.shows("unbound")
    unmark(card, "shut")
    card.page.evaluate(ASK)
    card.gateway.opened(card.digits)
    card.shows("number")


def test_who_is_signed_out_is_asked_to_sign_in_though_the_database_does_not_open(card: Card) -> None:
    card.page.add_init_script(SHUT)
    errors: list[str] = []
    card.page.on("pageerror", lambda error: errors.append(str(error)))
    mark(card, "shut")
    card.page.reload()
    card.shows("email").fill(new_address())
    card.tap("send")
    card.shows("problem")
    assert errors == []


def test_what_is_kept_beside_the_card_is_shown_without_a_database(card: Card) -> None:
    card.page.add_init_script(CONNECTIONS + ";" + SHUT)
    card.open()
    card.sign_up()
    errors: list[str] = []
    card.page.on("pageerror", lambda error: errors.append(str(error)))
    mark(card, "shut")
    card.page.evaluate(CLOSE)
    with card.page.expect_response("**/tallystick.v1.LedgerService/ListEntries"):
        card.go("activity")
    card.go("rewards")
    with card.page.expect_response("**/tallystick.v1.RewardService/ListRedemptions"):
        card.go("rewards/redeem")
    card.go("rewards/club")
    card.page.wait_for_load_state("networkidle")
    assert errors == []
