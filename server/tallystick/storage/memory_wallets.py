"""Passes in phone wallets, in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tallystick.core.ids import NEVER_MS, MemberId, Ms, ProgramId
from tallystick.service.wallet_store import (
    PASSES_MAX,
    REGISTRATIONS_MAX,
    Registered,
    Registration,
    WalletPass,
    WalletPlace,
)
from tallystick.storage.memory_tables import ProgramTables, Undo

_ONE = ""


class MemoryWallets:
    """The tables of each program behind one lock, and the passes; ``service.wallet_store`` says what is meant."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tables: dict[ProgramId, ProgramTables] = {}

    def _of(self, program_id: ProgramId) -> ProgramTables:
        return self._tables.setdefault(program_id, ProgramTables())

    @contextmanager
    def _changes(self) -> Iterator[Undo]:
        with self._lock:
            undo = Undo()
            try:
                yield undo
            except BaseException:
                undo.back()
                raise

    def add_pass(self, program_id: ProgramId, new: WalletPass, *, here: WalletPlace) -> WalletPass:
        with self._changes() as undo:
            tables = self._of(program_id)
            place = tables.places.get(_ONE)
            if place is None:
                place = here
                undo.put(tables.places, _ONE, here)
            stored = replace(new, tag=place.tag, served_tag=place.tag, delivered_tag=place.tag)
            undo.put(tables.passes, new.serial, stored)
            all_of = self.wallet_passes(program_id, new.member_id)
            own = [one for one in all_of if one.wallet is new.wallet]
            for old in own[: max(0, len(own) - PASSES_MAX)]:
                self._forget_devices(undo, tables, old.serial)
                undo.remove(tables.passes, old.serial)
            return stored

    def wallet_pass(self, program_id: ProgramId, serial: str) -> WalletPass | None:
        return self._of(program_id).passes.get(serial)

    def wallet_passes(self, program_id: ProgramId, member_id: MemberId) -> list[WalletPass]:
        with self._lock:
            own = [one for one in self._of(program_id).passes.values() if one.member_id == member_id]
            return sorted(own, key=lambda one: (one.made_ms, one.serial))

    def add_registration(
        self, program_id: ProgramId, serial: str, registration: Registration, *, most: int = REGISTRATIONS_MAX
    ) -> Registered:
        with self._changes() as undo:
            tables = self._of(program_id)
            found = tables.passes.get(serial)
            if found is None:
                return Registered.TOO_MANY
            key = (serial, registration.device_id)
            known = key in tables.registrations
            if not known and len(self.registrations(program_id, serial)) >= most:
                return Registered.TOO_MANY
            undo.put(tables.registrations, key, registration)
            if known:
                return Registered.KNOWN
            if found.served_tag < found.tag:
                missed = replace(found, delivered_tag=found.served_tag, deliver_ms=Ms(0))
                undo.put(tables.passes, serial, missed)
            return Registered.NEW

    def remove_registration(self, program_id: ProgramId, serial: str, device_id: str) -> bool:
        with self._changes() as undo:
            registrations = self._of(program_id).registrations
            if (serial, device_id) not in registrations:
                return False
            undo.remove(registrations, (serial, device_id))
            return True

    def registrations(self, program_id: ProgramId, serial: str) -> list[Registration]:
        with self._lock:
            rows = self._of(program_id).registrations
            return [rows[key] for key in sorted(rows) if key[0] == serial]

    def passes_of_device(self, program_id: ProgramId, device_id: str, *, after_tag: int) -> list[WalletPass]:
        with self._lock:
            tables = self._of(program_id)
            own = [tables.passes[serial] for serial, device in tables.registrations if device == device_id]
            return sorted((one for one in own if one.tag > after_tag), key=lambda one: (one.tag, one.serial))

    def forget_push_token(self, program_id: ProgramId, push_token: str, *, until: Ms) -> int:
        with self._changes() as undo:
            rows = self._of(program_id).registrations
            gone = [
                key
                for key, row in rows.items()
                if row.push_token == push_token and row.registered_ms <= until
            ]
            for key in gone:
                undo.remove(rows, key)
            return len(gone)

    def forget_devices(self, program_id: ProgramId, serial: str) -> None:
        with self._changes() as undo:
            self._forget_devices(undo, self._of(program_id), serial)

    def wallet_place(self, program_id: ProgramId) -> WalletPlace | None:
        return self._of(program_id).places.get(_ONE)

    def move_place(
        self, program_id: ProgramId, to: WalletPlace, members: Collection[MemberId], *, now: Ms
    ) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            place = tables.places.get(_ONE)
            if place is None or place.moves != to.moves:
                return False
            tag = place.tag + 1
            stale = [one for one in tables.passes.values() if one.member_id in members or one.renew_ms <= now]
            for one in stale:
                changed_s = max(now // 1000, one.changed_s + 1)
                changed = replace(one, tag=tag, changed_s=changed_s, renew_ms=NEVER_MS)
                undo.put(tables.passes, one.serial, changed)
            moved = replace(to, tag=tag if stale else place.tag, moves=to.moves + 1)
            undo.put(tables.places, _ONE, moved)
            return True

    def claim_due(self, program_id: ProgramId, *, now: Ms, until: Ms, limit: int) -> list[WalletPass]:
        with self._changes() as undo:
            passes = self._of(program_id).passes
            due = [one for one in passes.values() if one.delivered_tag < one.tag and one.deliver_ms <= now]
            taken = sorted(due, key=lambda one: (one.deliver_ms, one.serial))[:limit]
            for one in taken:
                undo.put(passes, one.serial, replace(one, deliver_ms=until))
            return taken

    def note_delivered(
        self, program_id: ProgramId, serial: str, *, tag: int, told_day: int, told: int
    ) -> None:
        with self._changes() as undo:
            passes = self._of(program_id).passes
            if serial in passes:
                found = passes[serial]
                later = max(found.delivered_tag, tag)
                noted = replace(
                    found, delivered_tag=later, deliver_ms=Ms(0), tries=0, told_day=told_day, told=told
                )
                undo.put(passes, serial, noted)

    def note_failed(self, program_id: ProgramId, serial: str, *, retry_at: Ms) -> None:
        with self._changes() as undo:
            passes = self._of(program_id).passes
            if serial in passes:
                found = passes[serial]
                undo.put(passes, serial, replace(found, deliver_ms=retry_at, tries=found.tries + 1))

    def note_served(self, program_id: ProgramId, serial: str, *, tag: int, renew_ms: Ms) -> None:
        with self._changes() as undo:
            passes = self._of(program_id).passes
            found = passes.get(serial)
            if found is not None and found.served_tag <= tag:
                undo.put(passes, serial, replace(found, served_tag=tag, renew_ms=renew_ms))

    def _forget_devices(self, undo: Undo, tables: ProgramTables, serial: str) -> None:
        for key in [key for key in tables.registrations if key[0] == serial]:
            undo.remove(tables.registrations, key)
