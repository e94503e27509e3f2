"""Wish lists, open baskets and the reminders given, the same in every store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.core.ids import Ms
from tallystick.service.errors import NotFound
from tallystick.service.wish_ports import Reminded, Wanted, WantedKind
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, member, member_id, program

ANN, BEN, EVE = member_id(1), member_id(2), member_id(3)
WISHES, BASKET = WantedKind.WISH_LIST, WantedKind.BASKET
MONTH_MS = 30 * 86_400_000


@pytest.fixture
def people(store: Store) -> Store:
    for program_id in (PROGRAM, OTHER_PROGRAM):
        store.create_program(program(program_id))
        for number in (1, 2):
            store.enrol(program_id, member(number), [])
    return store


def basket(member_no: int = 1, at_ms: int = NOW, ref: str = "b-1", body: str = "[1]") -> Wanted:
    return Wanted(member_id(member_no), BASKET, ref, Ms(at_ms), body)


def given(key: str = "k-1", at_ms: int = NOW) -> Reminded:
    return Reminded("basket.abandoned", key, Ms(at_ms))


def remind(store: Store, wanted: Wanted, reminded: Reminded, *, most: int = 9) -> bool:
    since = Ms(reminded.made_ms - MONTH_MS)
    return store.note_reminded(PROGRAM, wanted, reminded, since=since, most=most)


class TestKeeping:
    def test_a_basket_takes_the_place_of_the_one_before(self, people: Store) -> None:
        assert people.put_wanted(PROGRAM, basket())
        assert people.put_wanted(PROGRAM, basket(at_ms=NOW + 1, ref="b-2"))
        assert people.wanted(PROGRAM, ANN, BASKET) == basket(at_ms=NOW + 1, ref="b-2")
        assert people.wanted(OTHER_PROGRAM, ANN, BASKET) is None
        assert people.wanted(PROGRAM, ANN, WISHES) is None

    def test_a_wish_list_and_a_basket_lie_side_by_side(self, people: Store) -> None:
        wishes = replace(basket(), kind=WISHES, ref="")
        people.put_wanted(PROGRAM, basket())
        people.put_wanted(PROGRAM, wishes)
        assert people.wanted(PROGRAM, ANN, BASKET) == basket()
        assert people.wanted(PROGRAM, ANN, WISHES) == wishes

    def test_an_older_one_and_the_same_one_change_nothing(self, people: Store) -> None:
        people.put_wanted(PROGRAM, basket())
        assert not people.put_wanted(PROGRAM, basket(at_ms=NOW - 1, body="[2]"))
        assert not people.put_wanted(PROGRAM, basket(at_ms=NOW, body="[2]"))
        assert not people.put_wanted(PROGRAM, basket(at_ms=NOW + 1))
        assert people.wanted(PROGRAM, ANN, BASKET) == basket()

    def test_nobody_elses_and_no_erased_members_are_kept(self, people: Store) -> None:
        people.erase(PROGRAM, BEN)
        for one in (basket(2), basket(3)):
            with pytest.raises(NotFound):
                people.put_wanted(PROGRAM, one)

    def test_what_was_seen_later_is_not_forgotten(self, people: Store) -> None:
        people.put_wanted(PROGRAM, basket())
        assert not people.forget_wanted(PROGRAM, ANN, BASKET, up_to=Ms(NOW - 1))
        assert people.forget_wanted(PROGRAM, ANN, BASKET, up_to=NOW)
        assert not people.forget_wanted(PROGRAM, ANN, BASKET, up_to=NOW)

    def test_erasing_a_member_deletes_it_all(self, people: Store) -> None:
        people.put_wanted(PROGRAM, basket())
        people.put_wanted(PROGRAM, replace(basket(), kind=WISHES))
        remind(people, basket(), given())
        people.put_wanted(PROGRAM, basket(2))
        people.erase(PROGRAM, ANN)
        assert people.wanted(PROGRAM, ANN, BASKET) is None
        assert people.wanted(PROGRAM, ANN, WISHES) is None
        assert people.reminders(PROGRAM, ANN) == []
        assert people.wanted(PROGRAM, BEN, BASKET) == basket(2)


class TestReminding:
    def test_what_is_due_comes_in_pages_the_oldest_first(self, people: Store) -> None:
        people.put_wanted(PROGRAM, basket(2, NOW - 5))
        people.put_wanted(PROGRAM, basket(1, NOW - 5))
        people.put_wanted(PROGRAM, replace(basket(1, NOW - 9), kind=WISHES))
        due = people.due_wanted(PROGRAM, BASKET, before=NOW, after=None, limit=1)
        assert due == [basket(1, NOW - 5)]
        mark = (due[0].seen_ms, due[0].member_id)
        assert people.due_wanted(PROGRAM, BASKET, before=NOW, after=mark, limit=9) == [basket(2, NOW - 5)]
        assert people.due_wanted(PROGRAM, BASKET, before=Ms(NOW - 5), after=None, limit=9) == []

    def test_the_first_who_asks_reminds_and_nobody_after(self, people: Store) -> None:
        people.put_wanted(PROGRAM, basket())
        assert remind(people, basket(), given())
        assert not remind(people, basket(), given("k-2"))
        assert people.due_wanted(PROGRAM, BASKET, before=Ms(NOW + 1), after=None, limit=9) == []
        assert people.reminders(PROGRAM, ANN) == [given()]

    def test_a_basket_that_changed_meanwhile_is_not_reminded_of(self, people: Store) -> None:
        people.put_wanted(PROGRAM, basket())
        people.put_wanted(PROGRAM, basket(at_ms=NOW + 1, body="[2]"))
        assert not remind(people, basket(), given())
        assert people.reminders(PROGRAM, ANN) == []

    def test_a_member_has_no_more_reminders_in_a_month_than_there_may_be(self, people: Store) -> None:
        people.put_wanted(PROGRAM, basket())
        assert remind(people, basket(), given(), most=1)
        later = basket(at_ms=NOW + 1, body="[2]")
        people.put_wanted(PROGRAM, later)
        assert not remind(people, later, given("k-2", NOW + MONTH_MS), most=1)
        assert remind(people, later, given("k-2", NOW + MONTH_MS + 1), most=1)

    def test_a_reminder_that_reached_nobody_is_due_again(self, people: Store) -> None:
        people.put_wanted(PROGRAM, basket())
        remind(people, basket(), given())
        people.unnote_reminded(PROGRAM, basket(), given())
        assert people.reminders(PROGRAM, ANN) == []
        assert people.due_wanted(PROGRAM, BASKET, before=Ms(NOW + 1), after=None, limit=9) == [basket()]

    def test_old_baskets_and_reminders_are_let_go_and_wish_lists_stay(self, people: Store) -> None:
        wishes = replace(basket(), kind=WISHES)
        for one in (basket(), wishes, basket(2, NOW + 5)):
            people.put_wanted(PROGRAM, one)
        remind(people, basket(), given())
        gone = people.forget_wants(PROGRAM, baskets_before=Ms(NOW + 1), reminders_before=Ms(NOW + 1))
        assert gone == 2
        assert people.wanted(PROGRAM, ANN, BASKET) is None
        assert people.wanted(PROGRAM, ANN, WISHES) == wishes
        assert people.wanted(PROGRAM, BEN, BASKET) == basket(2, NOW + 5)
        assert people.reminders(PROGRAM, ANN) == []
