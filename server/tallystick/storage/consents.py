"""Consents in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, exists, insert, select

from tallystick.core.ids import MemberId, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.consent_ports import (
    CONSENTS_KEPT_MAX,
    ConsentChannel,
    ConsentPurpose,
    SaidConsent,
)
from tallystick.service.errors import NotFound
from tallystick.storage import tables as t
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

_SAID = tuple(t.consent.c[name] for name in SaidConsent.__dataclass_fields__)


def _said_from_row(row: Row) -> SaidConsent:
    purpose, channel, granted, said_ms, by_role, by_device = row
    return SaidConsent(
        ConsentPurpose(purpose), ConsentChannel(channel), bool(granted), said_ms, by_role, by_device
    )


class SqlConsents(SqlSession):
    """What members have said yes or no to."""

    def add_consent(self, program_id: ProgramId, member_id: MemberId, said: SaidConsent) -> SaidConsent:
        """Add a statement and return the one that counts now; see ``service.consent_ports``."""
        pair = (t.consent.c.purpose == int(said.purpose), t.consent.c.channel == int(said.channel))
        newest = t.consent.c.number.desc()
        last_said = select(*_SAID).where(*_own(program_id, member_id), *pair).order_by(newest).limit(1)
        last_number = select(t.consent.c.number).where(*_own(program_id, member_id)).order_by(newest).limit(1)
        values = {column.name: getattr(said, column.name) for column in _SAID}
        flags = {"purpose": int(said.purpose), "channel": int(said.channel), "granted": int(said.granted)}

        def work(connection: Connection) -> SaidConsent:
            if not living(connection, program_id, [member_id]):
                raise NotFound("There is no such member.", member_id=member_id)
            row = connection.execute(last_said).first()
            if row is not None and bool(row.granted) is said.granted:
                return _said_from_row(row)
            number = (connection.scalar(last_number) or 0) + 1
            own = {"program_id": program_id, "member_id": member_id, "number": number}
            connection.execute(insert(t.consent).values(own | values | flags))
            _let_go(connection, program_id, member_id, number - CONSENTS_KEPT_MAX)
            return said

        return self._run(program_id, work, write=True)

    def consents(self, program_id: ProgramId, member_id: MemberId) -> list[SaidConsent]:
        """Return all that is kept, in the order in which it was said."""
        query = select(*_SAID).where(*_own(program_id, member_id)).order_by(t.consent.c.number)
        rows = self._run(program_id, lambda connection: connection.execute(query).all())
        return [_said_from_row(row) for row in rows]


def erase_records(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    """Delete what a member has said."""
    connection.execute(delete(t.consent).where(*_own(program_id, member_id)))


def _own(program_id: ProgramId, member_id: MemberId) -> tuple[ColumnElement[bool], ...]:
    return t.consent.c.member_id == member_id, t.consent.c.program_id == program_id


def living(connection: Connection, program_id: ProgramId, member_ids: list[MemberId]) -> bool:
    """Return whether all are there and not erased, and lock them in their order: an erasure takes its turn."""
    query = (
        select(t.member.c.status)
        .where(t.member.c.program_id == program_id, t.member.c.member_id.in_(member_ids))
        .order_by(t.member.c.member_id)
        .with_for_update()
    )
    found = connection.scalars(query).all()
    return len(found) == len(member_ids) and MemberStatus.ERASED not in found


def _let_go(connection: Connection, program_id: ProgramId, member_id: MemberId, up_to: int) -> None:
    if up_to <= 0:
        return
    later = t.consent.alias("later")
    replaced = exists().where(
        later.c.program_id == t.consent.c.program_id,
        later.c.member_id == t.consent.c.member_id,
        later.c.purpose == t.consent.c.purpose,
        later.c.channel == t.consent.c.channel,
        later.c.number > t.consent.c.number,
    )
    connection.execute(
        delete(t.consent).where(*_own(program_id, member_id), t.consent.c.number <= up_to, replaced)
    )
