"""Passes in phone wallets in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, delete, func, insert, select, update

from tallystick.core.ids import NEVER_MS, MemberId, Ms, ProgramId
from tallystick.service.wallet_store import (
    PASSES_MAX,
    REGISTRATIONS_MAX,
    Registered,
    Registration,
    Wallet,
    WalletPass,
    WalletPlace,
)
from tallystick.storage import tables as t
from tallystick.storage.reader import PAGE_MAX
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

MEMBERS_AT_ONCE = 500
"""Most members that one statement names: databases take a limited number of values."""

_PASS = tuple(t.wallet_pass.c[name] for name in WalletPass.__dataclass_fields__)
_REGISTRATION = tuple(t.wallet_registration.c[name] for name in Registration.__dataclass_fields__)
_pass, _reg, _place = t.wallet_pass.c, t.wallet_registration.c, t.wallet_place.c


def _pass_from_row(row: Row) -> WalletPass:
    values = dict(zip(WalletPass.__dataclass_fields__, row, strict=True))
    return WalletPass(
        **{**values, "wallet": Wallet(values["wallet"]), "token_hash": bytes(values["token_hash"])}
    )


def _place_from_row(row: Row) -> WalletPlace:
    lanes, changed_ms, tag, moves = row
    return WalletPlace({int(lane): seq for lane, seq in json.loads(lanes).items()}, changed_ms, tag, moves)


class SqlWallets(SqlSession):
    """Passes, registrations and the place."""

    def add_pass(self, program_id: ProgramId, new: WalletPass, *, here: WalletPlace) -> WalletPass:
        """Store a pass and return it with the program's present tag; see ``service.wallet_store``."""

        def work(connection: Connection) -> WalletPass:
            place = _locked_place(connection, program_id)
            if place is None:
                place = here
                connection.execute(insert(t.wallet_place).values(_place_values(program_id, here)))
            stored = _tagged(new, place.tag)
            values = {column.name: getattr(stored, column.name) for column in _PASS}
            connection.execute(
                insert(t.wallet_pass).values({"program_id": program_id, **values, "wallet": int(new.wallet)})
            )
            _drop_oldest(connection, program_id, new)
            return stored

        return self._run(program_id, work, write=True)

    def wallet_pass(self, program_id: ProgramId, serial: str) -> WalletPass | None:
        """Return a pass."""
        row = self._first(program_id, select(*_PASS).where(*_own(program_id, serial)))
        return None if row is None else _pass_from_row(row)

    def wallet_passes(self, program_id: ProgramId, member_id: MemberId) -> list[WalletPass]:
        """Return a member's passes, the oldest first."""
        return [_pass_from_row(row) for row in self._all(program_id, _of_member(program_id, member_id))]

    def add_registration(
        self, program_id: ProgramId, serial: str, registration: Registration, *, most: int = REGISTRATIONS_MAX
    ) -> Registered:
        """Store a registration; a known one gets the push token of this one."""
        own = (*_registered(program_id, serial), _reg.device_id == registration.device_id)
        renew = update(t.wallet_registration).where(*own)
        values = {column.name: getattr(registration, column.name) for column in _REGISTRATION}
        in_turn = select(_pass.tag).where(*_own(program_id, serial)).with_for_update()
        count = (
            select(func.count()).select_from(t.wallet_registration).where(*_registered(program_id, serial))
        )
        missed = (
            update(t.wallet_pass)
            .where(*_own(program_id, serial), _pass.served_tag < _pass.tag)
            .values(delivered_tag=_pass.served_tag, deliver_ms=0)
        )

        def work(connection: Connection) -> Registered:
            if connection.execute(in_turn).first() is None:
                return Registered.TOO_MANY
            if connection.execute(renew.values(values)).rowcount:
                return Registered.KNOWN
            if (connection.scalar(count) or 0) >= most:
                return Registered.TOO_MANY
            row = {"program_id": program_id, "serial": serial, **values}
            connection.execute(insert(t.wallet_registration).values(row))
            connection.execute(missed)
            return Registered.NEW

        return self._run(program_id, work, write=True)

    def remove_registration(self, program_id: ProgramId, serial: str, device_id: str) -> bool:
        """Remove a registration; False when there is none."""
        own = (*_registered(program_id, serial), _reg.device_id == device_id)
        return self._changed_rows(program_id, delete(t.wallet_registration).where(*own)) > 0

    def registrations(self, program_id: ProgramId, serial: str) -> list[Registration]:
        """Return who wants to hear of a pass, by device."""
        query = select(*_REGISTRATION).where(*_registered(program_id, serial)).order_by(_reg.device_id)
        return [Registration(*row) for row in self._all(program_id, query)]

    def passes_of_device(self, program_id: ProgramId, device_id: str, *, after_tag: int) -> list[WalletPass]:
        """Return passes that a device is registered for and whose tag is greater, by (tag, serial)."""
        same = (_pass.serial == _reg.serial) & (_pass.program_id == _reg.program_id)
        query = (
            select(*_PASS)
            .select_from(t.wallet_registration.join(t.wallet_pass, same))
            .where(_reg.program_id == program_id, _reg.device_id == device_id, _pass.tag > after_tag)
            .order_by(_pass.tag, _pass.serial)
        )
        return [_pass_from_row(row) for row in self._all(program_id, query)]

    def forget_push_token(self, program_id: ProgramId, push_token: str, *, until: Ms) -> int:
        """Remove registrations with a push token made up to an instant; return how many."""
        of_token = (_reg.program_id == program_id, _reg.push_token == push_token)
        gone = delete(t.wallet_registration).where(*of_token, _reg.registered_ms <= until)
        return self._changed_rows(program_id, gone)

    def forget_devices(self, program_id: ProgramId, serial: str) -> None:
        """Remove all registrations of a pass."""
        self._changed_rows(program_id, delete(t.wallet_registration).where(*_registered(program_id, serial)))

    def wallet_place(self, program_id: ProgramId) -> WalletPlace | None:
        """Return the place; None for a program that never had a pass."""
        row = self._first(program_id, _place_query(program_id))
        return None if row is None else _place_from_row(row)

    def move_place(
        self, program_id: ProgramId, to: WalletPlace, members: Collection[MemberId], *, now: Ms
    ) -> bool:
        """Move the place and number the passes of the changed members anew, and those whose code is due, together."""
        names = sorted(members)
        groups = [names[at : at + MEMBERS_AT_ONCE] for at in range(0, len(names), MEMBERS_AT_ONCE)]

        def work(connection: Connection) -> bool:
            place = _locked_place(connection, program_id)
            if place is None or place.moves != to.moves:
                return False
            tag = place.tag + 1
            changed = 0
            for which in (*(_pass.member_id.in_(group) for group in groups), _pass.renew_ms <= now):
                changed += connection.execute(_renumber(program_id, which, tag=tag, now=now)).rowcount
            values = _place_values(program_id, to) | {
                "moves": to.moves + 1,
                "tag": tag if changed else place.tag,
            }
            connection.execute(update(t.wallet_place).where(_place.program_id == program_id).values(values))
            return True

        return self._run(program_id, work, write=True)

    def claim_due(self, program_id: ProgramId, *, now: Ms, until: Ms, limit: int) -> list[WalletPass]:
        """Return passes whose wallets have to be told, and keep them from others until an instant."""
        due = (_pass.program_id == program_id, _pass.delivered_tag < _pass.tag, _pass.deliver_ms <= now)
        query = select(*_PASS).where(*due).order_by(_pass.deliver_ms, _pass.serial)
        taken = query.limit(min(limit, PAGE_MAX)).with_for_update(skip_locked=True)

        def work(connection: Connection) -> list[WalletPass]:
            found = [_pass_from_row(row) for row in connection.execute(taken)]
            serials = [one.serial for one in found]
            keep = update(t.wallet_pass).where(_pass.program_id == program_id, _pass.serial.in_(serials))
            if found:
                connection.execute(keep.values(deliver_ms=until))
            return found

        return self._run(program_id, work, write=True)

    def note_delivered(
        self, program_id: ProgramId, serial: str, *, tag: int, told_day: int, told: int
    ) -> None:
        """Note that a wallet was told of a tag; one that has changed again meanwhile is due at once."""
        later = case((_pass.delivered_tag > tag, _pass.delivered_tag), else_=tag)
        values = {"delivered_tag": later, "deliver_ms": 0, "tries": 0, "told_day": told_day, "told": told}
        self._changed_rows(program_id, update(t.wallet_pass).where(*_own(program_id, serial)).values(values))

    def note_failed(self, program_id: ProgramId, serial: str, *, retry_at: Ms) -> None:
        """Note that a wallet could not be told, and when to try again."""
        later = update(t.wallet_pass).where(*_own(program_id, serial))
        self._changed_rows(program_id, later.values(deliver_ms=retry_at, tries=_pass.tries + 1))

    def note_served(self, program_id: ProgramId, serial: str, *, tag: int, renew_ms: Ms) -> None:
        """Note what a phone fetched, and when the code in it must be replaced."""
        served = update(t.wallet_pass).where(*_own(program_id, serial), _pass.served_tag <= tag)
        self._changed_rows(program_id, served.values(served_tag=tag, renew_ms=renew_ms))

    def _changed_rows(self, program_id: ProgramId, statement: Any) -> int:
        def work(connection: Connection) -> int:
            return int(connection.execute(statement).rowcount)

        return self._run(program_id, work, write=True)


def _tagged(new: WalletPass, tag: int) -> WalletPass:
    return replace(new, tag=tag, served_tag=tag, delivered_tag=tag)


def _own(program_id: ProgramId, serial: str) -> tuple[ColumnElement[bool], ...]:
    return _pass.serial == serial, _pass.program_id == program_id


def _registered(program_id: ProgramId, serial: str) -> tuple[ColumnElement[bool], ...]:
    return _reg.serial == serial, _reg.program_id == program_id


def _of_member(program_id: ProgramId, member_id: MemberId) -> Select[Any]:
    of_member = select(*_PASS).where(_pass.member_id == member_id, _pass.program_id == program_id)
    return of_member.order_by(_pass.made_ms, _pass.serial)


def _place_query(program_id: ProgramId) -> Select[Any]:
    columns = (_place.lanes, _place.changed_ms, _place.tag, _place.moves)
    return select(*columns).where(_place.program_id == program_id)


def _locked_place(connection: Connection, program_id: ProgramId) -> WalletPlace | None:
    """The place, ours until the end of the transaction: tags are given one transaction after the other."""
    row = connection.execute(_place_query(program_id).with_for_update()).first()
    return None if row is None else _place_from_row(row)


def _place_values(program_id: ProgramId, place: WalletPlace) -> dict[str, Any]:
    lanes = json.dumps({str(lane): seq for lane, seq in sorted(place.lanes.items())})
    moved = {"changed_ms": place.changed_ms, "tag": place.tag, "moves": place.moves}
    return {"program_id": program_id, "lanes": lanes, **moved}


def _renumber(program_id: ProgramId, which: ColumnElement[bool], *, tag: int, now: Ms) -> Any:
    later = case((_pass.changed_s < now // 1000, now // 1000), else_=_pass.changed_s + 1)
    # Whoever tells a wallet of an earlier change goes on undisturbed: no two do so at once, or the older word may be
    # the last one.
    changes = {"tag": tag, "changed_s": later, "renew_ms": NEVER_MS}
    return update(t.wallet_pass).where(_pass.program_id == program_id, which).values(changes)


def _drop_oldest(connection: Connection, program_id: ProgramId, new: WalletPass) -> None:
    rows = connection.execute(
        _of_member(program_id, new.member_id).where(_pass.wallet == int(new.wallet))
    ).all()
    for row in rows[: max(0, len(rows) - PASSES_MAX)]:
        serial = _pass_from_row(row).serial
        connection.execute(delete(t.wallet_registration).where(*_registered(program_id, serial)))
        connection.execute(delete(t.wallet_pass).where(*_own(program_id, serial)))
