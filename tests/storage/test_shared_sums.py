"""Sums over all members, and who has a part in them; the same in every store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tallystick.core.ids import MemberId, Ms
from tallystick.service.shared_store import GoalState, ReachedGoal, SharedPlace, SharedTotal
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, Books, member_id, program

ANN, BEN, CAT = (member_id(number) for number in (1, 2, 3))
GOAL = "goal/advent"
REACHED, AWARDED = GoalState


@pytest.fixture
def sums(books: Books) -> Store:
    books.enrol(1, 2, 3)
    assert books.store.create_program(program(OTHER_PROGRAM))
    return books.store


def add(sums: Store, *, moves: int = 0, **parts: int) -> bool:
    """Add parts of members to one goal, and as much to its sum."""
    people = {"ann": ANN, "ben": BEN, "cat": CAT}
    own = {(GOAL, people[name]): delta for name, delta in parts.items()}
    to = SharedPlace({0: moves + 1}, Ms(NOW + moves), moves)
    return sums.add_sums(PROGRAM, {GOAL: sum(parts.values())}, own, to=to)


def waiting(sums: Store) -> list[MemberId]:
    return sums.without_award(PROGRAM, GOAL, limit=9)


def test_sums_and_the_place_move_together(sums: Store) -> None:
    assert sums.shared_place(PROGRAM) == SharedPlace({})
    assert add(sums, ann=3, ben=4)
    assert sums.shared_place(PROGRAM) == SharedPlace({0: 1}, NOW, 1)
    assert sums.shared_totals(PROGRAM) == {GOAL: SharedTotal(7, 2)}
    assert add(sums, moves=1, ann=5, ben=-4)
    assert sums.shared_totals(PROGRAM) == {GOAL: SharedTotal(8, 1)}
    assert sums.shared_totals(OTHER_PROGRAM) == {}
    assert sums.shared_place(OTHER_PROGRAM) == SharedPlace({})


def test_whoever_comes_second_from_one_place_adds_nothing(sums: Store) -> None:
    assert add(sums, ann=3)
    assert not add(sums, ben=4)
    assert add(sums, moves=1, ben=4)
    assert not add(sums, moves=1, ben=4)
    assert sums.shared_totals(PROGRAM) == {GOAL: SharedTotal(7, 2)}


def test_of_many_at_once_one_adds(sums: Store) -> None:
    for moves in range(5):
        with ThreadPoolExecutor(4) as threads:
            added = list(threads.map(lambda _, at=moves: add(sums, moves=at, ann=1), range(4)))
        assert sorted(added) == [False, False, False, True]
    assert sums.shared_totals(PROGRAM) == {GOAL: SharedTotal(5, 1)}


def test_a_part_is_never_below_nothing(sums: Store) -> None:
    add(sums, ann=3)
    add(sums, moves=1, ann=-5, ben=-1)
    assert waiting(sums) == []
    add(sums, moves=2, ann=2)
    assert sums.has_part(PROGRAM, ANN, [GOAL, "goal/other"]) == {GOAL}
    assert sums.has_part(PROGRAM, BEN, [GOAL]) == set()


def test_members_wait_for_an_award_until_it_is_noted(sums: Store) -> None:
    add(sums, ann=3, ben=4, cat=1)
    assert waiting(sums) == [ANN, BEN, CAT]
    assert sums.without_award(PROGRAM, GOAL, limit=2) == [ANN, BEN]
    sums.note_awards(PROGRAM, GOAL, [ANN, CAT])
    sums.note_awards(PROGRAM, GOAL, [])
    assert waiting(sums) == [BEN]
    add(sums, moves=1, ann=1)
    assert waiting(sums) == [BEN], "who has had the award keeps it"


def test_what_was_promised_for_a_goal_stays(sums: Store) -> None:
    goal = ReachedGoal("advent", 50, NOW, REACHED)
    assert sums.put_goal(PROGRAM, goal) == goal
    later = ReachedGoal("advent", 60, Ms(NOW + 1), REACHED)
    assert sums.put_goal(PROGRAM, later) == goal
    done = ReachedGoal("advent", 50, NOW, AWARDED)
    assert sums.put_goal(PROGRAM, ReachedGoal("advent", 70, NOW, AWARDED)) == done
    assert sums.put_goal(PROGRAM, goal) == done
    assert sums.goals_reached(PROGRAM) == {"advent": done}
    assert sums.goals_reached(OTHER_PROGRAM) == {}


def test_an_erased_member_is_forgotten_and_the_sum_stays(sums: Store) -> None:
    add(sums, ann=3, ben=4)
    sums.erase(PROGRAM, ANN)
    assert waiting(sums) == [BEN]
    assert sums.shared_totals(PROGRAM)[GOAL].total == 7


def test_a_snapshot_has_the_sums_and_the_place(sums: Store) -> None:
    add(sums, ann=3)
    with sums.snapshot(PROGRAM) as snapshot:
        assert list(snapshot.shared_sums()) == [(GOAL, 3)]
        assert snapshot.shared_place() == SharedPlace({0: 1}, NOW, 1)
    with sums.snapshot(OTHER_PROGRAM) as snapshot:
        assert snapshot.shared_place() == SharedPlace({})
