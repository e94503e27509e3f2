"""Notifications in a rule set: what members are told by themselves, by which channels, how often, and when not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from tallystick.core.ids import Ms
from tallystick.core.record import record
from tallystick.core.rules.reader import Node

LANGUAGES = ("en", "sv", "pl", "nb", "lv")
CHANNELS = ("push", "wallet", "email", "sms", "webhook")
"""The channels, in the order in which they are tried where a rule set does not say."""

TELL_MAX = 20
DAYS_BEFORE_MAX = 5
DAYS_BEFORE_HIGH = 90
CAP_MAX = 50
TITLE_CHARS_MAX = 100
TEXT_CHARS_MAX = 500
HOUR_S = 3600
DAY_S = 24 * HOUR_S
RISK_DAYS = 30
"""A member hears that a tier is at risk when its review is so near."""

_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_PLACE = re.compile(r"\{([a-z_]*)\}")


class Occasion(StrEnum):
    """What a message tells of."""

    POINTS_EARNED = "points_earned"
    POINTS_EXPIRING = "points_expiring"
    TIER_REACHED = "tier_reached"
    TIER_AT_RISK = "tier_at_risk"
    AWARD = "award"
    REWARD_IN_REACH = "reward_in_reach"
    BASKET_ABANDONED = "basket_abandoned"
    WISH_REMINDER = "wish_reminder"
    REFERRAL_PAID = "referral_paid"
    NEW_DEVICE = "new_device"
    REDEMPTION = "redemption"


class Sense(StrEnum):
    """Why a member is told: for safety's sake, because something has happened, or to bring the member back.

    Only the last is capped; the first needs no consent and knows no quiet hours.
    """

    SECURITY = "security"
    SERVICE = "service"
    MARKETING = "marketing"


@record(frozen=True, slots=True)
class About:
    """What holds of an occasion in every program. ``shelf_s`` is after how many seconds it is too late to tell of it.

    ``places`` are what its texts may name, apart from the program.
    """

    sense: Sense
    shelf_s: int
    places: tuple[str, ...]


ABOUT: Mapping[Occasion, About] = {
    Occasion.POINTS_EARNED: About(Sense.SERVICE, DAY_S, ("points", "balance")),
    Occasion.POINTS_EXPIRING: About(Sense.SERVICE, 7 * DAY_S, ("points", "date")),
    Occasion.TIER_REACHED: About(Sense.SERVICE, 7 * DAY_S, ("tier",)),
    Occasion.TIER_AT_RISK: About(Sense.MARKETING, 7 * DAY_S, ("tier", "missing", "date")),
    Occasion.AWARD: About(Sense.SERVICE, 7 * DAY_S, ("points", "balance")),
    Occasion.REWARD_IN_REACH: About(Sense.MARKETING, 7 * DAY_S, ("reward", "balance")),
    Occasion.BASKET_ABANDONED: About(Sense.MARKETING, 3 * DAY_S, ("balance",)),
    Occasion.WISH_REMINDER: About(Sense.MARKETING, 7 * DAY_S, ("balance",)),
    Occasion.REFERRAL_PAID: About(Sense.SERVICE, 7 * DAY_S, ("points", "balance")),
    Occasion.NEW_DEVICE: About(Sense.SECURITY, 7 * DAY_S, ("date",)),
    Occasion.REDEMPTION: About(Sense.SERVICE, DAY_S, ("points", "balance")),
}


@record(frozen=True, slots=True)
class Telling:
    """An occasion that is told. ``channels`` are tried in their order; ``days_before`` is of expiring points alone."""

    occasion: Occasion
    channels: tuple[str, ...] = CHANNELS
    days_before: tuple[int, ...] = ()


ALWAYS = Telling(Occasion.NEW_DEVICE, ("email", "sms", "push", "webhook"))
"""Told in every program: by mail first, since a stranger's new device is itself one that push messages reach."""


@record(frozen=True, slots=True)
class OwnText:
    """A text of the retailer's own, in place of the one that comes along."""

    occasion: Occasion
    language: str
    title: str
    text: str


@record(frozen=True, slots=True)
class Notifications:
    """What a program tells its members.

    ``quiet`` is [from, to) in minutes of the local day, over midnight when ``from`` > ``to``. ``per_day`` and
    ``per_week`` are the most messages of marketing that a member gets in 24 hours and in 7 days (0: no limit).
    """

    tell: tuple[Telling, ...] = ()
    quiet: tuple[int, int] | None = None
    per_day: int = 1
    per_week: int = 3
    texts: tuple[OwnText, ...] = ()
    by_occasion: Mapping[Occasion, Telling] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        told = {ALWAYS.occasion: ALWAYS} | {one.occasion: one for one in self.tell}
        object.__setattr__(self, "by_occasion", told)

    def own_text(self, occasion: Occasion, language: str) -> OwnText | None:
        """Return the retailer's own text, if there is one in that language."""
        return next((one for one in self.texts if (one.occasion, one.language) == (occasion, language)), None)


def loud_from(quiet: tuple[int, int] | None, zone: ZoneInfo, at_ms: Ms) -> Ms:
    """Return the instant itself, or the end of the quiet hours that it lies in.

    Hours are those of the clock on the wall: on the days on which it is changed a night is an hour shorter or longer.
    An end that the clock leaps over comes as much after the leap as it lies behind its beginning.
    """
    if quiet is None:
        return at_ms
    start, end = quiet
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    minute = local.hour * 60 + local.minute
    inside = start <= minute < end if start < end else minute >= start or minute < end
    if not inside:
        return at_ms
    day = local.date() + timedelta(days=1 if minute >= end else 0)
    over = datetime(day.year, day.month, day.day, end // 60, end % 60, tzinfo=zone)
    return Ms(max(at_ms, int(over.timestamp()) * 1000))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its places filled; one without a value is left empty."""
    return _PLACE.sub(lambda place: values.get(place[1], ""), text)


def parse_notifications(node: Node | None) -> Notifications:
    """Read the section; what is wrong goes to the node's findings."""
    if node is None:
        return Notifications()
    channels = _channels(node, CHANNELS)
    tell = tuple(_telling(item, channels) for item in node.nodes("tell", most=TELL_MAX))
    for at, one in enumerate(tell):
        if one.occasion in [other.occasion for other in tell[:at]]:
            node.wrong(
                f"tell[{at}].occasion", f"'{one.occasion}' is there already", "say all of it in one place"
            )
    caps = node.node("caps")
    standard = Notifications()
    per_day, per_week = standard.per_day, standard.per_week
    if caps is not None:
        per_day = caps.integer("per_day", per_day, high=CAP_MAX)
        per_week = caps.integer("per_week", per_week, high=CAP_MAX)
        if 0 < per_week < per_day:
            caps.wrong("per_week", "is less than 'per_day'", "a week has more room than a day")
        caps.done()
    texts = tuple(_own_text(item) for item in node.nodes("texts", most=len(Occasion) * len(LANGUAGES)))
    for at, text in enumerate(texts):
        if (text.occasion, text.language) in [(other.occasion, other.language) for other in texts[:at]]:
            node.wrong(
                f"texts[{at}]", f"'{text.occasion}' has a text in '{text.language}' already", "remove one"
            )
    quiet = _quiet(node)
    node.done()
    return Notifications(tell, quiet, per_day, per_week, texts)


def _telling(node: Node, channels: tuple[str, ...]) -> Telling:
    occasion = Occasion(node.choice("occasion", [one.value for one in Occasion]))
    days: tuple[int, ...] = ()
    if occasion is Occasion.POINTS_EXPIRING:
        days = node.integers("days_before", (30, 7), low=1, high=DAYS_BEFORE_HIGH, most=DAYS_BEFORE_MAX)
    telling = Telling(occasion, _channels(node, channels), tuple(sorted(set(days), reverse=True)))
    node.done()
    return telling


def _channels(node: Node, default: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(node.texts("channels", CHANNELS))) or default


def _quiet(node: Node) -> tuple[int, int] | None:
    if not node.has("quiet_hours"):
        return None
    text = node.text("quiet_hours", longest=11)
    found = _SPAN.fullmatch(text)
    hours = [int(part) for part in found.groups()] if found else [0, 0, 0, 0]
    start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if start == end:
        node.wrong("quiet_hours", f"'{text}' is no span of a day", 'write quiet_hours: "21:00-08:00"')
        return None
    return start, end


def _own_text(node: Node) -> OwnText:
    occasion = Occasion(node.choice("occasion", [one.value for one in Occasion]))
    own = OwnText(
        occasion,
        node.choice("language", LANGUAGES),
        node.text("title", longest=TITLE_CHARS_MAX),
        node.text("text", longest=TEXT_CHARS_MAX),
    )
    allowed = ("program", *ABOUT[occasion].places)
    for key, written in (("title", own.title), ("text", own.text)):
        _check_places(node, key, written, allowed)
    if any(ord(letter) < ord(" ") for letter in own.title):
        node.wrong("title", "is not one line", "put what follows into 'text'")
    node.done()
    return own


def _check_places(node: Node, key: str, written: str, allowed: tuple[str, ...]) -> None:
    known = ", ".join(f"{{{name}}}" for name in allowed)
    unknown = [name for name in _PLACE.findall(written) if name not in allowed]
    if unknown:
        node.wrong(key, f"'{{{unknown[0]}}}' has no value here", f"use {known}")
    elif any(sign in _PLACE.sub("", written) for sign in "{}"):
        node.wrong(key, "has a brace that belongs to no place", f"use {known}")
