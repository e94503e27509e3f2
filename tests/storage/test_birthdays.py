"""Days that come round every year, the same in every store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.core.ids import MemberId, Ms
from tallystick.service.birthday_ports import FIXED_MS, NO_DAY, Birthday
from tallystick.service.errors import NotFound
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, member, member_id, program

ANN, BEN, EVE = member_id(1), member_id(2), member_id(3)
DAY_MS = 86_400_000


@pytest.fixture
def people(store: Store) -> Store:
    for program_id in (PROGRAM, OTHER_PROGRAM):
        store.create_program(program(program_id))
        for number in (1, 2, 3):
            joined = Ms(NOW + number * DAY_MS)
            store.enrol(program_id, replace(member(number), enrolled_ms=joined), [])
    return store


def says(store: Store, day: int, at_ms: int = NOW, *, who: MemberId = ANN, by_staff: bool = False) -> int:
    """Return the day that is kept once a member has said one."""
    return store.set_birthday(PROGRAM, Birthday(who, day, Ms(at_ms)), by_staff=by_staff).month_day


def test_a_birthday_is_found_by_its_day_in_its_own_program(people: Store) -> None:
    for who in (EVE, ANN):
        assert says(people, 229, who=who) == 229
    says(people, 301, who=BEN)
    assert people.birthday(PROGRAM, ANN) == Birthday(ANN, 229, Ms(NOW))
    assert people.born_on(PROGRAM, 229, after="", limit=10) == [ANN, EVE]
    assert people.born_on(PROGRAM, 229, after=ANN, limit=10) == [EVE]
    assert people.born_on(PROGRAM, 229, after="", limit=1) == [ANN]
    assert people.born_on(OTHER_PROGRAM, 229, after="", limit=10) == []
    assert people.birthday(OTHER_PROGRAM, ANN) is None


def test_a_birthday_stays_for_a_year_and_can_then_be_changed(people: Store) -> None:
    says(people, 229)
    assert says(people, 301, NOW + FIXED_MS - 1) == 229
    assert says(people, 301, NOW + FIXED_MS) == 301
    assert says(people, 302, NOW + FIXED_MS + 1) == 301, "and then stays for another year"


def test_the_same_day_said_again_does_not_begin_another_year(people: Store) -> None:
    says(people, 229)
    says(people, 229, NOW + 5)
    assert people.birthday(PROGRAM, ANN) == Birthday(ANN, 229, Ms(NOW))


def test_the_staff_can_mend_a_slip_at_once(people: Store) -> None:
    says(people, 229)
    assert says(people, 301, NOW + 1, by_staff=True) == 301


def test_a_birthday_taken_back_is_forgotten_and_not_chosen_anew_at_once(people: Store) -> None:
    assert says(people, NO_DAY) == NO_DAY
    assert people.birthday(PROGRAM, ANN) is None, "there was nothing to take back"
    says(people, 229)
    assert says(people, NO_DAY, NOW + 1) == NO_DAY
    assert people.born_on(PROGRAM, 229, after="", limit=10) == []
    assert says(people, 301, NOW + 2) == NO_DAY
    assert says(people, 301, NOW + FIXED_MS) == 301


def test_a_birthday_goes_with_its_member(people: Store) -> None:
    says(people, 229)
    people.erase(PROGRAM, ANN)
    assert people.birthday(PROGRAM, ANN) is None
    assert people.born_on(PROGRAM, 229, after="", limit=10) == []
    for who in (ANN, member_id(9)):
        with pytest.raises(NotFound):
            says(people, 229, who=who)


def test_members_are_found_by_when_they_joined(people: Store) -> None:
    assert people.first_enrolled_ms(PROGRAM) == NOW + DAY_MS
    first, behind = Ms(NOW + DAY_MS), Ms(NOW + 3 * DAY_MS)
    assert people.enrolled_between(PROGRAM, first, behind, after="", limit=9) == [ANN, BEN]
    assert people.enrolled_between(PROGRAM, first, behind, after=ANN, limit=9) == [BEN]
    assert people.enrolled_between(PROGRAM, first, Ms(behind + 1), after="", limit=2) == [ANN, BEN]
    people.erase(PROGRAM, ANN)
    assert people.enrolled_between(PROGRAM, first, behind, after="", limit=9) == [BEN]


def test_where_nobody_has_joined_there_is_no_first_day(store: Store) -> None:
    store.create_program(program(PROGRAM))
    assert store.first_enrolled_ms(PROGRAM) is None
