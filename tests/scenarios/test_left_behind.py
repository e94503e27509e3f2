"""A basket left behind and a wish that waits, from the shop to the mail: who is reminded, once, and who is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.notices.world import EMAIL, REMINDERS, Club, telling
from tests.rpc.handlers.test_wishes import note, order, wish
from tests.rpc.handlers.world import SHOP

RULES = "reminders: {abandoned_after_h: 24, wish_reminder_days: 30, per_month: 2}\n" + telling(
    "basket_abandoned", "wish_reminder"
)


class Shop:
    """A webshop that tells the gateway of baskets and wishes. Ann wants reminders by mail, Ben wants none."""

    def __init__(self, path: Path) -> None:
        self.club = Club(path, RULES)
        self.people = {"Ann": self.club.join(EMAIL, purpose=REMINDERS), "Ben": self.club.join()}
        self.club.turn()

    def fills_a_basket(self, who: str) -> bool:
        return note(self.club, self.people[who])

    def wishes(self, who: str) -> bool:
        return wish(self.club, self.people[who], {"sku": "kettle", "name": "A kettle"})

    def orders_an_hour_later(self, who: str) -> None:
        self.club.wait(hours=1)
        order(self.club, self.people[who])

    def says_no(self, who: str) -> None:
        self.club.say(self.people[who], EMAIL, granted=False, purpose=REMINDERS)

    def mails(self) -> int:
        """Do what comes round by itself; return how many mails were sent since the last look."""
        program = self.club.store.program(SHOP)
        assert program is not None
        self.club.gateway.wishes.remind(program, [self.club.gateway.notices])
        self.club.turn()
        count = len(self.club.mail.sent)
        self.club.mail.sent.clear()
        return count


@dataclass(frozen=True)
class Row:
    """One row: what happens, and how many mails go out."""

    says: str
    do: Callable[[Shop], object]
    mails: int = 0


def after(**time: float) -> Callable[[Shop], object]:
    return lambda shop: shop.club.wait(**time)


STORIES: dict[str, list[Row]] = {
    "a basket is left behind": [
        Row("Ann fills a basket", lambda s: s.fills_a_basket("Ann")),
        Row("the same evening it is early days", after(hours=6)),
        Row("the next day she is reminded", after(hours=19), 1),
        Row("and a week later not again", after(days=7)),
    ],
    "whoever orders is left alone": [
        Row("Ann fills a basket", lambda s: s.fills_a_basket("Ann")),
        Row("and orders an hour later", lambda s: s.orders_an_hour_later("Ann")),
        Row("nobody reminds her", after(days=2)),
    ],
    "whoever wants no reminders is left alone": [
        Row("Ben fills a basket, of which nothing is kept", lambda s: s.fills_a_basket("Ben")),
        Row("nobody reminds him", after(days=2)),
    ],
    "a change of mind counts at once": [
        Row("Ann fills a basket", lambda s: s.fills_a_basket("Ann")),
        Row("and wants no reminders any more", lambda s: s.says_no("Ann")),
        Row("so there is none", after(days=2)),
    ],
    "a wish": [
        Row("Ann wishes for a kettle", lambda s: s.wishes("Ann")),
        Row("three weeks later nothing has come", after(days=21)),
        Row("after a month she is reminded", after(days=10), 1),
        Row("and not the day after", after(days=1)),
    ],
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.club.close()


@pytest.mark.parametrize("story", STORIES)
def test_a_retailer_can_read_who_is_reminded(shop: Shop, story: str) -> None:
    for row in STORIES[story]:
        row.do(shop)
        assert shop.mails() == row.mails, row.says
