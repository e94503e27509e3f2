"""Cashiers and their PINs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tallystick.security.pins import hash_pin, pin_holds
from tallystick.service import cashiers as cashiers_module
from tallystick.service.cashiers import LOCK_MS, TRIES_MAX, Cashiers, PinCheck
from tallystick.service.directory import Directory
from tallystick.service.errors import TallystickError
from tallystick.storage.memory import MemoryStore
from tests.rpc.handlers.world import everything_stored
from tests.service.paper_till import SHOP, Shop


def put(shop: Shop, cashier_id: str = "eva", pin: str = "4711", **more: Any) -> None:
    facts: dict[str, Any] = {"store_id": "s1", "label": "Eva", "active": True, **more}
    shop.gateway.cashiers.put(SHOP, cashier_id=cashier_id, pin=pin, **facts)


def check(shop: Shop, pin: str, cashier_id: str = "eva", store_id: str = "s1") -> PinCheck:
    return shop.gateway.cashiers.check_pin(SHOP, store_id=store_id, cashier_id=cashier_id, pin=pin)


def test_the_right_pin_is_right_and_another_is_not(shop: Shop) -> None:
    put(shop)
    assert check(shop, "4711") == PinCheck(True)
    assert check(shop, "4712") == PinCheck(False)
    assert check(shop, "") == PinCheck(False)


def test_a_pin_counts_in_its_own_store_only(shop: Shop) -> None:
    put(shop)
    assert not check(shop, "4711", store_id="s2").correct


def test_five_wrong_pins_lock_the_cashier_for_a_quarter_of_an_hour(shop: Shop) -> None:
    put(shop)
    answers = [check(shop, "0000") for _ in range(TRIES_MAX)]
    until = shop.now_ms + LOCK_MS
    assert [one.locked_until_ms for one in answers] == [0, 0, 0, 0, until]
    assert check(shop, "4711") == PinCheck(False, answers[-1].locked_until_ms)
    shop.wait(LOCK_MS - 1)
    assert not any(check(shop, "4711").correct for _ in range(2 * TRIES_MAX))
    shop.wait(1)
    assert check(shop, "4711") == PinCheck(True)


def test_a_right_pin_at_the_last_try_is_right_and_begins_anew(shop: Shop) -> None:
    put(shop)
    for _ in range(TRIES_MAX - 1):
        check(shop, "0000")
    assert check(shop, "4711") == PinCheck(True)
    for _ in range(TRIES_MAX - 1):
        assert check(shop, "0000") == PinCheck(False)
    assert check(shop, "4711") == PinCheck(True)


def test_guesses_side_by_side_get_no_more_tries_than_in_a_row(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(shop)
    compared = []

    def counting(key: bytes, stored: str, pin: str) -> bool:
        compared.append(pin)
        return False

    monkeypatch.setattr(cashiers_module, "pin_holds", counting)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: check(shop, f"{number:04}"), range(64)))
    assert len(compared) == TRIES_MAX


def test_a_look_that_is_out_of_date_gets_no_further_try(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    put(shop)
    store = shop.gateway.store
    seen = store.cashier(SHOP, "s1", "eva")
    looking = SimpleNamespace(cashier=lambda *_: seen, count_wrong_pin=store.count_wrong_pin)
    use_case = Cashiers(cast(Directory, looking), pin_key=lambda: b"k" * 32, now_ms=shop.gateway.now_ms)
    compared: list[str] = []

    def counting(key: bytes, stored: str, pin: str) -> bool:
        compared.append(pin)
        return False

    monkeypatch.setattr(cashiers_module, "pin_holds", counting)
    answers = [
        use_case.check_pin(SHOP, store_id="s1", cashier_id="eva", pin="0000") for _ in range(TRIES_MAX + 3)
    ]
    assert len(compared) == TRIES_MAX
    assert {one.locked_until_ms for one in answers[TRIES_MAX:]} == {shop.now_ms + LOCK_MS}


def test_a_cashier_who_left_cannot_sign_in(shop: Shop) -> None:
    put(shop)
    put(shop, pin="", active=False)
    assert not check(shop, "4711").correct
    put(shop, pin="", active=True)
    assert check(shop, "4711").correct


def test_a_new_pin_replaces_the_old_one_and_lifts_its_lock(shop: Shop) -> None:
    put(shop)
    for _ in range(TRIES_MAX):
        check(shop, "0000")
    put(shop, pin="1357")
    assert check(shop, "1357").correct
    assert not check(shop, "4711").correct


def test_a_cashier_without_a_pin_cannot_sign_in(shop: Shop) -> None:
    put(shop, pin="")
    assert not check(shop, "").correct


def test_an_unknown_cashier_costs_a_comparison_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def counting(key: bytes, stored: str, pin: str) -> bool:
        compared.append(stored)
        return pin_holds(key, stored, pin)

    monkeypatch.setattr(cashiers_module, "pin_holds", counting)
    assert check(shop, "4711", cashier_id="nobody") == PinCheck(False)
    assert compared == [""]


def test_a_store_has_a_limit_of_cashiers(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = shop.gateway.store
    monkeypatch.setattr(directory, "put_cashier", lambda *_: False)
    use_case = Cashiers(directory, pin_key=lambda: b"k" * 32, now_ms=shop.gateway.now_ms)
    with pytest.raises(TallystickError) as caught:
        use_case.put(SHOP, store_id="s1", cashier_id="x", label="X", active=True, pin="")
    assert caught.value.reason == "LIMIT_REACHED"


def test_cashiers_are_listed_by_store(shop: Shop) -> None:
    put(shop, "zoe")
    put(shop, "eva")
    put(shop, "kim", store_id="s2")
    assert [one.cashier_id for one in shop.gateway.cashiers.all_of(SHOP, "s1")] == ["eva", "zoe"]


def test_no_pin_lies_in_the_store(shop: Shop) -> None:
    assert isinstance(shop.store, MemoryStore)
    put(shop, pin="47114711")
    assert "47114711" not in everything_stored(shop.store)


def test_without_the_servers_key_no_guess_can_be_tested() -> None:
    stored = hash_pin(b"a" * 32, "4711")
    assert pin_holds(b"a" * 32, stored, "4711")
    assert not pin_holds(b"b" * 32, stored, "4711")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
