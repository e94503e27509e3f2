"""Wish lists and open baskets, in memory."""

from __future__ import annotations

from dataclasses import replace

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.errors import NotFound
from tallystick.service.wish_ports import Reminded, Wanted, WantedKind
from tallystick.storage.memory_cards import Tables
from tallystick.storage.memory_tables import ProgramTables, Undo


class MemoryWishes:
    """What members want and have not bought; ``service.wish_ports`` says what each call means."""

    def put_wanted(self: Tables, program_id: ProgramId, wanted: Wanted) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            member = tables.members.get(wanted.member_id)
            if member is None or member.status is MemberStatus.ERASED:
                raise NotFound("There is no such member.", member_id=wanted.member_id)
            kept = tables.wanted.get((wanted.member_id, wanted.kind))
            if kept is not None and (
                kept.seen_ms >= wanted.seen_ms or (kept.ref, kept.body) == (wanted.ref, wanted.body)
            ):
                return False
            undo.put(tables.wanted, (wanted.member_id, wanted.kind), wanted)
            return True

    def wanted(self: Tables, program_id: ProgramId, member_id: MemberId, kind: WantedKind) -> Wanted | None:
        return self._of(program_id).wanted.get((member_id, kind))

    def forget_wanted(
        self: Tables, program_id: ProgramId, member_id: MemberId, kind: WantedKind, *, up_to: Ms
    ) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            kept = tables.wanted.get((member_id, kind))
            if kept is None or kept.seen_ms > up_to:
                return False
            undo.remove(tables.wanted, (member_id, kind))
            return True

    def due_wanted(
        self: Tables,
        program_id: ProgramId,
        kind: WantedKind,
        *,
        before: Ms,
        after: tuple[Ms, str] | None,
        limit: int,
    ) -> list[Wanted]:
        due = [
            one
            for one in list(self._of(program_id).wanted.values())
            if one.kind is kind and not one.reminded_ms and one.seen_ms < before
        ]
        due.sort(key=lambda one: (one.seen_ms, one.member_id))
        return [one for one in due if after is None or (one.seen_ms, one.member_id) > after][:limit]

    def note_reminded(
        self: Tables, program_id: ProgramId, wanted: Wanted, reminded: Reminded, *, since: Ms, most: int
    ) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            kept = tables.wanted.get((wanted.member_id, wanted.kind))
            if kept is None or kept.seen_ms != wanted.seen_ms or kept.reminded_ms:
                return False
            given = tables.reminders.get(wanted.member_id, ())
            if sum(one.made_ms >= since for one in given) >= most:
                return False
            noted = replace(kept, reminded_ms=reminded.made_ms)
            undo.put(tables.wanted, (wanted.member_id, wanted.kind), noted)
            undo.put(tables.reminders, wanted.member_id, (*given, reminded))
            return True

    def unnote_reminded(self: Tables, program_id: ProgramId, wanted: Wanted, reminded: Reminded) -> None:
        with self._changes() as undo:
            tables = self._of(program_id)
            kept = tables.wanted.get((wanted.member_id, wanted.kind))
            if kept is not None and kept.seen_ms == wanted.seen_ms:
                undo.put(tables.wanted, (wanted.member_id, wanted.kind), replace(kept, reminded_ms=Ms(0)))
            rest = tuple(one for one in tables.reminders.get(wanted.member_id, ()) if one != reminded)
            undo.put(tables.reminders, wanted.member_id, rest)

    def reminders(self: Tables, program_id: ProgramId, member_id: MemberId) -> list[Reminded]:
        given = self._of(program_id).reminders.get(member_id, ())
        return sorted(given, key=lambda one: (one.made_ms, one.dedup_key))

    def forget_wants(self: Tables, program_id: ProgramId, *, baskets_before: Ms, reminders_before: Ms) -> int:
        with self._changes() as undo:
            tables = self._of(program_id)
            old = [
                key
                for key, one in tables.wanted.items()
                if one.kind is WantedKind.BASKET and one.seen_ms < baskets_before
            ]
            for key in old:
                undo.remove(tables.wanted, key)
            gone = 0
            for member_id, given in list(tables.reminders.items()):
                rest = tuple(one for one in given if one.made_ms >= reminders_before)
                gone += len(given) - len(rest)
                undo.put(tables.reminders, member_id, rest)
            return len(old) + gone


def erase_wants(undo: Undo, tables: ProgramTables, member_id: MemberId) -> None:
    """Delete what a member wants and was reminded of."""
    for kind in WantedKind:
        if (member_id, kind) in tables.wanted:
            undo.remove(tables.wanted, (member_id, kind))
    if member_id in tables.reminders:
        undo.remove(tables.reminders, member_id)
