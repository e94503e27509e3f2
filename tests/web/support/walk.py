"""A walk past every view of the screen, in the states that a cashier meets."""

from __future__ import annotations

from collections.abc import Iterator

from playwright.sync_api import expect

from tests.web.support.screen import Screen
from tests.web.support.shop import RULES, STORE, Card, Shop, wait_for

OPENING = 1_000
CASHIER, PIN = "ada", "4711"
PERSON_GAP_MS = 60
FORTUNE_MINOR = 999_999_99
"""The largest amount that can be keyed in."""


CHALLENGES = [
    {"id": f"every-{n}", "name": "Every second visit, whatever it is that was bought", "counts": "sales"}
    | {"target": 2, "times": 1_000, "award": {"badge": "faithful-and-true"}}
    for n in (1, 2)
]


class Visit:
    """What a walk needs: members at the counter, a voucher, a sale whose points the gateway counted otherwise, and
    challenges with long names.
    """

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        before = shop.state()["rules"]["version"]
        shop.office.publish({**RULES, "challenges": CHALLENGES})
        wait_for(lambda: shop.state()["rules"]["version"] > before, "the rules with challenges")
        self.poor = shop.stranger(100)
        shop.office.burn(self.poor.member_id, 100)
        self._sell(self.poor, 5_00, spend={"points": 50})
        shop.online()
        shop.office.set_cashier(STORE, CASHIER, "Ada Lovelace-Byron", PIN, active=True)
        wait_for(lambda: bool(shop.state()["pin_required"]), "the first cashier")
        self.card: Card = shop.member(OPENING)
        self.voucher = shop.office.voucher(self.card.member_id, STORE, 200)
        shop.hears_of(self.card, OPENING - 200)
        self._sell(self.card, 1_00)
        shop.all_is_sent()

    def _sell(self, card: Card, amount_minor: int, **more: object) -> None:
        line = {"sku": "tea", "quantity_milli": 1000, "amount_minor": amount_minor}
        basket = {"currency": "EUR", "lines": [line]}
        sold = self.shop.ask("POST", "/sale", {"member_ref": card.member_id, "basket": basket, **more})
        assert "error" not in sold

    def views(self, screen: Screen) -> Iterator[str]:
        """Go from view to view; each name is told while its view is on screen."""
        yield from self._at_rest(screen)
        yield from self._selling(screen)
        yield from self._beside(screen)
        yield from self._cut_off(screen)

    def _at_rest(self, screen: Screen) -> Iterator[str]:
        self.shop.ask("DELETE", "/cashier")
        screen.home()
        screen.shows("message", reason="PIN_REQUIRED")
        yield "idle, nobody signed in"
        screen.tap("message")
        screen.page.locator(f"[data-cashier={CASHIER}]").click()
        yield "sign-in"
        screen.page.keyboard.type(PIN, delay=PERSON_GAP_MS)
        screen.page.keyboard.press("Enter")
        screen.shows("idle")
        yield "idle"
        for name, key in (("find", "F1"), ("enrol", "F2"), ("settings", "F9")):
            screen.page.keyboard.press(key)
            screen.shows(name)
            yield name
        screen.page.keyboard.press("F2")
        screen.at("enrol-field").fill("no card of anybody")
        screen.tap("enrol-submit")
        screen.shows("refusal")
        yield "enrol, refused"
        screen.home()
        screen.scan("no card of anybody's")
        screen.shows("answer", tone="bad")
        yield "refused"
        screen.page.keyboard.press("Escape")

    def _selling(self, screen: Screen) -> Iterator[str]:
        screen.scan_member(self.card.number)
        expect(screen.at("challenge")).to_have_count(2)
        yield "answer"
        screen.key_in(123_45)
        screen.redeem_most()
        yield "sale"
        screen.page.keyboard.press("Escape")
        screen.scan(self.voucher)
        screen.shows("voucher")
        screen.key_in(123_45)
        yield "sale with a voucher"
        screen.tap("voucher-remove")
        screen.page.keyboard.press("Escape")
        screen.scan_member(self.card.number)
        screen.key_in(FORTUNE_MINOR)
        screen.redeem_most()
        yield "sale of a fortune"
        screen.page.keyboard.press("Escape")
        screen.scan_member(self.card.number)
        screen.key_in(1_00)
        screen.done()
        expect(screen.at("met")).to_have_count(2)
        yield "receipt"
        screen.tap("undo")
        screen.shows("receipt", undone="true")
        yield "receipt, undone"
        screen.tap("next")
        screen.sell(self.card.number, 3_00)
        screen.tap("next")
        yield "idle, with a last sale"

    def _beside(self, screen: Screen) -> Iterator[str]:
        screen.page.keyboard.press("F3")
        screen.shows("return")
        expect(screen.at("sale-choice").first).to_be_visible()
        yield "sales to return"
        screen.at("sale-choice").first.click()
        screen.tap("return-all")
        screen.shows("refund")
        yield "return"
        screen.home()
        self.shop.ask("POST", "/training", {"on": True})
        screen.home()
        screen.shows("training-banner")
        yield "training"
        self.shop.ask("POST", "/training", {"on": False})
        screen.home()

    def _cut_off(self, screen: Screen) -> Iterator[str]:
        self.shop.offline()
        screen.scan_member(self.card.number)
        screen.shows("as-of")
        yield "answer, offline"
        screen.key_in(99_99)
        screen.done()
        screen.shows("chip", link="offline", queued=1)
        yield "receipt, offline"
        screen.page.keyboard.press("F4")
        expect(screen.at("queue-item").first).to_be_visible()
        yield "queue"
        self.shop.online()

    def without_a_till(self, screen: Screen) -> Iterator[str]:
        """The one view that takes a till process down, and a while to come back from."""
        screen.home()
        self.shop.kill_till()
        screen.shows("message", reason="AWAY")
        yield "till away"
        self.shop.start_till()
        self.shop.online()
        expect(screen.at("message")).to_have_count(0)
