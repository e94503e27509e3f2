"""Segments: members named by what they have done, as a rule set describes them and as it is found out.

A segment is data about many members, so who is in one is worked out by the gateway from time to time. The question
itself is pure: what is known of one member goes in, yes or no comes out.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from tallystick.core.basket import Line
from tallystick.core.ids import AMOUNT_MINOR_MAX, Minor, Ms
from tallystick.core.record import record
from tallystick.core.rules.index import Selector
from tallystick.core.rules.reader import Node

SEGMENTS_MAX = 50
NESTING_MAX = 2
PARTS_MAX = 10
DAYS_MAX = 1_096
TIMES_MAX = 10_000
DAY_MS = 86_400_000
QUINTILES = 5
RFM_DAYS = 365
"""Over which time frequency and money are counted for ``rfm``."""

ANYTHING = Selector()
NO_RFM = (0, 0, 0)


@record(frozen=True, slots=True)
class Bought:
    """Goods that were bought in at least ``times_min`` sales of the last ``within_days``."""

    lines: Selector
    times_min: int
    within_days: int


@record(frozen=True, slots=True)
class Range:
    """A number from ``low`` to ``high`` over the last ``within_days``."""

    low: int
    high: int
    within_days: int


@record(frozen=True, slots=True)
class Criteria:
    """What a member must meet; everything that is given must hold, 0, None and empty ask for nothing.

    ``rfm`` has a (lowest, highest) fifth for recency, frequency and money; 5 is the best. ``all_of``, ``any_of`` and
    ``none_of`` nest.
    """

    bought: Bought | None = None
    quiet_days: int = 0
    spend: Range | None = None
    visits: Range | None = None
    tiers: frozenset[str] = frozenset()
    joined_within_days: int = 0
    rfm: tuple[tuple[int, int], ...] = ()
    all_of: tuple[Criteria, ...] = ()
    any_of: tuple[Criteria, ...] = ()
    none_of: tuple[Criteria, ...] = ()

    def walk(self) -> list[Criteria]:
        """Return these and all within them."""
        inner = (*self.all_of, *self.any_of, *self.none_of)
        return [self, *(one for part in inner for one in part.walk())]


@record(frozen=True, slots=True)
class Segment:
    """A named group of members."""

    segment_id: str
    name: str
    criteria: Criteria


class SaleFact(NamedTuple):
    """One sale of a member: when, and what was paid for it less what came back. One returned whole is no sale."""

    at_ms: int
    paid_minor: int


class GoodsFact(NamedTuple):
    """One sale's goods, as far as they were kept."""

    at_ms: int
    lines: tuple[Line, ...]


@record(frozen=True, slots=True)
class Facts:
    """What is known of a member. ``rfm`` are the fifths of the program that the member is in, 0 without a sale."""

    enrolled_ms: Ms
    tier_id: str = ""
    sales: tuple[SaleFact, ...] = ()
    goods: tuple[GoodsFact, ...] = ()
    rfm: tuple[int, int, int] = NO_RFM


def meets(criteria: Criteria, facts: Facts, now_ms: int) -> bool:
    """Return whether a member meets criteria now."""
    return (
        (not criteria.tiers or facts.tier_id in criteria.tiers)
        and (
            not criteria.joined_within_days
            or facts.enrolled_ms > now_ms - criteria.joined_within_days * DAY_MS
        )
        and (not criteria.quiet_days or _quiet(criteria.quiet_days, facts, now_ms))
        and _in_range(criteria.spend, facts, now_ms, money=True)
        and _in_range(criteria.visits, facts, now_ms, money=False)
        and (criteria.bought is None or _has_bought(criteria.bought, facts, now_ms))
        and all(low <= fifth <= high for (low, high), fifth in zip(criteria.rfm, facts.rfm, strict=False))
        and all(meets(one, facts, now_ms) for one in criteria.all_of)
        and (not criteria.any_of or any(meets(one, facts, now_ms) for one in criteria.any_of))
        and not any(meets(one, facts, now_ms) for one in criteria.none_of)
    )


def rfm_facts(sales: Sequence[SaleFact], now_ms: int) -> tuple[int, int, int] | None:
    """Return (when the last sale was, how many there were, what was paid) to be ranked, None without a sale."""
    if not sales:
        return None
    recent = [one for one in sales if one.at_ms > now_ms - RFM_DAYS * DAY_MS]
    return max(one.at_ms for one in sales), len(recent), sum(one.paid_minor for one in recent)


def fifth(ranked: Sequence[int], value: int) -> int:
    """Return the fifth, 1 to 5, of a value among all of the program, which are sorted; equals are in the same one.

    What is above all that were ranked, or was alone, came after the ranking was read; it is in the highest.
    """
    return min(QUINTILES, 1 + QUINTILES * bisect_left(ranked, value) // len(ranked)) if ranked else QUINTILES


def _quiet(days: int, facts: Facts, now_ms: int) -> bool:
    """Return whether somebody who has bought has not for so long; who never has is no customer to be won back."""
    last_ms = max((one.at_ms for one in facts.sales), default=None)
    return last_ms is not None and last_ms <= now_ms - days * DAY_MS


def _in_range(wanted: Range | None, facts: Facts, now_ms: int, *, money: bool) -> bool:
    if wanted is None:
        return True
    since_ms = now_ms - wanted.within_days * DAY_MS
    found = sum(one.paid_minor if money else 1 for one in facts.sales if one.at_ms > since_ms)
    return wanted.low <= found <= wanted.high


def _has_bought(wanted: Bought, facts: Facts, now_ms: int) -> bool:
    since_ms = now_ms - wanted.within_days * DAY_MS
    times = sum(
        any(_fits(wanted.lines, line) for line in sale.lines) for sale in facts.goods if sale.at_ms > since_ms
    )
    return times >= wanted.times_min


def _fits(selector: Selector, line: Line) -> bool:
    return (
        (not selector.skus or line.sku in selector.skus)
        and (not selector.brands or line.brand in selector.brands)
        and (not selector.categories or not selector.categories.isdisjoint(line.categories))
    )


def goods_days(segments: Sequence[Segment]) -> int:
    """Return for how many days goods must be kept so that segments can be told; 0: no segment asks about goods."""
    asked = [one.bought for segment in segments for one in segment.criteria.walk()]
    return max((bought.within_days for bought in asked if bought is not None), default=0)


def parse_segments(root: Node, tier_ids: Sequence[str]) -> tuple[Segment, ...]:
    """Return the segments of a rule set, and make their ids known to coupons and offers."""
    segments: list[Segment] = []
    for node in root.nodes("segments", most=SEGMENTS_MAX):
        segment_id = node.text("id", longest=64)
        name = node.text("name", segment_id or " ", longest=100)
        criteria = _criteria(node, tier_ids, NESTING_MAX)
        if criteria == Criteria():
            node.wrong("", "asks for nothing", "say what its members have done, for example visits")
        if segment_id in {one.segment_id for one in segments}:
            node.wrong("id", f"'{segment_id}' is there already", "give each its own id")
        segments.append(Segment(segment_id, name, criteria))
        node.done()
    root.names["segment"] = tuple(one.segment_id for one in segments)
    return tuple(segments)


def named_segment(node: Node) -> str:
    """Return the segment that a mapping names, empty when it names none; one that is not there is reported."""
    name = node.text("segment", "", longest=64)
    known = node.names.get("segment", ())
    if name and name not in known:
        close = difflib.get_close_matches(name, known, 1)
        mend = f"did you mean '{close[0]}'?" if close else "describe it below 'segments:'"
        node.wrong("segment", f"'{name}' is not a segment", mend)
    return name


def _criteria(node: Node, tier_ids: Sequence[str], nesting: int) -> Criteria:
    inner: dict[str, tuple[Criteria, ...]] = {}
    if nesting:
        for key in ("all", "any", "none"):
            parts = []
            for item in node.nodes(key, most=PARTS_MAX):
                parts.append(_criteria(item, tier_ids, nesting - 1))
                item.done()
                if parts[-1] == Criteria():
                    item.wrong("", "asks for nothing", "remove it, or say what members have done")
            inner[f"{key}_of"] = tuple(parts)
    return Criteria(
        bought=_bought(node.node("bought")),
        quiet_days=node.integer("not_bought_for_days", 0, high=DAYS_MAX),
        spend=_range(node.node("spend"), "_minor", AMOUNT_MINOR_MAX),
        visits=_range(node.node("visits"), "", TIMES_MAX),
        tiers=frozenset(node.texts("tier", tier_ids)),
        joined_within_days=node.integer("joined_within_days", 0, high=DAYS_MAX),
        rfm=_rfm(node.node("rfm")),
        **inner,
    )


def _bought(node: Node | None) -> Bought | None:
    if node is None:
        return None
    lines = Selector(
        skus=frozenset(node.texts("sku")),
        categories=frozenset(node.texts("category")),
        brands=frozenset(node.texts("brand")),
    )
    if lines == ANYTHING:
        node.wrong("", "does not say what", "name a sku, category or brand; for any goods ask for visits")
    bought = Bought(
        lines,
        node.integer("times_min", 1, low=1, high=TIMES_MAX),
        node.integer("within_days", 365, low=1, high=DAYS_MAX),
    )
    node.done()
    return bought


def _range(node: Node | None, unit: str, most: int) -> Range | None:
    if node is None:
        return None
    low = node.integer(f"min{unit}", 0, high=most)
    found = Range(
        low,
        node.integer(f"max{unit}", most, high=most),
        node.integer("within_days", 365, low=1, high=DAYS_MAX),
    )
    if found.low > found.high:
        node.wrong(f"max{unit}", "is below the least", "nobody would be in it")
    node.done()
    return found


def _rfm(node: Node | None) -> tuple[tuple[int, int], ...]:
    if node is None:
        return ()
    found = []
    for letter in "rfm":
        low = node.integer(f"{letter}_min", 1, low=1, high=QUINTILES)
        high = node.integer(f"{letter}_max", QUINTILES, low=1, high=QUINTILES)
        if low > high:
            node.wrong(f"{letter}_max", "is below the least", "nobody would be in it")
        found.append((low, high))
    node.done()
    return tuple(found)


def line_of(sku: str, brand: str, categories: Sequence[str]) -> Line:
    """Return a line as criteria look at it."""
    return Line(sku, 1000, Minor(0), categories=tuple(categories), brand=brand)
