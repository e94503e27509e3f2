"""Batches of cards, and what becomes of a card when members come, lose it and go; the same in every store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tallystick.core.ids import MemberId, Ms
from tallystick.service.card_ports import Card, CardBatch, CardRevoked, CardState
from tallystick.service.directory import IdentifierRow
from tallystick.service.errors import AlreadyExists
from tallystick.storage import Store
from tests.storage.build import (
    NOW,
    OTHER_PROGRAM,
    PROGRAM,
    SetClock,
    identifier,
    member,
    member_id,
    program,
)

BLANK, CLAIMED, LOST = CardState.BLANK, CardState.CLAIMED, CardState.LOST
LATER = Ms(NOW + 60_000)


@pytest.fixture
def directory(store: Store) -> Store:
    assert store.create_program(program())
    assert store.create_program(program(OTHER_PROGRAM))
    return store


def batch(name: str = "b-1", *, count: int = 3, created_ms: int = NOW) -> CardBatch:
    return CardBatch(name, "ean13", "29", count, "Spring", Ms(created_ms), "ann")


def card(position: int, *, batch_id: str = "b-1", state: CardState = BLANK, changed_ms: Ms = NOW) -> Card:
    return Card("ean13", f"{batch_id} {position}".encode(), batch_id, position, 0, state, changed_ms)


def on_member(one: Card, number: int = 1) -> IdentifierRow:
    return IdentifierRow(one.kind, one.token, member_id(number), "…1234", NOW)


def filled(directory: Store, name: str = "b-1", *, count: int = 3) -> list[Card]:
    cards = [card(position, batch_id=name) for position in range(1, count + 1)]
    assert directory.add_card_batch(PROGRAM, batch(name, count=count), cards) == batch(name, count=count)
    return cards


def state_of(directory: Store, one: Card) -> CardState | None:
    found = directory.cards(PROGRAM, [(one.kind, one.token)])
    return found[0].state if found else None


def test_a_batch_is_stored_with_its_cards(directory: Store) -> None:
    cards = filled(directory)
    assert directory.card_batch(PROGRAM, "b-1") == batch()
    assert directory.batch_cards(PROGRAM, "b-1", after=0, limit=10) == cards
    assert directory.batch_cards(PROGRAM, "b-1", after=1, limit=1) == [cards[1]]
    assert directory.cards(PROGRAM, [("ean13", cards[2].token), ("gsrn", cards[2].token)]) == [cards[2]]
    assert directory.cards(PROGRAM, []) == []


def test_a_batch_is_seen_in_its_own_program_only(directory: Store) -> None:
    cards = filled(directory)
    assert directory.card_batch(OTHER_PROGRAM, "b-1") is None
    assert directory.card_batches(OTHER_PROGRAM) == []
    assert directory.card_counts(OTHER_PROGRAM) == {}
    assert directory.batch_cards(OTHER_PROGRAM, "b-1", after=0, limit=10) == []
    assert directory.cards(OTHER_PROGRAM, [("ean13", cards[0].token)]) == []


def test_the_same_batch_again_changes_nothing(directory: Store) -> None:
    cards = filled(directory)
    again = replace(batch(), label="Autumn")
    assert directory.add_card_batch(PROGRAM, again, [card(9)]) == batch()
    assert directory.batch_cards(PROGRAM, "b-1", after=0, limit=10) == cards


@pytest.mark.parametrize("taken_by", ["card", "member"])
def test_a_batch_with_a_number_that_is_taken_is_not_stored_at_all(directory: Store, taken_by: str) -> None:
    taken = card(1)
    if taken_by == "card":
        directory.add_card_batch(PROGRAM, batch(count=1), [taken])
    else:
        directory.enrol(PROGRAM, member(1), [on_member(taken)])
    fresh = card(2, batch_id="b-2")
    with pytest.raises(AlreadyExists):
        directory.add_card_batch(PROGRAM, batch("b-2", count=2), [fresh, replace(taken, batch_id="b-2")])
    assert directory.card_batch(PROGRAM, "b-2") is None
    assert state_of(directory, fresh) is None


def test_a_large_batch_is_stored_whole(directory: Store) -> None:
    cards = filled(directory, count=1_000)
    assert directory.card_counts(PROGRAM) == {("b-1", BLANK): 1_000}
    assert directory.batch_cards(PROGRAM, "b-1", after=990, limit=100) == cards[990:]


def test_batches_are_listed_newest_first(directory: Store) -> None:
    for name, at in (("b-1", NOW), ("b-2", NOW + 2), ("b-3", NOW + 1)):
        directory.add_card_batch(PROGRAM, batch(name, created_ms=at), [card(1, batch_id=name)])
    assert [one.batch_id for one in directory.card_batches(PROGRAM)] == ["b-2", "b-3", "b-1"]


def test_a_card_given_at_enrolment_is_claimed(directory: Store, clock: SetClock) -> None:
    cards = filled(directory)
    clock.now = LATER
    directory.enrol(PROGRAM, member(1), [identifier(1), on_member(cards[0])])
    (found,) = directory.cards(PROGRAM, [("ean13", cards[0].token)])
    assert found == replace(cards[0], state=CLAIMED, changed_ms=LATER)
    assert directory.card_counts(PROGRAM) == {("b-1", BLANK): 2, ("b-1", CLAIMED): 1}


def test_a_card_added_later_is_claimed_and_the_same_again_changes_nothing(directory: Store) -> None:
    cards = filled(directory)
    directory.enrol(PROGRAM, member(1), [])
    assert directory.add_identifier(PROGRAM, on_member(cards[1]))
    assert directory.add_identifier(PROGRAM, on_member(cards[1]))
    assert state_of(directory, cards[1]) is CLAIMED


def test_a_card_is_claimed_once(directory: Store) -> None:
    (only,) = filled(directory, count=1)
    for number in range(1, 5):
        directory.enrol(PROGRAM, member(number), [])
    together = threading.Barrier(4)

    def claim(number: int) -> bool:
        together.wait(30)
        try:
            return directory.add_identifier(PROGRAM, on_member(only, number))
        except AlreadyExists:
            return False

    with ThreadPoolExecutor(4) as threads:
        claimed = [one.result(60) for one in [threads.submit(claim, number) for number in range(1, 5)]]
    assert sorted(claimed) == [False, False, False, True]


def test_a_card_taken_from_its_member_is_lost_and_belongs_to_nobody_again(directory: Store) -> None:
    cards = filled(directory)
    directory.enrol(PROGRAM, member(1), [on_member(cards[0])])
    assert directory.remove_identifier(PROGRAM, member_id(1), "ean13", cards[0].token)
    assert state_of(directory, cards[0]) is LOST
    with pytest.raises(CardRevoked):
        directory.add_identifier(PROGRAM, on_member(cards[0]))
    with pytest.raises(CardRevoked):
        directory.enrol(PROGRAM, member(2), [on_member(cards[0], 2)])
    assert directory.member(PROGRAM, member_id(2)) is None
    assert directory.find(PROGRAM, [("ean13", cards[0].token)]) == []


def test_what_was_no_card_leaves_no_trace_when_it_is_removed(directory: Store) -> None:
    directory.enrol(PROGRAM, member(1), [identifier(1)])
    assert directory.remove_identifier(PROGRAM, member_id(1), "phone", identifier(1).token)
    assert directory.cards(PROGRAM, [("phone", identifier(1).token)]) == []
    assert directory.add_identifier(PROGRAM, identifier(1))


def test_the_cards_of_an_erased_member_are_lost(directory: Store) -> None:
    cards = filled(directory)
    directory.enrol(PROGRAM, member(1), [on_member(cards[0]), identifier(1)])
    assert directory.erase(PROGRAM, member_id(1))
    assert state_of(directory, cards[0]) is LOST
    assert directory.cards(PROGRAM, [("phone", identifier(1).token)]) == []
    assert state_of(directory, cards[1]) is BLANK


def replaced(
    directory: Store, old: IdentifierRow | None, *new: IdentifierRow, number: str = "", of: int = 1
) -> bool:
    return directory.replace_card(PROGRAM, MemberId(member_id(of)), old=old, new=new, number=number)


def test_a_card_is_replaced_in_one_step(directory: Store, clock: SetClock) -> None:
    cards = filled(directory)
    directory.enrol(PROGRAM, member(1), [on_member(cards[0])])
    clock.now = LATER
    assert replaced(directory, on_member(cards[0]), on_member(cards[1]))
    assert directory.identifiers(PROGRAM, member_id(1)) == [on_member(cards[1])]
    assert (state_of(directory, cards[0]), state_of(directory, cards[1])) == (LOST, CLAIMED)
    changed = directory.read_changed_members(PROGRAM, since=LATER, after=None, limit=10)
    assert changed == [(LATER, member_id(1))], "tills hear of it"


def test_a_lost_card_that_was_of_no_batch_is_remembered(directory: Store) -> None:
    own = identifier(1, kind="number")
    directory.enrol(PROGRAM, member(1), [own])
    assert replaced(directory, own, identifier(1, kind="number", token=b"fresh"), number="000000000099")
    found = directory.cards(PROGRAM, [("number", own.token)])
    assert found == [Card("number", own.token, "", 0, 0, LOST, NOW)]
    stored = directory.member(PROGRAM, member_id(1))
    assert stored is not None
    assert stored.number == "000000000099"
    assert directory.card_counts(PROGRAM) == {}
    assert directory.batch_cards(PROGRAM, "", after=-1, limit=10) == []
    with pytest.raises(CardRevoked):
        directory.add_identifier(PROGRAM, own)


def test_a_replacement_that_cannot_be_had_leaves_the_old_card(directory: Store) -> None:
    cards = filled(directory)
    directory.enrol(PROGRAM, member(1), [on_member(cards[0])])
    directory.enrol(PROGRAM, member(2), [on_member(cards[1], 2)])
    with pytest.raises(AlreadyExists):
        replaced(directory, on_member(cards[0]), on_member(cards[2]), on_member(cards[1]))
    assert state_of(directory, cards[0]) is CLAIMED
    assert state_of(directory, cards[2]) is BLANK
    assert directory.identifiers(PROGRAM, member_id(1)) == [on_member(cards[0])]


def test_nothing_is_replaced_of_somebody_else_or_twice(directory: Store) -> None:
    cards = filled(directory)
    directory.enrol(PROGRAM, member(1), [on_member(cards[0])])
    directory.enrol(PROGRAM, member(2), [])
    assert not replaced(directory, on_member(cards[0]), on_member(cards[1], 2), of=2)
    assert not replaced(directory, on_member(cards[0]), of=3)
    assert replaced(directory, on_member(cards[0]))
    assert not replaced(directory, on_member(cards[0]), on_member(cards[1]))
    assert state_of(directory, cards[1]) is BLANK
    assert replaced(directory, None, on_member(cards[1]))
    directory.erase(PROGRAM, member_id(1))
    assert not replaced(directory, None, on_member(cards[2]))
