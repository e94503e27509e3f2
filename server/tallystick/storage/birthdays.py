"""Birthdays in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, text, update

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.birthday_ports import Birthday, kept
from tallystick.service.errors import NotFound
from tallystick.storage import tables as t
from tallystick.storage.sessions import SqlSession

_INDEXED = text("member.enrolled_ms >= 0")
"""What every row meets and the index asks for."""

_BIRTHDAY = tuple(t.birthday.c[name] for name in Birthday.__dataclass_fields__)


class SqlBirthdays(SqlSession):
    """Days that come round every year; ``service.birthday_ports`` says what each call means."""

    def set_birthday(self, program_id: ProgramId, birthday: Birthday, *, by_staff: bool) -> Birthday:
        own = _own(program_id, birthday.member_id)
        locked = (
            select(t.member.c.status)
            .where(t.member.c.program_id == program_id, t.member.c.member_id == birthday.member_id)
            .with_for_update()
        )

        def work(connection: Connection) -> Birthday:
            if connection.scalar(locked) in (None, MemberStatus.ERASED):
                raise NotFound("There is no such member.", member_id=birthday.member_id)
            row = connection.execute(select(*_BIRTHDAY).where(*own)).first()
            stored = None if row is None else Birthday(*row)
            new = kept(stored, birthday, by_staff=by_staff)
            if new is None:
                return stored or birthday
            values = {"month_day": new.month_day, "set_ms": new.set_ms}
            if stored is not None:
                connection.execute(update(t.birthday).where(*own).values(values))
            else:
                known = {"program_id": program_id, "member_id": new.member_id}
                connection.execute(insert(t.birthday).values(known | values))
            return new

        return self._run(program_id, work, write=True)

    def birthday(self, program_id: ProgramId, member_id: MemberId) -> Birthday | None:
        row = self._first(program_id, select(*_BIRTHDAY).where(*_own(program_id, member_id)))
        return None if row is None else Birthday(*row)

    def born_on(self, program_id: ProgramId, month_day: int, *, after: str, limit: int) -> list[MemberId]:
        column = t.birthday.c.member_id
        query = select(column).where(
            t.birthday.c.program_id == program_id, t.birthday.c.month_day == month_day
        )
        if after:
            query = query.where(column > after)
        query = query.order_by(column).limit(limit)
        rows = self._run(program_id, lambda connection: connection.scalars(query).all())
        return [MemberId(row) for row in rows]

    def first_enrolled_ms(self, program_id: ProgramId) -> Ms | None:
        query = select(func.min(t.member.c.enrolled_ms)).where(t.member.c.program_id == program_id, _INDEXED)
        found = self._run(program_id, lambda connection: connection.scalar(query))
        return None if found is None else Ms(int(found))

    def enrolled_between(
        self, program_id: ProgramId, from_ms: Ms, until_ms: Ms, *, after: str, limit: int
    ) -> list[MemberId]:
        member = t.member.c
        query = select(member.member_id).where(
            member.program_id == program_id,
            _INDEXED,
            member.enrolled_ms >= from_ms,
            member.enrolled_ms < until_ms,
            member.status != int(MemberStatus.ERASED),
        )
        if after:
            query = query.where(member.member_id > after)
        query = query.order_by(member.member_id).limit(limit)
        rows = self._run(program_id, lambda connection: connection.scalars(query).all())
        return [MemberId(row) for row in rows]


def forget_birthday(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    """Delete the birthday of an erased member."""
    connection.execute(delete(t.birthday).where(*_own(program_id, member_id)))


def _own(program_id: ProgramId, member_id: MemberId) -> tuple[ColumnElement[bool], ...]:
    return t.birthday.c.program_id == program_id, t.birthday.c.member_id == member_id
