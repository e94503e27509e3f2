"""What members are told, as a retailer would tell it: who hears of what, by what, when, and when not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tallystick.service.notices import Carried
from tallystick.service.notification_ports import Way
from tests.notices.world import EMAIL, PUSH, Club, Tray
from tests.rpc.handlers.world import open_till
from tests.service.paper_till import PaperTill

RULES = """\
notifications:
  channels: [push, email]
  quiet_hours: "21:00-08:00"
  caps: {per_day: 1, per_week: 2}
  tell:
    - {occasion: points_earned}
    - {occasion: redemption}
    - {occasion: points_expiring, days_before: [30, 7], channels: [email]}
    - {occasion: tier_reached, channels: [email]}
  texts:
    - occasion: tier_reached
      language: sv
      title: "Välkommen till {tier}!"
      text: "Nu får du förtur hos {program}."
"""


class Town:
    """Ann reads mails in Swedish, Ben has the app, Cid wants nothing; there is a shop with one till."""

    def __init__(self, path: Path) -> None:
        self.push, self.mail = Tray(Way.PUSH), Tray(Way.EMAIL)
        self.club = Club(path, RULES, carriers=[self.push, self.mail])
        self.people = {
            "Ann": self.club.join(EMAIL, language="sv"),
            "Ben": self.club.join(PUSH, EMAIL, language="en"),
            "Cid": self.club.join(),
        }
        self.till, self.caller = open_till(self.club)
        self.club.turn()

    def buys(self, who: str, amount_minor: int, **more: object) -> None:
        self.club.buys(self.people[who], amount_minor, **more)

    def buys_while_the_phone_takes_no_push(self, who: str, amount_minor: int) -> None:
        self.push.answers.append(Carried.NO_WAY)
        self.buys(who, amount_minor)

    def buys_at_night(self, who: str, amount_minor: int) -> None:
        self.club.at("2026-03-02", 22)
        self.buys(who, amount_minor)

    def buys_without_line(self, who: str, amount_minor: int) -> None:
        """At a till whose line is down: nobody hears of it before the till is back."""
        self.till.now_ms = self.club.now_ms
        self.till.sale(self.people[who], amount_minor)

    def line_is_back(self) -> None:
        till: PaperTill = self.till
        self.club.send(till.batch(*till.written, first_seq=1), self.caller)

    def ahead(self, day: str) -> None:
        """The look at what is about to happen, at noon of a day."""
        self.club.at(day, 12)
        self.club.look_ahead()

    def told(self) -> list[str]:
        """What was sent since the last look, by channel."""
        self.club.turn()
        said = [f"push: {title}" for title in self.push.titles] + [
            f"mail: {title}" for title in self.mail.titles
        ]
        self.push.sent.clear()
        self.mail.sent.clear()
        return sorted(said)


@dataclass(frozen=True)
class Row:
    """One row: what happens, and who hears what of it."""

    says: str
    do: Callable[[Town], object]
    told: list[str]


def later(hour: int, day: str = "2026-03-02") -> Callable[[Town], object]:
    return lambda town: town.club.at(day, hour)


EXPIRING = ["mail: Poäng som snart går ut: 40"]

STORIES: dict[str, list[Row]] = {
    "points, by the channel that each has chosen": [
        Row("Ann buys for 40 euros", lambda t: t.buys("Ann", 4_000), ["mail: Intjänade poäng: 40"]),
        Row("Ben buys for 60 euros", lambda t: t.buys("Ben", 6_000), ["push: Points earned: 60"]),
        Row("Cid buys and has said yes to nothing", lambda t: t.buys("Cid", 9_000), []),
        Row(
            "Ben pays with 50 points",
            lambda t: t.buys("Ben", 100, spend={"points": 50}),
            ["push: Points spent: 50"],
        ),
        Row(
            "Ben's phone is new and takes no push yet",
            lambda t: t.buys_while_the_phone_takes_no_push("Ben", 1_000),
            ["mail: Points earned: 10"],
        ),
    ],
    "quiet at night": [
        Row("it is half past nine in the evening", later(21), []),
        Row("Ann buys in the webshop", lambda t: t.buys("Ann", 4_000), []),
        Row("at six she sleeps", later(6, "2026-03-03"), []),
        Row("at eight she hears of it", later(8, "2026-03-03"), ["mail: Intjänade poäng: 40"]),
    ],
    "a change of mind counts at once": [
        Row("Ann buys at night", lambda t: t.buys_at_night("Ann", 4_000), []),
        Row(
            "and ends mails before the morning",
            lambda t: t.club.say(t.people["Ann"], EMAIL, granted=False),
            [],
        ),
        Row("nothing comes", later(9, "2026-03-03"), []),
    ],
    "a tier, in the retailer's own words": [
        Row(
            "Ann reaches guld",
            lambda t: t.buys("Ann", 60_000),
            ["mail: Intjänade poäng: 600", "mail: Välkommen till Guld!"],
        ),
        Row("and is not told again", lambda t: t.buys("Ann", 1_000), ["mail: Intjänade poäng: 10"]),
    ],
    "points that expire": [
        Row("Ann buys", lambda t: t.buys("Ann", 4_000), ["mail: Intjänade poäng: 40"]),
        Row("eleven months later", lambda t: t.ahead("2027-02-01"), EXPIRING),
        Row("the next day nothing more", lambda t: t.ahead("2027-02-02"), []),
        Row("a week before the last day", lambda t: t.ahead("2027-02-22"), EXPIRING),
    ],
    "a till without a line": [
        Row("Ben buys while the line is down", lambda t: t.buys_without_line("Ben", 5_000), []),
        Row("the till is back after two hours", lambda t: t.club.wait(hours=2), []),
        Row("and Ben hears of it then", lambda t: t.line_is_back(), ["push: Points earned: 50"]),
    ],
    "a till that was away for days": [
        Row("Ben buys while the line is down", lambda t: t.buys_without_line("Ben", 5_000), []),
        Row("the till is back after three days", lambda t: t.club.wait(days=3), []),
        Row("and it is not news any more", lambda t: t.line_is_back(), []),
    ],
}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.club.close()


@pytest.mark.parametrize("story", STORIES)
def test_a_retailer_can_read_who_is_told_what(town: Town, story: str) -> None:
    for row in STORIES[story]:
        row.do(town)
        assert town.told() == row.told, row.says


def test_points_that_a_till_gave_are_there_although_they_are_not_told_of(town: Town) -> None:
    town.buys_without_line("Ben", 5_000)
    town.club.wait(days=3)
    town.line_is_back()
    assert town.club.balance(town.people["Ben"]).active == 50
