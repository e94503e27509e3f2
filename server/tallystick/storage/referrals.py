"""Recommendations in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.referral_ports import (
    NO_SALE,
    STILL_OPEN,
    Referral,
    ReferralState,
    ReferralSums,
    Room,
)
from tallystick.storage import tables as t
from tallystick.storage.consents import living
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

REFERRAL_COLUMNS = ", ".join(Referral.__dataclass_fields__)
_REFERRAL = tuple(t.referral.c[name] for name in Referral.__dataclass_fields__)
_FIXED = ("member_id", "referrer_id", "noted_ms")
_c = t.referral.c
_PAID_FOR = (int(ReferralState.PAYING), int(ReferralState.PAID))


class SqlReferrals(SqlSession):
    """By whom members came; ``service.referral_ports`` says what each call means."""

    def add_referral(self, program_id: ProgramId, referral: Referral) -> bool:
        """Note who recommended a member, once; False when it was noted before or one of the two is gone."""

        def work(connection: Connection) -> bool:
            if not living(connection, program_id, [referral.member_id, referral.referrer_id]):
                return False
            known = select(_c.member_id).where(*_own(program_id, referral.member_id))
            if connection.execute(known).first() is not None:
                return False
            connection.execute(insert(t.referral).values(program_id=program_id, **_values(referral)))
            return True

        return self._run(program_id, work, write=True)

    def referral(self, program_id: ProgramId, member_id: MemberId) -> Referral | None:
        """Return by whom a member came."""
        row = self._first(program_id, select(*_REFERRAL).where(*_own(program_id, member_id)))
        return None if row is None else referral_from_row(row)

    def count_referrals(self, program_id: ProgramId, referrer_id: MemberId, *, since: Ms, until: Ms) -> int:
        """Return how many new members were noted for a referrer from an instant on and before another."""
        between = (_c.noted_ms >= since, _c.noted_ms < until)
        query = select(func.count()).select_from(t.referral)
        row = self._first(program_id, query.where(*_of(program_id, referrer_id), *between))
        return int(row[0]) if row else 0

    def referral_sums(self, program_id: ProgramId, referrer_id: MemberId) -> ReferralSums:
        """Return what came of a referrer's recommendations."""
        paid = _c.state == int(ReferralState.PAID)
        query = select(
            func.count(),
            _count_if(_c.state.in_(list(map(int, STILL_OPEN)))),
            _count_if(paid),
            func.coalesce(func.sum(case((paid, _c.referrer_points), else_=0)), 0),
        ).where(*_of(program_id, referrer_id))
        row = self._first(program_id, query)
        return ReferralSums(*map(int, row or (0, 0, 0, 0)))

    def referrals_due(
        self,
        program_id: ProgramId,
        states: Collection[ReferralState],
        *,
        now: Ms,
        after: MemberId | None,
        limit: int,
    ) -> list[Referral]:
        """Return waiting referrals of which there is something to look at, by the joiner's id, after one."""
        account = t.account.c
        joined = and_(account.member_id == _c.member_id, account.program_id == _c.program_id)
        news = and_(_c.state == int(ReferralState.NOTED), account.seq > _c.seen_seq)
        query = (
            select(*_REFERRAL)
            .select_from(t.referral.join(t.account, joined))
            # The condition of the index, beside what is asked.
            .where(_c.program_id == program_id, _c.state <= literal_column(f"{ReferralState.PAYING:d}"))
            .where(_c.state.in_(list(map(int, states))), or_(_c.due_ms <= now, news))
            .order_by(_c.member_id)
        )
        if after is not None:
            query = query.where(_c.member_id > after)
        return [referral_from_row(row) for row in self._all(program_id, query, limit=limit)]

    def move_referral(
        self, program_id: ProgramId, to: Referral, *, room: Room | None = None
    ) -> Referral | None:
        """Store what a referral has become; None when it has moved since, is gone, or there is no room."""
        moved = replace(to, moves=to.moves + 1)
        values = {name: value for name, value in _values(moved).items() if name not in _FIXED}
        as_read = (*_own(program_id, to.member_id), _c.moves == to.moves)
        change = update(t.referral).where(*as_read).values(values)

        def work(connection: Connection) -> Referral | None:
            if room is not None:
                # Holding the referrer's row: of two pay-outs that meet, the second counts the first.
                if not living(connection, program_id, [to.referrer_id]):
                    return None
                taken = (_c.state.in_(_PAID_FOR), _c.changed_ms >= room.since_ms)
                query = select(func.count()).select_from(t.referral)
                if (
                    connection.scalar(query.where(*_of(program_id, to.referrer_id), *taken)) or 0
                ) >= room.most:
                    return None
            return moved if connection.execute(change).rowcount == 1 else None

        return self._run(program_id, work, write=True)


def erase_referrals(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    """Delete both sides of a member's recommendations: who knows whom is personal."""
    for side in (_c.member_id, _c.referrer_id):
        connection.execute(delete(t.referral).where(_c.program_id == program_id, side == member_id))


def _own(program_id: ProgramId, member_id: MemberId) -> tuple[ColumnElement[bool], ...]:
    return _c.program_id == program_id, _c.member_id == member_id


def _of(program_id: ProgramId, referrer_id: MemberId) -> tuple[ColumnElement[bool], ...]:
    return _c.program_id == program_id, _c.referrer_id == referrer_id


def _count_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def referral_from_row(row: Row) -> Referral:
    """Return the recommendation of a row."""
    found = Referral(*row)
    return replace(
        found,
        state=ReferralState(found.state),
        sale_id=found.sale_id or NO_SALE,
        cleared=bool(found.cleared),
    )


def _values(referral: Referral) -> dict[str, Any]:
    values = {column.name: getattr(referral, column.name) for column in _REFERRAL}
    changed = {
        "state": int(referral.state),
        "sale_id": referral.sale_id or None,
        "cleared": int(referral.cleared),
    }
    return {**values, **changed}
