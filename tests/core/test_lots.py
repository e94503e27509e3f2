"""Lots: when they expire, and in which order they are burned."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from tallystick.core.ids import NEVER_MS, Ms
from tallystick.core.lots import (
    add_months,
    expires_ms,
    local_day,
    midnight_ms,
    slice_allocs,
    split_allocs,
    take,
)
from tallystick.core.rules.model import Expiry, ExpiryKind
from tallystick.core.state import Alloc, Lot
from tests.core.world import at

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NEW_YORK = ZoneInfo("America/New_York")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
HAVANA = ZoneInfo("America/Havana")
MONTHS, MONTH_END, YEAR_END = ExpiryKind.MONTHS, ExpiryKind.END_OF_MONTH, ExpiryKind.END_OF_YEAR


def utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("kind", "count", "earned", "zone", "expires"),
    [
        # Points last through the local day: they are gone at the midnight that ends it.
        (MONTHS, 12, "2026-01-15T12:00", STOCKHOLM, "2027-01-15T23:00"),
        (MONTHS, 1, "2026-01-31T12:00", STOCKHOLM, "2026-02-28T23:00"),
        (MONTHS, 1, "2028-01-31T12:00", STOCKHOLM, "2028-02-29T23:00"),
        # 29 February and the year that has none.
        (MONTHS, 12, "2028-02-29T12:00", STOCKHOLM, "2029-02-28T23:00"),
        (MONTHS, 48, "2028-02-29T12:00", STOCKHOLM, "2032-02-29T23:00"),
        (MONTH_END, 12, "2027-02-03T12:00", STOCKHOLM, "2028-02-29T23:00"),
        (MONTH_END, 1, "2026-01-31T12:00", STOCKHOLM, "2026-02-28T23:00"),
        (MONTH_END, 3, "2026-11-30T12:00", STOCKHOLM, "2027-02-28T23:00"),
        (YEAR_END, 0, "2026-12-31T22:59", STOCKHOLM, "2026-12-31T23:00"),
        (YEAR_END, 1, "2026-01-01T12:00", STOCKHOLM, "2027-12-31T23:00"),
        # Half past eleven in London is the next year in Stockholm.
        (YEAR_END, 0, "2026-12-31T23:30", STOCKHOLM, "2027-12-31T23:00"),
        (YEAR_END, 0, "2027-01-01T04:59", NEW_YORK, "2027-01-01T05:00"),
        # Summer time: the night before the clocks change ends at another UTC hour than the night after.
        (MONTHS, 1, "2026-02-28T12:00", STOCKHOLM, "2026-03-28T23:00"),
        (MONTHS, 2, "2026-01-29T12:00", STOCKHOLM, "2026-03-29T22:00"),
        (MONTHS, 1, "2026-09-25T12:00", STOCKHOLM, "2026-10-25T23:00"),
        (MONTHS, 1, "2026-09-24T12:00", STOCKHOLM, "2026-10-24T22:00"),
        # Midnight that did not exist (2018-11-04 in São Paulo) and one that came twice (2026-11-01 in Havana).
        (MONTHS, 1, "2018-10-03T12:00", SAO_PAULO, "2018-11-04T03:00"),
        (MONTHS, 1, "2026-09-30T12:00", HAVANA, "2026-10-31T04:00"),
        (MONTH_END, 1, "2026-09-30T12:00", HAVANA, "2026-11-01T04:00"),
    ],
)
def test_points_last_through_their_last_day_in_the_programs_zone(
    kind: ExpiryKind, count: int, earned: str, zone: ZoneInfo, expires: str
) -> None:
    assert utc(expires_ms(Expiry(kind, count), at(earned), zone)) == expires


def test_points_that_never_expire_sort_behind_all_others() -> None:
    assert expires_ms(Expiry(), at("2026-01-01"), STOCKHOLM) == NEVER_MS
    assert expires_ms(Expiry(YEAR_END, 10), at("9000-01-01"), STOCKHOLM) < NEVER_MS


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-03-28T22:59", date(2026, 3, 28)),
        ("2026-03-28T23:00", date(2026, 3, 29)),
        ("2026-03-29T21:59", date(2026, 3, 29)),
        ("2026-03-29T22:00", date(2026, 3, 30)),
    ],
)
def test_the_local_day_of_an_instant_follows_summer_time(moment: str, day: date) -> None:
    assert local_day(at(moment), STOCKHOLM) == day
    assert local_day(at(moment) + 59_999, STOCKHOLM) == day


def test_a_day_begins_at_its_first_instant_also_where_zones_are_odd() -> None:
    kathmandu = ZoneInfo("Asia/Kathmandu")
    assert utc(midnight_ms(date(2026, 1, 2), kathmandu)) == "2026-01-01T18:15"
    assert local_day(at("2026-01-01T18:15"), kathmandu) == date(2026, 1, 2)
    assert local_day(at("2026-01-01T18:15") - 1, kathmandu) == date(2026, 1, 1)


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2026, 1, 31), 3, date(2026, 4, 30)),
        (date(2026, 12, 31), 2, date(2027, 2, 28)),
        (date(2028, 2, 29), -12, date(2027, 2, 28)),
        (date(2026, 5, 15), 0, date(2026, 5, 15)),
    ],
)
def test_a_month_later_is_the_same_day_or_the_last_of_a_shorter_month(
    day: date, months: int, later: date
) -> None:
    assert add_months(day, months) == later


def lot(seq: int, remaining: int, expires: int, earned: int = 0, *, pending: bool = False) -> Lot:
    return Lot(seq, 100, remaining, Ms(earned), Ms(expires), pending=pending)


def test_the_soonest_to_expire_is_burned_first_then_the_oldest_then_the_first_made() -> None:
    lots = [
        lot(1, 10, NEVER_MS),
        lot(2, 10, 500, earned=2),
        lot(3, 10, 400, earned=9),
        lot(4, 10, 500, earned=1),
        lot(5, 10, 500, earned=1),
    ]
    changed, allocs = take(lots, 45)
    assert allocs == (Alloc(3, 10), Alloc(4, 10), Alloc(5, 10), Alloc(2, 10), Alloc(1, 5))
    assert [one.remaining for one in changed] == [0, 0, 0, 0, 5]


def test_pending_and_empty_lots_give_nothing() -> None:
    lots = [lot(1, 10, 100, pending=True), lot(2, 0, 100), lot(3, 10, 900)]
    _, allocs = take(lots, 10)
    assert allocs == (Alloc(3, 10),)
    with pytest.raises(AssertionError, match="sum of its matured lots"):
        take(lots, 11)


def test_what_was_taken_last_goes_back_first() -> None:
    taken = (Alloc(1, 10), Alloc(2, 20), Alloc(3, 30))
    assert slice_allocs(taken, 0, 40) == (Alloc(3, 30), Alloc(2, 10))
    assert slice_allocs(taken, 40, 20) == (Alloc(2, 10), Alloc(1, 10))
    assert slice_allocs(taken, 60, 0) == ()
    with pytest.raises(AssertionError, match="never more goes back"):
        slice_allocs(taken, 30, 31)


def test_what_is_captured_is_the_first_that_was_held() -> None:
    taken = (Alloc(1, 10), Alloc(2, 20))
    assert split_allocs(taken, 15) == ((Alloc(1, 10), Alloc(2, 5)), (Alloc(2, 15),))
    assert split_allocs(taken, 0) == ((), taken)
    assert split_allocs(taken, 30) == (taken, ())
    with pytest.raises(AssertionError, match="never more is used"):
        split_allocs(taken, 31)
