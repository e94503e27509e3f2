"""Passes in wallets, who hears of them, and how far changes were followed; the same in every store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tallystick.core.ids import NEVER_MS, Ms
from tallystick.service.wallet_store import (
    PASSES_MAX,
    Registered,
    Registration,
    Wallet,
    WalletPass,
    WalletPlace,
)
from tallystick.storage import Store
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, member_id, program

HERE = WalletPlace({3: 7, 12: 1}, NOW)
NOW_S = NOW // 1000


@pytest.fixture
def wallets(store: Store) -> Store:
    assert store.create_program(program())
    assert store.create_program(program(OTHER_PROGRAM))
    return store


def new(serial: str = "a", member: int = 1, **more: object) -> WalletPass:
    plain = WalletPass(serial, member_id(member), Wallet.APPLE, b"hash", NOW, NOW_S)
    return replace(plain, **more)  # type: ignore[arg-type]


def add(wallets: Store, serial: str = "a", member: int = 1, **more: object) -> WalletPass:
    return wallets.add_pass(PROGRAM, new(serial, member, **more), here=HERE)


def phone(name: str = "phone", push: str = "aa", at: int = NOW) -> Registration:
    return Registration(name, push, Ms(at))


def move(wallets: Store, *members: int, now: int = NOW) -> bool:
    place = wallets.wallet_place(PROGRAM)
    assert place is not None
    return wallets.move_place(PROGRAM, place, {member_id(one) for one in members}, now=Ms(now))


def stored(wallets: Store, serial: str = "a") -> WalletPass:
    found = wallets.wallet_pass(PROGRAM, serial)
    assert found is not None
    return found


def test_a_pass_is_found_in_its_own_program_only(wallets: Store) -> None:
    made = add(wallets)
    assert made == new()
    assert wallets.wallet_pass(PROGRAM, "a") == made
    assert wallets.wallet_pass(OTHER_PROGRAM, "a") is None
    assert wallets.wallet_pass(PROGRAM, "b") is None
    assert wallets.wallet_passes(PROGRAM, member_id(1)) == [made]
    assert wallets.wallet_passes(OTHER_PROGRAM, member_id(1)) == []


def test_the_first_pass_of_a_program_begins_to_follow_it(wallets: Store) -> None:
    assert wallets.wallet_place(PROGRAM) is None
    add(wallets)
    assert wallets.wallet_place(PROGRAM) == HERE
    assert wallets.wallet_place(OTHER_PROGRAM) is None
    wallets.add_pass(PROGRAM, new("b"), here=WalletPlace({3: 9}, NOW))
    assert wallets.wallet_place(PROGRAM) == HERE


def test_a_member_keeps_the_newest_passes(wallets: Store) -> None:
    add(wallets, "other", 2)
    add(wallets, "elsewhere", made_ms=Ms(NOW - 1), wallet=Wallet.GOOGLE)
    for number in range(PASSES_MAX + 2):
        add(wallets, f"p{number:02d}", made_ms=Ms(NOW + number))
        wallets.add_registration(PROGRAM, f"p{number:02d}", phone())
    kept = [one.serial for one in wallets.wallet_passes(PROGRAM, member_id(1))]
    assert kept == ["elsewhere", *(f"p{number:02d}" for number in range(2, PASSES_MAX + 2))]
    assert wallets.registrations(PROGRAM, "p01") == []
    assert stored(wallets, "other").member_id == member_id(2)


def test_a_phone_registers_once_and_may_change_its_address(wallets: Store) -> None:
    add(wallets)
    assert wallets.add_registration(PROGRAM, "a", phone()) is Registered.NEW
    assert wallets.add_registration(PROGRAM, "a", phone(push="bb", at=NOW + 1)) is Registered.KNOWN
    assert wallets.add_registration(PROGRAM, "a", phone("watch")) is Registered.NEW
    assert wallets.registrations(PROGRAM, "a") == [phone(push="bb", at=NOW + 1), phone("watch")]
    assert wallets.registrations(OTHER_PROGRAM, "a") == []
    assert wallets.remove_registration(PROGRAM, "a", "watch")
    assert not wallets.remove_registration(PROGRAM, "a", "watch")
    assert not wallets.remove_registration(OTHER_PROGRAM, "a", "phone")
    wallets.forget_devices(PROGRAM, "a")
    assert wallets.registrations(PROGRAM, "a") == []


def test_a_pass_is_on_no_more_phones_than_the_most(wallets: Store) -> None:
    add(wallets)
    assert wallets.add_registration(PROGRAM, "a", phone("1"), most=2) is Registered.NEW
    assert wallets.add_registration(PROGRAM, "a", phone("2"), most=2) is Registered.NEW
    assert wallets.add_registration(PROGRAM, "a", phone("3"), most=2) is Registered.TOO_MANY
    assert wallets.add_registration(PROGRAM, "a", phone("2"), most=2) is Registered.KNOWN
    assert wallets.add_registration(PROGRAM, "none", phone()) is Registered.TOO_MANY


def test_the_last_place_on_a_pass_is_taken_once(wallets: Store) -> None:
    add(wallets)
    together = threading.Barrier(4)

    def register(number: int) -> Registered:
        together.wait(30)
        return wallets.add_registration(PROGRAM, "a", phone(f"p{number}"), most=1)

    with ThreadPoolExecutor(4) as threads:
        became = [one.result(30) for one in [threads.submit(register, number) for number in range(4)]]
    assert sorted(became) == [Registered.NEW, *[Registered.TOO_MANY] * 3]


def test_an_address_that_is_gone_is_forgotten_unless_it_registered_again_later(wallets: Store) -> None:
    for serial in ("a", "b"):
        add(wallets, serial)
        wallets.add_registration(PROGRAM, serial, phone(at=NOW if serial == "a" else NOW + 9))
    assert wallets.forget_push_token(PROGRAM, "aa", until=Ms(NOW + 5)) == 1
    assert wallets.registrations(PROGRAM, "a") == []
    assert wallets.registrations(PROGRAM, "b") == [phone(at=NOW + 9)]
    assert wallets.forget_push_token(OTHER_PROGRAM, "aa", until=Ms(NOW + 99)) == 0


def test_changes_give_the_passes_of_their_members_one_new_number(wallets: Store) -> None:
    for serial, member in (("a", 1), ("b", 1), ("c", 2)):
        add(wallets, serial, member)
        wallets.add_registration(PROGRAM, serial, phone())
    assert move(wallets, 1, 9)
    assert move(wallets, 2)
    tags = {one.serial: one.tag for one in wallets.passes_of_device(PROGRAM, "phone", after_tag=-1)}
    assert tags == {"a": 1, "b": 1, "c": 2}
    assert [one.serial for one in wallets.passes_of_device(PROGRAM, "phone", after_tag=1)] == ["c"]
    assert wallets.passes_of_device(PROGRAM, "phone", after_tag=2) == []
    assert wallets.passes_of_device(PROGRAM, "other", after_tag=-1) == []
    assert wallets.passes_of_device(OTHER_PROGRAM, "phone", after_tag=-1) == []
    assert add(wallets, "d", 3).tag == 2


def test_a_round_without_a_pass_uses_no_number(wallets: Store) -> None:
    add(wallets)
    assert move(wallets, 8)
    place = wallets.wallet_place(PROGRAM)
    assert place == replace(HERE, moves=1)


def test_changes_in_one_second_have_different_seconds(wallets: Store) -> None:
    add(wallets)
    seconds = []
    for now in (NOW, NOW, NOW + 9_000, NOW + 9_001):
        assert move(wallets, 1, now=now)
        seconds.append(stored(wallets).changed_s - NOW_S)
    assert seconds == [1, 2, 9, 10]


def test_a_place_that_another_process_has_moved_is_not_moved_back(wallets: Store) -> None:
    add(wallets)
    was = wallets.wallet_place(PROGRAM)
    assert was is not None
    assert wallets.move_place(PROGRAM, replace(was, lanes={3: 8}), {member_id(1)}, now=NOW)
    assert not wallets.move_place(PROGRAM, replace(was, lanes={3: 7}), {member_id(1)}, now=NOW)
    assert wallets.wallet_place(PROGRAM) == WalletPlace({3: 8}, NOW, tag=1, moves=1)
    assert not wallets.move_place(OTHER_PROGRAM, was, {member_id(1)}, now=NOW)


def test_more_members_than_a_statement_names_are_all_numbered(wallets: Store) -> None:
    add(wallets, "first", 1)
    add(wallets, "last", 1_200)
    assert move(wallets, *range(1, 1_201))
    assert (stored(wallets, "first").tag, stored(wallets, "last").tag) == (1, 1)


def test_a_pass_that_has_changed_is_due_and_taken_once(wallets: Store) -> None:
    for serial, member in (("a", 1), ("b", 2)):
        add(wallets, serial, member)
    until = Ms(NOW + 60)
    assert wallets.claim_due(PROGRAM, now=NOW, until=until, limit=9) == []
    move(wallets, 1)
    (taken,) = wallets.claim_due(PROGRAM, now=NOW, until=until, limit=9)
    assert (taken.serial, taken.tag, taken.delivered_tag) == ("a", 1, 0)
    assert wallets.claim_due(PROGRAM, now=NOW, until=until, limit=9) == []
    assert wallets.claim_due(OTHER_PROGRAM, now=until, until=until, limit=9) == []
    assert [one.serial for one in wallets.claim_due(PROGRAM, now=until, until=until, limit=9)] == ["a"]


def test_a_change_during_delivery_waits_for_its_end_and_is_due_then(wallets: Store) -> None:
    add(wallets)
    move(wallets, 1)
    until = Ms(NOW + 60)
    (taken,) = wallets.claim_due(PROGRAM, now=NOW, until=until, limit=9)
    move(wallets, 1)
    assert wallets.claim_due(PROGRAM, now=NOW, until=until, limit=9) == []
    wallets.note_delivered(PROGRAM, "a", tag=taken.tag, told_day=20, told=1)
    (again,) = wallets.claim_due(PROGRAM, now=NOW, until=until, limit=9)
    assert (again.tag, again.delivered_tag, again.told_day, again.told) == (2, 1, 20, 1)
    wallets.note_delivered(PROGRAM, "a", tag=2, told_day=20, told=2)
    wallets.note_delivered(PROGRAM, "a", tag=1, told_day=20, told=2)
    assert wallets.claim_due(PROGRAM, now=NOW, until=until, limit=9) == []


def test_what_failed_is_tried_again_later(wallets: Store) -> None:
    add(wallets)
    move(wallets, 1)
    wallets.note_failed(PROGRAM, "a", retry_at=Ms(NOW + 5))
    wallets.note_failed(PROGRAM, "none", retry_at=Ms(NOW + 5))
    assert wallets.claim_due(PROGRAM, now=NOW, until=Ms(NOW + 60), limit=9) == []
    (taken,) = wallets.claim_due(PROGRAM, now=Ms(NOW + 5), until=Ms(NOW + 60), limit=9)
    assert taken.tries == 1
    wallets.note_delivered(PROGRAM, "a", tag=1, told_day=0, told=0)
    assert stored(wallets).tries == 0


def test_a_code_that_ends_makes_its_pass_change(wallets: Store) -> None:
    add(wallets)
    wallets.note_served(PROGRAM, "a", tag=0, renew_ms=Ms(NOW + 100))
    assert move(wallets, now=NOW + 99)
    assert stored(wallets).tag == 0
    assert move(wallets, now=NOW + 100)
    assert (stored(wallets).tag, stored(wallets).renew_ms) == (1, NEVER_MS)
    wallets.note_served(PROGRAM, "a", tag=1, renew_ms=Ms(NOW + 300))
    wallets.note_served(PROGRAM, "a", tag=0, renew_ms=Ms(NOW + 200))
    assert (stored(wallets).served_tag, stored(wallets).renew_ms) == (1, NOW + 300)


def test_a_phone_that_registers_after_a_change_it_has_not_seen_is_told(wallets: Store) -> None:
    add(wallets)
    move(wallets, 1)
    wallets.note_delivered(PROGRAM, "a", tag=1, told_day=0, told=0)
    assert wallets.claim_due(PROGRAM, now=NOW, until=Ms(NOW + 1), limit=9) == []
    wallets.add_registration(PROGRAM, "a", phone())
    assert len(wallets.claim_due(PROGRAM, now=NOW, until=Ms(NOW + 1), limit=9)) == 1
    wallets.note_delivered(PROGRAM, "a", tag=1, told_day=0, told=0)
    wallets.note_served(PROGRAM, "a", tag=1, renew_ms=NEVER_MS)
    wallets.add_registration(PROGRAM, "a", phone("watch"))
    assert wallets.claim_due(PROGRAM, now=NOW, until=Ms(NOW + 1), limit=9) == []


def test_processes_side_by_side_take_each_pass_once(wallets: Store) -> None:
    for number in range(20):
        add(wallets, f"p{number:02d}", number + 1)
    move(wallets, *range(1, 21))
    together = threading.Barrier(4)

    def take(_: int) -> list[str]:
        together.wait(30)
        taken = wallets.claim_due(PROGRAM, now=NOW, until=Ms(NOW + 60), limit=20)
        return [one.serial for one in taken]

    with ThreadPoolExecutor(4) as threads:
        found = [serial for one in threads.map(take, range(4)) for serial in one]
    assert sorted(found) == [f"p{number:02d}" for number in range(20)]
