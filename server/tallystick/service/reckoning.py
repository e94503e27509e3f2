"""The sums over all members: the journal followed once, goals looked at, and everybody awarded who took part.

The place and the sums move in one transaction, so no entry is summed twice and none is left out, whoever follows.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from tallystick.core.basket import Channel, Origin
from tallystick.core.command import AwardGoal
from tallystick.core.entry import Entry
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import MemberId, Ms, ProgramId, derived_id
from tallystick.core.record import record
from tallystick.core.rules.goal import Goal
from tallystick.core.rules.model import RuleSet
from tallystick.core.shared import DONATED, GIFT, WORTH
from tallystick.service.business_time import ANY_TIME
from tallystick.service.directory import Clock, Program
from tallystick.service.journal import JOURNAL_PAGE, entries_in
from tallystick.service.lane import Lane
from tallystick.service.ports import LedgerReader
from tallystick.service.reads import ReadPool
from tallystick.service.rounds import DEADLINE_S, Round
from tallystick.service.rulebook import RuleBook
from tallystick.service.shared_store import (
    GoalState,
    ReachedGoal,
    SharedPlace,
    SharedStore,
    SharedTotal,
)
from tallystick.service.submission import Submission

RECKONING_EVERY_S = 30.0
ENTRIES_AT_ONCE = 1_000
PAGES_MAX = 2_000
"""So many pages of the journal are summed in one round; a program that is far behind catches up in several."""

AWARDS_AT_ONCE = 256
"""How many members are in the lane at once: enough for full batches, little enough to leave room for tills."""

NOTHING = SharedTotal(0, 0)


class Store(SharedStore, LedgerReader, Protocol):
    """What the sums need of a store."""

    def read_entries_named(
        self, program_id: ProgramId, refs: Sequence[tuple[MemberId, int]]
    ) -> list[tuple[Entry, Ms]]: ...


@record(frozen=True, slots=True)
class ProjectNow:
    """A project with what the retailer has given, and what members have: in points, and what these were worth."""

    project_id: str
    name: str
    text: str
    given_minor: int
    donated_points: int
    donated_minor: int
    is_open: bool


@record(frozen=True, slots=True)
class GoalNow:
    """A goal with how far it is; ``reached`` is None until it was looked at and found reached."""

    goal: Goal
    total: SharedTotal
    reached: ReachedGoal | None
    took_part: bool


class Reckoning:
    """The use cases around sums. ``follow``, ``projects`` and ``goals`` block; several threads may call them."""

    def __init__(
        self, store: Store, rulebook: RuleBook, lane: Lane, pool: ReadPool, *, now_ms: Callable[[], Ms]
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._lane = lane
        self._pool = pool
        self._now_ms = now_ms

    def follow(self, program_id: ProgramId) -> int:
        """Sum what the journal has behind the place; return how many entries that was.

        A program that has never had anything to sum is not followed.
        """
        rules = self._rulebook.current(program_id)
        count = 0
        for _ in range(PAGES_MAX):
            place = self._store.shared_place(program_id)
            if not place.moves and not _has_sums(rules):
                return count
            as_of_ms = self._now_ms()
            rows = self._store.read_journal(program_id, after=place.lanes, limit=JOURNAL_PAGE)
            if not rows and place.moves:
                return count
            lanes = {**place.lanes, **{lane_id: seq for lane_id, seq, _ in rows}}
            refs = [ref for _, _, payload in rows for ref in entries_in(payload)]
            sums, parts = self._summed(program_id, refs)
            to = SharedPlace(lanes, as_of_ms, place.moves)
            if self._store.add_sums(program_id, sums, parts, to=to):
                count += len(refs)
        return count

    def projects(self, program_id: ProgramId) -> tuple[list[ProjectNow], str, Ms]:
        """Return the projects, the program's currency and as of when: those of the rules, then those that are over."""
        rules = self._rulebook.current(program_id)
        totals, place = self._store.shared_totals(program_id), self._store.shared_place(program_id)
        known = rules.charity.projects if rules and rules.charity else ()
        found = [_project(totals, one.project_id, one.name, one.text, is_open=True) for one in known]
        ids = {one.project_id for one in known}
        given = {key.removeprefix(kind) for key in totals for kind in (GIFT, DONATED) if key.startswith(kind)}
        found += [_project(totals, name, name, "", is_open=False) for name in sorted(given - ids)]
        return found, rules.currency if rules else "", place.as_of_ms

    def goals(self, program_id: ProgramId, member_id: MemberId | None) -> list[GoalNow]:
        """Return the goals of the rules in force, and in which of them a member has taken part."""
        rules = self._rulebook.current(program_id)
        goals = rules.goals if rules else ()
        totals, reached = self._store.shared_totals(program_id), self._store.goals_reached(program_id)
        keys = [goal.key for goal in goals]
        own = self._store.has_part(program_id, member_id, keys) if member_id and keys else set()
        return [
            GoalNow(goal, totals.get(goal.key, NOTHING), reached.get(goal.goal_id), goal.key in own)
            for goal in goals
        ]

    async def award(self, program_id: ProgramId) -> int:
        """Look at the goals whose time it is, and give the awards of those that are reached; return how many."""
        rules = await self._pool.run(self._rulebook.current, program_id)
        now_ms = self._now_ms()
        for now in await self._pool.run(self.goals, program_id, None):
            goal, is_time = now.goal, now.goal.at_once or now_ms >= now.goal.judged_ms
            if now.reached is None and is_time and now.total.total >= goal.target:
                reached = ReachedGoal(goal.goal_id, goal.points, now_ms, GoalState.REACHED)
                await self._pool.run(self._store.put_goal, program_id, reached)
        given = 0
        judged = {goal.goal_id: goal.judged_ms for goal in (rules.goals if rules else ())}
        for reached in (await self._pool.run(self._store.goals_reached, program_id)).values():
            if reached.state is GoalState.REACHED:
                given += await self._award_all(program_id, reached)
                if now_ms >= judged.get(reached.goal_id, 0):
                    # Whoever comes after its end has not taken part.
                    done = replace(reached, state=GoalState.AWARDED)
                    await self._pool.run(self._store.put_goal, program_id, done)
        return given

    async def _award_all(self, program_id: ProgramId, reached: ReachedGoal) -> int:
        key, given = f"goal/{reached.goal_id}", 0
        while True:
            waiting = await self._pool.run(self._store.without_award, program_id, key, limit=AWARDS_AT_ONCE)
            if not waiting:
                return given
            commands = [_award(member_id, reached) for member_id in waiting]
            deadline = time.monotonic() + DEADLINE_S
            # One who is blocked is refused, and stays without: the refusal is kept as every other.
            await asyncio.gather(
                *(
                    self._lane.submit(
                        Submission(program_id, command, fingerprint(command), deadline, *ANY_TIME)
                    )
                    for command in commands
                )
            )
            await self._pool.run(self._store.note_awards, program_id, key, waiting)
            given += len(waiting)

    def _summed(
        self, program_id: ProgramId, refs: Sequence[tuple[MemberId, int]]
    ) -> tuple[Counter[str], Counter[tuple[str, MemberId]]]:
        sums: Counter[str] = Counter()
        parts: Counter[tuple[str, MemberId]] = Counter()
        for start in range(0, len(refs), ENTRIES_AT_ONCE):
            chunk = refs[start : start + ENTRIES_AT_ONCE]
            for entry, _ in self._store.read_entries_named(program_id, chunk):
                for key, delta in entry.detail.sums:
                    sums[key] += delta
                    if key.startswith("goal/"):
                        parts[key, entry.member_id] += delta
        return sums, parts


def reckoning_round(reckoning: Reckoning, pool: ReadPool, *, every_s: float = RECKONING_EVERY_S) -> Round:
    """Follow the journal, and give the awards of goals that are reached."""

    async def reckon(program: Program) -> int:
        summed = await pool.run(reckoning.follow, program.program_id)
        if program.clock is not Clock.LIVE:
            # What time it is there only its own commands say.
            return summed
        return summed + await reckoning.award(program.program_id)

    return Round("reckoning", every_s, reckon)


def _has_sums(rules: RuleSet | None) -> bool:
    return rules is not None and (rules.charity is not None or bool(rules.goals))


def _award(member_id: MemberId, reached: ReachedGoal) -> AwardGoal:
    origin = Origin(reached.reached_ms, Channel.UNKNOWN)
    command_id = derived_id(member_id, "goal", reached.goal_id)
    return AwardGoal(command_id, member_id, origin, reached.goal_id, reached.points)


def _project(
    totals: dict[str, SharedTotal], project_id: str, name: str, text: str, *, is_open: bool
) -> ProjectNow:
    given, donated, worth = (totals.get(kind + project_id, NOTHING).total for kind in (GIFT, DONATED, WORTH))
    return ProjectNow(project_id, name, text, given, donated, worth, is_open)
