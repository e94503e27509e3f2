"""Events and who is told of them in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from tallystick.core.ids import NEVER_MS, MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.event_store import (
    WEBHOOKS_MAX,
    DeliveryState,
    Endpoint,
    Event,
    EventPlace,
    MemberNow,
    SeenMember,
    Signing,
)
from tallystick.storage import tables as t
from tallystick.storage.deliveries import (
    PLACE_COLUMNS,
    WAITING,
    line_up,
    locked_place,
    of_endpoint,
    place_from_row,
    waiting,
)
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

FORGET_PAGE = 1_000
"""Most events that one call removes."""

MEMBERS_AT_ONCE = 500
"""Most members that one statement names."""

_ENDPOINT = tuple(t.webhook.c[name] for name in Endpoint.__dataclass_fields__)
_SEEN = tuple(t.event_seen.c[name] for name in SeenMember.__dataclass_fields__)
_w, _e, _d, _s, _p = t.webhook.c, t.event.c, t.event_delivery.c, t.event_seen.c, t.event_place.c


def _endpoint_from_row(row: Row) -> Endpoint:
    values = dict(zip(Endpoint.__dataclass_fields__, row, strict=True))
    values["event_types"] = tuple(json.loads(values["event_types"]))
    values["signing"] = Signing(values["signing"])
    for name in ("sealed_key", "old_sealed_key"):
        values[name] = bytes(values[name])
    return Endpoint(**{**values, "paused": bool(values["paused"])})


def _endpoint_values(program_id: ProgramId, endpoint: Endpoint) -> dict[str, Any]:
    values = {column.name: getattr(endpoint, column.name) for column in _ENDPOINT}
    values["event_types"] = json.dumps(endpoint.event_types)
    return {
        "program_id": program_id,
        **values,
        "signing": int(endpoint.signing),
        "paused": int(endpoint.paused),
    }


def _place_values(program_id: ProgramId, place: EventPlace) -> dict[str, Any]:
    values: dict[str, Any] = {column.name: getattr(place, column.name) for column in PLACE_COLUMNS}
    lanes = json.dumps({str(lane): seq for lane, seq in sorted(place.lanes.items())})
    return {"program_id": program_id, **values, "lanes": lanes}


class SqlEndpoints(SqlSession):
    """Endpoints; see ``service.event_store``."""

    def put_endpoint(self, program_id: ProgramId, endpoint: Endpoint, *, here: EventPlace, now: Ms) -> bool:
        """Store an endpoint, replacing the one of its name; False when there are too many others."""
        own = (_w.program_id == program_id, _w.webhook_id == endpoint.webhook_id)
        others = select(func.count()).select_from(t.webhook).where(_w.program_id == program_id)
        values = _endpoint_values(program_id, endpoint)
        woken = update(t.event_delivery).where(*waiting(program_id, endpoint.webhook_id))

        def work(connection: Connection) -> bool:
            if locked_place(connection, program_id) is None:
                connection.execute(insert(t.event_place).values(_place_values(program_id, here)))
            was_paused = connection.scalar(select(_w.paused).where(*own))
            if was_paused is not None:
                connection.execute(update(t.webhook).where(*own).values(values))
                if was_paused and not endpoint.paused:
                    connection.execute(woken.values(since_ms=now))
                    line_up(connection, program_id, endpoint.webhook_id, now=now)
                return True
            if (connection.scalar(others) or 0) >= WEBHOOKS_MAX:
                return False
            connection.execute(insert(t.webhook).values(values))
            return True

        return self._run(program_id, work, write=True)

    def endpoint(self, program_id: ProgramId, webhook_id: str) -> Endpoint | None:
        """Return an endpoint."""
        query = select(*_ENDPOINT).where(_w.program_id == program_id, _w.webhook_id == webhook_id)
        row = self._first(program_id, query)
        return None if row is None else _endpoint_from_row(row)

    def endpoints(self, program_id: ProgramId) -> list[Endpoint]:
        """Return all endpoints by name."""
        query = select(*_ENDPOINT).where(_w.program_id == program_id)
        return sorted(
            (_endpoint_from_row(row) for row in self._all(program_id, query)), key=lambda one: one.webhook_id
        )

    def pause_endpoint(self, program_id: ProgramId, webhook_id: str) -> None:
        """Let an endpoint's messages wait."""
        own = (_w.program_id == program_id, _w.webhook_id == webhook_id)
        paused = update(t.webhook).where(*own).values(paused=1)
        self._run(program_id, lambda connection: connection.execute(paused), write=True)

    def delete_endpoint(self, program_id: ProgramId, webhook_id: str) -> None:
        """Remove an endpoint with its messages; with the last one all that is kept of events."""
        left = select(func.count()).select_from(t.webhook).where(_w.program_id == program_id)

        def work(connection: Connection) -> None:
            locked_place(connection, program_id)
            connection.execute(
                delete(t.webhook).where(_w.program_id == program_id, _w.webhook_id == webhook_id)
            )
            connection.execute(delete(t.event_delivery).where(*of_endpoint(program_id, webhook_id)))
            if not connection.scalar(left):
                for table in (t.event, t.event_seen, t.event_place):
                    connection.execute(delete(table).where(table.c.program_id == program_id))

        self._run(program_id, work, write=True)

    def delivery_counts(self, program_id: ProgramId) -> dict[tuple[str, DeliveryState], int]:
        """Return how many messages wait and how many were given up, by endpoint."""

        def work(connection: Connection) -> dict[tuple[str, DeliveryState], int]:
            found = {}
            # A statement for each, as each has its own index.
            for state in (DeliveryState.WAITING, DeliveryState.FAILED):
                query = select(_d.webhook_id, func.count()).where(
                    _d.program_id == program_id, _d.state == int(state)
                )
                for webhook_id, count in connection.execute(query.group_by(_d.webhook_id)):
                    found[webhook_id, state] = count
            return found

        return self._run(program_id, work)


class SqlEvents(SqlSession):
    """Events becoming messages; see ``service.event_store``."""

    def event_place(self, program_id: ProgramId) -> EventPlace | None:
        """Return the place; None for a program without endpoints."""
        row = self._first(program_id, select(*PLACE_COLUMNS).where(_p.program_id == program_id))
        return None if row is None else place_from_row(row)

    def seen_members(
        self, program_id: ProgramId, member_ids: Collection[MemberId]
    ) -> dict[MemberId, SeenMember]:
        """Return what has become events of members."""
        query = select(*_SEEN).where(_s.member_id.in_(sorted(member_ids)), _s.program_id == program_id)
        return {
            row[0]: SeenMember(row[0], row[1], row[2], MemberStatus(row[3]), row[4])
            for row in self._all(program_id, query)
        }

    def members_now(
        self, program_id: ProgramId, member_ids: Collection[MemberId]
    ) -> dict[MemberId, MemberNow]:
        """Return members as they are."""
        m = t.member.c
        query = select(m.member_id, m.status, m.changed_ms, m.made_ms)
        wanted = query.where(m.member_id.in_(sorted(member_ids)), m.program_id == program_id)
        return {
            row[0]: MemberNow(row[0], MemberStatus(row[1]), row[2], row[3])
            for row in self._all(program_id, wanted)
        }

    def queue_events(
        self,
        program_id: ProgramId,
        events: Sequence[Event],
        seen: Sequence[SeenMember],
        *,
        to: EventPlace,
        now: Ms,
    ) -> bool:
        """Number events and queue them for all endpoints that want them, note what is seen, and move the place."""

        def work(connection: Connection) -> bool:
            place = locked_place(connection, program_id)
            if place is None or place.moves != to.moves:
                return False
            query = select(*_ENDPOINT).where(_w.program_id == program_id)
            endpoints = [_endpoint_from_row(row) for row in connection.execute(query)]
            _insert_events(connection, program_id, events, endpoints, first=place.events + 1, now=now)
            _put_seen(connection, program_id, seen)
            moved = _place_values(program_id, to) | {
                "events": place.events + len(events),
                "moves": to.moves + 1,
            }
            connection.execute(update(t.event_place).where(_p.program_id == program_id).values(moved))
            return True

        return self._run(program_id, work, write=True)

    def forget_events(self, program_id: ProgramId, *, before: Ms) -> int:
        """Remove events queued before an instant of which no message waits, a page of them; return how many."""
        of_program = select(_w.webhook_id).where(_w.program_id == program_id)

        def work(connection: Connection) -> int:
            # In turn with those who queue: what is looked at here stays as it is.
            locked_place(connection, program_id)
            # Looked up by its key for each event: as a join, or by the indexes of what waits, all messages that wait
            # could be gone through for each one, while nobody else writes.
            names = [row[0] for row in connection.execute(of_program)]
            messages = (_d.program_id == program_id, _d.webhook_id.in_(names))
            least = select(func.min(_d.state)).where(*messages, _d.number == _e.number).scalar_subquery()
            waits = func.coalesce(least, int(DeliveryState.DELIVERED)) == WAITING
            old = select(_e.number).where(_e.program_id == program_id, _e.queued_ms < before, ~waits)
            oldest = old.order_by(_e.queued_ms, _e.number).limit(FORGET_PAGE)
            numbers = [row[0] for row in connection.execute(oldest)]
            if numbers:
                connection.execute(delete(t.event_delivery).where(*messages, _d.number.in_(numbers)))
                connection.execute(delete(t.event).where(_e.program_id == program_id, _e.number.in_(numbers)))
            return len(numbers)

        return self._run(program_id, work, write=True)


def _insert_events(
    connection: Connection,
    program_id: ProgramId,
    events: Sequence[Event],
    endpoints: Sequence[Endpoint],
    *,
    first: int,
    now: Ms,
) -> None:
    wanted = [
        (number, event, [one.webhook_id for one in endpoints if one.wants(event.event_type)])
        for number, event in enumerate(events, first)
    ]
    rows = [
        {
            "program_id": program_id,
            "number": number,
            "message_id": event.message_id,
            "event_type": event.event_type,
            "member_id": event.member_id,
            "occurred_ms": event.occurred_ms,
            "queued_ms": now,
            "body": event.body,
        }
        for number, event, webhook_ids in wanted
        if webhook_ids
    ]
    if not rows:
        return
    behind = _who_waits(connection, program_id, endpoints, {event.member_id for event in events})
    messages = []
    for number, event, webhook_ids in wanted:
        for webhook_id in webhook_ids:
            line = webhook_id, event.member_id
            next_ms = NEVER_MS if line in behind else now
            behind.add(line)
            message = {"program_id": program_id, "webhook_id": webhook_id, "number": number}
            fresh = {"state": WAITING, "tries": 0, "since_ms": now, "next_ms": next_ms, "answer": ""}
            messages.append({**message, **fresh, "member_id": event.member_id})
    connection.execute(insert(t.event), rows)
    connection.execute(insert(t.event_delivery), messages)


def _who_waits(
    connection: Connection,
    program_id: ProgramId,
    endpoints: Sequence[Endpoint],
    members: Collection[MemberId],
) -> set[tuple[str, MemberId]]:
    """Return (endpoint, member) of those for whom a message waits already."""
    found: set[tuple[str, MemberId]] = set()
    names = sorted(members)
    for endpoint in endpoints:
        for start in range(0, len(names), MEMBERS_AT_ONCE):
            some = _d.member_id.in_(names[start : start + MEMBERS_AT_ONCE])
            # One of each member that waits has a time, however many there are behind it.
            first = (*waiting(program_id, endpoint.webhook_id), _d.next_ms < NEVER_MS)
            query = select(_d.member_id).where(*first, some)
            found.update((endpoint.webhook_id, row[0]) for row in connection.execute(query))
    return found


def _put_seen(connection: Connection, program_id: ProgramId, seen: Sequence[SeenMember]) -> None:
    if not seen:
        return
    gone = (_s.member_id.in_([one.member_id for one in seen]), _s.program_id == program_id)
    connection.execute(delete(t.event_seen).where(*gone))
    rows = [
        {
            "program_id": program_id,
            "member_id": one.member_id,
            "seq": one.seq,
            "tier_id": one.tier_id,
            "status": int(one.status),
            "changed_ms": one.changed_ms,
        }
        for one in seen
    ]
    connection.execute(insert(t.event_seen), rows)
