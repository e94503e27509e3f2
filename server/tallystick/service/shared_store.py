"""What the sums over all members need of a store: gifts to projects, progress of goals, who took part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record


class GoalState(IntEnum):
    """What became of a goal that was reached: its award is being given, or all have it."""

    REACHED = 1
    AWARDED = 2


@record(frozen=True, slots=True)
class SharedPlace:
    """How far the journal has been summed, by lane. ``moves`` is how often the place has moved (0: never)."""

    lanes: Mapping[int, int]
    as_of_ms: Ms = Ms(0)
    moves: int = 0


@record(frozen=True, slots=True)
class SharedTotal:
    """A sum over all members; ``people`` is how many of them have a part in it."""

    total: int
    people: int


@record(frozen=True, slots=True)
class ReachedGoal:
    """A goal that was reached, with the award as it was promised then."""

    goal_id: str
    points: int
    reached_ms: Ms
    state: GoalState


class SharedStore(Protocol):
    """Every call is one short transaction of one program."""

    def shared_place(self, program_id: ProgramId) -> SharedPlace: ...

    def add_sums(
        self,
        program_id: ProgramId,
        sums: Mapping[str, int],
        parts: Mapping[tuple[str, MemberId], int],
        *,
        to: SharedPlace,
    ) -> bool:
        """Add to sums and to members' parts of them, and move the place, all together.

        ``to.moves`` is that of the place that was read: False when another process has moved it since, and then nothing
        is written. The part of a member who has none is not taken below 0.
        """
        ...

    def shared_totals(self, program_id: ProgramId) -> dict[str, SharedTotal]: ...

    def has_part(self, program_id: ProgramId, member_id: MemberId, keys: Sequence[str]) -> set[str]:
        """Return the sums in which a member has a part."""
        ...

    def goals_reached(self, program_id: ProgramId) -> dict[str, ReachedGoal]: ...

    def put_goal(self, program_id: ProgramId, goal: ReachedGoal) -> ReachedGoal:
        """Note that a goal was reached, or that all have its award; what was promised first stays."""
        ...

    def without_award(self, program_id: ProgramId, key: str, *, limit: int) -> list[MemberId]:
        """Return members with a part in a sum who have had no award for it, by id."""
        ...

    def note_awards(self, program_id: ProgramId, key: str, member_ids: Sequence[MemberId]) -> None:
        """Note that members have had the award for a sum, or never can."""
        ...
