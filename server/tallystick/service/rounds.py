"""The work that comes round by itself while a process serves: each kind at its own pace, program by program."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from random import uniform
from typing import Protocol

from tallystick.core.ids import Ms
from tallystick.core.record import record
from tallystick.service.directory import Clock, Program
from tallystick.service.errors import TallystickError
from tallystick.service.expiry import expire_page
from tallystick.service.lane import Lane
from tallystick.service.notification_source import NotificationSource
from tallystick.service.ports import LedgerReader
from tallystick.service.reads import ReadPool
from tallystick.service.reminders import ReminderSink
from tallystick.service.wishes import Wishes

PROGRAMS_PAGE = 500
EXPIRY_EVERY_S = 3_600.0
EXPIRY_PAGE = 1_000
REMINDERS_EVERY_S = 600.0
AHEAD_EVERY_S = 7_200.0
DEADLINE_S = 30.0

log = logging.getLogger(__name__)


@record(frozen=True, slots=True)
class Round:
    """One kind of work. ``work`` does what is due in a program and returns how much that was.

    Every process that serves comes round; so the work must find nothing left to do when another one was quicker.
    """

    name: str
    every_s: float
    work: Callable[[Program], Awaitable[int]]


class Programs(Protocol):
    """The programs there are, in the order of their ids."""

    def programs(self, *, after: str, limit: int) -> list[Program]: ...


async def keep_rounds(rounds: Sequence[Round], store: Programs, pool: ReadPool) -> None:
    """Do the work of all rounds again and again, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for one in rounds:
            group.create_task(_keep(one, store, pool), name=one.name)


async def _keep(one: Round, store: Programs, pool: ReadPool) -> None:
    while True:
        # Replicas that were started together come round apart.
        await asyncio.sleep(one.every_s * uniform(0.8, 1.2))  # noqa: S311 (no secret)
        await come_round(one, store, pool)


async def come_round(one: Round, store: Programs, pool: ReadPool) -> int:
    """Do what is due once in every program; a program in which it fails keeps no other one waiting."""
    done, after = 0, ""
    while True:
        try:
            page = await pool.run(store.programs, after=after, limit=PROGRAMS_PAGE)
        except TallystickError as error:
            log.warning("the programs could not be read", extra={"round": one.name, "reason": error.reason})
            return done
        except Exception:
            # The rounds must outlive whatever they meet: they do not begin again before the process does.
            log.exception("the programs could not be read", extra={"round": one.name})
            return done
        for program in page:
            try:
                done += await one.work(program)
            except TallystickError as error:
                log.warning("a round was left out", extra={"round": one.name, "reason": error.reason})
            except Exception:
                log.exception("a round failed", extra={"round": one.name})
        if len(page) < PROGRAMS_PAGE:
            return done
        after = page[-1].program_id


def expiry_round(
    reader: LedgerReader,
    pool: ReadPool,
    lane: Lane,
    *,
    now_ms: Callable[[], Ms],
    every_s: float = EXPIRY_EVERY_S,
) -> Round:
    """What time has made due: points that mature or expire, holds that ran out, tiers to be looked at."""

    async def catch_up(program: Program) -> int:
        entries, after = 0, None
        if program.clock is not Clock.LIVE:
            # Its own commands say what time it is there.
            return entries
        as_of_ms = now_ms()
        while True:
            page = await expire_page(
                reader,
                pool,
                lane,
                program.program_id,
                as_of_ms=as_of_ms,
                after=after,
                limit=EXPIRY_PAGE,
                deadline=time.monotonic() + DEADLINE_S,
            )
            entries += page.entries
            after = page.last
            if after is None:
                return entries

    return Round("expiry", every_s, catch_up)


def reminder_round(
    wishes: Wishes, sinks: Sequence[ReminderSink], pool: ReadPool, *, every_s: float = REMINDERS_EVERY_S
) -> Round:
    """Baskets that were left behind and wishes that wait: each is reminded of once."""

    async def remind(program: Program) -> int:
        return await pool.run(wishes.remind, program, sinks)

    return Round("reminders", every_s, remind)


def ahead_round(source: NotificationSource, pool: ReadPool, *, every_s: float = AHEAD_EVERY_S) -> Round:
    """What members are told before it happens: points that expire soon, tiers that are at risk."""

    async def look(program: Program) -> int:
        pages, after = 0, None
        while True:
            after = await pool.run(source.look_ahead, program.program_id, after=after)
            pages += 1
            if after is None:
                return pages

    return Round("notifications ahead", every_s, look)
