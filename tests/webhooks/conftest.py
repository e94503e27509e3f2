"""A program with an endpoint, what makes events of it, and a receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.ids import Ms
from tallystick.events.delivery import Deliveries, Stream
from tallystick.events.http_post import HttpPost
from tallystick.rpc.convert.webhooks import entry_data
from tallystick.service.event_store import Delivery
from tallystick.service.events import EventFollower
from tallystick.service.webhooks import Webhooks
from tallystick.v1 import webshop_pb2 as pb
from tests.rpc.handlers.world import ADMIN, SHOP, Caller, World
from tests.webhooks.receiver import Receiver

BOSS = Caller(ADMIN)


@dataclass
class Hooks:
    """The gateway of a world with what tells others of events, one round at a time."""

    world: World
    timeout_s: float = 2.0
    nats: Stream | None = None
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        world = self.world
        now = lambda: Ms(world.now_ms)  # noqa: E731
        masters = lambda: world.keys.masters(world.now_ms // 1000)  # noqa: E731
        self.webhooks = Webhooks(world.store, masters=masters, now_ms=now, private=True)
        self.follower = EventFollower(world.store, entry_data=entry_data, now_ms=now)
        self.deliveries = self.fresh()

    def fresh(self) -> Deliveries:
        """Another process's share, as after a start."""
        return Deliveries(
            self.world.store,
            self.webhooks,
            self.follower,
            HttpPost(private=True, timeout_s=self.timeout_s),
            nats=self.nats,
            now_ms=lambda: Ms(self.world.now_ms),
            random_share=lambda: 0.5,
        )

    def set(self, url: str, name: str = "mail", *, signing: int = 1, **more: Any) -> str:
        """Make an endpoint and return what verifies its messages."""
        from tallystick.service.event_store import Signing

        options = {"event_types": (), "paused": False, "rotate_key": False, **more}
        now = self.webhooks.set(SHOP, name, url=url, signing=Signing(signing), **options)
        return now.verification_key

    def deliver(self, deliveries: Deliveries | None = None) -> None:
        """One round, until nothing is being sent."""
        one = deliveries or self.fresh()

        async def run() -> None:
            await one.round()
            await one.settle()

        asyncio.run(run())

    def messages(self, name: str = "mail") -> list[Delivery]:
        """All messages of an endpoint, the oldest first."""
        found = self.world.store.deliveries(SHOP, name, state=None, before=None, limit=1_000)
        return list(reversed(found))

    def replay(self, name: str = "mail", since_ms: int = 0) -> int:
        request = pb.ReplayDeliveriesRequest(webhook_id=name)
        if since_ms:
            request.since.FromMilliseconds(since_ms)
        return int(self.world.send(request, BOSS).replayed)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A live program in memory."""
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def hooks(world: World) -> Hooks:
    """The world's messages."""
    return Hooks(world)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that takes everything."""
    with Receiver() as one:
        yield one
