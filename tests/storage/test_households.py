"""Households: who shares an account, and what tills are told of it; the same in every store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tallystick.core.ids import MemberId, Ms
from tallystick.core.state import MemberStatus
from tallystick.service.errors import AlreadyExists, NotFound
from tallystick.service.household_store import Belonging, Part, Pool
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, Books, SetClock, identifier, member_id

HEAD, PERSON, ASKING = Part
HOME, ANN, BEN, CAT = (member_id(number) for number in (9, 1, 2, 3))
CODE = b"code"


@pytest.fixture
def home(books: Books) -> Store:
    """A household of Ann's; Ben and Cat are members beside it."""
    for number in (1, 2, 3, 9):
        books.enrol(number)
    books.store.add_household(PROGRAM, HOME, Belonging(ANN, HOME, HEAD, NOW))
    return books.store


def ask(home: Store, who: MemberId = BEN, *, now: int = NOW) -> Belonging | None:
    home.invite(PROGRAM, HOME, CODE, expires_ms=Ms(NOW + 100))
    return home.ask_to_join(PROGRAM, who, CODE, now=Ms(now))


def join(home: Store, who: MemberId = BEN, *, most: int = 10) -> Belonging | None:
    ask(home, who)
    return home.take_in(PROGRAM, HOME, who, most=most, now=Ms(NOW + 1))


def parts(home: Store) -> list[tuple[MemberId, Part]]:
    return [(one.member_id, one.part) for one in home.people(PROGRAM, HOME)]


def tags(home: Store, members: Iterable[MemberId]) -> dict[MemberId, int]:
    told = home.read_till_members(PROGRAM, list(members), store_id="s1")
    return {one.member_id: len(one.scan_tags) for one in told}


def test_a_household_is_made_once_and_of_a_member_who_is_in_no_other(home: Store) -> None:
    assert home.belonging(PROGRAM, ANN) == Belonging(ANN, HOME, HEAD, NOW)
    assert home.add_household(PROGRAM, HOME, Belonging(ANN, HOME, HEAD, Ms(NOW + 9))).since_ms == NOW
    assert home.add_household(PROGRAM, CAT, Belonging(ANN, CAT, HEAD, NOW)).household_id == HOME
    with pytest.raises(AlreadyExists):
        home.add_household(PROGRAM, HOME, Belonging(BEN, HOME, HEAD, NOW))
    with pytest.raises(NotFound):
        home.add_household(PROGRAM, member_id(77), Belonging(BEN, member_id(77), HEAD, NOW))
    assert home.belonging(OTHER_PROGRAM, ANN) is None


def test_nobody_takes_over_a_household_that_all_have_left(home: Store) -> None:
    assert home.take_out(PROGRAM, HOME, ANN)
    with pytest.raises(AlreadyExists):
        home.add_household(PROGRAM, HOME, Belonging(BEN, HOME, HEAD, NOW))


def test_an_invitation_is_good_for_one_until_its_end(home: Store) -> None:
    assert ask(home, now=NOW + 100) is None
    assert ask(home, now=NOW + 99) == Belonging(BEN, HOME, ASKING, Ms(NOW + 99))
    assert home.ask_to_join(PROGRAM, CAT, CODE, now=NOW) is None
    assert parts(home) == [(ANN, HEAD), (BEN, ASKING)]


def test_a_newer_invitation_replaces_the_one_before(home: Store) -> None:
    home.invite(PROGRAM, HOME, b"old", expires_ms=Ms(NOW + 100))
    home.invite(PROGRAM, HOME, b"new", expires_ms=Ms(NOW + 100))
    assert home.ask_to_join(PROGRAM, BEN, b"old", now=NOW) is None
    assert home.ask_to_join(PROGRAM, BEN, b"new", now=NOW) is not None
    assert not home.invite(PROGRAM, BEN, b"x", expires_ms=Ms(NOW + 100))


def test_somebody_in_a_household_asks_for_no_other(home: Store) -> None:
    assert ask(home, ANN) == Belonging(ANN, HOME, HEAD, NOW)
    assert ask(home) is not None, "the invitation is still good"


def test_whoever_asks_is_let_in_as_long_as_there_is_room(home: Store) -> None:
    assert home.take_in(PROGRAM, HOME, BEN, most=9, now=NOW) is None, "nobody asks"
    assert join(home, BEN, most=1) is None
    assert join(home, BEN, most=2) == Belonging(BEN, HOME, PERSON, Ms(NOW + 1))
    assert home.take_in(PROGRAM, HOME, BEN, most=1, now=NOW) == Belonging(BEN, HOME, PERSON, Ms(NOW + 1))
    assert join(home, CAT, most=2) is None


def test_a_head_leaves_last(home: Store) -> None:
    join(home)
    assert not home.take_out(PROGRAM, HOME, ANN)
    assert home.take_out(PROGRAM, HOME, BEN)
    assert not home.take_out(PROGRAM, HOME, BEN)
    assert home.take_out(PROGRAM, HOME, ANN)
    assert parts(home) == []


def test_nobody_is_let_into_a_household_whose_head_has_left_meanwhile(home: Store, books: Books) -> None:
    ask(home)
    books.post((2, books.earn(2, 20)))
    home.take_out(PROGRAM, HOME, ANN)
    assert home.take_in(PROGRAM, HOME, BEN, most=9, now=NOW) is None
    assert home.pools(PROGRAM, after="", limit=9) == [], "Ben's points are not Ann's"
    assert home.household_accounts(PROGRAM, [BEN]) == {}


def test_scans_of_its_people_lead_to_the_household(home: Store) -> None:
    ask(home)
    everybody = [ANN, BEN, CAT, HOME]
    assert home.household_accounts(PROGRAM, everybody) == {ANN: HOME}
    join(home)
    assert home.household_accounts(PROGRAM, everybody) == {ANN: HOME, BEN: HOME}
    home.set_status(PROGRAM, BEN, MemberStatus.BLOCKED)
    assert home.household_accounts(PROGRAM, everybody) == {ANN: HOME}, "a blocked card leads to no pool"
    assert home.household_accounts(PROGRAM, []) == {}


def test_the_people_behind_a_household_are_those_who_are_in_it_and_open(home: Store) -> None:
    ask(home)
    assert home.people_of(PROGRAM, [HOME, CAT]) == {HOME: [ANN]}, "who asks is not in it"
    join(home)
    assert home.people_of(PROGRAM, [HOME, ANN]) == {HOME: sorted([ANN, BEN])}
    home.set_status(PROGRAM, BEN, MemberStatus.BLOCKED)
    assert home.people_of(PROGRAM, [HOME]) == {HOME: [ANN]}
    assert home.people_of(PROGRAM, []) == {}
    assert home.people_of(OTHER_PROGRAM, [HOME]) == {}


def test_tills_find_the_household_by_what_its_people_show(home: Store) -> None:
    for number in (1, 2):
        home.add_identifier(PROGRAM, replace(identifier(number), scan_tag=bytes([number]) * 16))
    before = tags(home, [ANN, BEN, HOME])
    join(home)
    after = tags(home, [ANN, BEN, HOME])
    assert (before[BEN], after[BEN], after[ANN]) == (1, 0, 0)
    assert (before[HOME], after[HOME]) == (1, 2)
    page = home.read_till_member_page(PROGRAM, store_id="s1", after="", limit=10)
    assert {one.member_id: len(one.scan_tags) for one in page} == {**after, CAT: 0}


def test_tills_are_told_when_somebody_comes_or_goes_or_changes_in_a_household(
    home: Store, clock: SetClock
) -> None:
    def changed_at(now: int) -> set[MemberId]:
        found = home.read_changed_members(PROGRAM, since=Ms(now), after=None, limit=99)
        return {member for at_ms, member in found if at_ms == now}

    clock.now = Ms(NOW + 1_000)
    join(home)
    assert changed_at(NOW + 1_000) == {BEN, HOME}
    clock.now = Ms(NOW + 2_000)
    home.set_status(PROGRAM, BEN, MemberStatus.BLOCKED)
    assert changed_at(NOW + 2_000) == {BEN, HOME}
    clock.now = Ms(NOW + 3_000)
    home.take_out(PROGRAM, HOME, BEN)
    assert changed_at(NOW + 3_000) == {BEN, HOME}
    clock.now = Ms(NOW + 4_000)
    home.set_status(PROGRAM, BEN, MemberStatus.OPEN)
    assert changed_at(NOW + 4_000) == {BEN}


def test_an_erased_head_is_followed_by_the_eldest_and_an_erased_household_lets_its_people_go(
    home: Store,
) -> None:
    join(home)
    join(home, CAT)
    home.erase(PROGRAM, ANN)
    assert parts(home) == [(BEN, HEAD), (CAT, PERSON)]
    home.erase(PROGRAM, HOME)
    assert parts(home) == []
    assert home.household_accounts(PROGRAM, [BEN, CAT]) == {}


def test_points_that_people_have_of_their_own_are_found(home: Store, books: Books) -> None:
    for number in (2, 3):
        books.post((number, books.earn(number, 10)))
    ask(home)
    assert home.pools(PROGRAM, after="", limit=9) == []
    join(home)
    assert home.pools(PROGRAM, after="", limit=9) == [Pool(BEN, HOME, 10, 1)]
    assert home.pools(PROGRAM, after=BEN, limit=9) == []
    home.set_status(PROGRAM, BEN, MemberStatus.BLOCKED)
    assert home.pools(PROGRAM, after="", limit=9) == []


@pytest.mark.parametrize("status", [MemberStatus.BLOCKED, MemberStatus.LOCKED])
def test_points_of_people_are_not_found_while_the_household_is_not_open(
    home: Store, books: Books, status: MemberStatus
) -> None:
    books.post((1, books.earn(1, 10)))
    home.set_status(PROGRAM, HOME, status)
    assert home.pools(PROGRAM, after="", limit=9) == []
    home.set_status(PROGRAM, HOME, MemberStatus.OPEN)
    assert home.pools(PROGRAM, after="", limit=9) == [Pool(ANN, HOME, 10, 1)]


def test_points_that_reach_a_household_after_all_have_left_are_found_for_the_last_one(
    home: Store, books: Books
) -> None:
    join(home)
    for number in (2, 9):
        books.post((number, books.earn(number, 10 * number)))
    late = Pool(HOME, ANN, 90, 1)
    home.take_out(PROGRAM, HOME, BEN)
    assert home.pools(PROGRAM, after="", limit=9) == [], "Ann is still there"
    home.take_out(PROGRAM, HOME, ANN)
    assert home.pools(PROGRAM, after="", limit=9) == [late]
    home.add_household(PROGRAM, CAT, Belonging(BEN, CAT, HEAD, NOW))
    assert home.pools(PROGRAM, after="", limit=9) == [Pool(BEN, CAT, 20, 1), late]
    assert home.pools(PROGRAM, after="", limit=1) == [Pool(BEN, CAT, 20, 1)]
    assert home.pools(PROGRAM, after=BEN, limit=1) == [late]
    home.set_status(PROGRAM, ANN, MemberStatus.BLOCKED)
    assert home.pools(PROGRAM, after=BEN, limit=9) == []
    home.erase(PROGRAM, ANN)
    assert home.pools(PROGRAM, after=BEN, limit=9) == []


def test_points_of_a_household_whose_last_one_was_erased_are_for_nobody(home: Store, books: Books) -> None:
    books.post((9, books.earn(9, 10)))
    home.erase(PROGRAM, ANN)
    assert home.pools(PROGRAM, after="", limit=9) == []
