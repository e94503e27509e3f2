"""Days that come round every year: whose day it is, also where there is no such day."""

from __future__ import annotations

from calendar import isleap
from datetime import date, timedelta

CAUGHT_UP_DAYS = 7
"""How many days back a day that was missed is still kept: the server was away, or the birthday was told late."""

LEAP_DAY = 229


def month_day_of(day: date) -> int:
    """Return the day and month of a date, ``month * 100 + day``."""
    return day.month * 100 + day.day


def kept_on(day: date) -> tuple[int, ...]:
    """Return the days and months that are kept on a date: 29 February on the 28th where the year has no other."""
    own = month_day_of(day)
    return (own, LEAP_DAY) if own == LEAP_DAY - 1 and not isleap(day.year) else (own,)


def days_to_keep(today: date) -> list[date]:
    """Return today and the days before it that may have been missed, the oldest first."""
    return [today - timedelta(days=back) for back in range(CAUGHT_UP_DAYS, -1, -1)]


def in_year(year: int, month_day: int) -> date:
    """Return the date of a day and month in a year; of 29 February, where there is none, the 28th."""
    month, day = divmod(month_day, 100)
    return date(year, month, 28 if month_day == LEAP_DAY and not isleap(year) else day)
