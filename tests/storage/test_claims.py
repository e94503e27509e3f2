"""Sales of guests that wait for a member; the same in every store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tallystick.core.ids import MemberId, Ms
from tallystick.service.claim_store import FORGET_PAGE, NOBODY, Claim, ClaimState
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, Books, command_id, member_id, program

OPEN, TAKEN, POSTED, CANCELLED = ClaimState


@pytest.fixture
def claims(store: Store) -> Store:
    assert store.create_program(program())
    assert store.create_program(program(OTHER_PROGRAM))
    return store


def new(number: int = 1, **more: object) -> Claim:
    plain = Claim(
        command_id(number),
        f"code {number}".encode(),
        b"print",
        b"basket",
        "[]",
        NOW,
        Ms(NOW + 1000),
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def add(claims: Store, claim: Claim, *, forget_before: int = 0) -> Claim:
    return claims.add_claim(PROGRAM, claim, forget_before=Ms(forget_before))


def move(
    claims: Store, to: ClaimState, before: ClaimState, number: int = 1, member: MemberId = NOBODY
) -> Claim | None:
    return claims.move_claim(PROGRAM, command_id(number), to, before=before, member_id=member)


def test_a_claim_is_found_by_its_id_and_by_its_code_in_its_own_program_only(claims: Store) -> None:
    assert add(claims, new()) == new()
    assert claims.claim(PROGRAM, command_id(1)) == new()
    assert claims.claim_of_code(PROGRAM, b"code 1") == new()
    assert claims.claim(PROGRAM, command_id(2)) is None
    assert claims.claim_of_code(PROGRAM, b"code 2") is None
    assert claims.claim(OTHER_PROGRAM, command_id(1)) is None
    assert claims.claim_of_code(OTHER_PROGRAM, b"code 1") is None


def test_the_first_claim_under_an_id_stays(claims: Store) -> None:
    add(claims, new())
    assert add(claims, new(fingerprint=b"other")) == new()
    assert claims.claim(PROGRAM, command_id(1)) == new()


def test_a_claim_moves_from_the_state_that_was_meant_and_from_no_other(claims: Store) -> None:
    add(claims, new())
    taken = new(state=TAKEN, member_id=member_id(1))
    assert move(claims, TAKEN, OPEN, member=member_id(1)) == taken
    assert move(claims, TAKEN, OPEN, member=member_id(2)) == taken
    assert move(claims, CANCELLED, OPEN) == taken
    posted = replace(taken, state=POSTED, basket=b"", origin="")
    assert move(claims, POSTED, TAKEN) == posted
    assert move(claims, CANCELLED, TAKEN) == posted
    assert move(claims, TAKEN, OPEN, number=9, member=member_id(1)) is None
    assert claims.move_claim(OTHER_PROGRAM, command_id(1), OPEN, before=POSTED) is None


def test_a_claim_is_taken_once_however_many_want_it(claims: Store) -> None:
    add(claims, new())
    together = threading.Barrier(4)

    def take(number: int) -> MemberId:
        together.wait(30)
        found = move(claims, TAKEN, OPEN, member=member_id(number))
        assert found is not None
        return found.member_id

    with ThreadPoolExecutor(4) as threads:
        owners = list(threads.map(take, range(1, 5)))
    assert len(set(owners)) == 1


def test_redeeming_and_cancelling_at_once_one_of_them_wins(claims: Store) -> None:
    together = threading.Barrier(2)

    def run(number: int, to: ClaimState) -> ClaimState:
        together.wait(30)
        found = move(claims, to, OPEN, number, member_id(1) if to is TAKEN else NOBODY)
        assert found is not None
        return found.state

    for number in range(1, 6):
        add(claims, new(number))
        with ThreadPoolExecutor(2) as threads:
            first, second = threads.map(run, (number, number), (TAKEN, CANCELLED))
        assert first is second


def test_a_new_claim_takes_away_open_ones_that_ended_long_ago(claims: Store) -> None:
    for number in range(1, FORGET_PAGE + 4):
        add(claims, new(number, expires_ms=Ms(NOW + number)))
    move(claims, TAKEN, OPEN, number=1, member=member_id(1))
    add(claims, new(500), forget_before=NOW + 3)
    left = [n for n in range(1, 6) if claims.claim(PROGRAM, command_id(n))]
    assert left == [1, 3, 4, 5]
    add(claims, new(501), forget_before=NOW + 1000)
    assert sum(claims.claim(PROGRAM, command_id(n)) is not None for n in range(1, FORGET_PAGE + 4)) == 2


def test_erasing_a_member_ends_what_was_taken_and_not_posted(store: Store, books: Books) -> None:
    books.enrol(1)
    books.enrol(2)
    for number, owner in ((1, 1), (2, 1), (3, 2)):
        add(store, new(number))
        move(store, TAKEN, OPEN, number=number, member=member_id(owner))
    move(store, POSTED, TAKEN, number=2)
    assert store.erase(PROGRAM, member_id(1))
    states = [store.claim(PROGRAM, command_id(number)) for number in (1, 2, 3)]
    assert [(one.state, one.basket) for one in states if one] == [
        (CANCELLED, b""),
        (POSTED, b""),
        (TAKEN, b"basket"),
    ]
