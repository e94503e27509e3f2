"""The card as an app: it can be installed, is kept on the phone, is there at once, and runs under a strict policy."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, expect

from tests.web.support.browser import open_context, watched
from tests.web_card.support.card import PHONE, Card
from tests.web_card.support.gateway import Gateway

pytestmark = pytest.mark.timeout(240)

SLOW_TIMES = 4
FIRST_MS_MAX = 1_000
TRIES_MAX = 15


def test_chromium_would_install_it_under_the_programs_name(card: Card) -> None:
    card.is_kept()
    devtools = card.page.context.new_cdp_session(card.page)
    manifest = devtools.send("Page.getAppManifest")
    assert manifest["errors"] == []
    text = json.loads(manifest["data"])
    assert text["name"] == "Simple points"
    assert text["display"] == "standalone"
    found = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # What Playwright opens counts as a private window, in which nothing can be installed; all else must hold.
    assert [one["errorId"] for one in found if one["errorId"] != "in-incognito"] == []
    for icon in text["icons"]:
        answer = card.page.request.get(card.gateway.url + icon["src"])
        assert (answer.status, answer.headers["content-type"]) == (200, "image/png")


def test_the_service_worker_serves_its_program_and_is_replaced_only_when_the_build_changes(
    card: Card,
) -> None:
    card.is_kept()
    scope = card.page.evaluate("async () => (await navigator.serviceWorker.ready).scope")
    assert scope == card.gateway.url
    names = card.page.evaluate("() => caches.keys()")
    assert len(names) == 1
    kept = card.page.evaluate(
        "async (name) => (await (await caches.open(name)).keys()).map((one) => one.url)", names[0]
    )
    assert card.gateway.url in kept
    assert all(url.startswith(card.gateway.url) for url in kept)
    card.page.reload()
    card.shows("sign-in")
    assert card.page.evaluate("() => caches.keys()") == names


def test_from_a_tap_on_the_icon_to_the_code_takes_less_than_a_second_on_a_slow_phone(
    browser: Browser, gateway: Gateway
) -> None:
    with open_context(browser, size=PHONE) as context:
        page = context.new_page()
        page.add_init_script(STOPWATCH)
        card = Card(page, gateway)
        card.open()
        card.sign_up()
        card.is_kept()
        devtools = context.new_cdp_session(page)
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOW_TIMES})
        took_ms: list[int] = []
        # The machine that runs this does other things as well: the best of some tries is what the card takes.
        while len(took_ms) < TRIES_MAX and min(took_ms, default=FIRST_MS_MAX) >= FIRST_MS_MAX:
            page.reload()
            card.shows("code")
            took_ms.append(round(page.evaluate("() => window.codeAtMs")))
        print(f"\nto the code with a processor {SLOW_TIMES} times slower: {took_ms} ms")  # noqa: T201
        assert min(took_ms) < FIRST_MS_MAX


def test_the_policy_keeps_scripts_of_others_out(browser: Browser, gateway: Gateway) -> None:
    with open_context(browser, size=PHONE) as context:
        card = Card(context.new_page(), gateway)
        card.open()
        card.shows("sign-in")
        seen = watched(card.page)
        card.page.evaluate(
            """() => {
                for (const [name, value] of [["text", "window.taken = 1"], ["src", "http://127.0.0.1:9/x.js"]]) {
                    const script = document.createElement("script");
                    script[name] = value;
                    document.body.append(script);
                }
            }"""
        )
        card.page.wait_for_function("() => true")
        assert card.page.evaluate("() => window.taken") is None
        assert len([each for each in seen.complaints if "Content Security Policy" in each]) == 2


def test_the_screen_stays_on_while_a_code_is_shown_and_no_longer(browser: Browser, gateway: Gateway) -> None:
    with open_context(browser, size=PHONE) as context:
        page = context.new_page()
        page.add_init_script(WAKE_LOCKS)
        card = Card(page, gateway)
        card.open()
        assert page.evaluate("() => window.locksHeld") == 0
        card.sign_up()
        page.wait_for_function("() => window.locksHeld === 1")
        card.go("more")
        page.wait_for_function("() => window.locksHeld === 0")


def test_the_browsers_offer_to_install_is_kept_for_a_button(card: Card) -> None:
    card.sign_up()
    expect(card.at("install")).to_have_count(0)
    card.page.evaluate(
        """() => {
            const offer = new Event("beforeinstallprompt", { cancelable: true });
            offer.prompt = async () => { window.prompted = true; };
            window.left = dispatchEvent(offer);
        }"""
    )
    assert card.page.evaluate("() => window.left") is False, "the browser's own bar does not come as well"
    card.shows("install").get_by_role("button").click()
    expect(card.at("install")).to_have_count(0)
    assert card.page.evaluate("() => window.prompted")


def test_an_iphone_is_told_how_to_install_before_it_signs_in(browser: Browser, gateway: Gateway) -> None:
    context = browser.new_context(user_agent=IPHONE, viewport={"width": PHONE[0], "height": PHONE[1]})
    try:
        card = Card(context.new_page(), gateway)
        card.open()
        expect(card.shows("install-ios")).to_contain_text("Add to Home Screen")
    finally:
        context.close()


def test_the_key_stays_in_the_phone(card: Card) -> None:
    card.sign_up()
    taken = card.page.evaluate(
        """() => new Promise((resolve) => {
            const request = indexedDB.open("tallystick-card");
            request.onsuccess = () => {
                const asked = request.result.transaction("kept").objectStore("kept").get("demo/device");
                asked.onsuccess = async () => {
                    const { privateKey } = asked.result.keys;
                    const kinds = ["jwk", "pkcs8"];
                    const tries = kinds.map((kind) => crypto.subtle.exportKey(kind, privateKey));
                    resolve((await Promise.allSettled(tries)).map((each) => each.status));
                };
            };
        })"""
    )
    assert taken == ["rejected", "rejected"]


def test_what_the_card_keeps_of_one_program_is_not_another_ones(card: Card) -> None:
    card.sign_up()
    card.page.goto(card.gateway.url.replace("/demo/", "/other/"))
    card.shows("unknown-program")
    card.open()
    card.shows("code")
    expect(card.at("number")).to_be_visible()


IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1"
)

WAKE_LOCKS = """
window.locksHeld = 0;
navigator.wakeLock.request = async () => {
    window.locksHeld += 1;
    return { release: async () => { window.locksHeld -= 1; } };
};
"""

STOPWATCH = """addEventListener("DOMContentLoaded", () => {
    const look = () => {
        if (document.querySelector("[data-testid=code]")) {
            requestAnimationFrame(() => { window.codeAtMs = performance.now(); });
            observer.disconnect();
        }
    };
    const observer = new MutationObserver(look);
    observer.observe(document, { childList: true, subtree: true });
});"""
