"""Birthdays and anniversaries: once a year, by themselves, also when the server was away on the day."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from tallystick.core.basket import Channel
from tallystick.core.entry import Entry
from tallystick.core.ids import MemberId, Ms
from tallystick.core.rules.yearly import days_to_keep, in_year, kept_on
from tallystick.core.state import MemberStatus
from tallystick.service.birthday_ports import FIXED_MS, Birthday
from tallystick.service.directory import Clock, Member, Program
from tallystick.service.reads import ReadPool
from tallystick.service.rounds import come_round
from tallystick.service.yearly import Yearly, yearly_round
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.core.world import at
from tests.service.coupons import CouponDesk
from tests.service.desk import ANN, BEN

DAY_MS = 86_400_000
BIRTHDAY = {"id": "birthday", "name": "Your birthday", "points": 100, "on": "birthday"}
YEARS = {"id": "years", "name": "With us for years", "points": 40, "on": "anniversary"}


class Calendar(CouponDesk):
    """A desk at which the yearly round comes by."""

    def __init__(self, store: Store, **more: Any) -> None:
        super().__init__(store, **{"coupons": (), "actions": [BIRTHDAY, YEARS], **more})
        self.pool = ReadPool()
        assert self.lane is not None
        self.yearly = Yearly(store, self.book, self.pool, self.lane, now_ms=lambda: self.now)

    def comes_round(self, day: str) -> int:
        """Let the round come by on a day; return how many entries it made."""
        self.now = at(day)
        return asyncio.run(come_round(yearly_round(self.yearly), self.store, self.pool))

    def born(self, day: int, member: MemberId = ANN) -> None:
        birthday = Birthday(member, day, self.now)
        assert self.store.set_birthday(self.program_id, birthday, by_staff=False) == birthday

    def joins(self, member: MemberId, day: str) -> None:
        row = Member(member, member[-8:], MemberStatus.OPEN, at(day), int(Channel.STORE), "s1")
        self.store.enrol(self.program_id, row, [])

    def days_of(self, action: str, member: MemberId = ANN) -> list[Entry]:
        return [entry for entry in self.entries(member) if entry.detail.reason == action]

    def close(self) -> None:
        super().close()
        self.pool.close()
        report = verify(self.store)
        assert report.ok, report.first


def told(entries: list[Entry]) -> list[tuple[Ms, int, str]]:
    return [
        (entry.origin.occurred_ms, -entry.moves.issued, entry.detail.explanations[0].code)
        for entry in entries
    ]


def test_a_birthday_comes_once_a_year_however_often_the_round_does(store: Store) -> None:
    with Calendar(store) as desk:
        desk.born(301)
        assert desk.comes_round("2026-02-28T12:00") == 0
        assert [desk.comes_round("2026-03-01T00:30") for _ in range(3)] == [1, 0, 0]
        assert [desk.comes_round(f"2026-03-0{day}T12:00") for day in (2, 5, 9)] == [0, 0, 0]
        assert told(desk.days_of("birthday")) == [(at("2026-02-28T23:00"), 100, "birthday")]
        assert desk.comes_round("2027-03-01T12:00") == 1


def test_two_processes_that_come_round_at_once_give_it_once(store: Store) -> None:
    with Calendar(store) as desk, Calendar(store) as other:
        desk.born(301)

        async def both() -> list[int]:
            desk.now = other.now = at("2026-03-01T12:00")
            rounds = [come_round(yearly_round(one.yearly), store, one.pool) for one in (desk, other)]
            return list(await asyncio.gather(*rounds))

        asyncio.run(both())
        assert len(desk.days_of("birthday")) == 1
        assert desk.account().active == 100


def test_a_day_that_was_missed_is_made_up_for_within_a_week(store: Store) -> None:
    with Calendar(store) as desk:
        desk.born(301)
        desk.born(228, BEN)
        assert desk.comes_round("2026-03-08T12:00") == 1
        assert len(desk.days_of("birthday")) == 1
        assert not desk.days_of("birthday", BEN), "eight days ago is over"


def test_a_birthday_of_last_year_is_made_up_for_as_that_of_last_year(store: Store) -> None:
    with Calendar(store) as desk:
        desk.born(1_230)
        assert desk.comes_round("2026-01-03T12:00") == 1
        assert desk.comes_round("2026-12-30T12:00") == 1
        assert len(desk.days_of("birthday")) == 2


def test_29_february_is_kept_on_the_28th_when_there_is_none(store: Store) -> None:
    with Calendar(store) as desk:
        desk.born(229)
        desk.born(228, BEN)
        assert desk.comes_round("2027-02-28T12:00") == 2
        assert desk.comes_round("2028-02-28T12:00") == 1
        assert len(desk.days_of("birthday")) == 1, "in a leap year it has its own day"
        assert desk.comes_round("2028-02-29T12:00") == 1
        assert desk.days_of("birthday")[-1].origin.occurred_ms == at("2028-02-28T23:00")


def test_a_birthday_that_is_moved_gives_no_second_one_in_the_year(store: Store) -> None:
    with Calendar(store) as desk:
        desk.born(301)
        desk.comes_round("2026-03-01T12:00")
        staff = Birthday(ANN, 401, desk.now)
        store.set_birthday(desk.program_id, staff, by_staff=True)
        assert desk.comes_round("2026-04-01T12:00") == 0
        assert desk.comes_round("2027-04-01T12:00") == 1


def test_who_has_told_no_birthday_or_is_gone_gets_nothing(store: Store) -> None:
    with Calendar(store) as desk:
        desk.born(301)
        store.erase(desk.program_id, ANN)
        assert desk.comes_round("2026-03-01T12:00") == 0
        assert FIXED_MS == 365 * DAY_MS


def test_an_anniversary_counts_whole_years_from_the_day_of_joining(store: Store) -> None:
    carl, dora, finn = (MemberId(f"0190a000-0000-7000-8000-0000000000c{one}") for one in (1, 2, 3))
    with Calendar(store) as desk:
        desk.joins(carl, "2024-02-29T12:00")
        desk.joins(dora, "2025-06-30T23:30")
        desk.joins(finn, "2026-05-01T12:00")
        assert desk.comes_round("2026-02-28T12:00") == 1, "29 February is kept on the 28th"
        assert told(desk.days_of("years", carl)) == [(at("2026-02-27T23:00"), 40, "anniversary")]
        assert desk.comes_round("2026-05-01T12:00") == 0, "nobody has an anniversary on the first day"
        assert desk.comes_round("2026-07-01T12:00") == 1
        assert len(desk.days_of("years", dora)) == 1, "it was July in Stockholm when she joined"
        assert desk.comes_round("2027-05-02T12:00") == 1
        assert len(desk.days_of("years", finn)) == 1


def test_a_blocked_member_does_not_get_the_day_later(store: Store) -> None:
    with Calendar(store) as desk:
        desk.born(301)
        store.set_status(desk.program_id, ANN, MemberStatus.BLOCKED)
        assert desk.comes_round("2026-03-01T12:00") == 0
        store.set_status(desk.program_id, ANN, MemberStatus.OPEN)
        assert desk.comes_round("2026-03-02T12:00") == 0


def test_a_program_without_such_actions_or_in_a_replay_is_left_alone(store: Store) -> None:
    with Calendar(store, actions=[]) as desk:
        desk.born(301)
        assert desk.comes_round("2026-03-01T12:00") == 0
    with Calendar(store, program_id="past") as desk:
        past = Program(desk.program_id, "Past", Clock.REPLAY, 1, desk.now)
        assert asyncio.run(desk.yearly.keep(past)) == 0


@pytest.mark.parametrize(
    ("day", "kept"),
    [("2026-02-28", (228, 229)), ("2028-02-28", (228,)), ("2028-02-29", (229,)), ("2100-02-28", (228, 229))],
)
def test_whose_day_it_is(day: str, kept: tuple[int, ...]) -> None:
    assert kept_on(date.fromisoformat(day)) == kept


def test_a_day_has_its_place_in_every_year() -> None:
    assert in_year(2027, 229) == date(2027, 2, 28)
    assert in_year(2028, 229) == date(2028, 2, 29)
    assert in_year(2027, 1231) == date(2027, 12, 31)
    days = days_to_keep(date(2026, 1, 3))
    assert (days[0], days[-1], len(days)) == (date(2025, 12, 27), date(2026, 1, 3), 8)
