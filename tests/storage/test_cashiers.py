"""Who works at a store's tills, and how often a wrong PIN was typed; the same in every store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tallystick.core.ids import Ms
from tallystick.service import directory as ports
from tallystick.service.directory import Cashier
from tallystick.storage import Store, cashiers, memory_directory
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, identifier, member, member_id, program

LOCK = Ms(NOW + 900_000)


@pytest.fixture
def directory(store: Store) -> Store:
    assert store.create_program(program())
    assert store.create_program(program(OTHER_PROGRAM))
    return store


def cashier(name: str = "ann", **more: object) -> Cashier:
    plain = Cashier("store-1", name, name.title(), active=True, pin_hash="$argon2id$")
    return replace(plain, **more)  # type: ignore[arg-type]


def wrong_pin(directory: Store, *, now: Ms = NOW, name: str = "ann") -> Cashier | None:
    return directory.count_wrong_pin(PROGRAM, "store-1", name, tries_max=3, lock_until=LOCK, now=now)


def test_a_cashier_is_stored_and_replaced(directory: Store) -> None:
    assert directory.put_cashier(PROGRAM, cashier())
    assert directory.cashier(PROGRAM, "store-1", "ann") == cashier()
    away = cashier(label="Ann B.", active=False, pin_hash="", wrong_pins=2, locked_until_ms=LOCK)
    assert directory.put_cashier(PROGRAM, away)
    assert directory.cashier(PROGRAM, "store-1", "ann") == away
    assert directory.cashier(PROGRAM, "store-2", "ann") is None
    assert directory.cashier(OTHER_PROGRAM, "store-1", "ann") is None


def test_cashiers_of_a_store_are_listed_by_id(directory: Store) -> None:
    for one in (cashier("cid"), cashier("ann"), cashier("bob", store_id="store-2")):
        directory.put_cashier(PROGRAM, one)
    directory.put_cashier(OTHER_PROGRAM, cashier("dan"))
    assert directory.cashiers(PROGRAM, "store-1") == [cashier("ann"), cashier("cid")]
    assert directory.cashiers(PROGRAM, "store-3") == []


def test_a_store_has_no_more_cashiers_than_the_most(
    directory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (cashiers, memory_directory):
        monkeypatch.setattr(module, "CASHIERS_MAX", 2)
    assert ports.CASHIERS_MAX == 500
    assert directory.put_cashier(PROGRAM, cashier("ann"))
    assert directory.put_cashier(PROGRAM, cashier("bob"))
    assert not directory.put_cashier(PROGRAM, cashier("cid"))
    assert directory.put_cashier(PROGRAM, cashier("bob", label="Robert"))
    assert directory.put_cashier(PROGRAM, cashier("cid", store_id="store-2"))
    assert directory.put_cashier(OTHER_PROGRAM, cashier("cid"))
    assert [one.label for one in directory.cashiers(PROGRAM, "store-1")] == ["Ann", "Robert"]


def test_the_last_place_is_taken_once(directory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cashiers, memory_directory):
        monkeypatch.setattr(module, "CASHIERS_MAX", 1)
    together = threading.Barrier(4)

    def put(number: int) -> bool:
        together.wait(30)
        return directory.put_cashier(PROGRAM, cashier(f"c-{number}"))

    with ThreadPoolExecutor(4) as threads:
        stored = [one.result(30) for one in [threads.submit(put, number) for number in range(4)]]
    assert sorted(stored) == [False, False, False, True]


def test_wrong_pins_lock_at_the_last_try_and_are_counted_anew(directory: Store) -> None:
    directory.put_cashier(PROGRAM, cashier())
    assert wrong_pin(directory) == cashier(wrong_pins=1)
    assert wrong_pin(directory) == cashier(wrong_pins=2)
    locked = cashier(wrong_pins=0, locked_until_ms=LOCK)
    assert wrong_pin(directory) == locked
    assert directory.cashier(PROGRAM, "store-1", "ann") == locked
    assert wrong_pin(directory) == cashier(wrong_pins=1, locked_until_ms=LOCK)
    assert wrong_pin(directory, now=LOCK) == cashier(wrong_pins=2)
    assert wrong_pin(directory, name="bob") is None


def test_a_right_pin_forgets_the_wrong_ones(directory: Store) -> None:
    for one in (cashier("ann", wrong_pins=2, locked_until_ms=LOCK), cashier("bob", wrong_pins=2)):
        directory.put_cashier(PROGRAM, one)
    directory.clear_wrong_pins(PROGRAM, "store-1", "ann")
    directory.clear_wrong_pins(PROGRAM, "store-1", "cid")
    assert directory.cashiers(PROGRAM, "store-1") == [cashier("ann"), cashier("bob", wrong_pins=2)]


def test_wrong_pins_side_by_side_are_all_counted(directory: Store) -> None:
    directory.put_cashier(PROGRAM, cashier())
    together = threading.Barrier(6)

    def guess() -> Cashier | None:
        together.wait(30)
        return directory.count_wrong_pin(PROGRAM, "store-1", "ann", tries_max=9, lock_until=LOCK, now=NOW)

    with ThreadPoolExecutor(6) as threads:
        counted = [one.result(30) for one in [threads.submit(guess) for _ in range(6)]]
    assert sorted(one.wrong_pins for one in counted if one) == [1, 2, 3, 4, 5, 6]


def test_a_scan_tag_is_stored_with_its_identifier(directory: Store) -> None:
    first = replace(identifier(1), scan_tag=b"t" * 16)
    second = replace(identifier(1, kind="card"), scan_tag=b"u" * 16)
    directory.enrol(PROGRAM, member(1), [first])
    directory.add_identifier(PROGRAM, second)
    directory.add_identifier(PROGRAM, identifier(1, kind="email"))
    assert directory.identifiers(PROGRAM, member_id(1)) == [second, identifier(1, kind="email"), first]
    assert directory.find(PROGRAM, [("phone", first.token)]) == [first]
