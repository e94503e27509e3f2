"""Transfers under way; the same in every store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.core.ids import Ms
from tallystick.service.transfer_store import Transfer, TransferState
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, command_id, member_id, program

ASKED, ARRIVED, UNDONE = TransferState


@pytest.fixture
def transfers(store: Store) -> Store:
    assert store.create_program(program())
    assert store.create_program(program(OTHER_PROGRAM))
    return store


def new(number: int = 1, *, asked_ms: int = NOW) -> Transfer:
    return Transfer(command_id(number), member_id(1), member_id(2), 40, ASKED, NOW, Ms(asked_ms))


def asked(transfers: Store, *, before: int = NOW + 100, limit: int = 10) -> list[Transfer]:
    return transfers.transfers_asked(PROGRAM, before=Ms(before), after=None, limit=limit)


def test_a_transfer_is_found_in_its_own_program_only(transfers: Store) -> None:
    assert transfers.add_transfer(PROGRAM, new()) == new()
    assert transfers.transfer(PROGRAM, command_id(1)) == new()
    assert transfers.transfer(PROGRAM, command_id(2)) is None
    assert transfers.transfer(OTHER_PROGRAM, command_id(1)) is None


def test_the_first_transfer_under_an_id_stays_and_is_asked_for_anew(transfers: Store) -> None:
    transfers.add_transfer(PROGRAM, new())
    again = replace(new(asked_ms=NOW + 5), points=41, made_ms=Ms(NOW + 5))
    assert transfers.add_transfer(PROGRAM, again) == replace(new(), asked_ms=Ms(NOW + 5))


def test_a_transfer_ends_once(transfers: Store) -> None:
    transfers.add_transfer(PROGRAM, new())
    assert transfers.end_transfer(PROGRAM, command_id(1), ARRIVED) == replace(new(), state=ARRIVED)
    assert transfers.end_transfer(PROGRAM, command_id(1), UNDONE) == replace(new(), state=ARRIVED)
    assert transfers.add_transfer(PROGRAM, new(asked_ms=NOW + 5)) == replace(new(), state=ARRIVED)
    assert transfers.end_transfer(PROGRAM, command_id(2), ARRIVED) is None


def test_only_what_is_asked_and_was_not_asked_for_lately_is_forgotten(transfers: Store) -> None:
    for number in (1, 2):
        transfers.add_transfer(PROGRAM, new(number))
    transfers.end_transfer(PROGRAM, command_id(2), ARRIVED)
    assert not transfers.forget_transfer(PROGRAM, command_id(1), asked_before=NOW)
    assert transfers.forget_transfer(PROGRAM, command_id(1), asked_before=Ms(NOW + 1))
    assert not transfers.forget_transfer(PROGRAM, command_id(2), asked_before=Ms(NOW + 1))
    assert transfers.transfer(PROGRAM, command_id(1)) is None


def test_what_was_interrupted_is_read_page_by_page_the_oldest_first(transfers: Store) -> None:
    for number, at_ms in ((1, NOW + 2), (2, NOW), (3, NOW + 2), (4, NOW + 100)):
        transfers.add_transfer(PROGRAM, new(number, asked_ms=at_ms))
    transfers.add_transfer(OTHER_PROGRAM, new(5))
    assert [one.transfer_id for one in asked(transfers)] == [command_id(n) for n in (2, 1, 3)]
    (first, second) = asked(transfers, limit=2)
    rest = transfers.transfers_asked(
        PROGRAM, before=Ms(NOW + 101), after=(second.asked_ms, second.transfer_id), limit=9
    )
    assert [one.transfer_id for one in rest] == [command_id(3), command_id(4)]
    assert first.transfer_id == command_id(2)


def test_a_snapshot_has_all_of_them(transfers: Store) -> None:
    for number in (2, 1):
        transfers.add_transfer(PROGRAM, new(number))
    with transfers.snapshot(PROGRAM) as snapshot:
        assert [one.transfer_id for one in snapshot.transfers()] == [command_id(1), command_id(2)]


def test_transfers_of_members_are_found_from_both_ends_the_newest_first(transfers: Store) -> None:
    for number, at_ms in ((1, NOW), (2, NOW + 2), (3, NOW + 1)):
        transfers.add_transfer(PROGRAM, replace(new(number), made_ms=Ms(at_ms)))
    other = replace(new(4), from_member_id=member_id(3), to_member_id=member_id(4))
    transfers.add_transfer(PROGRAM, other)

    def found(*members: int, since: int = NOW, limit: int = 9) -> list[str]:
        wanted = [member_id(number) for number in members]
        rows = transfers.transfers_of(PROGRAM, wanted, since=Ms(since), limit=limit)
        return [one.transfer_id for one in rows]

    assert found(1) == found(2) == [command_id(2), command_id(3), command_id(1)]
    assert found(4, since=NOW) == [command_id(4)]
    assert found(1, since=NOW + 1, limit=1) == [command_id(2)]
    assert found(5) == []
