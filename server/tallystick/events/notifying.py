"""Sends notifications: makes messages of what has happened, and gives those that are due to the channels.

Any number of processes share the work. A message that one of them has in hand is kept from the others for a while;
should the process die, another one sends it again, under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tallystick.core.ids import Ms, ProgramId
from tallystick.events.worker import EVERY_S, Worker, wait_ms
from tallystick.service.directory import Directory
from tallystick.service.notices import Carried, Carrier
from tallystick.service.notification_ports import Noted, NoteState, Notification, NotificationStore, Way
from tallystick.service.notification_source import NotificationSource
from tallystick.service.notification_turn import Drop, Go, Turns, Wait
from tallystick.service.notifications import KEPT_MS

AT_ONCE = 16
"""Most messages that one process has in hand, each of another member."""

CLAIM_MS = 60_000
SEND_S = 45.0
"""How long all channels together may take for one message: less than it is kept from other processes."""

FOLLOW_MAX = 50
"""How many pages of a program's journal are followed before messages are sent and other programs have their turn."""

ROUNDS_MAX = 20
FORGET_EVERY_S = 3_600.0
NO_WAY = "leads nowhere"

log = logging.getLogger("tallystick.notify")


class NotifyingStore(NotificationStore, Directory, Protocol):
    """What sending notifications needs of a store."""


class Notifying(Worker):
    """One process's share of the work."""

    def __init__(
        self,
        store: NotifyingStore,
        source: NotificationSource,
        turns: Turns,
        carriers: Sequence[Carrier],
        *,
        now_ms: Callable[[], Ms],
        every_s: float = EVERY_S,
        random_share: Callable[[], float] = random.random,
    ) -> None:
        super().__init__("notify", store, forget_every_s=FORGET_EVERY_S, every_s=every_s)
        self._store = store
        self._source = source
        self._turns = turns
        self._carriers: Mapping[Way, Carrier] = {carrier.way: carrier for carrier in carriers}
        self._now_ms = now_ms
        self._random_share = random_share

    async def _see_to(self, program_id: ProgramId) -> None:
        for _ in range(FOLLOW_MAX):
            if self._ending.is_set() or not await asyncio.to_thread(self._source.follow, program_id):
                break
        for _ in range(ROUNDS_MAX):
            if self._ending.is_set() or not await self._send_some(program_id):
                break
        await self._forget_some(program_id)

    def _forget(self, program_id: ProgramId) -> int:
        return self._store.forget_notifications(program_id, before=Ms(self._now_ms() - KEPT_MS))

    async def _send_some(self, program_id: ProgramId) -> bool:
        """Send a handful of messages; False when none was due."""
        now_ms = self._now_ms()
        due = await asyncio.to_thread(
            self._store.claim_notifications,
            program_id,
            now=now_ms,
            until=Ms(now_ms + CLAIM_MS),
            limit=AT_ONCE,
        )
        if not due:
            return False
        noted = await asyncio.gather(*(self._try(program_id, note) for note in due))
        await asyncio.to_thread(self._store.note_notifications, program_id, noted, now=self._now_ms())
        return True

    async def _try(self, program_id: ProgramId, note: Notification) -> Noted:
        try:
            turn = await asyncio.to_thread(self._turns.judge, program_id, note)
        except Exception:
            # Those that are sent beside it must be noted, or they are sent again.
            log.exception("a message waits", extra={"notification_id": note.notification_id})
            return self._later(note, Way.NONE, "error")
        match turn:
            case Drop(why):
                return _noted(note, NoteState.DROPPED, note.way, why, tried=False)
            case Wait(until_ms, why):
                return _noted(note, NoteState.WAITING, note.way, why, until_ms, tried=False)
            case Go():
                return await self._go(note, turn)

    async def _go(self, note: Notification, turn: Go) -> Noted:
        """Give a message to the first channel that leads to the member."""
        way, answer = Way.NONE, NO_WAY
        try:
            async with asyncio.timeout(SEND_S):
                for way in turn.ways:
                    carrier = self._carriers.get(way)
                    if carrier is None:
                        continue
                    outcome = await carrier.send(turn.notice, turn.recipient)
                    answer = outcome.answer
                    if outcome.carried is Carried.SENT:
                        return _noted(note, NoteState.SENT, way, answer)
                    if outcome.carried is Carried.LATER:
                        return self._later(note, way, answer)
        except TimeoutError:
            return self._later(note, way, "timeout")
        except Exception:
            # One message that cannot be sent keeps back no other one.
            log.exception("a message waits", extra={"notification_id": note.notification_id})
            return self._later(note, way, "error")
        return _noted(note, NoteState.DROPPED, Way.NONE, answer)

    def _later(self, note: Notification, way: Way, answer: str) -> Noted:
        """Try again later, as long as it is not too late then."""
        next_ms = Ms(self._now_ms() + wait_ms(note.tries, self._random_share))
        extra = {"notification_id": note.notification_id, "channel": way.name.lower(), "answer": answer}
        if next_ms >= note.stale_ms:
            log.warning("a message is given up", extra=extra)
            return _noted(note, NoteState.FAILED, way, answer)
        log.info("a message waits", extra=extra)
        return _noted(note, NoteState.WAITING, way, answer, next_ms)

    async def _end(self) -> None:
        """What was in hand has been noted: a round ends before the thread does."""


def _noted(
    note: Notification, state: NoteState, way: Way, answer: str, next_ms: Ms = Ms(0), *, tried: bool = True
) -> Noted:
    return Noted(note.member_id, note.notification_id, state, way, answer, next_ms, tried)
