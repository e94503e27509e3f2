"""Households in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, union_all, update

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.errors import AlreadyExists, NotFound
from tallystick.service.household_store import Belonging, Part, Pool
from tallystick.storage import tables as t
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

_h = t.household.c
_m = t.household_member.c
_a = t.account.c
_BELONGING = tuple(_m[name] for name in Belonging.__dataclass_fields__)


def _belonging_from_row(row: Row) -> Belonging:
    member_id, household_id, part, since_ms = row
    return Belonging(member_id, household_id, Part(part), since_ms)


class SqlHouseholds(SqlSession):
    """Households; see ``service.household_store``."""

    def add_household(self, program_id: ProgramId, household_id: MemberId, head: Belonging) -> Belonging:
        """Make a household of its head, and return where the head belongs now."""

        def work(connection: Connection) -> Belonging:
            for member_id in sorted((household_id, head.member_id)):
                _require_living(connection, program_id, member_id)
            stored = _belonging(connection, program_id, head.member_id)
            if stored is not None and stored.part is not Part.ASKING:
                return stored
            if stored is not None:
                connection.execute(delete(t.household_member).where(*_own(program_id, head.member_id)))
            there = select(_h.household_id).where(
                _h.program_id == program_id, _h.household_id == household_id
            )
            if connection.execute(there).first() is not None:
                # Whoever has left it knows the id: what the others left behind is not for the taking.
                raise AlreadyExists("The household is there already.", household_id=household_id)
            values = {"program_id": program_id, "household_id": household_id, "invitation_expires_ms": 0}
            connection.execute(insert(t.household).values(values))
            _insert(connection, program_id, head)
            self._told(connection, program_id, head)
            return head

        return self._run(program_id, work, write=True)

    def belonging(self, program_id: ProgramId, member_id: MemberId) -> Belonging | None:
        """Return a member's place in a household."""
        return self._run(program_id, lambda connection: _belonging(connection, program_id, member_id))

    def people(self, program_id: ProgramId, household_id: MemberId) -> list[Belonging]:
        """Return those who belong to a household or have asked to."""
        query = select(*_BELONGING).where(_m.program_id == program_id, _m.household_id == household_id)
        rows = self._all(program_id, query.order_by(_m.part, _m.since_ms, _m.member_id))
        return [_belonging_from_row(row) for row in rows]

    def invite(
        self, program_id: ProgramId, household_id: MemberId, code_hash: bytes, *, expires_ms: Ms
    ) -> bool:
        """Store a household's one invitation."""
        own = (_h.program_id == program_id, _h.household_id == household_id)
        values = {"invitation": code_hash, "invitation_expires_ms": expires_ms}
        return self._run(
            program_id,
            lambda connection: (
                connection.execute(update(t.household).where(*own).values(values)).rowcount > 0
            ),
            write=True,
        )

    def ask_to_join(
        self, program_id: ProgramId, member_id: MemberId, code_hash: bytes, *, now: Ms
    ) -> Belonging | None:
        """Use up a live invitation and note who asks."""

        def work(connection: Connection) -> Belonging | None:
            _require_living(connection, program_id, member_id)
            stored = _belonging(connection, program_id, member_id)
            if stored is not None and stored.part is not Part.ASKING:
                return stored
            live = (
                _h.program_id == program_id,
                _h.invitation == code_hash,
                _h.invitation_expires_ms > now,
            )
            household_id = connection.scalar(select(_h.household_id).where(*live).with_for_update())
            if household_id is None:
                return None
            connection.execute(update(t.household).where(*live).values(invitation=None))
            connection.execute(delete(t.household_member).where(*_own(program_id, member_id)))
            asking = Belonging(member_id, household_id, Part.ASKING, now)
            _insert(connection, program_id, asking)
            return asking

        return self._run(program_id, work, write=True)

    def take_in(
        self, program_id: ProgramId, household_id: MemberId, member_id: MemberId, *, most: int, now: Ms
    ) -> Belonging | None:
        """Make a person of somebody who asks, and return the place."""
        own = (_h.program_id == program_id, _h.household_id == household_id)

        def work(connection: Connection) -> Belonging | None:
            # The household's row: two who are let in at once are counted one after the other.
            if connection.scalar(select(_h.household_id).where(*own).with_for_update()) is None:
                return None
            stored = _belonging(connection, program_id, member_id)
            if stored is None or stored.household_id != household_id:
                return None
            if stored.part is not Part.ASKING:
                return stored
            # A household that all have left is for nobody: its account follows who left it last.
            if not 0 < _count(connection, program_id, household_id) < most:
                return None
            person = Belonging(member_id, household_id, Part.PERSON, now)
            values = {"part": int(Part.PERSON), "since_ms": now}
            connection.execute(update(t.household_member).where(*_own(program_id, member_id)).values(values))
            self._told(connection, program_id, person)
            return person

        return self._run(program_id, work, write=True)

    def take_out(self, program_id: ProgramId, household_id: MemberId, member_id: MemberId) -> bool:
        """Let a member belong to the household no more; False for one who does not, and for a head of others."""
        own = (_h.program_id == program_id, _h.household_id == household_id)

        def work(connection: Connection) -> bool:
            connection.execute(select(_h.household_id).where(*own).with_for_update())
            stored = _belonging(connection, program_id, member_id)
            if stored is None or stored.household_id != household_id:
                return False
            if stored.part is Part.HEAD and _count(connection, program_id, household_id) > 1:
                return False
            connection.execute(delete(t.household_member).where(*_own(program_id, member_id)))
            if stored.part is Part.HEAD:
                # What a till reports late still reaches the account, and must not belong to nobody.
                connection.execute(update(t.household).where(*own).values(last_head_id=member_id))
            self._told(connection, program_id, stored)
            return True

        return self._run(program_id, work, write=True)

    def household_accounts(
        self, program_id: ProgramId, member_ids: Sequence[MemberId]
    ) -> dict[MemberId, MemberId]:
        """Return the household to whose account each member's scans lead."""
        query = (
            select(_m.member_id, _m.household_id)
            .join(t.member, _of_open_member())
            .where(_m.program_id == program_id, _m.member_id.in_(member_ids), _m.part < int(Part.ASKING))
        )
        return dict(map(tuple, self._all(program_id, query))) if member_ids else {}

    def people_of(
        self, program_id: ProgramId, household_ids: Sequence[MemberId]
    ) -> dict[MemberId, list[MemberId]]:
        """Return the open members of each household."""
        query = (
            select(_m.household_id, _m.member_id)
            .join(t.member, _of_open_member())
            .where(
                _m.program_id == program_id,
                _m.household_id.in_(household_ids),
                _m.part < int(Part.ASKING),
            )
            .order_by(_m.household_id, _m.member_id)
        )
        found: dict[MemberId, list[MemberId]] = {}
        for household_id, member_id in self._all(program_id, query) if household_ids else ():
            found.setdefault(household_id, []).append(member_id)
        return found

    def pools(self, program_id: ProgramId, *, after: str, limit: int) -> list[Pool]:
        """Return what people have on accounts of their own, and households that all have left."""
        way = union_all(
            select(_m.member_id.label("from_id"), _m.household_id.label("to_id")).where(
                _m.program_id == program_id, _m.part < int(Part.ASKING)
            ),
            select(_h.household_id, _h.last_head_id).where(
                _h.program_id == program_id, _h.last_head_id.is_not(None)
            ),
        ).subquery("way")
        there = t.account.alias("there")
        query = (
            select(way.c.from_id, way.c.to_id, _a.active, _a.seq)
            .join(t.account, and_(_a.program_id == program_id, _a.member_id == way.c.from_id))
            .join(there, and_(there.c.program_id == program_id, there.c.member_id == way.c.to_id))
            .where(
                _a.active > 0,
                _a.status == int(MemberStatus.OPEN),
                there.c.status == int(MemberStatus.OPEN),
            )
        )
        if after:
            query = query.where(way.c.from_id > after)
        rows = self._all(program_id, query.order_by(way.c.from_id), limit=limit)
        return [Pool(*row) for row in rows]

    def _told(self, connection: Connection, program_id: ProgramId, belonging: Belonging) -> None:
        """Note that tills must hear of both: whose identifiers lead where has changed."""
        both = (belonging.member_id, belonging.household_id)
        connection.execute(
            update(t.member)
            .where(t.member.c.program_id == program_id, t.member.c.member_id.in_(both))
            .values(changed_ms=self._now_ms())
        )


def household_of(connection: Connection, program_id: ProgramId, member_id: MemberId) -> MemberId | None:
    """Return the household that a member is in; None for one who has only asked."""
    stored = _belonging(connection, program_id, member_id)
    return None if stored is None or stored.part is Part.ASKING else stored.household_id


def leave_for_good(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    """Take a member who is being erased out of the household; the eldest of the others takes the head's place.

    The account of a household that is being erased lets its people go.
    """
    of_household = (_m.program_id == program_id, _m.household_id == member_id)
    connection.execute(delete(t.household_member).where(*of_household))
    stored = _belonging(connection, program_id, member_id)
    if stored is None:
        return
    connection.execute(delete(t.household_member).where(*_own(program_id, member_id)))
    if stored.part is not Part.HEAD:
        return
    eldest = (
        select(_m.member_id)
        .where(
            _m.program_id == program_id,
            _m.household_id == stored.household_id,
            _m.part == int(Part.PERSON),
        )
        .order_by(_m.since_ms, _m.member_id)
        .limit(1)
    )
    heir = connection.scalar(eldest)
    if heir is not None:
        change = update(t.household_member).where(*_own(program_id, heir))
        connection.execute(change.values(part=int(Part.HEAD)))


def _of_open_member() -> ColumnElement[bool]:
    member = t.member.c
    return and_(
        member.program_id == _m.program_id,
        member.member_id == _m.member_id,
        member.status == int(MemberStatus.OPEN),
    )


def _own(program_id: ProgramId, member_id: MemberId) -> tuple[ColumnElement[bool], ...]:
    return _m.member_id == member_id, _m.program_id == program_id


def _belonging(connection: Connection, program_id: ProgramId, member_id: MemberId) -> Belonging | None:
    row = connection.execute(select(*_BELONGING).where(*_own(program_id, member_id))).first()
    return None if row is None else _belonging_from_row(row)


def _insert(connection: Connection, program_id: ProgramId, belonging: Belonging) -> None:
    values = {column.name: getattr(belonging, column.name) for column in _BELONGING}
    values |= {"program_id": program_id, "part": int(belonging.part)}
    connection.execute(insert(t.household_member).values(values))


def _count(connection: Connection, program_id: ProgramId, household_id: MemberId) -> int:
    query = select(func.count()).where(
        _m.program_id == program_id, _m.household_id == household_id, _m.part < int(Part.ASKING)
    )
    return int(connection.scalar(query) or 0)


def _require_living(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    query = select(t.member.c.status).where(
        t.member.c.program_id == program_id, t.member.c.member_id == member_id
    )
    status = connection.scalar(query.with_for_update())
    if status in (None, MemberStatus.ERASED):
        raise NotFound("There is no such member.", member_id=member_id)
