"""Rewards without a purchase: bought with points alone, their codes, and what became of them."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.web.support.office import Office
from tests.web_card.support.card import Card
from tests.web_card.support.gateway import RULES
from tests.web_card.test_access import AXE, CUT_OFF, LANGUAGES, NARROW, SCHEMES, SMALL, TARGET_PX, findings

pytestmark = pytest.mark.timeout(240)

POINTS = 1_240
EVENING: dict[str, Any] = {
    "id": "evening",
    "kind": "experience",
    "name": "An evening in the workshop",
    "points": 500,
    "stock": 40,
    "limit": {"count": 2, "per": "year"},
}
TASTING = {"id": "tasting", "kind": "experience", "points": 100, "limit": {"count": 1, "per": "day"}}
BAG = {"id": "bag", "kind": "product", "name": "The bag", "points": 300}
WORKSHOP: dict[str, Any] = {**RULES, "rewards": [*RULES["rewards"], EVENING, BAG, TASTING]}


@pytest.fixture
def member(card: Card, office: Office) -> Card:
    """Somebody with 1,240 points and a phone that may redeem."""
    office.publish(WORKSHOP)
    card.sign_up()
    office.adjust(card.member_id(), POINTS)
    card.outlives_its_first_day()
    return card


def looks_at(card: Card, reward: str) -> None:
    """Look at the page of one reward."""
    card.page.evaluate("(path) => { location.hash = path; }", f"#/rewards/redeem/{reward}")
    card.shows("rewards/redeem")


def gets(card: Card, reward: str) -> None:
    """Get a reward, from the list of rewards on."""
    card.go("rewards")
    card.page.locator(f"[data-reward={reward}]").get_by_test_id("get").click()
    card.shows("rewards/redeem")
    card.tap("get-it")
    card.tap("get-it-yes")


def test_an_experience_is_bought_with_a_tap_and_its_code_stays_until_it_was_handed_out(
    member: Card, office: Office
) -> None:
    member.go("rewards")
    member.page.locator("[data-reward=evening]").get_by_test_id("get").click()
    offer = member.shows("offer")
    expect(offer).to_contain_text("500 points")
    expect(offer).to_contain_text("40 left")
    expect(offer).to_contain_text("2 more for you")
    member.tap("get-it")
    expect(offer).to_contain_text("500 points are taken for it at once. 40 left.")
    member.tap("get-it-yes")
    member.shows("redeemed")
    expect(member.at("redemption")).to_contain_text("Not handed out yet")
    code = member.at("redemption-code").inner_text()
    assert len(code.replace("-", "").replace(" ", "")) >= 8
    size_px = float(
        member.at("redemption-code").evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)")
    )
    assert size_px >= 24
    assert office.balance(member.member_id()).active == POINTS - 500
    office.hand_out(member.member_id(), code)
    member.open()
    member.go("rewards")
    member.tap("redemptions")
    expect(member.at("redemption")).to_contain_text("Handed out")
    expect(member.at("redemption-code")).to_have_text(code)


def test_what_was_bought_and_never_answered_is_bought_once(member: Card, office: Office) -> None:
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(str(route.fetch().status))
        route.abort()

    member.page.route("**/tallystick.v1.RewardService/RedeemReward", lose, times=1)
    gets(member, "bag")
    expect(member.shows("why-not")).to_contain_text("No connection")
    assert lost == ["200"]
    assert office.balance(member.member_id()).active == POINTS - 300
    member.page.evaluate("() => dispatchEvent(new Event('online'))")
    member.shows("redeemed")
    expect(member.at("redemption")).to_have_count(1)
    assert office.balance(member.member_id()).active == POINTS - 300


def test_whoever_goes_elsewhere_before_the_answer_stays_there(member: Card) -> None:
    waiting: list[Route] = []

    def keep(route: Route) -> None:
        waiting.append(route)

    member.page.route("**/tallystick.v1.RewardService/RedeemReward", keep, times=1)
    with member.page.expect_request("**/tallystick.v1.RewardService/RedeemReward"):
        gets(member, "tasting")
    member.go("rewards")
    waiting[0].continue_()
    expect(member.page.locator("[data-reward=tasting]")).to_contain_text("You have had it")
    expect(member.at("rewards")).to_be_visible()
    member.tap("redemptions")
    expect(member.at("redemption")).to_have_count(1)


def test_without_a_line_the_button_says_why_it_waits_and_the_codes_stay(member: Card) -> None:
    gets(member, "bag")
    member.shows("redeemed")
    code = member.at("redemption-code").inner_text()
    member.is_kept()
    member.page.context.set_offline(True)
    member.page.reload()
    member.shows("rewards/redeem")
    expect(member.at("redemption-code")).to_have_text(code)
    member.go("rewards")
    member.page.locator("[data-reward=evening]").get_by_test_id("get").click()
    expect(member.shows("why-not")).to_contain_text("No connection")
    expect(member.at("get-it")).to_be_disabled()


def test_a_phone_in_its_first_day_says_from_when_on_it_redeems(card: Card, office: Office) -> None:
    office.publish(WORKSHOP)
    card.sign_up()
    office.adjust(card.member_id(), POINTS)
    card.open()
    card.shows("new-device")
    looks_at(card, "bag")
    expect(card.shows("why-not")).to_contain_text("Redeeming starts")
    expect(card.at("get-it")).to_be_disabled()


def test_what_was_had_often_enough_or_is_locked_or_too_dear_is_not_sold(member: Card, office: Office) -> None:
    gets(member, "tasting")
    member.shows("redeemed")
    member.go("rewards")
    tasting = member.page.locator("[data-reward=tasting]")
    expect(tasting).to_contain_text("You have had it")
    expect(tasting.get_by_test_id("get")).to_have_count(0)
    looks_at(member, "tasting")
    expect(member.shows("why-not")).to_contain_text("as many of it as you can")
    member.go("")
    member.tap("lock")
    expect(member.at("lock")).to_have_attribute("aria-checked", "true")
    looks_at(member, "bag")
    expect(member.shows("why-not")).to_contain_text("locked")
    member.go("")
    member.tap("lock")
    expect(member.at("lock")).to_have_attribute("aria-checked", "false")
    office.adjust(member.member_id(), -1_000)
    member.open()
    looks_at(member, "bag")
    expect(member.shows("why-not")).to_contain_text("do not suffice")


def test_axe_finds_nothing_and_nothing_is_cut_off_in_any_language(member: Card) -> None:
    gets(member, "bag")
    member.shows("redeemed")
    member.page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    found: list[str] = []
    for language in LANGUAGES:
        member.go("more/look")
        member.tap(f"language-{language}")
        expect(member.page.locator("html")).to_have_attribute("lang", language)
        for view in ("rewards", "evening"):
            if view == "rewards":
                member.go(view)
                member.shows("redemptions")
            else:
                looks_at(member, view)
                member.shows("redemption")
                member.tap("get-it")
            cut = member.page.evaluate(CUT_OFF) + member.page.evaluate(SMALL, TARGET_PX)
            found += [f"{view}, {language}: {each}" for each in cut]
            if not member.page.evaluate("() => 'axe' in window"):
                member.page.evaluate(AXE.read_text())
            for scheme in SCHEMES:
                member.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                found += [f"{view}, {language}, {scheme}: {each}" for each in findings(member)]
    assert found == []
