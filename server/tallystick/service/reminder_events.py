"""Reminders as events: webhooks, and whatever else listens to events, are told of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Final

from tallystick.core.ids import Ms, ProgramId
from tallystick.security.encoding import length_prefixed
from tallystick.service.errors import StoreConflict
from tallystick.service.event_store import Event, EventStore
from tallystick.service.events import instant_text
from tallystick.service.reminders import Reminder

TRIES_MAX: Final = 10
"""How often a reminder is queued anew when others queue at the same time."""

_ID_CHARS: Final = 32


class ReminderEvents:
    """The sink that makes events of reminders; in a program without endpoints there is nobody to tell."""

    def __init__(self, store: EventStore, *, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._now_ms = now_ms

    def remind(self, program_id: ProgramId, reminder: Reminder) -> None:
        """Queue the event; the same reminder has the same message id. Raises ``StoreConflict``."""
        event = _event(program_id, reminder)
        for _ in range(TRIES_MAX):
            place = self._store.event_place(program_id)
            if place is None:
                return
            # The place stays: what happens otherwise is followed from there as before.
            if self._store.queue_events(program_id, [event], (), to=place, now=self._now_ms()):
                return
        raise StoreConflict("the events are too busy", mend="It is tried again by itself.")


def _event(program_id: ProgramId, reminder: Reminder) -> Event:
    named = (program_id, reminder.member_id, reminder.kind.value, reminder.dedup_key)
    digest = hashlib.sha256(length_prefixed([part.encode() for part in named])).hexdigest()
    body = {
        "type": reminder.kind.value,
        "timestamp": instant_text(reminder.occurred_ms),
        "data": {"memberId": reminder.member_id, **reminder.facts},
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    message_id = f"evt_{digest[:_ID_CHARS]}"
    return Event(message_id, reminder.kind.value, reminder.member_id, reminder.occurred_ms, text)
