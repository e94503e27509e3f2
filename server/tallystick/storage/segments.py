"""Segments and goods of sales in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, select, update

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.segment_ports import MEMBERS_CHUNK, Purchase, SegmentCount
from tallystick.storage import tables as t
from tallystick.storage.sessions import SqlSession

PURCHASES_READ_MAX = 10_000
SEGMENTS_READ_MAX = 1_000


class SqlSegments(SqlSession):
    """Who is in which segment; ``service.segment_ports`` says what each call means."""

    def segment_counts(self, program_id: ProgramId) -> dict[str, SegmentCount]:
        """Return what was last worked out, by segment."""
        columns = (t.segment.c.segment_id, t.segment.c.members, t.segment.c.refreshed_ms)
        query = select(*columns).where(t.segment.c.program_id == program_id)
        return {row[0]: SegmentCount(*row) for row in self._all(program_id, query, limit=SEGMENTS_READ_MAX)}

    def segment_members(
        self, program_id: ProgramId, segment_id: str, *, after: str, limit: int
    ) -> list[tuple[MemberId, Ms]]:
        """Return who is in a segment since when, by id, behind one."""
        table = t.segment_member
        behind = (table.c.member_id > after,) if after else ()
        query = (
            select(table.c.member_id, table.c.since_ms)
            .where(table.c.program_id == program_id, table.c.segment_id == segment_id, *behind)
            .order_by(table.c.member_id)
        )
        return [(row[0], row[1]) for row in self._all(program_id, query, limit=limit)]

    def change_segment(
        self,
        program_id: ProgramId,
        segment_id: str,
        *,
        come: Sequence[MemberId],
        gone: Sequence[MemberId],
        now_ms: Ms,
    ) -> None:
        """Put members into a segment and out of it."""
        for start in range(0, max(len(come), len(gone)), MEMBERS_CHUNK):
            part = slice(start, start + MEMBERS_CHUNK)
            self._change(program_id, segment_id, come[part], gone[part], now_ms)

    def _change(
        self,
        program_id: ProgramId,
        segment_id: str,
        come: Sequence[MemberId],
        gone: Sequence[MemberId],
        now_ms: Ms,
    ) -> None:
        table = t.segment_member
        own = (table.c.program_id == program_id, table.c.segment_id == segment_id)

        def work(connection: Connection) -> None:
            if gone:
                connection.execute(delete(table).where(*own, table.c.member_id.in_(gone)))
            living = _living(connection, program_id, come) if come else []
            already = set(
                connection.scalars(select(table.c.member_id).where(*own, table.c.member_id.in_(living)))
            )
            rows = [
                {"program_id": program_id, "member_id": member, "segment_id": segment_id, "since_ms": now_ms}
                for member in living
                if member not in already
            ]
            if rows:
                connection.execute(insert(table), rows)

        self._run(program_id, work, write=True)

    def segment_refreshed(self, program_id: ProgramId, segment_id: str, *, now_ms: Ms) -> SegmentCount:
        """Note that a segment has been worked out, and count its members."""
        table = t.segment_member
        counting = select(func.count()).where(
            table.c.program_id == program_id, table.c.segment_id == segment_id
        )
        own = (t.segment.c.program_id == program_id, t.segment.c.segment_id == segment_id)

        def work(connection: Connection) -> SegmentCount:
            found = SegmentCount(segment_id, connection.scalar(counting) or 0, now_ms)
            values = {"members": found.members, "refreshed_ms": found.refreshed_ms}
            if not connection.execute(update(t.segment).where(*own).values(values)).rowcount:
                named = {"program_id": program_id, "segment_id": segment_id}
                connection.execute(insert(t.segment).values(named | values))
            return found

        return self._run(program_id, work, write=True)

    def forget_segments(self, program_id: ProgramId, *, keep: Sequence[str]) -> int:
        """Delete segments that no rule set describes any more."""

        def work(connection: Connection) -> int:
            members, segments = (
                delete(table).where(table.c.program_id == program_id, table.c.segment_id.not_in(list(keep)))
                for table in (t.segment_member, t.segment)
            )
            connection.execute(members)
            return connection.execute(segments).rowcount

        return self._run(program_id, work, write=True)

    def forget_purchases(self, program_id: ProgramId, *, before_ms: Ms) -> int:
        """Delete goods of sales before an instant."""
        old = delete(t.purchase).where(t.purchase.c.program_id == program_id, t.purchase.c.at_ms < before_ms)
        return self._run(program_id, lambda connection: connection.execute(old).rowcount, write=True)

    def purchases_of(self, program_id: ProgramId, member_id: MemberId) -> list[Purchase]:
        """Return the goods of a member's sales as far as they are kept, oldest first."""
        columns = tuple(t.purchase.c[name] for name in Purchase.__dataclass_fields__)
        query = select(*columns).where(*_own(t.purchase, program_id, member_id)).order_by(t.purchase.c.seq)
        return [Purchase(*row) for row in self._all(program_id, query, limit=PURCHASES_READ_MAX)]

    def segments_of(self, program_id: ProgramId, member_id: MemberId) -> list[tuple[str, Ms]]:
        """Return the segments that a member is in, and since when, by id."""
        table = t.segment_member
        query = (
            select(table.c.segment_id, table.c.since_ms)
            .where(*_own(table, program_id, member_id))
            .order_by(table.c.segment_id)
        )
        return [(row[0], row[1]) for row in self._all(program_id, query, limit=SEGMENTS_READ_MAX)]


def forget_member(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    """Delete what a member has bought and which segments that led to."""
    for table in (t.purchase, t.segment_member):
        connection.execute(delete(table).where(*_own(table, program_id, member_id)))


def _own(table: Table, program_id: ProgramId, member_id: MemberId) -> tuple[ColumnElement[bool], ...]:
    return table.c.member_id == member_id, table.c.program_id == program_id


def _living(connection: Connection, program_id: ProgramId, members: Sequence[MemberId]) -> list[Any]:
    """Return those who are there and not erased, locked in their order: an erasure takes its turn."""
    query = (
        select(t.member.c.member_id)
        .where(
            t.member.c.program_id == program_id,
            t.member.c.member_id.in_(members),
            t.member.c.status != int(MemberStatus.ERASED),
        )
        .order_by(t.member.c.member_id)
        .with_for_update()
    )
    return list(connection.scalars(query))
