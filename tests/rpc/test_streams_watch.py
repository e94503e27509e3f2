"""StoreService.Watch on the real gateway, over a real gRPC socket and over Connect."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from tallystick.core.ids import ProgramId
from tallystick.rpc.convert.pages import PageTokens
from tallystick.rpc.handlers.store import StoreHandlers
from tallystick.rpc.limits import Limits
from tallystick.rpc.service import Service
from tallystick.security.key_dir import create_key_dir
from tallystick.storage.memory import MemoryStore
from tallystick.v1 import store_pb2 as pb
from tests.core.world import at
from tests.rpc.edge import TILL_ID, Edge, StartEdge, failure_of
from tests.rpc.test_streams import CODECS, OTHER_TILL, STORE, WATCH, connect_watch, within
from tests.service.desk import ANN
from tests.service.watcher import Picture, SetClock, Shop

DEMO = ProgramId("demo")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    clock = SetClock()
    keys = create_key_dir(tmp_path / "keys", now_s=at("2026-01-01T00:00") // 1000)
    opened = Shop(MemoryStore(now_ms=clock), keys, clock, program_id=DEMO)
    opened.add_till(TILL_ID)
    opened.pass_time(60_000)
    yield opened
    opened.close()


def served(serve: StartEdge, shop: Shop, **settings: Any) -> Edge:
    handlers = StoreHandlers(shop.gateway, PageTokens(lambda: b"k" * 32))
    return serve([Service(STORE, handlers)], **settings)


class Till:
    """A till that reads its stream on a thread until it ends."""

    def __init__(self, edge: Edge, cursor: bytes = b"", *, device_id: str = TILL_ID) -> None:
        self.picture = Picture(cursor=cursor)
        method = edge.channel(use_local_subchannel_pool=1).unary_stream(
            WATCH,
            request_serializer=pb.WatchRequest.SerializeToString,
            response_deserializer=pb.WatchResponse.FromString,
        )
        request = pb.WatchRequest(cursor=cursor, protocol=1)
        self.stream: Any = method(request, metadata=edge.issuer.bearer(device_id=device_id))
        self.error: grpc.RpcError | None = None
        self.ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for response in self.stream:
                self.picture.take(response)
        except grpc.RpcError as error:
            self.error = error
        self.ended.set()

    def code(self) -> grpc.StatusCode:
        assert self.ended.wait(5)
        assert self.error is not None
        return self.error.code()


def test_a_till_sees_a_sale_over_grpc(serve: StartEdge, shop: Shop) -> None:
    edge = served(serve, shop)
    till = Till(edge)
    assert within(5, lambda: till.picture.snapshots == 1)
    assert [one.till_id for one in till.picture.store.tills] == [TILL_ID]
    shop.posted(shop.earn(70))
    assert within(5, lambda: till.picture.state(ANN).active_points == 70)
    assert till.picture.states() == shop.truth()
    till.stream.cancel()
    assert till.code() is grpc.StatusCode.CANCELLED
    assert within(5, lambda: not shop.gateway.watch._followers)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_a_till_sees_a_sale_over_connect(serve: StartEdge, shop: Shop, codec: Any) -> None:
    edge = served(serve, shop, limits=Limits(stream_age_max_s=2.0))
    picture = Picture()
    with connect_watch(edge, codec) as responses, ThreadPoolExecutor(1) as pool:
        for response in responses:
            assert isinstance(response, pb.WatchResponse)
            picture.take(response)
            if picture.kinds[-1] == "snapshot":
                pool.submit(shop.posted, shop.earn(70))
    assert picture.states() == shop.truth()
    assert picture.state(ANN).active_points == 70


def test_a_stream_that_ended_goes_on_by_its_cursor(serve: StartEdge, shop: Shop) -> None:
    edge = served(serve, shop, limits=Limits(stream_age_max_s=0.5))
    first = Till(edge)
    assert first.ended.wait(5)
    assert first.error is None
    shop.posted(shop.earn(70))
    second = Till(edge, first.picture.cursor)
    assert second.ended.wait(5)
    assert second.picture.snapshots == 0
    assert second.picture.state(ANN).active_points == 70


def test_a_drain_sends_the_till_away_and_a_new_gateway_goes_on(serve: StartEdge, shop: Shop) -> None:
    edge = served(serve, shop)
    till = Till(edge)
    assert within(5, lambda: bool(till.picture.cursor))
    began = time.monotonic()
    edge.loop.run(edge.server.drain())
    edge.is_stopped = True
    assert time.monotonic() - began < 3
    assert till.code() is grpc.StatusCode.UNAVAILABLE
    shop.posted(shop.earn(70))
    again = Till(served(serve, shop), till.picture.cursor)
    assert within(5, lambda: ANN in again.picture.members)
    assert again.picture.snapshots == 0


def test_a_revoked_till_hears_nothing_more_within_two_seconds(serve: StartEdge, shop: Shop) -> None:
    edge = served(serve, shop)
    till, other = Till(edge), Till(edge, device_id=OTHER_TILL)
    assert within(5, lambda: bool(till.picture.cursor) and bool(other.picture.cursor))
    edge.issuer.revoked.add(TILL_ID)
    assert till.ended.wait(2)
    assert till.code() is grpc.StatusCode.UNAUTHENTICATED
    shop.posted(shop.earn(70))
    assert within(5, lambda: other.picture.state(ANN).active_points == 70)
    assert till.picture.state(ANN).active_points == 0
    again = Till(edge)
    assert again.code() is grpc.StatusCode.UNAUTHENTICATED


def test_only_tills_watch(serve: StartEdge, shop: Shop) -> None:
    edge = served(serve, shop)
    method: Any = edge.channel().unary_stream(WATCH, pb.WatchRequest.SerializeToString)
    for role in ("WEBSHOP", "APP", "MANAGER", "ADMIN", "IMPORTER"):
        stream = method(pb.WatchRequest(protocol=1), metadata=edge.issuer.bearer(role))
        assert failure_of(lambda stream=stream: next(stream)).reason == "ROLE_NOT_ALLOWED"  # type: ignore[misc]
