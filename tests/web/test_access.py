"""For everybody: axe finds nothing in any view, nothing is cut off in any language, and nobody else is asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from tests.e2e.support.processes import ROOT
from tests.web.support.browser import DESKTOP, PHONE, Seen, open_context, watched
from tests.web.support.screen import Screen
from tests.web.support.shop import Shop
from tests.web.support.walk import Visit
from tools import web

pytestmark = pytest.mark.timeout(180)

AXE = ROOT / web.WORKSPACE / "node_modules" / "axe-core" / "axe.min.js"
LANGUAGES = ("sv", "pl", "nb", "lv", "en")
TARGET_PX = 56
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def visit(shop: Shop) -> Visit:
    """Members and sales to look at."""
    return Visit(shop)


@pytest.fixture
def walker(browser: Browser, shop: Shop) -> Iterator[tuple[Screen, Seen]]:
    """A screen, and everything that it does from its first byte on."""
    with open_context(browser) as context:
        page = context.new_page()
        seen = watched(page)
        page.goto(shop.url)
        screen = Screen(page)
        screen.shows("idle")
        yield screen, seen
    shop.online()


def test_axe_finds_nothing_in_any_view_in_light_and_dark_on_a_phone_and_on_a_till(
    walker: tuple[Screen, Seen], visit: Visit
) -> None:
    screen, _ = walker
    axe = AXE.read_text()
    found: list[str] = []
    for view in chain(visit.views(screen), visit.without_a_till(screen)):
        if not screen.page.evaluate("() => 'axe' in window"):
            screen.page.evaluate(axe)
        for scheme in SCHEMES:
            screen.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for size in (PHONE, DESKTOP):
                screen.page.set_viewport_size({"width": size[0], "height": size[1]})
                found += [f"{view}, {scheme}, {size[0]} px: {each}" for each in findings(screen)]
    assert found == []


def findings(screen: Screen) -> list[str]:
    """What axe objects to now: the rule, and where."""
    result: list[Any] = screen.page.evaluate(
        "async () => (await axe.run(document, { resultTypes: ['violations'] })).violations"
    )
    return [f"{one['id']} at {node['target']}" for one in result for node in one["nodes"]]


def test_in_every_language_nothing_is_cut_off_or_too_small_for_a_thumb_and_nobody_else_is_asked(
    walker: tuple[Screen, Seen], visit: Visit
) -> None:
    screen, seen = walker
    beside = screen.page.context.new_page()
    beside.goto(screen.origin)
    screen.page.bring_to_front()
    wrong: list[str] = []
    for view in visit.views(screen):
        for language in LANGUAGES:
            # A language chosen on one screen of a till is that of its others at once.
            beside.evaluate(CHOOSE, language)
            screen.page.wait_for_function(
                "(wanted) => document.documentElement.lang === wanted", arg=language
            )
            for size in (PHONE, DESKTOP):
                screen.page.set_viewport_size({"width": size[0], "height": size[1]})
                objections = screen.page.evaluate(CUT_OFF) + screen.page.evaluate(SMALL, TARGET_PX)
                wrong += [f"{view}, {language}, {size[0]} px: {each}" for each in objections]
    assert wrong == []
    assert seen.requests
    assert [each.url for each in seen.requests if not each.url.startswith(screen.origin)] == []


CHOOSE = "(locale) => localStorage.setItem('tallystick.prefs', JSON.stringify({ locale }))"
CUT_OFF = """() => {
    const found = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) found.push(`scrolls sideways: ${root.scrollWidth} px`);
    for (const one of document.querySelectorAll("button, input, a.btn, h1, h2, p, dd, label")) {
        const box = one.getBoundingClientRect();
        const style = getComputedStyle(one);
        if (box.width <= 1 || style.clipPath !== "none" || style.position === "absolute") continue;
        if (box.right > root.clientWidth + 1 || box.left < -1) found.push(`sticks out: ${one.innerText}`);
        const tight = one.scrollWidth > one.clientWidth + 1;
        if (tight && ["BUTTON", "INPUT"].includes(one.tagName)) found.push(`cut: ${one.innerText || one.value}`);
    }
    return found;
}"""


def test_every_page_comes_with_a_policy_that_keeps_strangers_out(shop: Shop, browser: Browser) -> None:
    with open_context(browser) as context:
        page = context.new_page()
        answer = page.goto(shop.url)
        assert answer is not None
        policy = dict(
            part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'self'"
        assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
        assert policy["frame-ancestors"] == "'none'"
        seen = watched(page)
        # The policy does what it says: a script inside the page, and one from elsewhere, do not run.
        page.evaluate(
            """() => {
                for (const [name, value] of [["text", "window.taken = 1"], ["src", "http://127.0.0.1:9/x.js"]]) {
                    const script = document.createElement("script");
                    script[name] = value;
                    document.body.append(script);
                }
            }"""
        )
        page.wait_for_function("() => true")
        assert page.evaluate("() => window.taken") is None
        assert len([each for each in seen.complaints if "Content Security Policy" in each]) == 2


SMALL = """(least) => [...document.querySelectorAll("button, a, input")]
    .filter((one) => !one.classList.contains("skip"))
    .map((one) => [one, one.getBoundingClientRect()])
    .filter(([, box]) => box.width > 0)
    .filter(([, box]) => box.height < least - 0.5 || box.width < least - 0.5)
    .map(([one, box]) => `${one.dataset.testid ?? one.innerText}: ${box.width} x ${box.height}`)"""
