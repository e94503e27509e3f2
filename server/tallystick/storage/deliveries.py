"""Messages on their way to endpoints in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, exists, func, or_, select, update

from tallystick.core.ids import NEVER_MS, Ms, ProgramId
from tallystick.service.event_store import Delivery, DeliveryState, Due, Event, EventPlace, Tried
from tallystick.storage import tables as t
from tallystick.storage.reader import PAGE_MAX
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

WAITING = int(DeliveryState.WAITING)
PLACE_COLUMNS = tuple(t.event_place.c[name] for name in EventPlace.__dataclass_fields__)
_w, _e, _d, _p = t.webhook.c, t.event.c, t.event_delivery.c, t.event_place.c


class SqlDeliveries(SqlSession):
    """Messages on their way; see ``service.event_store``."""

    def due_endpoints(self, program_id: ProgramId, *, now: Ms) -> list[str]:
        """Return the endpoints that are not paused and may have a message whose turn it is."""
        same = (_d.program_id == _w.program_id) & (_d.webhook_id == _w.webhook_id)
        due = exists().where(same, _d.state == WAITING, _d.next_ms <= now)
        query = select(_w.webhook_id).where(_w.program_id == program_id, _w.paused == 0, due)
        return sorted(row[0] for row in self._all(program_id, query))

    def claim_deliveries(
        self, program_id: ProgramId, webhook_id: str, *, now: Ms, until: Ms, limit: int
    ) -> list[Due]:
        """Return messages that are due, of each member none but the first that waits, and keep them from others."""
        query = (
            select(_d.number, _d.tries, _d.since_ms)
            .where(*waiting(program_id, webhook_id), _d.next_ms <= now)
            .order_by(_d.next_ms, _d.number)
            .limit(min(limit, PAGE_MAX))
            .with_for_update(skip_locked=True)
        )

        def work(connection: Connection) -> list[Due]:
            taken = connection.execute(query).all()
            if not taken:
                return []
            numbers = [row[0] for row in taken]
            keep = update(t.event_delivery).where(
                *of_endpoint(program_id, webhook_id), _d.number.in_(numbers)
            )
            connection.execute(keep.values(next_ms=until))
            of_event = select(_e.number, _e.message_id, _e.event_type, _e.member_id, _e.occurred_ms, _e.body)
            rows = connection.execute(of_event.where(_e.program_id == program_id, _e.number.in_(numbers)))
            events = {row[0]: Event(row[1], row[2], row[3], row[4], bytes(row[5])) for row in rows}
            return [Due(number, events[number], tries, since) for number, tries, since in taken]

        return self._run(program_id, work, write=True)

    def note_deliveries(
        self, program_id: ProgramId, webhook_id: str, tried: Sequence[Tried], *, now: Ms
    ) -> None:
        """Note what came of sending messages; one that does not wait any more stays as it is."""
        waits = waiting(program_id, webhook_id)

        def work(connection: Connection) -> None:
            # In turn with those who queue: else both could leave it to the other to let the next message go.
            locked_place(connection, program_id)
            for one in sorted(tried, key=lambda one: one.number):
                values = {"state": int(one.state), "answer": one.answer, "next_ms": one.next_ms}
                noted = update(t.event_delivery).where(*waits, _d.number == one.number)
                changed = noted.values({**values, "tries": _d.tries + 1}).returning(_d.member_id)
                for (member_id,) in connection.execute(changed).all():
                    _let_first_go(connection, program_id, webhook_id, member_id, now=now)

        self._run(program_id, work, write=True)

    def deliveries(
        self,
        program_id: ProgramId,
        webhook_id: str,
        *,
        state: DeliveryState | None,
        before: int | None,
        limit: int,
    ) -> list[Delivery]:
        """Return messages of an endpoint, newest first, ``number`` < ``before``."""
        same = (_d.program_id == _e.program_id) & (_d.number == _e.number)
        columns = (
            _d.number,
            _e.message_id,
            _e.event_type,
            _d.state,
            _d.tries,
            _e.occurred_ms,
            _d.next_ms,
            _d.answer,
        )
        query = select(*columns).select_from(t.event_delivery.join(t.event, same))
        query = query.where(*of_endpoint(program_id, webhook_id))
        if state is not None:
            query = query.where(_d.state == int(state))
        if before is not None:
            query = query.where(_d.number < before)
        rows = self._all(program_id, query.order_by(_d.number.desc()), limit=limit)
        return [
            Delivery(number, message_id, kind, DeliveryState(state), *rest)
            for number, message_id, kind, state, *rest in rows
        ]

    def replay_deliveries(self, program_id: ProgramId, webhook_id: str, *, since: Ms | None, now: Ms) -> int:
        """Let messages wait again that failed, or all of events since an instant; return how many."""
        of_event = select(_e.number).where(_e.program_id == program_id, _e.occurred_ms >= (since or 0))
        which = _d.state == int(DeliveryState.FAILED)
        if since is not None:
            which = and_(or_(which, _d.state == int(DeliveryState.DELIVERED)), _d.number.in_(of_event))
        again = (
            update(t.event_delivery)
            .where(*of_endpoint(program_id, webhook_id), which)
            .values(state=WAITING, tries=0, since_ms=now)
        )

        def work(connection: Connection) -> int:
            locked_place(connection, program_id)
            count = int(connection.execute(again).rowcount)
            if count:
                line_up(connection, program_id, webhook_id, now=now)
            return count

        return self._run(program_id, work, write=True)


def of_endpoint(program_id: ProgramId, webhook_id: str) -> tuple[Any, ...]:
    """Say which messages are an endpoint's."""
    return _d.program_id == program_id, _d.webhook_id == webhook_id


def waiting(program_id: ProgramId, webhook_id: str) -> tuple[Any, ...]:
    """Say which messages wait for an endpoint."""
    return *of_endpoint(program_id, webhook_id), _d.state == WAITING


def _let_first_go(
    connection: Connection, program_id: ProgramId, webhook_id: str, member_id: str, *, now: Ms
) -> None:
    """Give the first message of a member that waits a time, and none to the one behind it."""
    waits = (*waiting(program_id, webhook_id), _d.member_id == member_id)
    query = select(_d.number, _d.next_ms).where(*waits).order_by(_d.number).limit(2)
    rows = connection.execute(query).all()
    for at, (number, next_ms) in enumerate(rows):
        if (next_ms == NEVER_MS) == (at == 0):
            to_ms = now if at == 0 else NEVER_MS
            connection.execute(
                update(t.event_delivery).where(*waits, _d.number == number).values(next_ms=to_ms)
            )


def line_up(connection: Connection, program_id: ProgramId, webhook_id: str, *, now: Ms) -> None:
    """Let the first message of every member go now that waits for an endpoint, and the others wait behind it."""
    waits = waiting(program_id, webhook_id)
    # Of the same table, and yet a look of its own at it.
    line = t.event_delivery.alias("line").c
    in_line = (line.program_id == program_id, line.webhook_id == webhook_id, line.state == WAITING)
    first = select(func.min(line.number)).where(*in_line).group_by(line.member_id)
    connection.execute(update(t.event_delivery).where(*waits).values(next_ms=NEVER_MS))
    connection.execute(
        update(t.event_delivery)
        .where(*of_endpoint(program_id, webhook_id), _d.number.in_(first))
        .values(next_ms=now)
    )


def locked_place(connection: Connection, program_id: ProgramId) -> EventPlace | None:
    """The place, ours until the end of the transaction: events are numbered one transaction after the other."""
    query = select(*PLACE_COLUMNS).where(_p.program_id == program_id).with_for_update()
    row = connection.execute(query).first()
    return None if row is None else place_from_row(row)


def place_from_row(row: Row) -> EventPlace:
    """Return the place of a row."""
    lanes, *rest = row
    return EventPlace({int(lane): seq for lane, seq in json.loads(lanes).items()}, *rest)
