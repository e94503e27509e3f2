"""The element on a shop's page: what it shows, what can be chosen, and what it does when something is missing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.support.processes import ROOT
from tests.web.support.browser import watched
from tests.web_widget.shop import MEMBER, Place, card
from tools import web

pytestmark = pytest.mark.timeout(120)

AXE = ROOT / web.WORKSPACE / "node_modules" / "axe-core" / "axe.min.js"
TARGET_PX = 44
LANGUAGES = ("en", "sv", "pl", "nb", "lv")


def opened(context: BrowserContext, place: Place, state: str = "ready") -> Page:
    page = context.new_page()
    page.goto(place.shop)
    expect(page.locator("tallystick-rewards")).to_have_attribute("state", state)
    return page


def part(page: Page, name: str) -> Locator:
    return page.locator(f"[part={name}]")


def heard(page: Page) -> list[dict[str, Any]]:
    choices: list[dict[str, Any]] = page.evaluate("heard")
    return choices


def test_points_ladder_and_rewards_show_to_whoever_is_signed_in(
    context: BrowserContext, place: Place
) -> None:
    page = opened(context, place)
    assert part(page, "balance").inner_text() == "1,250 points"
    assert part(page, "tier").inner_text() == "silver"
    assert part(page, "next-tier").inner_text() == "€400.00 to gold"
    assert part(page, "next-reward").inner_text() == "750 points to tote"
    assert part(page, "rewards").locator("label").all_inner_texts() == [
        "€5.00 off · 500 points",
        "10% off · 300 points · ≥ €20.00",
        "tote · 2,000 points",
    ]
    (asked,) = place.answers.asked
    assert (asked["memberId"], asked["token"]) == (MEMBER, "Bearer first")
    assert heard(page) == []


def test_using_points_begins_with_the_most_and_goes_by_units_to_the_minimum(
    context: BrowserContext, place: Place
) -> None:
    page = opened(context, place)
    page.get_by_role("checkbox", name="Use points").check()
    assert part(page, "chosen").inner_text() == "1,200 points = €12.00 off"
    page.get_by_role("button", name="−").click()
    assert part(page, "chosen").inner_text() == "1,100 points = €11.00 off"
    part(page, "range").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    assert part(page, "chosen").inner_text() == "200 points = €2.00 off"
    assert part(page, "range").evaluate("e => e.ariaValueText") == "200 points = €2.00 off"
    page.get_by_role("checkbox", name="Use points").uncheck()
    assert [each["points"] for each in heard(page)] == [1200, 1100, 200, 0]


def test_a_reward_leaves_fewer_points_for_the_discount_and_closes_what_it_makes_too_dear(
    context: BrowserContext, place: Place
) -> None:
    page = opened(context, place)
    page.get_by_role("checkbox", name="Use points").check()
    page.get_by_label("€5.00 off").check()
    assert heard(page)[-1] == {"points": 700, "rewardIds": ["fiver"]}
    assert page.get_by_label("tote").is_disabled()
    page.get_by_label("10% off").check()
    assert heard(page)[-1] == {"points": 400, "rewardIds": ["fiver", "tenth"]}
    page.get_by_label("€5.00 off").uncheck()
    assert heard(page)[-1] == {"points": 400, "rewardIds": ["tenth"]}


def test_a_basket_that_shrinks_takes_back_what_it_no_longer_allows_and_tells_the_page(
    context: BrowserContext, place: Place
) -> None:
    page = opened(context, place)
    page.get_by_label("10% off").check()
    page.get_by_role("checkbox", name="Use points").check()
    assert heard(page)[-1] == {"points": 900, "rewardIds": ["tenth"]}
    page.locator("tallystick-rewards").evaluate("e => e.setAttribute('basket-minor', '799')")
    assert heard(page)[-1] == {"points": 700, "rewardIds": []}
    page.locator("tallystick-rewards").evaluate("e => e.removeAttribute('basket-minor')")
    assert heard(page)[-1] == {"points": 0, "rewardIds": []}
    expect(part(page, "use")).to_be_hidden()


def test_what_the_page_has_chosen_shows_and_is_not_told_back(context: BrowserContext, place: Place) -> None:
    place.answers.element = 'basket-minor=10000 points=300 reward-ids="fiver"'
    page = opened(context, place)
    assert part(page, "chosen").inner_text() == "300 points = €3.00 off"
    assert page.get_by_label("€5.00 off").is_checked()
    assert heard(page) == []
    page.locator("tallystick-rewards").evaluate("e => e.setAttribute('points', '9900')")
    assert heard(page) == [{"points": 700, "rewardIds": ["fiver"]}]


def test_without_a_basket_there_is_nothing_to_choose(context: BrowserContext, place: Place) -> None:
    place.answers.element = ""
    page = opened(context, place)
    expect(part(page, "use")).to_be_hidden()
    boxes = part(page, "rewards").get_by_role("checkbox")
    assert [box.is_disabled() for box in boxes.all()] == [True, True, True]


def test_whoever_is_not_signed_in_sees_what_the_shop_has_put_there(
    context: BrowserContext, place: Place
) -> None:
    place.answers.token_status = 401
    page = opened(context, place, "signed-out")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    expect(part(page, "card")).to_be_hidden()
    assert place.answers.asked == []


def test_each_refresh_asks_the_shop_who_is_signed_in(context: BrowserContext, place: Place) -> None:
    page = opened(context, place)
    element = page.locator("tallystick-rewards")
    place.answers.token_status = 401
    element.evaluate("e => e.refresh()")
    expect(element).to_have_attribute("state", "signed-out")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    expect(part(page, "card")).to_be_hidden()
    other = "0190b5a0-0000-7000-8000-000000000002"
    place.answers.token_status, place.answers.member_id = 200, other
    place.answers.token = place.answers.good_token = "second"
    element.evaluate("e => e.refresh()")
    expect(element).to_have_attribute("state", "ready")
    assert [(each["memberId"], each["token"]) for each in place.answers.asked] == [
        (MEMBER, "Bearer first"),
        (other, "Bearer second"),
    ]


@pytest.mark.parametrize("fault", ["card_status", "token_status"])
def test_a_gateway_or_a_shop_that_is_away_is_said_and_nothing_stays_chosen(
    context: BrowserContext, place: Place, fault: str
) -> None:
    place.answers.element = 'basket-minor="10000" points="300"'
    place.answers.good_token = "second"
    setattr(place.answers, fault, 503)
    page = opened(context, place, "away")
    assert part(page, "message").inner_text() == "Points cannot be used right now."
    assert heard(page) == [{"points": 0, "rewardIds": []}]
    expect(part(page, "balance")).to_be_hidden()


def test_it_comes_back_by_itself_when_the_gateway_does(context: BrowserContext, place: Place) -> None:
    place.answers.card_status = 503
    page = context.new_page()
    page.clock.install()
    page.goto(place.shop)
    expect(page.locator("tallystick-rewards")).to_have_attribute("state", "away")
    place.answers.card_status = 200
    page.clock.run_for(31_000)
    expect(page.locator("tallystick-rewards")).to_have_attribute("state", "ready")
    assert part(page, "balance").inner_text() == "1,250 points"


@pytest.mark.parametrize("status", ["MEMBER_STATUS_LOCKED", "MEMBER_STATUS_BLOCKED"])
def test_points_that_may_not_be_burned_show_and_cannot_be_chosen(
    context: BrowserContext, place: Place, status: str
) -> None:
    place.answers.card = card(status=status)
    page = opened(context, place)
    assert part(page, "balance").inner_text() == "1,250 points"
    assert part(page, "message").inner_text() == "Points cannot be used right now."
    expect(part(page, "use")).to_be_hidden()
    assert page.get_by_role("checkbox").count() == 0


def test_the_shop_names_its_tiers_and_rewards_and_names_are_never_markup(
    context: BrowserContext, place: Place
) -> None:
    names = '{"silver": "Silver friend", "tote": "<img src=x onerror=alert(1)>"}'
    place.answers.element = f"basket-minor=10000 names='{names}'"
    page = context.new_page()
    seen = watched(page)
    page.goto(place.shop)
    expect(part(page, "tier")).to_have_text("Silver friend")
    assert page.get_by_label("<img src=x").count() == 1
    assert page.locator("img").count() == 0
    assert seen.dialogs == []


def test_names_that_are_no_json_are_told_to_the_developer(context: BrowserContext, place: Place) -> None:
    place.answers.element = "names={oops"
    page = context.new_page()
    with page.expect_console_message(lambda message: message.type == "warning") as said:
        page.goto(place.shop)
    assert "JSON" in said.value.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_cut_off_and_axe_finds_nothing(
    context: BrowserContext, place: Place, language: str
) -> None:
    place.answers.page = f'<html lang="{language}">'
    page = context.new_page()
    seen = watched(page)
    page.set_viewport_size({"width": 320, "height": 740})
    page.goto(place.shop)
    expect(page.locator("tallystick-rewards")).to_have_attribute("state", "ready")
    page.get_by_role("checkbox").last.check()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    # The shop's policy forbids scripts of others: axe comes over the tool's own line.
    page.evaluate(AXE.read_text())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        assert page.evaluate("axe.run()")["violations"] == [], scheme
    # A tick is as large a target as the words beside it.
    for control in page.locator("[part=card] :is(button, [type=range], label)").all():
        box = control.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= TARGET_PX, control
    assert seen.complaints == []


def test_money_and_points_are_written_as_the_page_speaks(context: BrowserContext, place: Place) -> None:
    place.answers.page = '<html lang="pl">'
    page = opened(context, place)
    assert re.sub(r"\s", " ", part(page, "next-tier").inner_text()) == "400,00 € do: gold"
    assert part(page, "balance").inner_text() == "1250 punktów"
