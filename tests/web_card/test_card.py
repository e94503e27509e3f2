"""A member with a phone: signing up, the code with and without a network, and all that is one tap away."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Browser, Route, expect

from tallystick.cli.prepare import DEMO_STORE
from tests.web.support.browser import open_context
from tests.web.support.office import Office
from tests.web_card.support.card import PHONE, Card
from tests.web_card.support.gateway import Gateway, new_address

pytestmark = pytest.mark.timeout(240)

MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/19.0 Safari/605.1.15"
FRESH_MS = 30_000


def test_whoever_types_the_code_from_the_mail_has_a_card_that_public_keys_verify(card: Card) -> None:
    card.sign_up()
    assert card.at("code").get_attribute("data-modules") == "61"
    assert card.member_number.isdigit()
    expect(card.at("balance")).to_have_attribute("data-points", "0")
    code = card.gateway.opened(card.digits)
    assert code.device is not None
    assert code.level(0) == 0, "the first day of a device"


def test_a_wrong_code_says_how_many_tries_are_left_and_the_right_one_works_still(card: Card) -> None:
    address = new_address()
    card.at("email").fill(address)
    card.tap("send")
    code = card.gateway.code_for(address)
    card.shows("code-field").fill(f"{(int(code) + 1) % 1_000_000:06}")
    card.tap("finish")
    expect(card.shows("problem")).to_contain_text("4 tries")
    card.at("code-field").fill(code)
    card.tap("finish")
    card.shows("code")


def test_reading_the_mail_may_take_the_page_off_the_phone(card: Card) -> None:
    address = new_address()
    card.at("email").fill(address)
    card.tap("send")
    card.shows("code-field")
    card.page.reload()
    code = card.gateway.code_for(address)
    card.shows("code-field").fill(f"{code[:3]} {code[3:]} is your code")
    card.tap("finish")
    card.shows("code")


def test_a_code_is_drawn_anew_every_half_minute_and_whenever_it_is_asked_for(
    browser: Browser, gateway: Gateway
) -> None:
    with open_context(browser, size=PHONE) as context:
        context.clock.install()
        card = Card(context.new_page(), gateway)
        card.open()
        card.sign_up()
        first = card.digits
        card.tap("fresh")
        expect(card.at("code")).not_to_have_attribute("data-text", first)
        second = card.digits
        card.page.clock.run_for(FRESH_MS - 1_000)
        assert card.digits == second
        card.page.clock.run_for(1_500)
        expect(card.at("code")).not_to_have_attribute("data-text", second)
        # The page's clock has been turned on: so has the till's.
        third = gateway.opened(card.digits, later_s=FRESH_MS // 1000)
        assert third.cti != gateway.opened(second).cti


def test_a_phone_whose_clock_is_off_is_told_so_and_shows_codes_that_are_good(
    browser: Browser, gateway: Gateway
) -> None:
    with open_context(browser, size=PHONE) as context:
        page = context.new_page()
        page.add_init_script("{ const now = Date.now; Date.now = () => now() - 600_000; }")
        card = Card(page, gateway)
        card.open()
        card.sign_up()
        card.shows("clock")
        card.tap("fresh")
        gateway.opened(card.digits)
        # A token is bought by an assertion, which says the time too.
        page.reload()
        card.shows("balance")
        expect(card.at("offline")).to_have_count(0)
        gateway.opened(card.digits)


def test_without_a_network_the_card_opens_from_cold_and_says_how_old_its_points_are(
    card: Card, office: Office
) -> None:
    card.sign_up()
    office.adjust(card.member_id(), 1240)
    card.page.reload()
    expect(card.at("balance")).to_have_attribute("data-points", "1240")
    card.is_kept()
    number, context = card.member_number, card.page.context
    card.page.close()
    context.set_offline(True)
    later = Card(context.new_page(), card.gateway)
    later.open()
    later.gateway.opened(later.digits)
    assert later.member_number == number
    later.shows("as-of")
    expect(later.at("balance")).to_have_attribute("data-points", "1240")
    later.go("more/devices")
    expect(later.shows("problem")).to_contain_text("No connection")
    context.set_offline(False)
    later.go("")
    later.page.reload()
    expect(later.at("offline")).to_have_count(0)


def test_points_show_their_worth_the_way_ahead_and_the_statement_says_why(card: Card, office: Office) -> None:
    card.sign_up()
    office.adjust(card.member_id(), 1240)
    card.page.reload()
    expect(card.at("worth")).to_have_text("worth €12")
    card.go("rewards")
    expect(card.at("next-tier")).to_have_text("€100 more to Silver")
    expect(card.at("next-reward")).to_have_text("3,760 points to Espresso machine")
    expect(card.at("reward").first).to_contain_text("Ready")
    expect(card.at("expiring")).to_contain_text("1,240 points")
    card.go("activity")
    expect(card.at("change")).to_have_text("+1,240")
    card.tap("why")
    expect(card.at("entry")).to_contain_text("Corrected by hand")
    expect(card.at("entry")).to_contain_text("Note: opening gift")
    expect(card.at("entry")).to_contain_text("Points after it: 1,240")


def test_points_that_are_locked_cannot_be_burned_until_they_are_unlocked(card: Card, office: Office) -> None:
    card.sign_up()
    office.adjust(card.member_id(), 500)
    card.tap("lock")
    expect(card.at("lock")).to_have_attribute("aria-checked", "true")
    with pytest.raises(AssertionError):
        office.burn(card.member_id(), 100)
    card.page.reload()
    expect(card.at("lock")).to_have_attribute("aria-checked", "true")
    card.tap("lock")
    expect(card.at("lock")).to_have_attribute("aria-checked", "false")
    office.burn(card.member_id(), 100)


def test_an_answer_that_was_on_its_way_does_not_hide_what_was_changed_meanwhile(card: Card) -> None:
    card.sign_up()
    card.tap("lock")
    expect(card.at("lock")).to_have_attribute("aria-checked", "true")
    # Busy until the phone has kept what it shows: the page that is opened next has nothing else to show for a while.
    expect(card.at("lock")).to_have_attribute("aria-busy", "false")
    late: list[tuple[Route, APIResponse]] = []

    def keep(route: Route) -> None:
        late.append((route, route.fetch()))

    card.page.route("**/tallystick.v1.AppService/GetCard", keep, times=1)
    with card.page.expect_response("**/tallystick.v1.AppService/SetSpendLock"):
        card.page.reload()
        expect(card.at("lock")).to_have_attribute("aria-checked", "true")
        for _ in range(100):
            if late:
                break
            card.page.wait_for_timeout(100)
        card.tap("lock")
    route, answer = late[0]
    route.fulfill(response=answer)
    expect(card.at("lock")).to_have_attribute("aria-checked", "false")


def test_a_voucher_is_made_once_the_device_is_a_day_old_and_is_kept_on_the_phone(
    card: Card, office: Office
) -> None:
    card.sign_up()
    office.adjust(card.member_id(), 1000)
    card.page.reload()
    card.shows("new-device")
    card.go("rewards/make")
    card.shows("too-new")
    card.go("")
    card.outlives_its_first_day()
    card.tap("fresh")
    code = card.gateway.opened(card.digits)
    assert code.level(int(time.time() * 1000)) == 4
    card.go("rewards/make")
    card.at("store").select_option(DEMO_STORE)
    card.at("worth-free-mug").check()
    card.tap("make-it")
    digits = card.shows("voucher-code").get_attribute("data-text") or ""
    assert digits.isdigit()
    balance = office.balance(card.member_id())
    assert (balance.active, balance.held) == (850, 150)
    card.is_kept()
    card.page.context.set_offline(True)
    card.page.reload()
    expect(card.at("voucher-code")).to_have_attribute("data-text", digits)
    card.go("rewards")
    expect(card.at("voucher")).to_contain_text("Free mug")


def test_a_voucher_whose_answer_was_lost_is_asked_for_again_and_made_once(card: Card, office: Office) -> None:
    card.sign_up()
    office.adjust(card.member_id(), 1000)
    card.outlives_its_first_day()
    card.page.evaluate(LOSE_THE_FIRST_ANSWER)
    card.go("rewards/make")
    card.at("store").select_option(DEMO_STORE)
    card.at("worth-free-mug").check()
    card.tap("make-it")
    card.shows("problem")
    card.tap("make-it")
    card.shows("voucher-code")
    first, second = card.page.evaluate("() => window.asked")
    assert first == second
    assert office.balance(card.member_id()).held == 150


def test_a_friend_who_comes_by_the_link_is_noted_and_the_address_keeps_no_secret(
    card: Card, browser: Browser
) -> None:
    card.sign_up()
    card.go("more/recommend")
    link = card.at("referral").inner_text()
    assert link.startswith(card.gateway.url + "?ref=")
    with open_context(browser, size=PHONE) as context:
        friend = Card(context.new_page(), card.gateway)
        friend.page.goto(link)
        friend.shows("invited")
        assert friend.page.url == card.gateway.url
        friend.sign_up()
    assert card.gateway.referrals(card.member_id()) == 1


def test_a_claim_is_kept_until_there_is_a_card_and_taken_out_of_the_address(card: Card) -> None:
    card.open("?claim=0123456789ABCDEFGHJKMNPQRS")
    card.shows("claim")
    assert card.page.url == card.gateway.url
    card.page.reload()
    card.shows("claim")
    card.sign_up()
    card.shows("claim-refused")
    card.page.reload()
    card.shows("balance")
    expect(card.at("claim-refused")).to_have_count(0)


def test_a_pass_for_apples_wallet_is_handed_over(browser: Browser, gateway: Gateway, tmp_path: Path) -> None:
    context = browser.new_context(user_agent=MAC, viewport={"width": PHONE[0], "height": PHONE[1]})
    try:
        card = Card(context.new_page(), gateway)
        card.open()
        card.sign_up()
        card.go("more/wallet")
        with card.page.expect_download() as download:
            card.tap("apple")
        file = tmp_path / "card.pkpass"
        download.value.save_as(file)
        assert file.read_bytes().startswith(b"PK")
    finally:
        context.close()


def test_an_address_without_a_program_says_so(card: Card) -> None:
    card.page.goto(card.gateway.url.replace("/demo/", "/nobody/"))
    card.shows("unknown-program")
    expect(card.at("email")).to_have_count(0)


LOSE_THE_FIRST_ANSWER = """() => {
    const call = window.fetch;
    window.asked = [];
    window.fetch = async (url, init) => {
        const answer = await call(url, init);
        if (url.endsWith("/IssueVoucher") && window.asked.push(init.body) === 1) throw new TypeError("lost");
        return answer;
    };
}"""
