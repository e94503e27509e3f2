"""Transfers and households, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.errors import AlreadyExists, NotFound
from tallystick.service.household_store import Belonging, Part, Pool
from tallystick.service.transfer_store import Transfer, TransferState
from tallystick.storage.clock import Now
from tallystick.storage.memory_tables import ProgramTables, Undo


class Tables(Protocol):
    """What this needs of the store that it is part of."""

    _now_ms: Now

    def _of(self, program_id: ProgramId) -> ProgramTables: ...

    def _changes(self) -> AbstractContextManager[Undo]: ...


class MemoryTransfers:
    """``service.transfer_store`` says what each call means."""

    def add_transfer(self: Tables, program_id: ProgramId, new: Transfer) -> Transfer:
        with self._changes() as undo:
            transfers = self._of(program_id).transfers
            stored = transfers.get(new.transfer_id, new)
            if stored.state is TransferState.ASKED:
                stored = replace(stored, asked_ms=new.asked_ms)
                undo.put(transfers, new.transfer_id, stored)
            return stored

    def transfer(self: Tables, program_id: ProgramId, transfer_id: CommandId) -> Transfer | None:
        return self._of(program_id).transfers.get(transfer_id)

    def transfers_of(
        self: Tables, program_id: ProgramId, member_ids: Sequence[MemberId], *, since: Ms, limit: int
    ) -> list[Transfer]:
        with self._changes():
            found = [
                one
                for one in self._of(program_id).transfers.values()
                if one.made_ms >= since
                and (one.from_member_id in member_ids or one.to_member_id in member_ids)
            ]
        return sorted(found, key=lambda one: (-one.made_ms, one.transfer_id))[:limit]

    def end_transfer(
        self: Tables, program_id: ProgramId, transfer_id: CommandId, state: TransferState
    ) -> Transfer | None:
        with self._changes() as undo:
            transfers = self._of(program_id).transfers
            stored = transfers.get(transfer_id)
            if stored is None or stored.state is not TransferState.ASKED:
                return stored
            ended = replace(stored, state=state)
            undo.put(transfers, transfer_id, ended)
            return ended

    def forget_transfer(
        self: Tables, program_id: ProgramId, transfer_id: CommandId, *, asked_before: Ms
    ) -> bool:
        with self._changes() as undo:
            transfers = self._of(program_id).transfers
            stored = transfers.get(transfer_id)
            if stored is None or stored.state is not TransferState.ASKED or stored.asked_ms >= asked_before:
                return False
            undo.remove(transfers, transfer_id)
            return True

    def transfers_asked(
        self: Tables, program_id: ProgramId, *, before: Ms, after: tuple[Ms, str] | None, limit: int
    ) -> list[Transfer]:
        with self._changes():
            found = [
                one
                for one in self._of(program_id).transfers.values()
                if one.state is TransferState.ASKED
                and one.asked_ms < before
                and (after is None or (one.asked_ms, one.transfer_id) > after)
            ]
        return sorted(found, key=lambda one: (one.asked_ms, one.transfer_id))[:limit]


class MemoryHouseholds:
    """``service.household_store`` says what each call means."""

    def add_household(
        self: Tables, program_id: ProgramId, household_id: MemberId, head: Belonging
    ) -> Belonging:
        with self._changes() as undo:
            tables = self._of(program_id)
            for member_id in (household_id, head.member_id):
                _require_living(tables, member_id)
            stored = tables.belongings.get(head.member_id)
            if stored is not None and stored.part is not Part.ASKING:
                return stored
            if household_id in tables.households:
                raise AlreadyExists("The household is there already.", household_id=household_id)
            undo.put(tables.households, household_id, (b"", Ms(0)))
            undo.put(tables.belongings, head.member_id, head)
            _told(undo, tables, head, self._now_ms())
            return head

    def belonging(self: Tables, program_id: ProgramId, member_id: MemberId) -> Belonging | None:
        return self._of(program_id).belongings.get(member_id)

    def people(self: Tables, program_id: ProgramId, household_id: MemberId) -> list[Belonging]:
        with self._changes():
            return _people(self._of(program_id), household_id)

    def invite(
        self: Tables, program_id: ProgramId, household_id: MemberId, code_hash: bytes, *, expires_ms: Ms
    ) -> bool:
        with self._changes() as undo:
            households = self._of(program_id).households
            if household_id not in households:
                return False
            undo.put(households, household_id, (code_hash, expires_ms))
            return True

    def ask_to_join(
        self: Tables, program_id: ProgramId, member_id: MemberId, code_hash: bytes, *, now: Ms
    ) -> Belonging | None:
        with self._changes() as undo:
            tables = self._of(program_id)
            _require_living(tables, member_id)
            stored = tables.belongings.get(member_id)
            if stored is not None and stored.part is not Part.ASKING:
                return stored
            for household_id, (invitation, expires_ms) in tables.households.items():
                if invitation and invitation == code_hash and expires_ms > now:
                    undo.put(tables.households, household_id, (b"", expires_ms))
                    asking = Belonging(member_id, household_id, Part.ASKING, now)
                    undo.put(tables.belongings, member_id, asking)
                    return asking
            return None

    def take_in(
        self: Tables,
        program_id: ProgramId,
        household_id: MemberId,
        member_id: MemberId,
        *,
        most: int,
        now: Ms,
    ) -> Belonging | None:
        with self._changes() as undo:
            tables = self._of(program_id)
            stored = tables.belongings.get(member_id)
            if stored is None or stored.household_id != household_id:
                return None
            if stored.part is not Part.ASKING:
                return stored
            # A household that all have left is for nobody: its account follows who left it last.
            if not 0 < _count(tables, household_id) < most:
                return None
            person = Belonging(member_id, household_id, Part.PERSON, now)
            undo.put(tables.belongings, member_id, person)
            _told(undo, tables, person, self._now_ms())
            return person

    def take_out(self: Tables, program_id: ProgramId, household_id: MemberId, member_id: MemberId) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            stored = tables.belongings.get(member_id)
            if stored is None or stored.household_id != household_id:
                return False
            if stored.part is Part.HEAD and _count(tables, household_id) > 1:
                return False
            undo.remove(tables.belongings, member_id)
            if stored.part is Part.HEAD:
                undo.put(tables.last_heads, household_id, member_id)
            _told(undo, tables, stored, self._now_ms())
            return True

    def household_accounts(
        self: Tables, program_id: ProgramId, member_ids: Sequence[MemberId]
    ) -> dict[MemberId, MemberId]:
        tables = self._of(program_id)
        found = {member_id: leads_to(tables, member_id) for member_id in member_ids}
        return {member_id: account for member_id, account in found.items() if account != member_id}

    def people_of(
        self: Tables, program_id: ProgramId, household_ids: Sequence[MemberId]
    ) -> dict[MemberId, list[MemberId]]:
        wanted, found = set(household_ids), dict[MemberId, list[MemberId]]()
        with self._changes():
            tables = self._of(program_id)
            for member_id in sorted(tables.belongings):
                household_id = leads_to(tables, member_id)
                if household_id != member_id and household_id in wanted:
                    found.setdefault(household_id, []).append(member_id)
        return found

    def pools(self: Tables, program_id: ProgramId, *, after: str, limit: int) -> list[Pool]:
        with self._changes():
            tables = self._of(program_id)
            ways = tables.last_heads | {
                one.member_id: one.household_id
                for one in tables.belongings.values()
                if one.part is not Part.ASKING
            }
            found = []
            for from_id, to_id in sorted(ways.items()):
                account, there = tables.accounts[from_id], tables.accounts[to_id]
                is_open = account.status is there.status is MemberStatus.OPEN
                if from_id > after and is_open and account.active:
                    found.append(Pool(from_id, to_id, account.active, account.seq))
            return found[:limit]


def leads_to(tables: ProgramTables, member_id: MemberId) -> MemberId:
    """Return the account to which a member's scans lead: the member's own, or that of the household."""
    belonging = tables.belongings.get(member_id)
    if belonging is None or belonging.part is Part.ASKING:
        return member_id
    is_open = tables.members[member_id].status is MemberStatus.OPEN
    return belonging.household_id if is_open else member_id


def leave_for_good(undo: Undo, tables: ProgramTables, member_id: MemberId) -> None:
    """Take a member who is being erased out of the household; the eldest of the others takes the head's place.

    The account of a household that is being erased lets its people go.
    """
    for one in _people(tables, member_id):
        undo.remove(tables.belongings, one.member_id)
    stored = tables.belongings.get(member_id)
    if stored is None:
        return
    undo.remove(tables.belongings, member_id)
    if stored.part is Part.HEAD:
        others = [one for one in _people(tables, stored.household_id) if one.part is Part.PERSON]
        for heir in others[:1]:
            undo.put(tables.belongings, heir.member_id, replace(heir, part=Part.HEAD))


def _people(tables: ProgramTables, household_id: MemberId) -> list[Belonging]:
    found = [one for one in tables.belongings.values() if one.household_id == household_id]
    return sorted(found, key=lambda one: (one.part, one.since_ms, one.member_id))


def _count(tables: ProgramTables, household_id: MemberId) -> int:
    return sum(one.part is not Part.ASKING for one in _people(tables, household_id))


def _told(undo: Undo, tables: ProgramTables, belonging: Belonging, now: Ms) -> None:
    for member_id in (belonging.member_id, belonging.household_id):
        undo.put(tables.changed_ms, member_id, now)


def _require_living(tables: ProgramTables, member_id: MemberId) -> None:
    member = tables.members.get(member_id)
    if member is None or member.status is MemberStatus.ERASED:
        raise NotFound("There is no such member.", member_id=member_id)
