"""Cashiers and their PINs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from tallystick.core.ids import Ms, ProgramId
from tallystick.core.record import record
from tallystick.security.pins import hash_pin, pin_holds
from tallystick.service.directory import CASHIERS_MAX, Cashier, Directory
from tallystick.service.errors import TallystickError

TRIES_MAX = 5
LOCK_MS = 15 * 60_000
_LOCKS = 64


@record(frozen=True, slots=True)
class PinCheck:
    """Whether a PIN was right; ``locked_until_ms`` is 0 for a cashier who may try again at once."""

    correct: bool
    locked_until_ms: Ms = Ms(0)


class Cashiers:
    """The use cases around cashiers. Safe to use from several threads; checking a PIN takes some 20 ms of a core."""

    def __init__(
        self, directory: Directory, *, pin_key: Callable[[], bytes], now_ms: Callable[[], Ms]
    ) -> None:
        self._directory = directory
        self._pin_key = pin_key
        self._now_ms = now_ms
        # Guesses at one cashier are worked on one by one: side by side they would cost a core each.
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def put(
        self,
        program_id: ProgramId,
        *,
        store_id: str,
        cashier_id: str,
        label: str,
        active: bool,
        pin: str,
    ) -> Cashier:
        """Make or change a cashier; an empty ``pin`` leaves it. A new PIN lifts the lock of the old one."""
        before = self._directory.cashier(program_id, store_id, cashier_id)
        cashier = before or Cashier(store_id, cashier_id, label, active, "")
        cashier = replace(cashier, label=label, active=active)
        if pin:
            stored = hash_pin(self._pin_key(), pin)
            cashier = replace(cashier, pin_hash=stored, wrong_pins=0, locked_until_ms=Ms(0))
        if not self._directory.put_cashier(program_id, cashier):
            raise TallystickError(
                "The store has as many cashiers as are allowed.",
                reason="LIMIT_REACHED",
                limit="cashiers_per_store",
                max=CASHIERS_MAX,
            )
        return cashier

    def all_of(self, program_id: ProgramId, store_id: str) -> list[Cashier]:
        """Return the cashiers of a store by id."""
        return self._directory.cashiers(program_id, store_id)

    def check_pin(self, program_id: ProgramId, *, store_id: str, cashier_id: str, pin: str) -> PinCheck:
        """Tell whether a PIN is a cashier's.

        The try is counted before anybody compares: guesses side by side get no more of them than in a row. A cashier
        who is not there costs as much time as one who is.
        """
        with self._locks[hash((program_id, store_id, cashier_id)) % _LOCKS]:
            return self._check(program_id, store_id, cashier_id, pin)

    def _check(self, program_id: ProgramId, store_id: str, cashier_id: str, pin: str) -> PinCheck:
        now = self._now_ms()
        before = self._directory.cashier(program_id, store_id, cashier_id)
        if before is not None and before.locked_until_ms > now:
            return PinCheck(False, before.locked_until_ms)
        counted = self._directory.count_wrong_pin(
            program_id,
            store_id,
            cashier_id,
            tries_max=TRIES_MAX,
            lock_until=Ms(now + LOCK_MS),
            now=now,
        )
        locked_until = counted.locked_until_ms if counted else Ms(0)
        if counted is not None and locked_until > now and counted.wrong_pins:
            # A guess in another process took the last try between the look and the count.
            return PinCheck(False, locked_until)
        stored = counted.pin_hash if counted and counted.active else ""
        if not pin_holds(self._pin_key(), stored, pin):
            return PinCheck(False, locked_until if locked_until > now else Ms(0))
        self._directory.clear_wrong_pins(program_id, store_id, cashier_id)
        return PinCheck(True)
