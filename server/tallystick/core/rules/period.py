"""Periods in which something is counted, and limits on it: "twice a month". Days are those of the program's zone."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from tallystick.core.record import record
from tallystick.core.rules.reader import Node

if TYPE_CHECKING:
    from tallystick.core.draft import Draft

LIMIT_COUNT_MAX = 10_000


class Per(StrEnum):
    """How long one period is. Weeks begin on Monday (ISO 8601); EVER is one period without an end."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    EVER = "ever"


KEPT_DAYS = {Per.DAY: 7, Per.WEEK: 35, Per.MONTH: 62, Per.QUARTER: 100, Per.YEAR: 100, Per.EVER: 0}
"""How many days after its end a period is still reckoned up and down: returns and late tills count in their own period
for that long, then it is closed for good. Short periods close sooner: each that is kept takes room in the account.
"""


@lru_cache(maxsize=4096)
def period_start(per: Per, day: date) -> int:
    """Return the ordinal of the first day of the period that a local day lies in; 0 for EVER."""
    match per:
        case Per.DAY:
            return day.toordinal()
        case Per.WEEK:
            return day.toordinal() - day.weekday()
        case Per.MONTH:
            return day.replace(day=1).toordinal()
        case Per.QUARTER:
            return date(day.year, day.month - (day.month - 1) % 3, 1).toordinal()
        case Per.YEAR:
            return date(day.year, 1, 1).toordinal()
        case Per.EVER:
            return 0


def period_end(per: Per, start: int) -> int:
    """Return the ordinal of the last day of the period that began on a day; 0 (no end) for EVER."""
    if per is Per.EVER:
        return 0
    lengths = {Per.DAY: 1, Per.WEEK: 7, Per.MONTH: 31, Per.QUARTER: 92, Per.YEAR: 366}
    # A day that surely lies in the next period, and is short of its end.
    behind = date.fromordinal(start) + timedelta(days=lengths[per])
    return period_start(per, behind) - 1


def open_from(per: Per, today: date) -> int:
    """Return the ordinal from which on periods are still counted in."""
    return period_start(per, today - timedelta(days=KEPT_DAYS[per]))


@record(frozen=True, slots=True)
class Limit:
    """At most ``count`` times in each period; 0: no limit."""

    count: int = 0
    per: Per = Per.EVER

    def left(self, draft: Draft, key: str, *, day: date, today: date) -> int:
        """Return how many more times something may be counted under a key on a local day, 0 or more.

        ``today`` is the member's business day; in a period that has been closed by then there is nothing left.
        """
        if not self.count:
            return LIMIT_COUNT_MAX
        start = period_start(self.per, day)
        if start < open_from(self.per, today) or not draft.has_room(key, start):
            return 0
        return max(0, self.count - draft.tally(key, start))

    def use(self, draft: Draft, key: str, *, day: date, today: date, times: int = 1) -> None:
        """Count what ``left`` allowed; it is kept in the next entry that is posted."""
        if self.count:
            draft.count(key, period_start(self.per, day), times, keep_from=open_from(self.per, today))


NO_LIMIT = Limit()


def parse_limit(node: Node | None, *, default: Limit = NO_LIMIT) -> Limit:
    """Return the limit written as ``{count: 2, per: month}``, the default where there is none."""
    if node is None:
        return default
    limit = Limit(
        count=node.integer("count", low=1, high=LIMIT_COUNT_MAX),
        per=Per(node.choice("per", [per.value for per in Per])),
    )
    node.done()
    return limit
