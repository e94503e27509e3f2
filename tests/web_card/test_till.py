"""The card before the camera of a till that has no network: real pages, a real till, and what nobody may do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tallystick.security.code import CTI_BYTES, code_from_digits, code_to_digits, sign_code
from tallystick.security.keys import generate_signing_key
from tests.e2e.support.server import PROGRAM
from tests.web.support.browser import DESKTOP, open_context
from tests.web.support.office import Office
from tests.web.support.screen import Screen
from tests.web.support.shop import ONLINE_S, Shop, wait_for
from tests.web_card.support.card import Card
from tests.web_card.support.counter import (
    at_the_till,
    hold_up,
    look,
    open_counter,
    open_sighted_browser,
    picture,
)
from tests.web_card.support.gateway import Gateway

pytestmark = pytest.mark.timeout(240)

OPENING = 1_240
CAMERA_MS = 30_000
BURN_FROM = -65537
KCWT = 13
PICTURE_AGE_S = 60.0
BEFORE_CREDENTIAL = bytes.fromhex("A201260D")
"""A map of two with the algorithm, and the key of the credential, which is the rest of the protected header."""


@pytest.fixture(scope="module")
def browser(place: Path) -> Iterator[Browser]:
    """A browser with a tab before the camera; ``place`` sees to it that it is gone before processes are counted."""
    assert place.is_dir()
    with open_sighted_browser() as one:
        yield one


@pytest.fixture(scope="module")
def counter(place: Path, gateway: Gateway, office: Office) -> Iterator[Shop]:
    with open_counter(place / "counter", gateway, office) as one:
        yield one


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """The phone and the till lie side by side: a tab sees the other one in the same browser only."""
    with open_context(browser, size=DESKTOP) as one:
        yield one


@pytest.fixture
def phone(context: BrowserContext, gateway: Gateway, office: Office, counter: Shop) -> Card:
    """The card of a member whom the till knows; then the till's line is cut."""
    card = Card(context.new_page(), gateway)
    card.open()
    card.sign_up()
    card.outlives_its_first_day()

    def may_burn() -> bool:
        card.tap("fresh")
        protected = cbor2.loads(bytes_of(card))[0]
        return BURN_FROM not in cbor2.loads(cbor2.loads(protected)[KCWT][2])

    wait_for(may_burn, "a code of the new credential")
    office.adjust(card.member_id(), OPENING)
    number = card.member_number

    def known() -> bool:
        # What the gateway has just told is remembered for a while: what counts is what the till itself holds.
        counter.offline()
        found = counter.ask("POST", "/identify", {"scan": number, "source": "wedge"})
        if found["kind"] == "member" and found["member"]["points"] == OPENING:
            return True
        counter.online()
        return False

    counter.line.mend()
    wait_for(known, "the till to know of the member", within_s=ONLINE_S)
    return card


@pytest.fixture
def till(context: BrowserContext, phone: Card, counter: Shop) -> Screen:
    """The till that looks at the phone."""
    phone.shows("code")
    return at_the_till(context, counter)


def bytes_of(phone: Card) -> bytes:
    """The code that the phone shows at this moment."""
    code = code_from_digits(phone.digits)
    assert code is not None
    return code


def is_refused(till: Screen, reason: str, words: str) -> None:
    """See what stands on the whole screen."""
    expect(till.at("answer")).to_have_attribute("data-reason", reason, timeout=CAMERA_MS)
    till.shows("answer", tone="bad")
    till.says("answer-reason", words)


def test_a_till_without_a_network_knows_whose_phone_is_before_its_camera(
    till: Screen, phone: Card, counter: Shop
) -> None:
    phone.tap("fresh")
    spent = phone.digits
    look(till)
    expect(till.at("points")).to_have_attribute("data-points", str(OPENING), timeout=CAMERA_MS)
    assert counter.state()["link"] == "offline"
    till.shows("as-of")
    till.shows("answer", tone="ok")
    assert till.number("burn-limit") > 0

    # The code is spent: a second look is refused, and the next code of the same phone counts.
    hold_up(phone.page, picture(spent))
    till.tap("back")
    is_refused(till, "REPLAYED", "This code was used already")
    phone.open()
    assert phone.digits != spent
    till.tap("again")
    expect(till.at("points")).to_have_attribute("data-points", str(OPENING), timeout=CAMERA_MS)


def test_a_picture_of_a_code_that_is_a_minute_old_is_refused(till: Screen, phone: Card) -> None:
    phone.tap("fresh")
    taken = phone.shows("code").screenshot()
    taken_at = time.monotonic()
    time.sleep(PICTURE_AGE_S - (time.monotonic() - taken_at))
    hold_up(phone.page, taken)
    look(till)
    is_refused(till, "EXPIRED", "This code is too old")


def test_what_another_device_signed_is_refused(till: Screen, phone: Card) -> None:
    protected, _, _, _ = cbor2.loads(bytes_of(phone))
    forged = sign_code(
        generate_signing_key(),
        protected[len(BEFORE_CREDENTIAL) :],
        program_id=PROGRAM,
        issued_s=int(time.time()),
        cti=bytes(CTI_BYTES),
    )
    hold_up(phone.page, picture(code_to_digits(forged)))
    look(till)
    is_refused(till, "BAD_SIGNATURE", "This code is not genuine")


def test_one_changed_byte_is_refused(till: Screen, phone: Card) -> None:
    code = bytes_of(phone)
    payload = cbor2.loads(code)[2]
    changed = code.replace(payload, payload[:-1] + bytes([payload[-1] ^ 1]))
    hold_up(phone.page, picture(code_to_digits(changed)))
    look(till)
    is_refused(till, "BAD_SIGNATURE", "This code is not genuine")
