"""A walk past every view of the card, in the states that a member meets."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.cli.prepare import DEMO_STORE
from tests.web.support.office import Office
from tests.web_card.support.card import Card
from tests.web_card.support.gateway import new_address

POINTS = 1_240
VIEWS = (
    "",
    "rewards",
    "rewards/club",
    "rewards/make",
    "activity",
    "more",
    "more/profile",
    "more/recommend",
    "more/consents",
    "more/devices",
    "more/passkeys",
    "more/wallet",
    "more/look",
    "more/data",
)


def first_visit(card: Card, office: Office) -> Iterator[str]:
    """Go from nothing to a card with points; each name is told while its view is on screen."""
    card.shows("sign-in")
    yield "sign-in"
    address = new_address()
    card.at("email").fill(address)
    card.tap("send")
    card.shows("code-field").fill("000000")
    yield "code"
    card.at("code-field").fill(card.gateway.code_for(address))
    card.tap("finish")
    card.shows("new-device")
    yield "card of a new device"
    office.adjust(card.member_id(), POINTS)
    card.outlives_its_first_day()
    card.go("rewards/make")
    card.at("store").select_option(DEMO_STORE)
    card.at("worth-free-mug").check()
    card.tap("make-it")
    card.shows("voucher-code")
    yield "voucher"


def views(card: Card) -> Iterator[str]:
    """Go through every view of a member who has points and a voucher."""
    for view in VIEWS:
        card.go(view)
        card.page.wait_for_load_state("networkidle")
        if view == "activity":
            card.at("why").first.click()
        yield view or "card"
        if view == "more":
            card.tap("sign-out")
            yield "more, asked once more"


def last_views(card: Card) -> Iterator[str]:
    """Go where a member ends up when something is gone: the line, or the key."""
    card.go("")
    card.is_kept()
    card.page.context.set_offline(True)
    card.page.reload()
    card.shows("offline")
    yield "card, offline"
    card.page.context.set_offline(False)
    card.go("more/devices")
    card.page.evaluate("() => { localStorage.setItem('tallystick.card.demo.claim', 'x'.repeat(26)); }")
    card.page.evaluate("() => { indexedDB.deleteDatabase('tallystick-card'); }")
    card.page.reload()
    card.shows("unbound")
    yield "unbound"
