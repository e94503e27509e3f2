"""Reviews, counters of the watch and staff in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as insert_postgres
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.review_ports import (
    NOBODY,
    STAFF_MAX,
    Review,
    ReviewState,
    StaffMember,
    WatchPlace,
)
from tallystick.storage import tables as t
from tallystick.storage.consents import living
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

_REVIEW = tuple(t.review.c[name] for name in Review.__dataclass_fields__)
_STAFF = tuple(t.staff_member.c[name] for name in StaffMember.__dataclass_fields__)
_r, _c, _p, _s = t.review.c, t.watch_count.c, t.watch_place.c, t.staff_member.c


class SqlReviews(SqlSession):
    """What people must look at; ``service.review_ports`` says what each call means."""

    def add_review(self, program_id: ProgramId, review: Review) -> Review | None:
        """Store a review, or return the one that is stored under its id. None when a member of it is gone."""
        concerned = sorted({one for one in (review.member_id, review.other_id) if one})

        def work(connection: Connection) -> Review | None:
            if concerned and not living(connection, program_id, concerned):
                return None
            stored = _stored(connection, program_id, review.review_id)
            if stored is None:
                connection.execute(insert(t.review).values(_values(program_id, review)))
            return stored or review

        return self._run(program_id, work, write=True)

    def review(self, program_id: ProgramId, review_id: str) -> Review | None:
        """Return a review."""
        row = self._first(program_id, select(*_REVIEW).where(*_own(program_id, review_id)))
        return None if row is None else _from_row(row)

    def reviews(
        self,
        program_id: ProgramId,
        *,
        state: ReviewState | None,
        kind: str,
        before: tuple[Ms, str] | None,
        limit: int,
    ) -> list[Review]:
        """Return reviews, newest first."""
        query = select(*_REVIEW).where(_r.program_id == program_id)
        if state is not None:
            query = query.where(_r.state == int(state))
        if kind:
            query = query.where(_r.kind == kind)
        if before is not None:
            query = query.where(tuple_(_r.made_ms, _r.review_id) < before)
        ordered = query.order_by(_r.made_ms.desc(), _r.review_id.desc())
        return [_from_row(row) for row in self._all(program_id, ordered, limit=limit)]

    def reviews_of(self, program_id: ProgramId, member_id: MemberId, *, limit: int) -> list[Review]:
        """Return reviews that are about a member, newest first."""
        # With the condition of the index, which a parameter alone does not show.
        own = (_r.program_id == program_id, _r.member_id == member_id, _r.member_id.is_not(None))
        ordered = select(*_REVIEW).where(*own).order_by(_r.made_ms.desc(), _r.review_id.desc())
        return [_from_row(row) for row in self._all(program_id, ordered, limit=limit)]

    def decide_review(
        self, program_id: ProgramId, review_id: str, state: ReviewState, *, by: str, note: str, now: Ms
    ) -> Review | None:
        """Close an open review and return it as it is then; one that is closed stays as it was."""
        is_open = (*_own(program_id, review_id), _r.state == int(ReviewState.OPEN))
        closed = {"state": int(state), "decided_ms": now, "decided_by": by, "note": note}

        def work(connection: Connection) -> Review | None:
            connection.execute(update(t.review).where(*is_open).values(closed))
            return _stored(connection, program_id, review_id)

        return self._run(program_id, work, write=True)

    def reviews_to_follow(self, program_id: ProgramId, *, limit: int) -> list[Review]:
        """Return decided reviews behind which something waits that has not gone on, by id."""
        waits = (_r.state > int(ReviewState.OPEN), _r.holds == 1, _r.followed == 0)
        query = select(*_REVIEW).where(_r.program_id == program_id, *waits).order_by(_r.review_id)
        return [_from_row(row) for row in self._all(program_id, query, limit=limit)]

    def review_followed(self, program_id: ProgramId, review_id: str) -> None:
        """Note that what waited has gone on or ended."""
        done = update(t.review).where(*_own(program_id, review_id)).values(followed=1)
        self._run(program_id, lambda connection: connection.execute(done), write=True)

    def forget_reviews(self, program_id: ProgramId, *, before: Ms) -> int:
        """Remove reviews that were decided before an instant and behind which nothing waits."""
        old = delete(t.review).where(
            _r.program_id == program_id,
            _r.state > int(ReviewState.OPEN),
            _r.decided_ms < before,
            (_r.holds == 0) | (_r.followed == 1),
        )
        return self._run(program_id, lambda connection: connection.execute(old).rowcount, write=True)

    def count_watched(self, program_id: ProgramId, kind: str, subject: str, *, bucket: Ms) -> int:
        """Add one to a counter and return it."""
        values = {"program_id": program_id, "kind": kind, "subject": subject, "bucket_ms": bucket, "count": 1}
        key = ("program_id", "bucket_ms", "kind", "subject")

        def work(connection: Connection) -> int:
            named: Any = insert_postgres if connection.dialect.name == "postgresql" else insert_sqlite
            added = named(t.watch_count).values(values)
            counted = added.on_conflict_do_update(index_elements=key, set_={"count": _c.count + 1})
            return int(connection.scalar(counted.returning(_c.count)) or 0)

        return self._run(program_id, work, write=True)

    def forget_watched(self, program_id: ProgramId, *, before: Ms) -> int:
        """Remove the counters of buckets before an instant."""
        old = delete(t.watch_count).where(_c.program_id == program_id, _c.bucket_ms < before)
        return self._run(program_id, lambda connection: connection.execute(old).rowcount, write=True)

    def watch_place(self, program_id: ProgramId) -> WatchPlace | None:
        """Return up to where the journal has been watched."""
        row = self._first(program_id, select(_p.lanes, _p.moves).where(_p.program_id == program_id))
        if row is None:
            return None
        lanes, moves = row
        return WatchPlace({int(lane): int(seq) for lane, seq in json.loads(lanes).items()}, moves)

    def move_watch_place(self, program_id: ProgramId, to: WatchPlace) -> bool:
        """Store the place; False when another process has moved it since it was read."""
        lanes = json.dumps({str(lane): seq for lane, seq in sorted(to.lanes.items())})
        there = (_p.program_id == program_id, _p.moves == to.moves)
        move = update(t.watch_place).where(*there).values(lanes=lanes, moves=to.moves + 1)

        def work(connection: Connection) -> bool:
            if to.moves:
                return connection.execute(move).rowcount == 1
            known = select(_p.moves).where(_p.program_id == program_id)
            if connection.execute(known).first() is not None:
                return False
            connection.execute(insert(t.watch_place).values(program_id=program_id, lanes=lanes, moves=1))
            return True

        return self._run(program_id, work, write=True)

    def put_staff(self, program_id: ProgramId, staff: StaffMember) -> bool:
        """Note which member a cashier is, instead of what was noted; nobody: forget it."""
        of_store = (_s.program_id == program_id, _s.store_id == staff.store_id)
        own = (*of_store, _s.cashier_id == staff.cashier_id)
        values = {column.name: getattr(staff, column.name) for column in _STAFF}
        others = select(func.count()).where(*of_store, _s.cashier_id != staff.cashier_id)

        def work(connection: Connection) -> bool:
            if not staff.member_id:
                connection.execute(delete(t.staff_member).where(*own))
                return True
            if not living(connection, program_id, [staff.member_id]):
                return False
            if (connection.scalar(others) or 0) >= STAFF_MAX:
                return False
            connection.execute(delete(t.staff_member).where(*own))
            connection.execute(insert(t.staff_member).values(program_id=program_id, **values))
            return True

        return self._run(program_id, work, write=True)

    def staff_of_store(self, program_id: ProgramId, store_id: str) -> list[StaffMember]:
        """Return a store's, by cashier_id."""
        query = select(*_STAFF).where(_s.program_id == program_id, _s.store_id == store_id)
        rows = self._all(program_id, query.order_by(_s.cashier_id), limit=STAFF_MAX)
        return [StaffMember(*row) for row in rows]

    def staff_among(self, program_id: ProgramId, member_ids: Collection[MemberId]) -> list[StaffMember]:
        """Return in which stores members work."""
        if not member_ids:
            return []
        query = select(*_STAFF).where(_s.program_id == program_id, _s.member_id.in_(sorted(member_ids)))
        return [StaffMember(*row) for row in self._all(program_id, query.order_by(_s.member_id, _s.store_id))]


def erase_reviews(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    """Delete what is about a member, and the member out of what is about others."""
    connection.execute(delete(t.review).where(_r.program_id == program_id, _r.member_id == member_id))
    others = (_r.program_id == program_id, _r.other_id == member_id)
    connection.execute(update(t.review).where(*others).values(other_id=None))
    connection.execute(delete(t.watch_count).where(_c.program_id == program_id, _c.subject == member_id))
    connection.execute(delete(t.staff_member).where(_s.program_id == program_id, _s.member_id == member_id))


def _own(program_id: ProgramId, review_id: str) -> tuple[ColumnElement[bool], ...]:
    return _r.program_id == program_id, _r.review_id == review_id


def _stored(connection: Connection, program_id: ProgramId, review_id: str) -> Review | None:
    row = connection.execute(select(*_REVIEW).where(*_own(program_id, review_id))).first()
    return None if row is None else _from_row(row)


def _from_row(row: Row) -> Review:
    found = Review(*row)
    return replace(
        found,
        member_id=found.member_id or NOBODY,
        other_id=found.other_id or NOBODY,
        facts=json.loads(str(found.facts)),
        holds=bool(found.holds),
        state=ReviewState(found.state),
        followed=bool(found.followed),
    )


def _values(program_id: ProgramId, review: Review) -> dict[str, Any]:
    values = {column.name: getattr(review, column.name) for column in _REVIEW}
    changed = {
        "member_id": review.member_id or None,
        "other_id": review.other_id or None,
        "facts": json.dumps(dict(review.facts), ensure_ascii=False, sort_keys=True),
        "holds": int(review.holds),
        "state": int(review.state),
        "followed": int(review.followed),
    }
    return {"program_id": program_id, **values, **changed}
