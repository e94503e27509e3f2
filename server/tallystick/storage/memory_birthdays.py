"""Birthdays in memory."""

from __future__ import annotations

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.birthday_ports import Birthday, kept
from tallystick.service.errors import NotFound
from tallystick.storage.memory_cards import Tables
from tallystick.storage.memory_tables import ProgramTables, Undo


class MemoryBirthdays:
    """Days that come round every year; ``service.birthday_ports`` says what each call means."""

    def set_birthday(self: Tables, program_id: ProgramId, birthday: Birthday, *, by_staff: bool) -> Birthday:
        with self._changes() as undo:
            tables = self._of(program_id)
            member = tables.members.get(birthday.member_id)
            if member is None or member.status is MemberStatus.ERASED:
                raise NotFound("There is no such member.", member_id=birthday.member_id)
            stored = tables.birthdays.get(birthday.member_id)
            new = kept(stored, birthday, by_staff=by_staff)
            if new is None:
                return stored or birthday
            undo.put(tables.birthdays, birthday.member_id, new)
            return new

    def birthday(self: Tables, program_id: ProgramId, member_id: MemberId) -> Birthday | None:
        return self._of(program_id).birthdays.get(member_id)

    def born_on(
        self: Tables, program_id: ProgramId, month_day: int, *, after: str, limit: int
    ) -> list[MemberId]:
        found = list(self._of(program_id).birthdays.values())
        return sorted(one.member_id for one in found if one.month_day == month_day and one.member_id > after)[
            :limit
        ]

    def first_enrolled_ms(self: Tables, program_id: ProgramId) -> Ms | None:
        members = list(self._of(program_id).members.values())
        return min((member.enrolled_ms for member in members), default=None)

    def enrolled_between(
        self: Tables, program_id: ProgramId, from_ms: Ms, until_ms: Ms, *, after: str, limit: int
    ) -> list[MemberId]:
        members = list(self._of(program_id).members.values())
        return sorted(
            member.member_id
            for member in members
            if from_ms <= member.enrolled_ms < until_ms
            and member.status is not MemberStatus.ERASED
            and member.member_id > after
        )[:limit]


def forget_birthday(undo: Undo, tables: ProgramTables, member_id: MemberId) -> None:
    """Delete the birthday of an erased member."""
    if member_id in tables.birthdays:
        undo.remove(tables.birthdays, member_id)
