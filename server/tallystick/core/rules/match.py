"""Does a rule look at this sale, and at this line?"""

from __future__ import annotations

from typing import NamedTuple
from zoneinfo import ZoneInfo

from tallystick.core.basket import Line, Origin
from tallystick.core.ids import MemberId
from tallystick.core.lots import local_minute
from tallystick.core.rules.experiment import NO_GROUPS, groups_of
from tallystick.core.rules.index import Selector
from tallystick.core.rules.model import Condition, RuleSet

ANY_LINE = Selector()
ANY_SALE = Condition()


class Moment(NamedTuple):
    """What conditions ask about a sale, computed once: place, tier, memberships, local time in the program's zone."""

    at_ms: int
    store_id: str
    channel: int
    tier_id: str
    weekday: int
    minute: int
    memberships: frozenset[str] = frozenset()
    groups: frozenset[str] = NO_GROUPS
    used_up: frozenset[str] = frozenset()


def moment_of(
    origin: Origin,
    tier_id: str,
    zone: ZoneInfo,
    memberships: frozenset[str] = frozenset(),
    groups: frozenset[str] = NO_GROUPS,
) -> Moment:
    """Return the moment of a sale; weekday and minute are those of the program's local time.

    ``groups`` are the member's of the rule set's experiments.
    """
    weekday, minute = local_minute(origin.occurred_ms, zone)
    place = (origin.occurred_ms, origin.store_id, int(origin.channel))
    return Moment(*place, tier_id, weekday, minute, memberships, groups)


def moment_for(
    rules: RuleSet,
    origin: Origin,
    tier_id: str,
    member_id: MemberId,
    memberships: frozenset[str] = frozenset(),
) -> Moment:
    """Return the moment of a member's sale."""
    groups = NO_GROUPS
    if rules.experiments:
        groups = groups_of(rules.experiments, member_id, holdout_percent=rules.holdout_percent)
    return moment_of(origin, tier_id, rules.zone, memberships, groups)


def holds_at(when: Condition, moment: Moment) -> bool:
    """Return whether a condition holds at a moment."""
    if when is ANY_SALE:
        return True
    return (
        when.from_ms <= moment.at_ms < when.until_ms
        and (not when.stores or moment.store_id in when.stores)
        and (not when.channels or moment.channel in when.channels)
        and (not when.tiers or moment.tier_id in when.tiers)
        and (not when.weekdays or moment.weekday in when.weekdays)
        and (not when.groups or not when.groups.isdisjoint(moment.groups))
        and when.budget_of not in moment.used_up
        and (not when.minutes or any(start <= moment.minute < end for start, end in when.minutes))
        and (not when.memberships or not when.memberships.isdisjoint(moment.memberships))
    )


def fits(selector: Selector, line: Line) -> bool:
    """Return whether a line fits a selector."""
    if selector is ANY_LINE:
        return True
    return (
        (not selector.skus or line.sku in selector.skus)
        and (not selector.brands or line.brand in selector.brands)
        and (not selector.categories or not selector.categories.isdisjoint(line.categories))
    )
