"""The club's page: what it shows of a member, points given to a project, and that it comes only when looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Request, Route, expect

from tallystick.cli.options import ADMIN_PROFILE
from tallystick.cli.profile import load_profile
from tallystick_webshop import Basket, Line, Shop
from tests.e2e.support.server import PROGRAM
from tests.web.support.office import Office, new_id
from tests.web_card.support.card import Card
from tests.web_card.support.gateway import RULES, Gateway
from tests.web_card.test_access import AXE, LANGUAGES, NARROW, SCHEMES, findings

pytestmark = pytest.mark.timeout(240)

CLUB: dict[str, Any] = {
    **RULES,
    "challenges": [
        {
            "id": "three",
            "name": "Three visits",
            "counts": "sales",
            "target": 3,
            "per": "year",
            "award": {"points": 50, "badge": "regular"},
        },
        {
            "id": "one",
            "name": "A first visit",
            "counts": "sales",
            "target": 1,
            "award": {"badge": "first-visit"},
        },
    ],
    "memberships": [{"id": "plus", "name": "Corner Plus", "sku": "PLUS", "months": 12}],
    "charity": {
        "projects": [{"id": "river", "name": "A clean river", "text": "Volunteers clear the banks."}],
        "share": [{"project": "river", "minor": 100}],
    },
    "goals": [
        {
            "id": "cups",
            "name": "A thousand cups",
            "counts": "pieces",
            "target": 1000,
            "from": "2026-01-01",
            "until": "2099-01-01",
            "award": {"points": 50},
        }
    ],
    "actions": [{"id": "review", "name": "A review", "points": 20, "limit": {"count": 3, "per": "month"}}],
    "access": [{"id": "new", "name": "New in", "category": ["new"], "tier": ["gold"]}],
    "referral": {"referrer_points": 200, "joiner_points": 100, "minimum_minor": 2000},
}
GIVING = "**/tallystick.v1.SharingService/DonatePoints"
PARTS = ("challenges", "badges", "memberships", "goals", "projects", "actions", "access", "friends")


@pytest.fixture(scope="module")
def shop(place: Path, gateway: Gateway, office: Office) -> Iterator[Shop]:
    """A webshop, so that members can buy."""
    issuer = load_profile(gateway.data_dir, ADMIN_PROFILE)[0].issuer
    made = Shop.enrol(
        place / "shop",
        server=gateway.address,
        program_id=PROGRAM,
        code=office.shop_code("Webshop"),
        issuer=issuer,
    )
    office.confirm(made.device_id, made.fingerprint)
    with Shop.open(place / "shop") as one:
        yield one


@pytest.fixture
def member(card: Card, office: Office, shop: Shop) -> Card:
    """Somebody who has bought once, and has 2,000 points beside."""
    office.publish(CLUB)
    card.sign_up()
    office.adjust(card.member_id(), 2_000)
    cups = Basket("EUR", [Line("cup", 2, 3_000, tax="")])
    shop.sell(new_id(), card.member_id(), cups, order="1")
    # A card asks for what is new once a minute, and whenever it is opened.
    card.open()
    return card


def test_the_page_shows_where_a_member_stands_and_comes_when_it_is_looked_at(member: Card) -> None:
    fetched: list[str] = []
    member.page.on("request", lambda request: fetched.append(request.url))
    member.open()
    member.shows("code")
    assert not any("Club" in url for url in fetched if "/assets/" in url and "sw" not in url)
    member.go("rewards")
    member.tap("club")
    for part in PARTS:
        member.shows(part)
    three = member.page.locator("[data-challenge=three]")
    expect(three).to_contain_text("1 of 3 purchases")
    expect(three).to_contain_text("50 points")
    expect(member.page.locator("[data-challenge=one]")).to_contain_text("Reached")
    expect(member.at("badges")).to_contain_text("First visit")
    expect(member.at("memberships")).to_contain_text("Not yours yet")
    expect(member.at("actions")).to_contain_text("3 times left")
    expect(member.at("access")).to_contain_text("For another level")
    expect(member.at("friends")).to_contain_text("You get 200 points, your friend 100")


def test_points_are_given_to_a_project_once(member: Card, office: Office) -> None:
    member.outlives_its_first_day()
    member.open()
    before = office.balance(member.member_id()).active
    member.go("rewards/club")
    member.shows("projects")
    member.at("give-points").select_option("200")
    member.at("give").dblclick()
    expect(member.shows("thanks")).to_contain_text("200 points")
    assert office.balance(member.member_id()).active == before - 200


def gives(member: Card, points: int) -> None:
    """Give points to the only project, once the page shows it."""
    member.go("rewards/club")
    member.shows("projects")
    member.at("give-points").select_option(str(points))
    member.tap("give")


def sent_gifts(member: Card) -> list[str]:
    """The ids of the gifts that the page sends from now on."""
    ids: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/DonatePoints"):
            ids.append(json.loads(request.post_data or "{}")["commandId"])

    member.page.on("request", note)
    return ids


def test_a_gift_that_was_refused_for_good_is_not_given_later_by_itself(member: Card, office: Office) -> None:
    before = office.balance(member.member_id()).active
    sent = sent_gifts(member)
    no = {"code": "failed_precondition", "message": "not on this day"}
    member.page.route(GIVING, lambda route: route.fulfill(status=400, json=no), times=1)
    gives(member, 200)
    expect(member.shows("problem")).to_contain_text("not on this day")
    # Whoever comes back and gives something else gives that, once, and nothing of before.
    member.open()
    gives(member, 100)
    expect(member.shows("thanks")).to_contain_text("100 points")
    assert office.balance(member.member_id()).active == before - 100
    assert len(set(sent)) == len(sent) == 2


def test_a_gift_that_was_never_answered_is_given_once_when_it_is_wished_again(
    member: Card, office: Office
) -> None:
    member.outlives_its_first_day()
    before = office.balance(member.member_id()).active
    sent = sent_gifts(member)

    def lose(route: Route) -> None:
        assert route.fetch().status == 200
        route.abort()

    member.page.route(GIVING, lose, times=1)
    gives(member, 200)
    expect(member.shows("problem")).to_contain_text("No connection")
    member.tap("give")
    expect(member.shows("thanks")).to_contain_text("200 points")
    assert office.balance(member.member_id()).active == before - 200
    assert len(sent) == 2
    assert len(set(sent)) == 1


def test_axe_finds_nothing_and_nothing_is_cut_off_in_any_language(member: Card, gateway: Gateway) -> None:
    assert gateway.url
    member.page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    found: list[str] = []
    for language in LANGUAGES:
        member.go("more/look")
        member.tap(f"language-{language}")
        expect(member.page.locator("html")).to_have_attribute("lang", language)
        member.go("rewards/club")
        for part in PARTS:
            member.shows(part)
        wide = member.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= NARROW[0], language
        if not member.page.evaluate("() => 'axe' in window"):
            member.page.evaluate(AXE.read_text())
        for scheme in SCHEMES:
            member.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found += [f"{language}, {scheme}: {each}" for each in findings(member)]
    assert found == []
