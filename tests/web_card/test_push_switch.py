"""Messages on this phone: the switch that takes the phone's address to the gateway and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import expect

from tallystick.security.encoding import base64url_encode
from tallystick.security.web_push import public_bytes
from tests.web.conftest import one_at_a_time
from tests.web.support.office import Office
from tests.web.support.shop import wait_for
from tests.web_card.support.card import Card
from tests.web_card.support.gateway import Gateway, open_gateway
from tests.web_card.test_access import AXE, CUT_OFF, LANGUAGES, NARROW, SCHEMES, SMALL, TARGET_PX, findings
from tools import web

pytestmark = pytest.mark.timeout(240)

SERVICE = "https://push.example.org/send/"
# A browser of a test has no push service behind it, so this plays the one: an address that stays until it is ended, and
# each has a number of its own.
PUSH_SERVICE = """({ service, keys }) => {
    const held = () => JSON.parse(localStorage.getItem("pushed") ?? "null");
    const made = (kept) => kept && {
        endpoint: service + kept.number,
        options: { applicationServerKey: Uint8Array.from(kept.key).buffer },
        toJSON: () => ({ endpoint: service + kept.number, keys }),
        unsubscribe: async () => { localStorage.removeItem("pushed"); return true; },
    };
    PushManager.prototype.getSubscription = async () => made(held());
    PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
        if (!userVisibleOnly) throw new DOMException("silent", "NotAllowedError");
        if (held()) return made(held());
        const number = Number(localStorage.getItem("numbers") ?? 0) + 1;
        localStorage.setItem("numbers", number);
        localStorage.setItem("pushed", JSON.stringify({ key: [...applicationServerKey], number }));
        return made(held());
    };
}"""
MOVED = """() => {
    const kept = JSON.parse(localStorage.getItem("pushed"));
    localStorage.setItem("pushed", JSON.stringify({ ...kept, number: "moved" }));
}"""
DROPPED = "() => localStorage.removeItem('pushed')"
TOLD_S = 10.0


def address() -> dict[str, Any]:
    """What a browser says of its addresses, with keys of its own."""
    point = public_bytes(ec.generate_private_key(ec.SECP256R1()))
    keys = {"p256dh": base64url_encode(point), "auth": base64url_encode(bytes(16))}
    return {"service": SERVICE, "keys": keys}


@pytest.fixture(scope="module")
def world(place: Path) -> Iterator[tuple[Gateway, Office]]:
    """A gateway that sends push messages."""
    with one_at_a_time():
        web.build()
    with open_gateway(place, settings={"TALLYSTICK_PUSH_CONTACT": "mailto:card@example.org"}) as opened:
        yield opened


@pytest.fixture
def phone(card: Card) -> Card:
    """A member's phone, whose owner has not been asked yet; no other is told anything."""
    card.gateway.forget_push_endpoints()
    card.page.add_init_script(f"({PUSH_SERVICE})({json.dumps(address())})")
    card.open()
    card.sign_up()
    card.is_kept()
    return card


def is_on(card: Card, on: bool) -> None:
    expect(card.shows("push")).to_have_attribute("aria-checked", "true" if on else "false")


def is_subscribed(card: Card) -> bool:
    return bool(card.page.evaluate("() => localStorage.getItem('pushed')"))


@pytest.fixture
def told(phone: Card) -> Card:
    """A phone whose owner has switched messages on."""
    phone.page.context.grant_permissions(["notifications"])
    phone.go("more/consents")
    phone.tap("push")
    is_on(phone, True)
    assert phone.gateway.push_endpoints() == [f"{SERVICE}1"]
    return phone


def test_a_tap_brings_messages_to_the_phone_and_the_next_one_ends_them(phone: Card) -> None:
    phone.page.context.grant_permissions(["notifications"])
    phone.go("more/consents")
    is_on(phone, False)
    phone.tap("push")
    is_on(phone, True)
    assert phone.gateway.push_endpoints() == [f"{SERVICE}1"]
    phone.page.reload()
    is_on(phone, True)
    phone.tap("push")
    is_on(phone, False)
    assert phone.gateway.push_endpoints() == []
    assert not is_subscribed(phone)


def test_whoever_signs_out_gets_no_more_messages_here(phone: Card) -> None:
    phone.page.context.grant_permissions(["notifications"])
    phone.go("more/consents")
    phone.tap("push")
    is_on(phone, True)
    assert is_subscribed(phone)
    phone.go("more")
    phone.tap("sign-out")
    phone.tap("sign-out-yes")
    phone.shows("sign-in")
    assert not is_subscribed(phone)


@pytest.mark.parametrize(
    ("change", "address"), [(MOVED, "moved"), (DROPPED, "2")], ids=["by the push service", "by the browser"]
)
def test_messages_find_a_phone_whose_address_was_changed(told: Card, change: str, address: str) -> None:
    told.page.evaluate(change)
    told.open()
    wait_for(lambda: told.gateway.push_endpoints() == [SERVICE + address], "the new address", within_s=TOLD_S)
    told.go("more/consents")
    is_on(told, True)


def test_whoever_takes_the_permission_away_is_not_asked_again(told: Card) -> None:
    told.page.evaluate(DROPPED)
    told.page.context.clear_permissions()
    told.open()
    told.go("more/consents")
    is_on(told, False)
    assert not is_subscribed(told)


def test_an_address_that_came_to_nothing_is_not_taken_again(told: Card) -> None:
    told.gateway.forget_push_endpoints()
    told.page.reload()
    is_on(told, False)
    told.tap("push")
    is_on(told, True)
    assert told.gateway.push_endpoints() == [f"{SERVICE}2"]


def test_who_has_said_no_to_the_browser_is_told_where_to_say_yes(phone: Card) -> None:
    phone.go("more/consents")
    phone.tap("push")
    expect(phone.shows("push")).to_contain_text("Allow notifications for this page in its settings")
    is_on(phone, False)
    assert not is_subscribed(phone)


def test_a_browser_without_a_push_service_says_so_and_the_switch_stays_off(phone: Card) -> None:
    phone.page.context.grant_permissions(["notifications"])
    phone.page.evaluate(
        "() => { PushManager.prototype.subscribe = async () => { throw new DOMException('', 'AbortError'); }; }"
    )
    phone.go("more/consents")
    phone.tap("push")
    expect(phone.shows("problem")).to_contain_text("takes no messages at the moment")
    is_on(phone, False)


def test_axe_finds_nothing_and_a_thumb_finds_the_switch_in_every_language(phone: Card) -> None:
    phone.page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    found: list[str] = []
    for language in LANGUAGES:
        phone.go("more/look")
        phone.tap(f"language-{language}")
        expect(phone.page.locator("html")).to_have_attribute("lang", language)
        phone.go("more/consents")
        phone.shows("push")
        found += [
            f"{language}: {each}"
            for each in phone.page.evaluate(CUT_OFF) + phone.page.evaluate(SMALL, TARGET_PX)
        ]
        if not phone.page.evaluate("() => 'axe' in window"):
            phone.page.evaluate(AXE.read_text())
        for scheme in SCHEMES:
            phone.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found += [f"{language}, {scheme}: {each}" for each in findings(phone)]
    assert found == []


def test_where_the_gateway_sends_none_there_is_no_switch(phone: Card) -> None:
    phone.gateway.kill()
    phone.gateway.settings.clear()
    phone.gateway.start()
    phone.open()
    phone.go("more/consents")
    phone.shows("consent-POINTS-EMAIL")
    expect(phone.at("push")).to_have_count(0)
