"""Delivers events: at least once, of each member in order, to every endpoint at its own pace.

Any number of processes share the work. A message that one of them sends is kept from the others for a while; should
the process die, another one sends it again, and the receiver knows it by its id.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Protocol

from tallystick.core.ids import Ms, ProgramId
from tallystick.events.http_post import NotSent
from tallystick.events.worker import EVERY_S, Worker, wait_ms
from tallystick.security.errors import SealBroken
from tallystick.service.directory import Directory
from tallystick.service.errors import TallystickError
from tallystick.service.event_store import DeliveryState, Due, Endpoint, Event, EventStore, Signing, Tried
from tallystick.service.events import KEPT_MS, EventFollower, here
from tallystick.service.ports import LedgerReader
from tallystick.service.webhooks import NATS_ID, Webhooks

AT_ONCE = 16
"""Most messages that one process sends to one endpoint at a time, each of another member."""

CLAIM_MS = 60_000
"""How long a message that is being sent is kept from other processes: longer than any attempt takes."""

GIVE_UP_MS = 3 * 86_400_000
GONE = 410
NATS_RETRY_MAX_S = 60
REST_FIRST_S = 5.0
REST_MAX_S = 60.0
"""How long at most an endpoint is left alone by this process after nothing could be sent to it."""

FORGET_EVERY_S = 600.0
CLOSE_S = 2.0

log = logging.getLogger("tallystick.events")

EndpointKey = tuple[ProgramId, str]


class DeliveryStore(EventStore, LedgerReader, Directory, Protocol):
    """What delivering needs of a store."""


class Post(Protocol):
    """Sends one message over HTTP."""

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """Return the status. Raises ``NotSent``."""
        ...


class Stream(Protocol):
    """Publishes events to a stream."""

    stream: str

    async def publish(self, program_id: str, event: Event) -> None:
        """Publish one event. Raises ``NotSent``."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class Deliveries(Worker):
    """One process's share of the work, on a thread and an event loop of its own; ``start`` begins it.

    Without a ``nats`` what waits for its stream goes on waiting.
    """

    def __init__(
        self,
        store: DeliveryStore,
        webhooks: Webhooks,
        follower: EventFollower,
        post: Post,
        *,
        nats: Stream | None = None,
        now_ms: Callable[[], Ms],
        every_s: float = EVERY_S,
        random_share: Callable[[], float] = random.random,
    ) -> None:
        super().__init__("events", store, forget_every_s=FORGET_EVERY_S, every_s=every_s)
        self._store = store
        self._webhooks = webhooks
        self._follower = follower
        self._post = post
        self._nats = nats
        self._now_ms = now_ms
        self._random_share = random_share
        self._running: dict[EndpointKey, asyncio.Task[None]] = {}
        self._resting: dict[EndpointKey, tuple[float, float]] = {}

    async def settle(self) -> None:
        """Wait until nothing is being sent any more."""
        while self._running:
            await asyncio.gather(*self._running.values())

    async def _see_to(self, program_id: ProgramId) -> None:
        if self._nats is not None:
            await asyncio.to_thread(self._ensure_stream, program_id, self._nats.stream)
        await asyncio.to_thread(self._follower.follow, program_id)
        for webhook_id in await asyncio.to_thread(self._store.due_endpoints, program_id, now=self._now_ms()):
            key = program_id, webhook_id
            is_resting = time.monotonic() < self._resting.get(key, (0.0, 0.0))[0]
            if key not in self._running and not is_resting:
                task = asyncio.create_task(self._drain(key))
                self._running[key] = task
                task.add_done_callback(lambda _, key=key: self._running.pop(key, None))  # type: ignore[misc]
        await self._forget_some(program_id)

    def _forget(self, program_id: ProgramId) -> int:
        return self._store.forget_events(program_id, before=Ms(self._now_ms() - KEPT_MS))

    async def _drain(self, key: EndpointKey) -> None:
        """Send what is due to one endpoint; a slow one holds up nobody but itself."""
        program_id, webhook_id = key
        try:
            while not self._ending.is_set():
                endpoint = await asyncio.to_thread(self._store.endpoint, program_id, webhook_id)
                if endpoint is None or endpoint.paused:
                    return
                if webhook_id == NATS_ID and self._nats is None:
                    return
                if not await self._send_some(program_id, endpoint):
                    return
        except (TallystickError, SealBroken) as error:
            log.warning("an endpoint waits", extra={"webhook_id": webhook_id, "why": str(error)})
            self._rest(key)
        except Exception:
            log.exception("an endpoint waits", extra={"webhook_id": webhook_id})
            self._rest(key)

    async def _send_some(self, program_id: ProgramId, endpoint: Endpoint) -> bool:
        """Send a handful of messages; False when there was none, or none could be sent."""
        now_ms = self._now_ms()
        name = endpoint.webhook_id
        keys = [] if name == NATS_ID else self._webhooks.signing_keys(program_id, endpoint)
        due = await asyncio.to_thread(
            self._store.claim_deliveries,
            program_id,
            name,
            now=now_ms,
            until=Ms(now_ms + CLAIM_MS),
            limit=AT_ONCE,
        )
        if not due:
            return False

        async def send(one: Due) -> Tried:
            if name == NATS_ID:
                return await self._publish(program_id, one)
            timestamp_s = self._now_ms() // 1000
            event = one.event
            headers = {
                "user-agent": "Tallystick",
                "webhook-id": event.message_id,
                "webhook-timestamp": str(timestamp_s),
                "webhook-signature": " ".join(
                    key.sign(event.message_id, timestamp_s, event.body) for key in keys
                ),
            }
            return await self._posted(endpoint, headers, one)

        tried = await asyncio.gather(*(send(one) for one in due))
        await asyncio.to_thread(self._store.note_deliveries, program_id, name, tried, now=self._now_ms())
        if any(one.answer == str(GONE) for one in tried):
            log.warning("an endpoint is gone and paused", extra={"webhook_id": name})
            await asyncio.to_thread(self._store.pause_endpoint, program_id, name)
            return False
        if all(one.state is not DeliveryState.DELIVERED for one in tried):
            self._rest((program_id, name))
            return False
        self._resting.pop((program_id, name), None)
        return True

    async def _posted(self, endpoint: Endpoint, headers: dict[str, str], one: Due) -> Tried:
        try:
            status = await self._post.post(endpoint.url, headers, one.event.body)
        except NotSent as failed:
            return self._later(one, str(failed))
        if 200 <= status < 300:
            return Tried(one.number, DeliveryState.DELIVERED, str(status))
        return self._later(one, str(status))

    def _later(self, one: Due, answer: str) -> Tried:
        now_ms = self._now_ms()
        give_up_ms = one.since_ms + GIVE_UP_MS
        if answer == str(GONE):
            return Tried(one.number, DeliveryState.WAITING, answer, now_ms)
        if now_ms >= give_up_ms:
            log.warning("a message is given up", extra={"message_id": one.event.message_id})
            return Tried(one.number, DeliveryState.FAILED, answer)
        next_ms = now_ms + wait_ms(one.tries, self._random_share)
        return Tried(one.number, DeliveryState.WAITING, answer, Ms(min(next_ms, give_up_ms)))

    async def _publish(self, program_id: ProgramId, one: Due) -> Tried:
        assert self._nats is not None, "an endpoint without its stream is not seen to"
        try:
            await self._nats.publish(program_id, one.event)
        except NotSent as failed:
            # A stream of our own is waited for as long as it takes.
            wait_s = min(NATS_RETRY_MAX_S, 1 << min(one.tries, 10))
            next_ms = Ms(self._now_ms() + 1000 * wait_s)
            return Tried(one.number, DeliveryState.WAITING, str(failed), next_ms)
        return Tried(one.number, DeliveryState.DELIVERED, "stored")

    def _rest(self, key: EndpointKey) -> None:
        _, before_s = self._resting.get(key, (0.0, 0.0))
        rest_s = min(REST_MAX_S, 2 * before_s) if before_s else REST_FIRST_S
        self._resting[key] = time.monotonic() + rest_s, rest_s

    def _ensure_stream(self, program_id: ProgramId, stream: str) -> None:
        if self._store.endpoint(program_id, NATS_ID) is not None:
            return
        now_ms = self._now_ms()
        endpoint = Endpoint(NATS_ID, f"nats:{stream}", (), Signing.HMAC, b"", made_ms=now_ms)
        place = here(self._store, program_id, now_ms)
        if not self._store.put_endpoint(program_id, endpoint, here=place, now=now_ms):
            log.warning("no room for the stream: delete a webhook", extra={"program_id": program_id})

    async def _end(self) -> None:
        tasks = list(self._running.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._nats is not None:
            await self._nats.close()
