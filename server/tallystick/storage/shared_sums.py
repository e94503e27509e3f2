"""Sums over all members in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_, update

from tallystick.core.ids import MemberId, ProgramId
from tallystick.service.shared_store import GoalState, ReachedGoal, SharedPlace, SharedTotal
from tallystick.storage import tables as t
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

_place = t.shared_place.c
_sum = t.shared_sum.c
_part = t.shared_part.c
_goal = t.shared_goal.c
_GOAL = tuple(_goal[name] for name in ReachedGoal.__dataclass_fields__)


def place_from_row(row: Row) -> SharedPlace:
    """Return the place of a row."""
    lanes, as_of_ms, moves = row
    return SharedPlace({int(lane): seq for lane, seq in json.loads(lanes).items()}, as_of_ms, moves)


def _goal_from_row(row: Row) -> ReachedGoal:
    goal_id, points, reached_ms, state = row
    return ReachedGoal(goal_id, points, reached_ms, GoalState(state))


class SqlSharedSums(SqlSession):
    """Sums over all members; see ``service.shared_store``."""

    def shared_place(self, program_id: ProgramId) -> SharedPlace:
        """Return how far the journal has been summed."""
        query = select(_place.lanes, _place.as_of_ms, _place.moves).where(_place.program_id == program_id)
        row = self._first(program_id, query)
        return SharedPlace({}) if row is None else place_from_row(row)

    def add_sums(
        self,
        program_id: ProgramId,
        sums: Mapping[str, int],
        parts: Mapping[tuple[str, MemberId], int],
        *,
        to: SharedPlace,
    ) -> bool:
        """Add to sums and to members' parts of them, and move the place, all together."""
        values = {"lanes": _lanes(to), "as_of_ms": to.as_of_ms, "moves": to.moves + 1}

        def work(connection: Connection) -> bool:
            if to.moves:
                moved = update(t.shared_place).where(
                    _place.program_id == program_id, _place.moves == to.moves
                )
                if not connection.execute(moved.values(values)).rowcount:
                    return False
            else:
                there = select(_place.moves).where(_place.program_id == program_id)
                if connection.execute(there).first() is not None:
                    return False
                connection.execute(insert(t.shared_place).values(program_id=program_id, **values))
            people = _add_parts(connection, program_id, parts)
            _add_totals(connection, program_id, sums, people)
            return True

        return self._run(program_id, work, write=True)

    def shared_totals(self, program_id: ProgramId) -> dict[str, SharedTotal]:
        """Return all sums."""
        query = select(_sum.key, _sum.total, _sum.people).where(_sum.program_id == program_id)
        return {key: SharedTotal(total, people) for key, total, people in self._all(program_id, query)}

    def has_part(self, program_id: ProgramId, member_id: MemberId, keys: Sequence[str]) -> set[str]:
        """Return the sums in which a member has a part."""
        own = (_part.member_id == member_id, _part.program_id == program_id)
        query = select(_part.key).where(*own, _part.key.in_(keys), _part.part > 0)
        return {row[0] for row in self._all(program_id, query)}

    def goals_reached(self, program_id: ProgramId) -> dict[str, ReachedGoal]:
        """Return the goals that were reached."""
        query = select(*_GOAL).where(_goal.program_id == program_id)
        return {row[0]: _goal_from_row(row) for row in self._all(program_id, query)}

    def put_goal(self, program_id: ProgramId, goal: ReachedGoal) -> ReachedGoal:
        """Note that a goal was reached, or that all have its award; what was promised first stays."""
        own = (_goal.program_id == program_id, _goal.goal_id == goal.goal_id)
        values = {"goal_id": goal.goal_id, "points": goal.points, "reached_ms": goal.reached_ms}

        def work(connection: Connection) -> ReachedGoal:
            row = connection.execute(select(*_GOAL).where(*own)).first()
            if row is None:
                made = insert(t.shared_goal).values(program_id=program_id, state=int(goal.state), **values)
                connection.execute(made)
                return goal
            later = max(int(goal.state), row[3])
            connection.execute(update(t.shared_goal).where(*own).values(state=later))
            return _goal_from_row((*row[:3], later))

        return self._run(program_id, work, write=True)

    def without_award(self, program_id: ProgramId, key: str, *, limit: int) -> list[MemberId]:
        """Return members with a part in a sum who have had no award for it, by id."""
        query = select(_part.member_id).where(
            _part.program_id == program_id, _part.key == key, _part.part > 0, _part.awarded == 0
        )
        return [row[0] for row in self._all(program_id, query.order_by(_part.member_id), limit=limit)]

    def note_awards(self, program_id: ProgramId, key: str, member_ids: Sequence[MemberId]) -> None:
        """Note that members have had the award for a sum, or never can."""
        own = (_part.program_id == program_id, _part.key == key, _part.member_id.in_(member_ids))
        noted = update(t.shared_part).where(*own).values(awarded=1)
        if member_ids:
            self._run(program_id, lambda connection: connection.execute(noted), write=True)


def forget_parts(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    """Forget in what a member who is being erased took part; the sums stay."""
    own = (_part.program_id == program_id, _part.member_id == member_id)
    connection.execute(delete(t.shared_part).where(*own))


def _lanes(place: SharedPlace) -> str:
    return json.dumps({str(lane): seq for lane, seq in sorted(place.lanes.items())}, separators=(",", ":"))


def _add_parts(
    connection: Connection, program_id: ProgramId, parts: Mapping[tuple[str, MemberId], int]
) -> Counter[str]:
    """Add to members' parts; return by how many people each sum has grown."""
    wanted = tuple_(_part.key, _part.member_id).in_(sorted(parts))
    query = select(_part.key, _part.member_id, _part.part).where(_part.program_id == program_id, wanted)
    before = {(key, member): part for key, member, part in connection.execute(query)} if parts else {}
    people: Counter[str] = Counter()
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for (key, member_id), delta in sorted(parts.items()):
        old = before.get((key, member_id))
        now = max(0, (old or 0) + delta)
        people[key] += (now > 0) - ((old or 0) > 0)
        if old is not None:
            changed.append({"of_key": key, "of_member": member_id, "now": now})
        elif now:
            own = {"program_id": program_id, "member_id": member_id, "key": key}
            new.append({**own, "part": now, "awarded": 0})
    if new:
        connection.execute(insert(t.shared_part), new)
    if changed:
        row = (
            _part.program_id == program_id,
            _part.key == bindparam("of_key"),
            _part.member_id == bindparam("of_member"),
        )
        connection.execute(update(t.shared_part).where(*row).values(part=bindparam("now")), changed)
    return people


def _add_totals(
    connection: Connection, program_id: ProgramId, sums: Mapping[str, int], people: Counter[str]
) -> None:
    for key, delta in sorted(sums.items()):
        own = (_sum.program_id == program_id, _sum.key == key)
        grown = {"total": _sum.total + delta, "people": _sum.people + people[key]}
        if not connection.execute(update(t.shared_sum).where(*own).values(grown)).rowcount:
            values = {"program_id": program_id, "key": key, "total": delta, "people": people[key]}
            connection.execute(insert(t.shared_sum).values(values))
