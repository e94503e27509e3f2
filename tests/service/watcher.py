"""A shop whose tills watch it: a gateway on any store, and the picture that a till makes of what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tallystick.core.basket import Channel
from tallystick.core.command import Command, GrantLease, IssueVoucher, RecallLeases
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.state import MemberStatus
from tallystick.security.key_dir import KeyDir
from tallystick.security.keys import generate_signing_key, public_jwk
from tallystick.security.scan_tags import scan_tag, store_tag
from tallystick.service.directory import Device, DeviceStatus, IdentifierRow, Member
from tallystick.service.gateway import Gateway, open_gateway
from tallystick.storage.memory import MemoryStore
from tallystick.storage.open import Store
from tallystick.v1 import options_pb2
from tallystick.v1 import store_pb2 as pb
from tests.core.world import at
from tests.service.desk import ANN, Desk

ISSUER = "https://tallystick.test"
STORE, OTHER_STORE = "s1", "s2"
TILL = "01940000-0000-7000-8000-0000000000d1"
OTHER_TILL = "01940000-0000-7000-8000-0000000000d2"
ASK = pb.WatchRequest(protocol=1)
BEGIN_MS = at("2026-01-15T12:00")
WAIT_S = 8.0

State = tuple[int, int, str, int, bytes]


@dataclass(slots=True)
class SetClock:
    """The time of the shop; a test moves it."""

    now: Ms = BEGIN_MS

    def __call__(self) -> Ms:
        return self.now


@dataclass(slots=True)
class Picture:
    """What a till knows after what it was told. ``parts`` is the snapshot that is being collected."""

    members: dict[str, pb.MemberState] = field(default_factory=dict)
    parts: dict[str, pb.MemberState] = field(default_factory=dict)
    store: pb.StoreNews = field(default_factory=pb.StoreNews)
    cursor: bytes = b""
    snapshots: int = 0
    kinds: list[str] = field(default_factory=list)

    def take(self, response: pb.WatchResponse) -> None:
        kind = response.WhichOneof("news")
        assert kind is not None
        assert response.protocol == 1
        assert response.cursor or kind != "members" or not self.cursor
        self.kinds.append(kind)
        self.cursor = response.cursor
        if kind == "store":
            self.store = response.store
        elif kind == "snapshot":
            if response.snapshot.first:
                self.parts = {}
            self._put(self.parts, response.snapshot.members)
            assert bool(response.cursor) is response.snapshot.last, "a cursor comes with the last part"
            if response.snapshot.last:
                self.snapshots += 1
                self.members, self.parts = self.parts, {}
        elif kind == "members":
            self._put(self.members, response.members.members)

    def state(self, member_id: MemberId) -> pb.MemberState:
        return self.members[member_id]

    def tier(self, member_id: MemberId) -> str:
        number = self.members[member_id].tier
        return str(self.store.tiers[number - 1]) if number else ""

    def states(self) -> dict[str, State]:
        """The living members as (seq, points, tier, status, tags)."""
        return {
            member_id: (one.seq, one.active_points, self.tier(MemberId(member_id)), one.status, one.tags)
            for member_id, one in self.members.items()
            if one.status != 2
        }

    def _put(self, into: dict[str, pb.MemberState], states: Iterable[pb.MemberState]) -> None:
        for state in states:
            assert 0 <= state.tier <= len(self.store.tiers), "a tier that the till was not told of"
            into[str(uuid.UUID(bytes=state.member_id))] = state


class Shop(Desk):
    """A desk with a whole gateway behind it."""

    def __init__(self, store: Store, keys: KeyDir, clock: SetClock, **rules: Any) -> None:
        super().__init__(store, lane=False, **rules)
        clock.now = self.now
        self.clock = clock
        self.keys = keys
        self.gateway: Gateway = open_gateway(
            store, keys=lambda: self.keys, issuer=ISSUER, database="memory", now_ms=clock
        )
        self.lane = self.gateway.lane

    def close(self) -> None:
        self.gateway.close()

    def pass_time(self, ms: int) -> None:
        self.clock.now = Ms(self.clock.now + ms)
        self.now = self.clock.now

    def join(self, *texts: str) -> MemberId:
        """Enrol a member with e-mail addresses."""
        member_id = MemberId(str(uuid.uuid4()))
        number = member_id.replace("-", "")[-12:]
        row = Member(member_id, number, MemberStatus.OPEN, self.now, int(Channel.STORE), STORE)
        self.store.enrol(self.program_id, row, [self.identifier(member_id, text) for text in texts])
        return member_id

    def identifier(self, member_id: MemberId, text: str) -> IdentifierRow:
        key = self.keys.scan_key(self.program_id)
        tag = scan_tag(key, kind="email", value=text)
        return IdentifierRow("email", text.encode().ljust(32, b"."), member_id, "m", self.now, tag)

    def add_till(self, till_id: str = TILL, store_id: str = STORE) -> None:
        key = generate_signing_key()
        jwk = json.dumps(public_jwk(key.private_key.public_key()))
        self.store.add_device(
            self.program_id,
            Device(
                till_id,
                1,
                options_pb2.ROLE_TILL,
                store_id,
                f"Till {till_id[-2:]}",
                jwk,
                key.kid,
                "12345",
                DeviceStatus.ACTIVE,
                self.now,
                self.now,
                Ms(0),
            ),
        )

    def lease(self, member: MemberId = ANN, store_id: str = STORE) -> CommandId:
        return self._posted_id(GrantLease(self.new_id(), member, self.origin, store_id))

    def recall(self, member: MemberId = ANN) -> None:
        self.posted(RecallLeases(self.new_id(), member, self.origin))

    def voucher(self, points: int, member: MemberId = ANN, store_id: str = STORE) -> CommandId:
        return self._posted_id(IssueVoucher(self.new_id(), member, self.origin, store_id, points))

    def _posted_id(self, command: Command) -> CommandId:
        self.posted(command)
        return command.command_id

    def told(
        self, cursor: bytes = b"", *, till_id: str = TILL, store_id: str = STORE
    ) -> list[pb.WatchResponse]:
        """What a till is told at the beginning of a stream."""
        request = pb.WatchRequest(cursor=cursor, protocol=1)
        return list(self.gateway.watch.catch_up(self.program_id, store_id, till_id, request))

    def picture(self, cursor: bytes = b"", **caller: str) -> Picture:
        """The picture after that."""
        picture = Picture()
        for response in self.told(cursor, **caller):
            picture.take(response)
        return picture

    def truth(self, store_id: str = STORE) -> dict[str, State]:
        """What a till that knows everything knows of the living members."""
        key = self.keys.store_key(self.program_id, store_id)
        page = self.store.read_till_member_page(self.program_id, store_id=store_id, after="", limit=10_000)
        return {
            one.member_id: (
                one.seq,
                one.active,
                one.tier_id,
                int(one.status) - 1,
                b"".join(store_tag(key, tag) for tag in one.scan_tags),
            )
            for one in page
        }

    @contextlib.asynccontextmanager
    async def watching(
        self, picture: Picture | None = None, *, till_id: str = TILL, store_id: str = STORE
    ) -> AsyncIterator[Picture]:
        """A till that watches; it goes on from its cursor, and what its stream ends with is raised."""
        seen = picture or Picture()
        begun = len(seen.kinds)
        request = pb.WatchRequest(cursor=seen.cursor, protocol=1)
        stream = self.gateway.watch.stream(self.program_id, store_id, till_id, request)

        async def read() -> None:
            async for response in stream:
                seen.take(response)

        reading = asyncio.create_task(read())
        try:
            await eventually(lambda: "heartbeat" in seen.kinds[begun:] and bool(seen.cursor), reading)
            yield seen
            if reading.done():
                await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await stream.aclose()


def memory_shop(keys: KeyDir) -> Iterator[Shop]:
    """A shop with one till, and its store in memory."""
    clock = SetClock()
    opened = Shop(MemoryStore(now_ms=clock), keys, clock)
    opened.add_till()
    # Beyond the overlap in which changes of members are told again.
    opened.pass_time(60_000)
    yield opened
    opened.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


def in_thread(work: Any, *arguments: Any) -> asyncio.Future[Any]:
    return asyncio.get_running_loop().run_in_executor(None, work, *arguments)


async def eventually(holds: Callable[[], bool], *tasks: asyncio.Task[None]) -> None:
    """Wait until something holds; what a task fails with is raised."""
    until = time.monotonic() + WAIT_S
    while not holds():
        for task in tasks:
            if task.done():
                await task
        assert time.monotonic() < until, "it never came to hold"
        await asyncio.sleep(0.005)


def members_of(responses: Sequence[pb.WatchResponse]) -> list[str]:
    """The ids of all members in member news, in order."""
    return [
        str(uuid.UUID(bytes=state.member_id)) for response in responses for state in response.members.members
    ]
