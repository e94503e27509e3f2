"""Wish lists and open baskets in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, tuple_, update

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.errors import NotFound
from tallystick.service.wish_ports import Reminded, Wanted, WantedKind
from tallystick.storage import tables as t
from tallystick.storage.consents import living
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

_w, _r = t.wanted.c, t.reminder.c
_WANTED = tuple(_w[name] for name in Wanted.__dataclass_fields__)
_REMINDED = tuple(_r[name] for name in Reminded.__dataclass_fields__)


def _wanted_from_row(row: Row) -> Wanted:
    member_id, kind, ref, seen_ms, body, reminded_ms = row
    return Wanted(member_id, WantedKind(kind), ref, seen_ms, body, reminded_ms)


class SqlWishes(SqlSession):
    """What members want and have not bought; ``service.wish_ports`` says what each call means."""

    def put_wanted(self, program_id: ProgramId, wanted: Wanted) -> bool:
        """Keep it instead of the one before; False when that is as new or newer, or the same, and stays."""
        own = _own(program_id, wanted.member_id, wanted.kind)

        def work(connection: Connection) -> bool:
            if not living(connection, program_id, [wanted.member_id]):
                raise NotFound("There is no such member.", member_id=wanted.member_id)
            row = connection.execute(select(*_WANTED).where(*own)).first()
            if row is not None:
                kept = _wanted_from_row(row)
                if kept.seen_ms >= wanted.seen_ms or (kept.ref, kept.body) == (wanted.ref, wanted.body):
                    return False
                connection.execute(delete(t.wanted).where(*own))
            values = {column.name: getattr(wanted, column.name) for column in _WANTED}
            connection.execute(
                insert(t.wanted).values(values | {"program_id": program_id, "kind": int(wanted.kind)})
            )
            return True

        return self._run(program_id, work, write=True)

    def wanted(self, program_id: ProgramId, member_id: MemberId, kind: WantedKind) -> Wanted | None:
        """Return a member's wish list or open basket."""
        row = self._first(program_id, select(*_WANTED).where(*_own(program_id, member_id, kind)))
        return None if row is None else _wanted_from_row(row)

    def forget_wanted(
        self, program_id: ProgramId, member_id: MemberId, kind: WantedKind, *, up_to: Ms
    ) -> bool:
        """Remove it if it was seen no later than that; False when there was nothing to remove."""
        gone = delete(t.wanted).where(*_own(program_id, member_id, kind), _w.seen_ms <= up_to)
        return self._run(program_id, lambda connection: bool(connection.execute(gone).rowcount), write=True)

    def due_wanted(
        self,
        program_id: ProgramId,
        kind: WantedKind,
        *,
        before: Ms,
        after: tuple[Ms, str] | None,
        limit: int,
    ) -> list[Wanted]:
        """Return what was seen before an instant and not reminded of, by (``seen_ms``, ``member_id``)."""
        query = select(*_WANTED).where(
            _w.program_id == program_id, _w.kind == int(kind), _w.reminded_ms == 0, _w.seen_ms < before
        )
        if after is not None:
            query = query.where(tuple_(_w.seen_ms, _w.member_id) > after)
        rows = self._all(program_id, query.order_by(_w.seen_ms, _w.member_id), limit=limit)
        return [_wanted_from_row(row) for row in rows]

    def note_reminded(
        self, program_id: ProgramId, wanted: Wanted, reminded: Reminded, *, since: Ms, most: int
    ) -> bool:
        """Note that it is reminded of, for the one who asks first."""
        same = (*_own(program_id, wanted.member_id, wanted.kind), _w.seen_ms == wanted.seen_ms)
        given = select(func.count()).where(*_given(program_id, wanted.member_id), _r.made_ms >= since)

        def work(connection: Connection) -> bool:
            if not living(connection, program_id, [wanted.member_id]):
                return False
            if (connection.scalar(given) or 0) >= most:
                return False
            noted = update(t.wanted).where(*same, _w.reminded_ms == 0).values(reminded_ms=reminded.made_ms)
            if not connection.execute(noted).rowcount:
                return False
            own = {"program_id": program_id, "member_id": wanted.member_id}
            values = {column.name: getattr(reminded, column.name) for column in _REMINDED}
            connection.execute(insert(t.reminder).values(own | values))
            return True

        return self._run(program_id, work, write=True)

    def unnote_reminded(self, program_id: ProgramId, wanted: Wanted, reminded: Reminded) -> None:
        """Undo that: nobody could be told."""
        same = (*_own(program_id, wanted.member_id, wanted.kind), _w.seen_ms == wanted.seen_ms)
        given = (*_given(program_id, wanted.member_id), _r.dedup_key == reminded.dedup_key)

        def work(connection: Connection) -> None:
            connection.execute(update(t.wanted).where(*same).values(reminded_ms=0))
            connection.execute(delete(t.reminder).where(*given))

        self._run(program_id, work, write=True)

    def reminders(self, program_id: ProgramId, member_id: MemberId) -> list[Reminded]:
        """Return what is kept of the reminders that a member was given, oldest first."""
        query = select(*_REMINDED).where(*_given(program_id, member_id))
        rows = self._all(program_id, query.order_by(_r.made_ms, _r.dedup_key))
        return [Reminded(*row) for row in rows]

    def forget_wants(self, program_id: ProgramId, *, baskets_before: Ms, reminders_before: Ms) -> int:
        """Remove baskets last seen and reminders given before an instant; return how many."""
        baskets = delete(t.wanted).where(
            _w.program_id == program_id, _w.kind == int(WantedKind.BASKET), _w.seen_ms < baskets_before
        )
        old = delete(t.reminder).where(_r.program_id == program_id, _r.made_ms < reminders_before)

        def work(connection: Connection) -> int:
            return int(connection.execute(baskets).rowcount + connection.execute(old).rowcount)

        return self._run(program_id, work, write=True)


def erase_wants(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    """Delete what a member wants and was reminded of."""
    connection.execute(delete(t.wanted).where(_w.member_id == member_id, _w.program_id == program_id))
    connection.execute(delete(t.reminder).where(*_given(program_id, member_id)))


def _own(program_id: ProgramId, member_id: MemberId, kind: WantedKind) -> tuple[ColumnElement[bool], ...]:
    return _w.member_id == member_id, _w.program_id == program_id, _w.kind == int(kind)


def _given(program_id: ProgramId, member_id: MemberId) -> tuple[ColumnElement[bool], ...]:
    return _r.member_id == member_id, _r.program_id == program_id
