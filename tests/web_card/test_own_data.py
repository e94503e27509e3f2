"""What is a member's own: devices, passkeys, name, consents, and all of it as a file or gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Browser, Route, expect

from tests.web.support.browser import open_context
from tests.web_card.support.card import PHONE, Card
from tests.web_card.support.gateway import new_address

pytestmark = pytest.mark.timeout(240)

GET_CARD = "**/tallystick.v1.AppService/GetCard"
SETTLE_MS = 500
TRIES = 100
TRY_MS = 50


def signed_out_before_the_answer(card: Card) -> tuple[Route, APIResponse]:
    """Let a member sign out while the answer with the card is on its way; return how it can be let through."""
    late: list[tuple[Route, APIResponse]] = []
    card.go("more")
    card.page.route(GET_CARD, lambda route: late.append((route, route.fetch())), times=1)
    card.page.evaluate(ASK)
    for _ in range(TRIES):
        if late:
            break
        card.page.wait_for_timeout(TRY_MS)
    card.sign_out()
    return late[0]


def pseudonym(card: Card) -> bytes:
    """Return of whose phone the code on screen is."""
    return card.gateway.opened(card.digits).pseudonym


def test_a_second_phone_is_listed_and_once_removed_must_be_bound_again(card: Card, browser: Browser) -> None:
    address = card.sign_up()
    with open_context(browser, size=PHONE) as context:
        second = Card(context.new_page(), card.gateway)
        second.open()
        second.at("email").fill(address)
        second.tap("send")
        second.shows("code-field").fill(card.gateway.code_for(address, after=1))
        second.tap("finish")
        second.shows("code")
        assert second.member_number == card.member_number
        card.go("more/devices")
        expect(card.at("device")).to_have_count(2)
        expect(card.at("burn-from")).to_have_count(2)
        card.tap("remove")
        card.tap("remove-yes")
        expect(card.at("device").and_(card.page.locator("[data-revoked=true]"))).to_have_count(1)
        second.page.reload()
        second.shows("unbound")
        second.tap("bind")
        second.shows("email")
    card.page.reload()
    card.shows("more/devices")


def test_a_phone_that_lost_what_it_kept_says_so_and_is_bound_again(card: Card) -> None:
    address = card.sign_up()
    number = card.member_number
    card.page.evaluate(PURGE)
    card.page.reload()
    card.shows("unbound")
    card.tap("bind")
    card.at("email").fill(address)
    card.tap("send")
    card.shows("code-field").fill(card.gateway.code_for(address, after=1))
    card.tap("finish")
    card.shows("code")
    assert card.member_number == number


def test_whoever_signs_out_leaves_nothing_on_the_phone(card: Card) -> None:
    card.sign_up()
    card.sign_out()
    assert card.page.evaluate(KEPT) == []
    card.page.reload()
    card.shows("sign-in")


def test_an_answer_that_comes_after_signing_out_is_not_kept(card: Card) -> None:
    card.sign_up()
    route, answer = signed_out_before_the_answer(card)
    with card.page.expect_response(GET_CARD):
        route.fulfill(response=answer)
    card.page.wait_for_timeout(SETTLE_MS)
    assert card.page.evaluate(KEPT) == []
    card.shows("sign-in")


def test_an_answer_for_the_last_member_is_not_shown_to_the_next(card: Card) -> None:
    card.sign_up()
    route, answer = signed_out_before_the_answer(card)
    # The next member's own card does not come through.
    card.page.route(GET_CARD, lambda each: each.abort())
    card.sign_up()
    with card.page.expect_response(GET_CARD):
        route.fulfill(response=answer)
    card.page.wait_for_timeout(SETTLE_MS)
    assert "demo/card" not in card.page.evaluate(KEPT)
    expect(card.at("number")).to_have_count(0)
    card.page.unroute(GET_CARD)
    card.page.evaluate(ASK)
    own = card.member_id()
    expect(card.at("number")).to_be_visible()
    assert answer.json()["card"]["memberId"] != own
    assert card.page.evaluate(KEPT_CARD) == own


def test_a_tab_follows_whoever_signs_out_and_in_beside_it(card: Card) -> None:
    card.sign_up()
    former = pseudonym(card)
    beside = Card(card.page.context.new_page(), card.gateway)
    beside.open()
    beside.shows("number")
    beside.sign_out()
    card.shows("sign-in")
    beside.sign_up()
    expect(card.at("number")).to_have_text(beside.shows("number").inner_text())
    assert pseudonym(card) == pseudonym(beside) != former


def test_a_tab_that_slept_makes_no_code_of_a_member_who_has_left(card: Card) -> None:
    card.page.add_init_script(HEARS_OF_NO_TAB)
    card.page.reload()
    card.sign_up()
    first = card.shows("number").inner_text()
    late: list[tuple[Route, APIResponse]] = []
    card.page.route(GET_CARD, lambda route: late.append((route, route.fetch())), times=1)
    card.page.evaluate(ASK)
    beside = Card(card.page.context.new_page(), card.gateway)
    beside.open()
    beside.shows("number")
    beside.sign_out()
    beside.sign_up()
    card.tap("fresh")
    expect(card.at("code")).to_have_count(0)
    route, answer = late[0]
    route.fulfill(response=answer)
    card.page.evaluate(ASK)
    expect(card.at("number")).to_have_text(beside.shows("number").inner_text())
    assert card.shows("number").inner_text() != first
    assert pseudonym(card) == pseudonym(beside)
    assert card.page.evaluate(KEPT_CARD) == beside.member_id()


def test_consents_and_the_name_are_kept_at_the_gateway(card: Card) -> None:
    card.sign_up()
    card.go("more/consents")
    expect(card.page.get_by_role("switch", checked=True)).to_have_count(0)
    card.tap("consent-OFFERS-EMAIL")
    expect(card.at("consent-OFFERS-EMAIL")).to_have_attribute("aria-checked", "true")
    card.go("more/profile")
    card.at("given-name").fill("Žanete")
    card.tap("save")
    card.shows("saved")
    card.page.reload()
    expect(card.at("given-name")).to_have_value("Žanete")
    card.go("more/consents")
    expect(card.page.get_by_role("switch", checked=True)).to_have_count(1)


def test_the_members_data_are_saved_as_one_file(card: Card, tmp_path: Path) -> None:
    card.sign_up()
    member_id = card.member_id()
    card.go("more/data")
    with card.page.expect_download() as download:
        card.tap("export")
    file = tmp_path / "export.json"
    download.value.save_as(file)
    assert member_id in json.dumps(json.loads(file.read_text()))


def test_a_member_who_deletes_everything_is_gone_here_and_at_the_gateway(card: Card) -> None:
    address = card.sign_up()
    number = card.member_number
    card.go("more/data")
    card.at("email").fill(address)
    card.tap("send")
    code = card.gateway.code_for(address, after=1)
    card.shows("code-field").fill(code)
    card.tap("finish")
    card.tap("erase")
    card.tap("erase-yes")
    card.shows("erased")
    assert card.page.evaluate(KEPT) == []
    card.page.reload()
    card.shows("email").fill(address)
    card.tap("send")
    card.shows("code-field").fill(card.gateway.code_for(address, after=2))
    card.tap("finish")
    card.shows("code")
    assert card.member_number != number, "whoever comes back is somebody new"


def test_a_code_sent_elsewhere_deletes_nobody(card: Card) -> None:
    card.sign_up()
    card.go("more/data")
    other = new_address()
    card.at("email").fill(other)
    card.tap("send")
    card.shows("code-field").fill(card.gateway.code_for(other))
    card.tap("finish")
    card.tap("erase")
    card.tap("erase-yes")
    expect(card.shows("problem")).to_contain_text("not sent to your own address")
    card.go("")
    card.shows("code")


def test_a_passkey_signs_in_without_a_mail(card: Card) -> None:
    devtools = card.page.context.new_cdp_session(card.page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    card.sign_up()
    number = card.member_number
    card.go("more/passkeys")
    card.tap("add-passkey")
    expect(card.at("a-passkey")).to_have_count(1)
    card.sign_out()
    card.tap("passkey")
    card.shows("code")
    assert card.member_number == number
    card.go("more/passkeys")
    card.tap("remove-passkey")
    card.tap("remove-passkey-yes")
    expect(card.at("a-passkey")).to_have_count(0)


PURGE = """() => new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase("tallystick-card");
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error);
    request.onblocked = () => resolve();
})"""

KEPT = """() => new Promise((resolve) => {
    const request = indexedDB.open("tallystick-card");
    request.onsuccess = () => {
        const asked = request.result.transaction("kept").objectStore("kept").getAllKeys();
        asked.onsuccess = () => { request.result.close(); resolve(asked.result); };
    };
})"""

KEPT_CARD = """() => new Promise((resolve) => {
    const request = indexedDB.open("tallystick-card");
    request.onsuccess = () => {
        const asked = request.result.transaction("kept").objectStore("kept").get("demo/card");
        asked.onsuccess = () => { request.result.close(); resolve(asked.result?.card.memberId); };
    };
})"""

ASK = "() => { dispatchEvent(new Event('online')); }"

HEARS_OF_NO_TAB = "addEventListener('storage', (event) => event.stopImmediatePropagation())"
