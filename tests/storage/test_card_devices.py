"""Members' devices: every store keeps them alike."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tallystick.core.ids import Ms
from tallystick.service.directory import CardDevice
from tallystick.service.errors import NotFound
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, member, member_id, program

LATER = Ms(NOW + 1_000)


@pytest.fixture
def directory(store: Store) -> Store:
    for program_id in (PROGRAM, OTHER_PROGRAM):
        store.create_program(program(program_id))
        store.enrol(program_id, member(1), [])
        store.enrol(program_id, member(2), [])
    return store


def card_device(number: int, *, owner: int = 1) -> CardDevice:
    jwk = f'{{"crv":"P-256","x":"{number}"}}'
    registered = Ms(NOW + number)
    return CardDevice(
        member_id(owner), f"kid-{number}", jwk, b"sealed", registered, Ms(NOW + 5), Ms(NOW + 100)
    )


def test_a_device_is_stored_once_and_found_again(directory: Store) -> None:
    first, second = card_device(1), card_device(2)
    assert directory.add_card_device(PROGRAM, second, most=5) == second
    assert directory.add_card_device(PROGRAM, first, most=5) == first
    assert (
        directory.add_card_device(PROGRAM, replace(first, sealed_label=b"other", burn_from_ms=Ms(0)), most=1)
        == first
    )
    assert directory.card_devices(PROGRAM, member_id(1)) == [first, second]
    assert directory.card_devices(PROGRAM, member_id(2)) == []
    assert directory.card_devices(OTHER_PROGRAM, member_id(1)) == []


def test_revoked_devices_make_room_and_stay_revoked(directory: Store) -> None:
    directory.add_card_device(PROGRAM, card_device(1), most=1)
    assert directory.add_card_device(PROGRAM, card_device(2), most=1) is None
    revoked = replace(card_device(1), revoked_ms=NOW)
    assert directory.revoke_card_device(PROGRAM, member_id(1), "kid-1", now=NOW) == revoked
    assert directory.revoke_card_device(PROGRAM, member_id(1), "kid-1", now=LATER) == revoked
    assert directory.renew_card_device(PROGRAM, member_id(1), "kid-1", expires=LATER) is None
    assert directory.add_card_device(PROGRAM, card_device(1), most=1) == revoked
    assert directory.add_card_device(PROGRAM, card_device(2), most=1) == card_device(2)
    assert directory.card_devices(PROGRAM, member_id(1)) == [revoked, card_device(2)]


def test_a_credential_is_renewed_and_never_shortened(directory: Store) -> None:
    directory.add_card_device(PROGRAM, card_device(1), most=5)
    renewed = replace(card_device(1), expires_ms=LATER)
    assert directory.renew_card_device(PROGRAM, member_id(1), "kid-1", expires=LATER) == renewed
    assert directory.renew_card_device(PROGRAM, member_id(1), "kid-1", expires=NOW) == renewed
    assert directory.card_devices(PROGRAM, member_id(1)) == [renewed]


def test_devices_of_others_are_not_to_be_had(directory: Store) -> None:
    directory.add_card_device(PROGRAM, card_device(1), most=5)
    for program_id, owner in ((PROGRAM, 2), (OTHER_PROGRAM, 1)):
        assert directory.renew_card_device(program_id, member_id(owner), "kid-1", expires=LATER) is None
        assert directory.revoke_card_device(program_id, member_id(owner), "kid-1", now=NOW) is None
        assert not directory.forget_card_device(program_id, member_id(owner), "kid-1")
    assert directory.card_devices(PROGRAM, member_id(1)) == [card_device(1)]


def test_only_a_revoked_device_is_forgotten(directory: Store) -> None:
    directory.add_card_device(PROGRAM, card_device(1), most=5)
    assert not directory.forget_card_device(PROGRAM, member_id(1), "kid-1")
    directory.revoke_card_device(PROGRAM, member_id(1), "kid-1", now=NOW)
    assert directory.forget_card_device(PROGRAM, member_id(1), "kid-1")
    assert not directory.forget_card_device(PROGRAM, member_id(1), "kid-1")
    assert directory.card_devices(PROGRAM, member_id(1)) == []


def test_an_erased_member_has_no_devices_and_gets_none(directory: Store) -> None:
    directory.add_card_device(PROGRAM, card_device(1), most=5)
    directory.add_card_device(PROGRAM, card_device(1, owner=2), most=5)
    directory.erase(PROGRAM, member_id(1))
    assert directory.card_devices(PROGRAM, member_id(1)) == []
    assert directory.card_devices(PROGRAM, member_id(2)) == [card_device(1, owner=2)]
    for owner in (1, 3):
        with pytest.raises(NotFound):
            directory.add_card_device(PROGRAM, card_device(9, owner=owner), most=5)


def test_the_last_place_is_taken_once(directory: Store) -> None:
    together = threading.Barrier(4)

    def add(number: int) -> bool:
        together.wait(30)
        return directory.add_card_device(PROGRAM, card_device(number), most=1) is not None

    with ThreadPoolExecutor(4) as threads:
        stored = [one.result(30) for one in [threads.submit(add, number) for number in range(4)]]
    assert sorted(stored) == [False, False, False, True]
