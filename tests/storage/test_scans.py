"""What scans lead to, looked up together; the same in every store."""

from __future__ import annotations

import pytest

from tallystick.core.ids import MemberId, Ms
from tallystick.core.state import MemberStatus
from tallystick.service.card_ports import Card, CardBatch, CardState
from tallystick.service.directory import IdentifierRow
from tallystick.service.household_store import Belonging, Part
from tallystick.service.scan_ports import Key, Scanned
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, Books, identifier, member_id

ANN, BEN, HOME = (member_id(number) for number in (1, 2, 9))
NOBODY = MemberId("00000000-0000-8000-8000-000000000000")


def key_of(row: IdentifierRow) -> Key:
    return row.kind, row.token


@pytest.fixture
def people(books: Books) -> Store:
    """Ann and Ben, each with a telephone; Ann's household; a card of nobody's."""
    for number in (1, 2, 9):
        books.enrol(number)
    store = books.store
    for number in (1, 2):
        assert store.add_identifier(PROGRAM, identifier(number))
    store.put_person(PROGRAM, BEN, b"sealed Ben")
    store.add_household(PROGRAM, HOME, Belonging(ANN, HOME, Part.HEAD, NOW))
    blank = Card("ean13", b"blank", "b-1", 1, 0, CardState.BLANK, NOW)
    store.add_card_batch(PROGRAM, CardBatch("b-1", "ean13", "29", 1, "Spring", NOW, "ann"), [blank])
    return store


def test_each_key_leads_to_its_member_and_that_ones_account_and_data(people: Store) -> None:
    keys = [key_of(identifier(number)) for number in (1, 2, 3)]
    found = people.read_scanned(PROGRAM, [*keys, ("ean13", b"blank"), keys[0]], nobody=NOBODY)
    assert found.identifiers == {keys[0]: identifier(1), keys[1]: identifier(2)}
    assert {key: card.state for key, card in found.cards.items()} == {("ean13", b"blank"): CardState.BLANK}
    assert found.households == {ANN: HOME}
    assert found.accounts == people.read_accounts(PROGRAM, [HOME, BEN])
    assert found.sealed == {BEN: b"sealed Ben"}


def test_somebody_blocked_is_let_into_no_household(people: Store) -> None:
    people.set_status(PROGRAM, ANN, MemberStatus.BLOCKED)
    found = people.read_scanned(PROGRAM, [key_of(identifier(1))], nobody=NOBODY)
    assert (found.households, set(found.accounts)) == ({}, {ANN})


def test_a_key_of_nobody_is_looked_up_to_the_end(people: Store) -> None:
    known, unknown = key_of(identifier(1)), ("phone", b"nobody's")
    assert people.read_scanned(PROGRAM, [known], nobody=BEN).sealed == {}
    found = people.read_scanned(PROGRAM, [known, unknown], nobody=BEN)
    assert (set(found.identifiers), set(found.accounts), found.sealed) == (
        {known},
        {HOME, BEN},
        {BEN: b"sealed Ben"},
    )


def test_a_card_that_has_become_a_members_is_that_members(people: Store) -> None:
    row = IdentifierRow("ean13", b"blank", BEN, "…1234", Ms(NOW))
    assert people.add_identifier(PROGRAM, row)
    found = people.read_scanned(PROGRAM, [key_of(row)], nobody=NOBODY)
    assert (found.identifiers, found.cards, set(found.accounts)) == ({key_of(row): row}, {}, {BEN})


def test_nothing_of_another_program_is_found(people: Store) -> None:
    keys = [key_of(identifier(1)), ("ean13", b"blank")]
    found = people.read_scanned(OTHER_PROGRAM, keys, nobody=NOBODY)
    assert found == Scanned({}, {}, {}, {}, {})


def test_keys_of_any_kind_and_length_are_told_apart(people: Store) -> None:
    tokens = [bytes([number % 256]) * (1 + number % 40) for number in range(1_000)]
    rows = {("email", token): IdentifierRow("email", token, BEN, "", NOW) for token in tokens}
    for row in list(rows.values())[:200]:
        assert people.add_identifier(PROGRAM, row)
    keys = [("email", token) for token in tokens] + [("phone", token) for token in tokens]
    found = people.read_scanned(PROGRAM, keys, nobody=NOBODY)
    assert found.identifiers == dict(list(rows.items())[:200])
