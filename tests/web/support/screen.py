"""The cashier's screen as a cashier uses it: what to press, and what can be read off it."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.web.support.wedge import ENTER, Wedge, keys_of

SCANS_MAX = 3
"""On a busy machine the gateway may answer too late for a member whom the till has not heard of yet: people scan again.
"""

ANSWER_MS = 10_000


class Screen:
    """One page with the screen on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wedge = Wedge(page)
        expect.set_options(timeout=ANSWER_MS)

    @property
    def origin(self) -> str:
        """Where the page comes from."""
        return self.page.url.partition("#")[0]

    def at(self, name: str) -> Locator:
        """What carries this test id."""
        return self.page.get_by_test_id(name)

    def tap(self, name: str) -> None:
        """Press it."""
        self.at(name).click()

    def number(self, name: str, what: str = "points") -> int:
        """The number behind what is shown there."""
        return int(self.at(name).get_attribute(f"data-{what}") or "")

    def shows(self, name: str, **data: object) -> None:
        """Wait until it is there, with these data attributes."""
        expect(self.at(name)).to_be_visible()
        for key, value in data.items():
            expect(self.at(name)).to_have_attribute(f"data-{key}", str(value))

    def says(self, name: str, pattern: str) -> None:
        """Wait until its text matches."""
        expect(self.at(name)).to_have_text(re.compile(pattern))

    def scan(self, text: str) -> None:
        """Scan as a keyboard wedge does: one key after the other, a few milliseconds apart, and Enter."""
        self.wedge.type([*keys_of(text), ENTER])

    def scan_member(self, number: str) -> int:
        """Scan a card; return the points on the answer."""
        for _ in range(SCANS_MAX):
            points = self._scan_once(number)
            if points is not None:
                return points
        raise AssertionError(f"nobody was found by {number}")

    def _scan_once(self, number: str) -> int | None:
        with self.page.expect_response(lambda answer: answer.url.endswith("/identify")) as asked:
            self.scan(number)
        answer = asked.value.json()
        if "member" not in answer:
            return None
        points = int(answer["member"]["points"])
        self.shows("points", points=points)
        return points

    def key_in(self, amount_minor: int) -> None:
        """Key an amount in on the keypad of the screen, and wait for its quote."""
        for digit in str(amount_minor):
            self.tap(f"keypad-{digit}")
        self.shows("amount", minor=amount_minor)
        expect(self.at("done")).to_be_enabled()

    def redeem_most(self) -> int:
        """Redeem as much as is possible with one tap; return how many points that is."""
        self.at("redeem").and_(self.page.locator("[aria-disabled=false]")).click()
        expect(self.at("discount")).to_be_visible()
        return int(re.sub(r"\D", "", self.at("stepper-value").inner_text()))

    def done(self) -> dict[str, Any]:
        """Finish the sale; return what the till answered."""
        with self.page.expect_response(lambda answer: answer.url.endswith("/api/v1/sale")) as sent:
            self.tap("done")
        self.shows("receipt")
        answer: dict[str, Any] = sent.value.json()
        assert self.number("earned") == answer["earned_points"]
        assert self.number("balance") == answer["balance_points"]
        return answer

    def sell(self, number: str, amount_minor: int) -> dict[str, Any]:
        """A whole sale without redeeming."""
        self.scan_member(number)
        self.key_in(amount_minor)
        return self.done()

    def home(self) -> None:
        """Go back to where the next card is awaited."""
        self.page.goto(self.origin + "#/")
        self.page.reload()
        self.shows("idle")
