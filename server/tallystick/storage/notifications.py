"""Notifications in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.rules.notifications import Occasion
from tallystick.core.state import MemberStatus
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose
from tallystick.service.notification_ports import (
    ADD_MAX,
    RETRIED_MAX,
    Noted,
    NoteState,
    Notification,
    NotificationPlace,
    PushSubscription,
    Way,
)
from tallystick.storage import tables as t
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession, in_turn

FORGET_PAGE = 1_000
WAITING, FAILED, SENT = int(NoteState.WAITING), int(NoteState.FAILED), int(NoteState.SENT)

_NOTE = tuple(t.notification.c[name] for name in Notification.__dataclass_fields__)
_PUSH = tuple(t.push_subscription.c[name] for name in PushSubscription.__dataclass_fields__)
_n, _p, _u = t.notification.c, t.notification_place.c, t.push_subscription.c
Mark = tuple[Ms, str]


def _note_from_row(row: Row) -> Notification:
    values = dict(zip(Notification.__dataclass_fields__, row, strict=True))
    values["occasion"] = Occasion(values["occasion"])
    values["args"] = tuple((name, value) for name, value in json.loads(values["args"]))
    return Notification(**{**values, "state": NoteState(values["state"]), "way": Way(values["way"])})


def _note_values(program_id: ProgramId, note: Notification) -> dict[str, Any]:
    values: dict[str, Any] = {column.name: getattr(note, column.name) for column in _NOTE}
    plain = {"occasion": note.occasion.value, "state": int(note.state), "way": int(note.way)}
    args = json.dumps(note.args, ensure_ascii=False, separators=(",", ":"))
    return {"program_id": program_id, **values, **plain, "args": args, "held_ms": 0}


def _place_values(program_id: ProgramId, place: NotificationPlace) -> dict[str, Any]:
    lanes = json.dumps({str(lane): seq for lane, seq in sorted(place.lanes.items())})
    return {"program_id": program_id, "lanes": lanes, "moves": place.moves}


class SqlNotificationQueue(SqlSession):
    """Messages on their way; see ``service.notification_ports``."""

    def notification_place(self, program_id: ProgramId) -> NotificationPlace | None:
        """Return the place."""
        return self._run(program_id, lambda connection: _place(connection, program_id, lock=False))

    def put_notification_place(self, program_id: ProgramId, place: NotificationPlace | None) -> None:
        """Begin at a place, or end with None."""

        def work(connection: Connection) -> None:
            before = _place(connection, program_id, lock=True)
            connection.execute(delete(t.notification_place).where(_p.program_id == program_id))
            if place is not None:
                moves = place.moves if before is None else before.moves + 1
                begun = NotificationPlace(place.lanes, moves)
                connection.execute(insert(t.notification_place).values(_place_values(program_id, begun)))

        self._run(program_id, work, write=True)

    def add_notifications(
        self, program_id: ProgramId, new: Sequence[Notification], *, to: NotificationPlace | None = None
    ) -> int | None:
        """Add messages whose ids are not there, none for an erased member; move the place with them."""
        assert len(new) <= ADD_MAX

        def work(connection: Connection) -> int | None:
            if to is not None:
                place = _place(connection, program_id, lock=True)
                if place is None or place.moves != to.moves:
                    return None
            fresh = _fresh(connection, program_id, new)
            if fresh:
                connection.execute(insert(t.notification), [_note_values(program_id, note) for note in fresh])
            if to is not None:
                moved = _place_values(program_id, NotificationPlace(to.lanes, to.moves + 1))
                own = _p.program_id == program_id
                connection.execute(update(t.notification_place).where(own).values(moved))
            return len(fresh)

        return self._run(program_id, work, write=True)

    def claim_notifications(
        self, program_id: ProgramId, *, now: Ms, until: Ms, limit: int
    ) -> list[Notification]:
        """Return messages that are due, of a member one at a time, and keep them from others."""
        other = t.notification.alias("other").c
        in_hand = exists().where(
            other.program_id == _n.program_id, other.member_id == _n.member_id, other.held_ms > now
        )
        due = (
            select(*_NOTE)
            .where(_n.program_id == program_id, _n.state == WAITING, _n.next_ms <= now, ~in_hand)
            .order_by(_n.next_ms, _n.notification_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )

        def work(connection: Connection) -> list[Notification]:
            # One after the other: else two processes could each take one message of the same member. At the program,
            # as one whose rules tell of no entries has no place in its journal.
            connection.execute(in_turn(program_id))
            first: dict[MemberId, Notification] = {}
            for row in connection.execute(due):
                note = _note_from_row(row)
                first.setdefault(note.member_id, note)
            if first:
                taken = _named((note.member_id, note.notification_id) for note in first.values())
                keep = update(t.notification).where(_n.program_id == program_id, taken)
                connection.execute(keep.values(next_ms=until, held_ms=until))
            return list(first.values())

        return self._run(program_id, work, write=True)

    def note_notifications(self, program_id: ProgramId, noted: Sequence[Noted], *, now: Ms) -> None:
        """Note what came of sending; one that does not wait any more stays as it is."""

        def work(connection: Connection) -> None:
            for one in sorted(noted, key=lambda one: (one.member_id, one.notification_id)):
                waits = one.state is NoteState.WAITING
                own = (_n.program_id == program_id, _n.member_id == one.member_id)
                which = (_n.notification_id == one.notification_id, _n.state == WAITING)
                connection.execute(
                    update(t.notification)
                    .where(*own, *which)
                    .values(
                        state=int(one.state),
                        way=int(one.way),
                        answer=one.answer,
                        next_ms=one.next_ms,
                        tries=_n.tries + int(one.tried),
                        done_ms=0 if waits else now,
                        held_ms=0,
                    )
                )

        self._run(program_id, work, write=True)

    def retry_notifications(self, program_id: ProgramId, *, way: Way | None, now: Ms) -> int:
        """Let messages wait again that were given up and are not stale."""
        given_up = (_n.program_id == program_id, _n.state == FAILED, _n.stale_ms > now)
        query = select(_n.member_id, _n.notification_id).where(*given_up)
        if way is not None:
            query = query.where(_n.way == int(way))

        def work(connection: Connection) -> int:
            names = [(row[0], row[1]) for row in connection.execute(query.limit(RETRIED_MAX))]
            for start in range(0, len(names), ADD_MAX):
                part = _named(names[start : start + ADD_MAX])
                again = update(t.notification).where(_n.program_id == program_id, part)
                connection.execute(again.values(state=WAITING, tries=0, next_ms=now, done_ms=0))
            return len(names)

        return self._run(program_id, work, write=True)

    def forget_notifications(self, program_id: ProgramId, *, before: Ms) -> int:
        """Remove messages made before an instant that do not wait, a page of them."""
        old = select(_n.member_id, _n.notification_id).where(
            _n.program_id == program_id, _n.made_ms < before, _n.state != WAITING
        )

        def work(connection: Connection) -> int:
            names = [(row[0], row[1]) for row in connection.execute(old.limit(FORGET_PAGE))]
            if names:
                connection.execute(delete(t.notification).where(_n.program_id == program_id, _named(names)))
            return len(names)

        return self._run(program_id, work, write=True)


class SqlNotifications(SqlSession):
    """Messages as people see them, and the addresses of push messages; see ``service.notification_ports``."""

    def notifications_of(
        self, program_id: ProgramId, member_id: MemberId, *, before: Mark | None, limit: int
    ) -> list[Notification]:
        """Return a member's messages, newest first."""
        query = select(*_NOTE).where(_n.program_id == program_id, _n.member_id == member_id)
        return self._newest(program_id, query, before, limit)

    def failed_notifications(
        self, program_id: ProgramId, *, before: Mark | None, limit: int
    ) -> list[Notification]:
        """Return messages that were given up, newest first."""
        query = select(*_NOTE).where(_n.program_id == program_id, _n.state == FAILED)
        return self._newest(program_id, query, before, limit)

    def _newest(
        self, program_id: ProgramId, query: Select[Any], before: Mark | None, limit: int
    ) -> list[Notification]:
        if before is not None:
            made_ms, notification_id = before
            same = and_(_n.made_ms == made_ms, _n.notification_id < notification_id)
            query = query.where(or_(_n.made_ms < made_ms, same))
        ordered = query.order_by(_n.made_ms.desc(), _n.notification_id.desc())
        return [_note_from_row(row) for row in self._all(program_id, ordered, limit=limit)]

    def notifications_sent(
        self, program_id: ProgramId, member_id: MemberId, *, occasions: Collection[Occasion], since: Ms
    ) -> list[Ms]:
        """Return when messages of such occasions were sent to a member since an instant."""
        names = sorted(one.value for one in occasions)
        own = (_n.program_id == program_id, _n.member_id == member_id)
        query = select(_n.done_ms).where(*own, _n.state == SENT, _n.done_ms >= since, _n.occasion.in_(names))
        return [Ms(row[0]) for row in self._all(program_id, query.order_by(_n.done_ms.desc()))]

    def notification_counts(
        self, program_id: ProgramId, *, since: Ms
    ) -> dict[tuple[Occasion, Way, NoteState], int]:
        """Count messages made since an instant."""
        kinds = (_n.occasion, _n.way, _n.state)
        query = select(*kinds, func.count()).where(_n.program_id == program_id, _n.made_ms >= since)
        rows = self._all(program_id, query.group_by(*kinds))
        return {(Occasion(row[0]), Way(row[1]), NoteState(row[2])): row[3] for row in rows}

    def granted_channels(
        self, program_id: ProgramId, member_ids: Collection[MemberId], purpose: ConsentPurpose
    ) -> dict[MemberId, frozenset[ConsentChannel]]:
        """Return by which channels messages for a purpose may come to members."""
        c = t.consent.c
        said = select(c.member_id, c.channel, c.granted).where(
            c.program_id == program_id, c.member_id.in_(sorted(member_ids)), c.purpose == int(purpose)
        )
        # What was said last of a channel counts.
        rows = self._all(program_id, said.order_by(c.member_id, c.number.desc()))
        last: dict[tuple[MemberId, int], bool] = {}
        for member_id, channel, granted in rows:
            last.setdefault((member_id, channel), bool(granted))
        return granted_of(last)

    def set_push(self, program_id: ProgramId, subscription: PushSubscription) -> bool:
        """Store a device's address, replacing the one before."""
        values = {column.name: getattr(subscription, column.name) for column in _PUSH}

        def work(connection: Connection) -> bool:
            if not _living(connection, program_id, {subscription.member_id}):
                return False
            own = _own_push(program_id, subscription.member_id)
            connection.execute(delete(t.push_subscription).where(*own, _u.kid == subscription.kid))
            connection.execute(insert(t.push_subscription).values(program_id=program_id, **values))
            return True

        return self._run(program_id, work, write=True)

    def remove_push(self, program_id: ProgramId, member_id: MemberId, kid: str) -> None:
        """Forget a device's address."""
        gone = delete(t.push_subscription).where(*_own_push(program_id, member_id), _u.kid == kid)
        self._run(program_id, lambda connection: connection.execute(gone), write=True)

    def push_subscriptions(self, program_id: ProgramId, member_id: MemberId) -> list[PushSubscription]:
        """Return the addresses of a member's devices that are not revoked, by device."""
        d = t.card_device.c
        same = and_(d.member_id == _u.member_id, d.program_id == _u.program_id, d.kid == _u.kid)
        counts = exists().where(same, d.revoked_ms == 0)
        query = select(*_PUSH).where(*_own_push(program_id, member_id), counts).order_by(_u.kid)
        return [
            PushSubscription(row[0], row[1], row[2], bytes(row[3]), bytes(row[4]), row[5])
            for row in self._all(program_id, query)
        ]


def granted_of(last: Mapping[tuple[MemberId, int], bool]) -> dict[MemberId, frozenset[ConsentChannel]]:
    """Return the channels of each member whose last word was a yes."""
    found: dict[MemberId, set[ConsentChannel]] = {}
    for (member_id, channel), granted in last.items():
        if granted:
            found.setdefault(member_id, set()).add(ConsentChannel(channel))
    return {member_id: frozenset(channels) for member_id, channels in found.items()}


def erase_notifications(connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
    """Delete what a member was told, and where push messages went."""
    for table in (t.notification, t.push_subscription):
        connection.execute(
            delete(table).where(table.c.program_id == program_id, table.c.member_id == member_id)
        )


def _place(connection: Connection, program_id: ProgramId, *, lock: bool) -> NotificationPlace | None:
    query = select(_p.lanes, _p.moves).where(_p.program_id == program_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        return None
    return NotificationPlace({int(lane): seq for lane, seq in json.loads(row[0]).items()}, row[1])


def _fresh(connection: Connection, program_id: ProgramId, new: Sequence[Notification]) -> list[Notification]:
    """Return those whose ids are not there, each once, of living members."""
    living = _living(connection, program_id, {note.member_id for note in new})
    found = {(note.member_id, note.notification_id): note for note in new if note.member_id in living}
    if found:
        query = select(_n.member_id, _n.notification_id).where(_n.program_id == program_id, _named(found))
        for row in connection.execute(query):
            del found[row[0], row[1]]
    return list(found.values())


def _living(connection: Connection, program_id: ProgramId, member_ids: Collection[MemberId]) -> set[MemberId]:
    """Return who is there and not erased, locked in their order: an erasure takes its turn."""
    m = t.member.c
    query = (
        select(m.member_id, m.status)
        .where(m.program_id == program_id, m.member_id.in_(sorted(member_ids)))
        .order_by(m.member_id)
        .with_for_update()
    )
    return {MemberId(row[0]) for row in connection.execute(query) if row[1] != MemberStatus.ERASED}


def _named(names: Iterable[tuple[str, str]]) -> ColumnElement[bool]:
    return tuple_(_n.member_id, _n.notification_id).in_(list(names))


def _own_push(program_id: ProgramId, member_id: MemberId) -> tuple[ColumnElement[bool], ...]:
    return _u.program_id == program_id, _u.member_id == member_id
