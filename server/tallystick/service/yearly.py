"""Birthdays and anniversaries: points that come by themselves, once a year, whoever looks and however often.

Each is an earn whose id follows from the member, the action and the year, so that a second look finds it there. What
was missed in the last days is made up for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Protocol

from tallystick.core.basket import Channel, Origin
from tallystick.core.command import Earn
from tallystick.core.entry import Posted
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Ms, ProgramId, derived_id
from tallystick.core.lots import local_day, midnight_ms
from tallystick.core.record import record
from tallystick.core.rules.action import Action
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.yearly import days_to_keep, in_year, kept_on, month_day_of
from tallystick.service.birthday_ports import BirthdayDirectory
from tallystick.service.directory import Clock, Program
from tallystick.service.lane import Lane
from tallystick.service.ports import LedgerReader
from tallystick.service.reads import ReadPool
from tallystick.service.rounds import DEADLINE_S, Round
from tallystick.service.rulebook import RuleBook
from tallystick.service.submission import Submission

YEARLY_EVERY_S = 6 * 3_600.0
MEMBERS_PAGE = 1_000
AT_ONCE_MAX = 256
"""How many are in the lane at once: little enough to leave room for tills."""


class Store(LedgerReader, BirthdayDirectory, Protocol):
    """What days that come round need of a store."""


@record(frozen=True, slots=True)
class _Day:
    """A day that is kept for an action: ``year`` names it, ``at_ms`` is when it begins."""

    action: Action
    year: int
    at_ms: Ms


def yearly_id(member_id: MemberId, action_id: str, year: int) -> CommandId:
    """Return the id of the earn of one year's day."""
    return derived_id(member_id, f"yearly/{action_id}", year)


class Yearly:
    """Keeps the days of a program's members. Safe to call from several processes at once."""

    def __init__(
        self,
        store: Store,
        rulebook: RuleBook,
        pool: ReadPool,
        lane: Lane,
        *,
        now_ms: Callable[[], Ms],
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._pool = pool
        self._lane = lane
        self._now_ms = now_ms

    async def keep(self, program: Program) -> int:
        """Post what is due of today and the days before it; return how many entries were made."""
        if program.clock is not Clock.LIVE:
            # Its own commands say what day it is there.
            return 0
        program_id = program.program_id
        rules = await self._pool.run(self._rulebook.current, program_id)
        actions = [action for action in rules.actions if action.on] if rules else []
        if rules is None or not actions:
            return 0
        posted = 0
        for day in days_to_keep(local_day(self._now_ms(), rules.zone)):
            at_ms = midnight_ms(day, rules.zone)
            for action in actions:
                kept = _Day(action, day.year, at_ms)
                if action.on == "birthday":
                    posted += await self._birthdays(program_id, kept, day)
                else:
                    posted += await self._anniversaries(program_id, rules, kept, day)
        return posted

    async def _birthdays(self, program_id: ProgramId, kept: _Day, day: date) -> int:
        posted = 0
        for month_day in kept_on(day):
            after = ""
            while True:
                members = await self._pool.run(
                    self._store.born_on, program_id, month_day, after=after, limit=MEMBERS_PAGE
                )
                posted += await self._post(program_id, members, kept)
                if len(members) < MEMBERS_PAGE:
                    break
                after = members[-1]
        return posted

    async def _anniversaries(self, program_id: ProgramId, rules: RuleSet, kept: _Day, day: date) -> int:
        first_ms = await self._pool.run(self._store.first_enrolled_ms, program_id)
        if first_ms is None:
            return 0
        posted = 0
        for joined in _joined_on(day, local_day(first_ms, rules.zone)):
            from_ms = midnight_ms(joined, rules.zone)
            until_ms = midnight_ms(joined + timedelta(days=1), rules.zone)
            after = ""
            while True:
                members = await self._pool.run(
                    self._store.enrolled_between,
                    program_id,
                    from_ms,
                    until_ms,
                    after=after,
                    limit=MEMBERS_PAGE,
                )
                posted += await self._post(program_id, members, kept)
                if len(members) < MEMBERS_PAGE:
                    break
                after = members[-1]
        return posted

    async def _post(self, program_id: ProgramId, members: list[MemberId], kept: _Day) -> int:
        """Post the day for those who have not had it yet."""
        ids = {yearly_id(member, kept.action.action_id, kept.year): member for member in members}
        known = await self._pool.run(self._store.read_known, program_id, list(ids)) if ids else {}
        asks = [
            _submission(program_id, command_id, member, kept)
            for command_id, member in ids.items()
            if command_id not in known
        ]
        posted = 0
        for start in range(0, len(asks), AT_ONCE_MAX):
            answers = await asyncio.gather(
                *(self._lane.submit(one) for one in asks[start : start + AT_ONCE_MAX])
            )
            posted += sum(isinstance(one.decision, Posted) and not one.replayed for one in answers)
        return posted


def yearly_round(yearly: Yearly, *, every_s: float = YEARLY_EVERY_S) -> Round:
    """Birthdays and anniversaries."""
    return Round("yearly", every_s, yearly.keep)


def _joined_on(day: date, first: date) -> Iterator[date]:
    """Yield the dates on which whoever joined keeps the day now: of all years since the first, but not of this one."""
    for month_day in kept_on(day):
        for year in range(first.year, day.year):
            joined = in_year(year, month_day)
            if month_day_of(joined) == month_day:
                yield joined


def _submission(program_id: ProgramId, command_id: CommandId, member_id: MemberId, kept: _Day) -> Submission:
    origin = Origin(kept.at_ms, Channel.UNKNOWN)
    action_id = kept.action.action_id
    command = Earn(command_id, member_id, origin, 0, action_id, action_id=action_id)
    deadline = time.monotonic() + DEADLINE_S
    return Submission(program_id, command, fingerprint(command), deadline, 0, NEVER_MS)
