"""Events and who is told of them, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from tallystick.core.ids import NEVER_MS, MemberId, Ms, ProgramId
from tallystick.service.event_store import (
    WEBHOOKS_MAX,
    Delivery,
    DeliveryState,
    Due,
    Endpoint,
    Event,
    EventPlace,
    MemberNow,
    SeenMember,
    Tried,
)
from tallystick.storage.events import FORGET_PAGE
from tallystick.storage.memory_tables import Message, ProgramTables, Undo

_ONE = ""
WAITING = DeliveryState.WAITING


class Tables(Protocol):
    """What the events need of the store that they are part of."""

    def _of(self, program_id: ProgramId) -> ProgramTables: ...

    def _changes(self) -> AbstractContextManager[Undo]: ...


class MemoryEvents:
    """``service.event_store`` says what each call means."""

    def put_endpoint(
        self: Tables, program_id: ProgramId, endpoint: Endpoint, *, here: EventPlace, now: Ms
    ) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            was = tables.webhooks.get(endpoint.webhook_id)
            if _ONE not in tables.event_places:
                undo.put(tables.event_places, _ONE, here)
            if was is None and len(tables.webhooks) >= WEBHOOKS_MAX:
                return False
            undo.put(tables.webhooks, endpoint.webhook_id, endpoint)
            if was is not None and was.paused and not endpoint.paused:
                for key, message in list(tables.messages.items()):
                    if key[0] == endpoint.webhook_id and message.state is WAITING:
                        undo.put(tables.messages, key, replace(message, since_ms=now, next_ms=now))
            return True

    def endpoint(self: Tables, program_id: ProgramId, webhook_id: str) -> Endpoint | None:
        return self._of(program_id).webhooks.get(webhook_id)

    def endpoints(self: Tables, program_id: ProgramId) -> list[Endpoint]:
        return sorted(self._of(program_id).webhooks.values(), key=lambda one: one.webhook_id)

    def pause_endpoint(self: Tables, program_id: ProgramId, webhook_id: str) -> None:
        with self._changes() as undo:
            webhooks = self._of(program_id).webhooks
            if webhook_id in webhooks:
                undo.put(webhooks, webhook_id, replace(webhooks[webhook_id], paused=True))

    def delete_endpoint(self: Tables, program_id: ProgramId, webhook_id: str) -> None:
        with self._changes() as undo:
            tables = self._of(program_id)
            if webhook_id in tables.webhooks:
                undo.remove(tables.webhooks, webhook_id)
            for key in [key for key in tables.messages if key[0] == webhook_id]:
                undo.remove(tables.messages, key)
            if not tables.webhooks:
                for number in list(tables.events):
                    undo.remove(tables.events, number)
                for member_id in list(tables.event_seen):
                    undo.remove(tables.event_seen, member_id)
                if _ONE in tables.event_places:
                    undo.remove(tables.event_places, _ONE)

    def delivery_counts(self: Tables, program_id: ProgramId) -> dict[tuple[str, DeliveryState], int]:
        messages = list(self._of(program_id).messages.items())
        counted = Counter((key[0], message.state) for key, message in messages)
        return {key: count for key, count in counted.items() if key[1] is not DeliveryState.DELIVERED}

    def event_place(self: Tables, program_id: ProgramId) -> EventPlace | None:
        return self._of(program_id).event_places.get(_ONE)

    def seen_members(
        self: Tables, program_id: ProgramId, member_ids: Collection[MemberId]
    ) -> dict[MemberId, SeenMember]:
        seen = self._of(program_id).event_seen
        return {member_id: seen[member_id] for member_id in member_ids if member_id in seen}

    def members_now(
        self: Tables, program_id: ProgramId, member_ids: Collection[MemberId]
    ) -> dict[MemberId, MemberNow]:
        tables = self._of(program_id)
        return {
            member_id: MemberNow(
                member_id,
                tables.members[member_id].status,
                tables.changed_ms.get(member_id, Ms(0)),
                tables.made_ms.get(member_id, Ms(0)),
            )
            for member_id in member_ids
            if member_id in tables.members
        }

    def queue_events(
        self: Tables,
        program_id: ProgramId,
        events: Sequence[Event],
        seen: Sequence[SeenMember],
        *,
        to: EventPlace,
        now: Ms,
    ) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            place = tables.event_places.get(_ONE)
            if place is None or place.moves != to.moves:
                return False
            for number, event in enumerate(events, place.events + 1):
                wanting = [one for one in tables.webhooks.values() if one.wants(event.event_type)]
                if wanting:
                    undo.put(tables.events, number, (event, now))
                for endpoint in wanting:
                    message = Message(event.member_id, WAITING, 0, now, now, "")
                    undo.put(tables.messages, (endpoint.webhook_id, number), message)
            for one in seen:
                undo.put(tables.event_seen, one.member_id, one)
            moved = replace(to, events=place.events + len(events), moves=to.moves + 1)
            undo.put(tables.event_places, _ONE, moved)
            return True

    def forget_events(self: Tables, program_id: ProgramId, *, before: Ms) -> int:
        with self._changes() as undo:
            tables = self._of(program_id)
            waiting = {key[1] for key, message in tables.messages.items() if message.state is WAITING}
            old = [
                number
                for number, (_, queued_ms) in tables.events.items()
                if queued_ms < before and number not in waiting
            ]
            gone = set(sorted(old)[:FORGET_PAGE])
            for number in gone:
                undo.remove(tables.events, number)
            for key in [key for key in tables.messages if key[1] in gone]:
                undo.remove(tables.messages, key)
            return len(gone)

    def due_endpoints(self: Tables, program_id: ProgramId, *, now: Ms) -> list[str]:
        tables = self._of(program_id)
        due = {key[0] for key, message in _first_waiting(tables).items() if message.next_ms <= now}
        return sorted(one for one in due if one in tables.webhooks and not tables.webhooks[one].paused)

    def claim_deliveries(
        self: Tables, program_id: ProgramId, webhook_id: str, *, now: Ms, until: Ms, limit: int
    ) -> list[Due]:
        with self._changes() as undo:
            tables = self._of(program_id)
            first = [
                (one.next_ms, key) for key, one in _first_waiting(tables).items() if key[0] == webhook_id
            ]
            taken: list[Due] = []
            for next_ms, key in sorted(first)[:limit]:
                if next_ms <= now:
                    message, (event, _) = tables.messages[key], tables.events[key[1]]
                    taken.append(Due(key[1], event, message.tries, message.since_ms))
                    undo.put(tables.messages, key, replace(message, next_ms=until))
            return taken

    def note_deliveries(
        self: Tables,
        program_id: ProgramId,
        webhook_id: str,
        tried: Sequence[Tried],
        *,
        now: Ms,  # noqa: ARG002 - who is first is found when it is asked for
    ) -> None:
        with self._changes() as undo:
            messages = self._of(program_id).messages
            for one in tried:
                message = messages.get((webhook_id, one.number))
                if message is not None and message.state is WAITING:
                    noted = replace(
                        message,
                        state=one.state,
                        tries=message.tries + 1,
                        next_ms=one.next_ms,
                        answer=one.answer,
                    )
                    undo.put(messages, (webhook_id, one.number), noted)

    def deliveries(
        self: Tables,
        program_id: ProgramId,
        webhook_id: str,
        *,
        state: DeliveryState | None,
        before: int | None,
        limit: int,
    ) -> list[Delivery]:
        tables = self._of(program_id)
        first = _first_waiting(tables)
        found = []
        for key in sorted((key for key in list(tables.messages) if key[0] == webhook_id), reverse=True):
            one, (event, _) = tables.messages[key], tables.events[key[1]]
            if state in (None, one.state) and (before is None or key[1] < before):
                names = (key[1], event.message_id, event.event_type)
                next_ms = one.next_ms if one.state is not WAITING or key in first else NEVER_MS
                found.append(Delivery(*names, one.state, one.tries, event.occurred_ms, next_ms, one.answer))
        return found[:limit]

    def replay_deliveries(
        self: Tables, program_id: ProgramId, webhook_id: str, *, since: Ms | None, now: Ms
    ) -> int:
        with self._changes() as undo:
            tables = self._of(program_id)
            count = 0
            for key, message in list(tables.messages.items()):
                failed = message.state is DeliveryState.FAILED
                wanted = failed if since is None else message.state is not WAITING
                recent = since is None or tables.events[key[1]][0].occurred_ms >= since
                if key[0] == webhook_id and wanted and recent:
                    again = replace(message, state=WAITING, tries=0, since_ms=now, next_ms=now)
                    undo.put(tables.messages, key, again)
                    count += 1
            for key, message in list(tables.messages.items()):
                if count and key[0] == webhook_id and message.state is WAITING:
                    undo.put(tables.messages, key, replace(message, next_ms=now))
            return count


def _first_waiting(tables: ProgramTables) -> dict[tuple[str, int], Message]:
    """The messages whose turn it is, or will be: of each endpoint and member the first that waits."""
    first: dict[tuple[str, MemberId], tuple[str, int]] = {}
    for key in sorted(tables.messages):
        message = tables.messages[key]
        if message.state is WAITING:
            first.setdefault((key[0], message.member_id), key)
    return {key: tables.messages[key] for key in first.values()}
