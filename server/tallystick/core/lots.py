"""Lots: points earned together expire together, and the soonest to expire are burned first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.rules.model import Expiry, ExpiryKind
from tallystick.core.state import Alloc, Lot

QUARTER_MS = 900_000
"""Since 1972 every zone's offset, and so every local midnight in UTC, is a whole number of quarters of an hour."""


def local_day(at_ms: int, zone: ZoneInfo) -> date:
    """Return the program's local date of an instant."""
    return _local_quarter(at_ms // QUARTER_MS, zone)[0]


def local_minute(at_ms: int, zone: ZoneInfo) -> tuple[int, int]:
    """Return the program's local weekday (Monday = 0) and minute of the day of an instant."""
    day, minute = _local_quarter(at_ms // QUARTER_MS, zone)
    return day.weekday(), minute + at_ms % QUARTER_MS // 60_000


@lru_cache(maxsize=4096)
def _local_quarter(quarter: int, zone: ZoneInfo) -> tuple[date, int]:
    local = datetime.fromtimestamp(quarter * 900, UTC).astimezone(zone)
    return local.date(), local.hour * 60 + local.minute


@lru_cache(maxsize=4096)
def midnight_ms(day: date, zone: ZoneInfo) -> Ms:
    """Return the instant at which a local day begins (after a gap at midnight: the first instant after it)."""
    return Ms(int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1000)


def add_months(day: date, months: int) -> date:
    """Return the same day some months later, or the last day of that month when it is shorter (29 February)."""
    year, month0 = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month0 + 1, min(day.day, last))
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def expires_ms(expiry: Expiry, earned_ms: int, zone: ZoneInfo) -> Ms:
    """Return the first instant at which points earned now can no longer be spent.

    Points last through the whole local day on which they expire: the instant is the midnight that ends it.
    """
    if expiry.kind is ExpiryKind.NEVER:
        return NEVER_MS
    return _expires_ms(expiry, local_day(earned_ms, zone), zone)


@lru_cache(maxsize=4096)
def _expires_ms(expiry: Expiry, day: date, zone: ZoneInfo) -> Ms:
    if expiry.kind is ExpiryKind.END_OF_YEAR:
        last = date(day.year + expiry.count, 12, 31)
    else:
        last = add_months(day, expiry.count)
        if expiry.kind is ExpiryKind.END_OF_MONTH:
            last = add_months(last.replace(day=1), 1) - timedelta(days=1)
    return midnight_ms(last + timedelta(days=1), zone)


def burn_order(lot: Lot) -> tuple[int, int, int]:
    """Sort key: soonest expiry first (none last), then the oldest, then the entry that made it."""
    return (lot.expires_ms, lot.earned_ms, lot.lot_seq)


def take(lots: Iterable[Lot], points: int) -> tuple[list[Lot], tuple[Alloc, ...]]:
    """Take points from matured lots, first in, first out; return the changed lots and what each gave.

    The caller has checked that they suffice.
    """
    changed, allocs = [], []
    for lot in sorted((lot for lot in lots if not lot.pending and lot.remaining), key=burn_order):
        if not points:
            break
        part = min(points, lot.remaining)
        points -= part
        changed.append(replace(lot, remaining=lot.remaining - part))
        allocs.append(Alloc(lot.lot_seq, part))
    assert points == 0, "the account's active balance is the sum of its matured lots"
    return changed, tuple(allocs)


def slice_allocs(allocs: tuple[Alloc, ...], skip: int, points: int) -> tuple[Alloc, ...]:
    """Return which lots get points back when ``skip`` of them went back already.

    What was taken last goes back first, so that a partial return gives back the points that last longest.
    """
    parts = []
    for alloc in reversed(allocs):
        passed = min(skip, alloc.points)
        skip -= passed
        part = min(points, alloc.points - passed)
        if part:
            parts.append(Alloc(alloc.lot_seq, part))
            points -= part
    assert points == 0, "never more goes back than was taken"
    return tuple(parts)


def split_allocs(allocs: tuple[Alloc, ...], points: int) -> tuple[tuple[Alloc, ...], tuple[Alloc, ...]]:
    """Split what was taken into the first ``points`` of it and the rest."""
    used, spare = [], []
    for alloc in allocs:
        part = min(points, alloc.points)
        points -= part
        if part:
            used.append(Alloc(alloc.lot_seq, part))
        if part < alloc.points:
            spare.append(Alloc(alloc.lot_seq, alloc.points - part))
    assert points == 0, "never more is used than was taken"
    return tuple(used), tuple(spare)
