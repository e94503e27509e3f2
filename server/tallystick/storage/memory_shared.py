"""Sums over all members, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tallystick.core.ids import MemberId, ProgramId
from tallystick.service.shared_store import ReachedGoal, SharedPlace, SharedTotal
from tallystick.storage.memory_sharing import Tables
from tallystick.storage.memory_tables import ProgramTables, Undo

HERE = ""
"""The key of the one place."""


class MemorySharedSums:
    """``service.shared_store`` says what each call means."""

    def shared_place(self: Tables, program_id: ProgramId) -> SharedPlace:
        return self._of(program_id).shared_places.get(HERE, SharedPlace({}))

    def add_sums(
        self: Tables,
        program_id: ProgramId,
        sums: Mapping[str, int],
        parts: Mapping[tuple[str, MemberId], int],
        *,
        to: SharedPlace,
    ) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            if tables.shared_places.get(HERE, SharedPlace({})).moves != to.moves:
                return False
            undo.put(tables.shared_places, HERE, replace(to, moves=to.moves + 1))
            people = dict.fromkeys(sums, 0)
            for (key, member_id), delta in parts.items():
                old, awarded = tables.shared_parts.get((member_id, key), (0, False))
                now = max(0, old + delta)
                people[key] += (now > 0) - (old > 0)
                if now or (member_id, key) in tables.shared_parts:
                    undo.put(tables.shared_parts, (member_id, key), (now, awarded))
            for key, delta in sums.items():
                before = tables.shared_sums.get(key, SharedTotal(0, 0))
                total = SharedTotal(before.total + delta, before.people + people[key])
                undo.put(tables.shared_sums, key, total)
            return True

    def shared_totals(self: Tables, program_id: ProgramId) -> dict[str, SharedTotal]:
        return dict(self._of(program_id).shared_sums)

    def has_part(self: Tables, program_id: ProgramId, member_id: MemberId, keys: Sequence[str]) -> set[str]:
        parts = self._of(program_id).shared_parts
        return {key for key in keys if parts.get((member_id, key), (0, False))[0] > 0}

    def goals_reached(self: Tables, program_id: ProgramId) -> dict[str, ReachedGoal]:
        return dict(self._of(program_id).shared_goals)

    def put_goal(self: Tables, program_id: ProgramId, goal: ReachedGoal) -> ReachedGoal:
        with self._changes() as undo:
            goals = self._of(program_id).shared_goals
            stored = goals.get(goal.goal_id, goal)
            later = replace(stored, state=max(stored.state, goal.state))
            undo.put(goals, goal.goal_id, later)
            return later

    def without_award(self: Tables, program_id: ProgramId, key: str, *, limit: int) -> list[MemberId]:
        with self._changes():
            found = [
                member_id
                for (member_id, name), (part, awarded) in self._of(program_id).shared_parts.items()
                if name == key and part > 0 and not awarded
            ]
        return sorted(found)[:limit]

    def note_awards(self: Tables, program_id: ProgramId, key: str, member_ids: Sequence[MemberId]) -> None:
        with self._changes() as undo:
            parts = self._of(program_id).shared_parts
            for member_id in member_ids:
                if (member_id, key) in parts:
                    undo.put(parts, (member_id, key), (parts[member_id, key][0], True))


def forget_parts(undo: Undo, tables: ProgramTables, member_id: MemberId) -> None:
    """Forget in what a member who is being erased took part; the sums stay."""
    for key in [key for key in tables.shared_parts if key[0] == member_id]:
        undo.remove(tables.shared_parts, key)
