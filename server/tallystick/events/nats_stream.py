"""Publishing events to a stream of NATS JetStream; its window of duplicates makes what is sent twice count once."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from tallystick.events.http_post import NotSent
from tallystick.service.event_store import Event

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

ACK_S = 5.0
CONNECT_S = 5
DUPLICATES_S = 3_600.0
"""For how long the server remembers message ids: a gateway that died sends again within minutes."""

log = logging.getLogger("tallystick.events")


class NatsStream:
    """Publishes to ``STREAM.PROGRAM.EVENT.TYPE``; used from one event loop. The stream is made when it is missing."""

    def __init__(self, url: str, stream: str) -> None:
        self._url = url
        self.stream = stream
        self._client: Client | None = None
        self._jetstream: JetStreamContext | None = None
        self._connecting = asyncio.Lock()
        self._away_until = 0.0

    async def publish(self, program_id: str, event: Event) -> None:
        """Publish and wait until the server has stored it. Raises ``NotSent``."""
        import nats.errors

        try:
            jetstream = await self._connected()
            await jetstream.publish(
                f"{self.stream}.{program_id}.{event.event_type}",
                event.body,
                timeout=ACK_S,
                stream=self.stream,
                headers={"Nats-Msg-Id": event.message_id},
            )
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise NotSent(f"NATS: {type(error).__name__}") from None

    async def close(self) -> None:
        """Close the connection."""
        client, self._client, self._jetstream = self._client, None, None
        if client is not None:
            await client.close()

    async def _connected(self) -> JetStreamContext:
        import nats

        async with self._connecting:
            if self._jetstream is not None and self._client is not None and self._client.is_connected:
                return self._jetstream
            # Those who waited behind an attempt that failed do not each wait for another one.
            if time.monotonic() < self._away_until:
                raise NotSent("NATS: away")
            self._away_until = time.monotonic() + CONNECT_S
            await self.close()
            async with asyncio.timeout(CONNECT_S):
                client = await nats.connect(
                    self._url,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    connect_timeout=CONNECT_S,
                    error_cb=_log_error,
                )
            self._client = client
            jetstream = client.jetstream(timeout=ACK_S)
            await self._ensure_stream(jetstream)
            self._jetstream = jetstream
            self._away_until = 0.0
            return jetstream

    async def _ensure_stream(self, jetstream: JetStreamContext) -> None:
        from nats.js.errors import NotFoundError

        try:
            await jetstream.stream_info(self.stream)
        except NotFoundError:
            await jetstream.add_stream(
                name=self.stream, subjects=[f"{self.stream}.>"], duplicate_window=DUPLICATES_S
            )


async def _log_error(error: Exception) -> None:
    log.warning("NATS", extra={"why": type(error).__name__})
