"""For everybody: axe finds nothing in any view, nothing is cut off in any language, and nobody else is asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from tests.e2e.support.processes import ROOT
from tests.web.support.browser import Seen, open_context, watched
from tests.web.support.office import Office
from tests.web_card.support.card import PHONE, Card
from tests.web_card.support.gateway import Gateway
from tests.web_card.support.walk import first_visit, last_views, views
from tools import web

pytestmark = pytest.mark.timeout(300)

AXE = ROOT / web.WORKSPACE / "node_modules" / "axe-core" / "axe.min.js"
LANGUAGES = ("sv", "pl", "nb", "lv", "en")
NARROW, WIDE = (320, 568), (1280, 900)
TARGET_PX = 48
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture
def walker(browser: Browser, gateway: Gateway) -> Iterator[tuple[Card, Seen]]:
    """A card, and everything that it does from its first byte on."""
    with open_context(browser, size=PHONE) as context:
        page = context.new_page()
        seen = watched(page)
        card = Card(page, gateway)
        card.open()
        yield card, seen


def test_axe_finds_nothing_in_any_view_in_light_and_dark(walker: tuple[Card, Seen], office: Office) -> None:
    card, _ = walker
    axe = AXE.read_text()
    found: list[str] = []
    visited: list[str] = []
    for view in chain(first_visit(card, office), views(card), last_views(card)):
        visited.append(view)
        if not card.page.evaluate("() => 'axe' in window"):
            card.page.evaluate(axe)
        for scheme in SCHEMES:
            card.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found += [f"{view}, {scheme}: {each}" for each in findings(card)]
    assert found == []
    assert len(visited) == 21


def findings(card: Card) -> list[str]:
    """What axe objects to now: the rule, and where."""
    result: list[Any] = card.page.evaluate(
        "async () => (await axe.run(document, { resultTypes: ['violations'] })).violations"
    )
    return [f"{one['id']} at {node['target']}" for one in result for node in one["nodes"]]


def test_in_every_language_all_fits_a_small_phone_and_a_thumb_and_nobody_else_is_asked(
    walker: tuple[Card, Seen], office: Office
) -> None:
    card, seen = walker
    wrong: list[str] = []

    def look(view: str, language: str) -> None:
        for size in (NARROW, WIDE):
            card.page.set_viewport_size({"width": size[0], "height": size[1]})
            objections = card.page.evaluate(CUT_OFF) + card.page.evaluate(SMALL, TARGET_PX)
            wrong.extend(f"{view}, {language}, {size[0]} px: {each}" for each in objections)

    for view in first_visit(card, office):
        look(view, "en")
    for language in LANGUAGES:
        card.go("more/look")
        card.tap(f"language-{language}")
        card.page.wait_for_function("(wanted) => document.documentElement.lang === wanted", arg=language)
        for view in views(card):
            look(view, language)
    for view in last_views(card):
        look(view, LANGUAGES[-1])
    assert wrong == []
    assert seen.requests
    assert [each.url for each in seen.requests if not each.url.startswith(card.gateway.origin)] == []
    assert seen.complaints == []
    assert seen.dialogs == []


def test_the_whole_way_to_the_card_can_be_gone_by_keys_alone(walker: tuple[Card, Seen]) -> None:
    card, _ = walker
    keys = card.page.keyboard
    card.shows("email").focus()
    keys.type("keys@example.org")
    keys.press("Enter")
    card.shows("code-field")
    keys.type(card.gateway.code_for("keys@example.org"))
    keys.press("Enter")
    card.shows("code")
    for _ in range(12):
        keys.press("Tab")
        if card.page.evaluate("() => document.activeElement.dataset.testid") == "tab-more":
            break
    keys.press("Enter")
    card.shows("more")
    assert card.page.evaluate("() => document.activeElement.tagName") == "H1", (
        "a new view is told by its heading"
    )


def test_who_wants_no_motion_sees_the_seconds_and_nothing_that_moves(walker: tuple[Card, Seen]) -> None:
    card, _ = walker
    card.sign_up()
    assert (
        card.page.evaluate("() => getComputedStyle(document.querySelector('.left')).animationName") == "none"
    )
    assert (card.page.locator(".ring text").text_content() or "").isdigit()


CUT_OFF = """() => {
    const found = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) found.push(`scrolls sideways: ${root.scrollWidth} px`);
    for (const one of document.querySelectorAll("button, input, a, h1, h2, h3, p, label, span, output")) {
        const box = one.getBoundingClientRect();
        const style = getComputedStyle(one);
        if (box.width <= 1 || style.clipPath !== "none" || style.position === "absolute") continue;
        if (box.right > root.clientWidth + 1 || box.left < -1) found.push(`sticks out: ${one.innerText}`);
        const tight = one.scrollWidth > one.clientWidth + 1;
        if (tight && ["BUTTON", "A"].includes(one.tagName)) found.push(`cut: ${one.innerText || one.value}`);
    }
    return found;
}"""

SMALL = """(least) => [...document.querySelectorAll("button, a, input, select, summary")]
    .filter((one) => !one.classList.contains("skip"))
    // A box to tick is as large as its label.
    .map((one) => [one, (one.type === "radio" ? one.closest("label") : one).getBoundingClientRect()])
    .filter(([, box]) => box.width > 0)
    .filter(([, box]) => box.height < least - 0.5 || box.width < least - 0.5)
    .map(([one, box]) => `${one.dataset.testid ?? one.innerText}: ${box.width} x ${box.height}`)"""
