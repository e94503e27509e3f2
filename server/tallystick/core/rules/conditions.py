"""Reads which lines and which sales a rule looks at."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from tallystick.core.basket import Channel
from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.rules.experiment import named_groups
from tallystick.core.rules.index import Selector
from tallystick.core.rules.match import ANY_LINE, ANY_SALE
from tallystick.core.rules.model import Condition
from tallystick.core.rules.reader import Node

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CHANNELS = {"store": Channel.STORE, "webshop": Channel.WEBSHOP, "app": Channel.APP}


def parse_selector(node: Node, *, closed: bool = False) -> Selector:
    """Return which lines a mapping asks for; one that is ``closed`` has no other keys and asks for something."""
    selector = Selector(
        skus=frozenset(node.texts("sku")),
        categories=frozenset(node.texts("category")),
        brands=frozenset(node.texts("brand")),
    )
    if closed:
        node.done()
        if selector == ANY_LINE:
            node.wrong("", "excludes everything", "name a sku, category or brand")
    return ANY_LINE if selector == ANY_LINE else selector


def parse_condition(node: Node, zone: ZoneInfo, tier_ids: Sequence[str]) -> Condition:
    """Return which sales a mapping asks for; times are of the zone unless they say otherwise."""
    condition = Condition(
        stores=frozenset(node.texts("store")),
        channels=frozenset(int(CHANNELS[name]) for name in node.texts("channel", tuple(CHANNELS))),
        tiers=frozenset(node.texts("tier", tier_ids)),
        weekdays=frozenset(WEEKDAYS.index(day) for day in node.texts("weekday", WEEKDAYS)),
        minutes=tuple(_minutes(node, text) for text in node.texts("hours")),
        from_ms=node.instant("from", zone, Ms(0)),
        until_ms=node.instant("until", zone, NEVER_MS),
        memberships=frozenset(node.texts("membership", node.names.get("membership", ()))),
        groups=named_groups(node),
    )
    if condition.from_ms >= condition.until_ms:
        node.wrong("until", "does not lie after 'from'", "the rule would never hold")
    return ANY_SALE if condition == ANY_SALE else condition


def _minutes(node: Node, text: str) -> tuple[int, int]:
    """Read "08:00-12:30"; the end is not part of it, "24:00" ends the day."""
    try:
        start, end = (_minute(part) for part in text.split("-"))
    except ValueError:
        start, end = 0, 0
    if not 0 <= start < end <= 24 * 60:
        node.wrong(
            "hours", f"'{text}' is not a span of one day", 'write hours: "08:00-12:00"; split it at midnight'
        )
    return start, end


def _minute(text: str) -> int:
    hours, minutes = text.strip().split(":")
    if not (len(hours) == 2 and len(minutes) == 2 and int(minutes) < 60):
        raise ValueError(text)
    return int(hours) * 60 + int(minutes)
