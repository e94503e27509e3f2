"""Server streams over both transports: messages in order, one end that says why, and nothing that holds up a stop."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from connectrpc.client import ConnectClientSync
from connectrpc.code import Code
from connectrpc.codec import Codec
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from pyqwest import HTTPVersion, SyncClient, SyncHTTPTransport

from tallystick.rpc.access_log import LogSettings
from tallystick.rpc.call import Call
from tallystick.rpc.limits import Limits
from tallystick.rpc.server import ServerSettings
from tallystick.rpc.service import Service
from tallystick.service.errors import NotFound
from tallystick.v1 import store_pb2
from tests.rpc.edge import (
    GET_BALANCE,
    TILL_ID,
    Edge,
    StartEdge,
    balance_request,
    call,
    failure_of,
    grpc_settings,
    handlers_for,
    services_with,
)
from tests.rpc.test_observing import KEY, Lines, lines

__all__ = ["lines"]

WATCH = "/tallystick.v1.StoreService/Watch"
STORE = store_pb2.DESCRIPTOR.services_by_name["StoreService"]
ASK = store_pb2.WatchRequest(cursor=b"here", protocol=1)
OTHER_TILL = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e15"
THIRD_TILL = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e16"
WAIT_S = 5.0

METHOD: Any = MethodInfo(
    name="Watch",
    service_name="tallystick.v1.StoreService",
    input=store_pb2.WatchRequest,
    output=store_pb2.WatchResponse,
    idempotency_level=IdempotencyLevel.NO_SIDE_EFFECTS,
    stream_type=StreamType.SERVER_STREAM,
)


class MemberUnknown(NotFound):
    """No such member."""

    reason = "MEMBER_NOT_FOUND"


@dataclass(slots=True)
class Watching:
    """A handler that yields some messages, waits, and notes what becomes of it."""

    messages: int = 3
    stays: bool = False
    fails: bool = False
    bytes_each: int = 8
    yielded: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def service(self) -> Service:
        async def watch(
            request: store_pb2.WatchRequest, _call: Call
        ) -> AsyncGenerator[store_pb2.WatchResponse, None]:
            try:
                for number in range(self.messages):
                    self.yielded = number + 1
                    cursor = request.cursor.ljust(self.bytes_each, b".")
                    yield store_pb2.WatchResponse(cursor=cursor, protocol=number + 1)
                if self.fails:
                    raise MemberUnknown(member_id="m1")
                if self.stays:
                    await asyncio.Event().wait()
            finally:
                self.ended.set()

        return Service(STORE, handlers_for(STORE, watch=watch))

    def on(self, serve: StartEdge, **settings: Any) -> Edge:
        return serve([*services_with(), self.service()], **settings)


def watch(edge: Edge, *, device_id: str = "", timeout_s: float | None = None, **options: int) -> Any:
    """Open a stream over gRPC on a connection of its own; iterating it yields messages."""
    method = edge.channel(use_local_subchannel_pool=1, **options).unary_stream(
        WATCH,
        request_serializer=store_pb2.WatchRequest.SerializeToString,
        response_deserializer=store_pb2.WatchResponse.FromString,
    )
    bearer = edge.issuer.bearer(device_id=device_id) if device_id else edge.issuer.bearer()
    return method(ASK, timeout=timeout_s, metadata=bearer)


@contextlib.contextmanager
def connect_watch(
    edge: Edge, codec: Codec, *, timeout_ms: int | None = None, token: str | None = None
) -> Iterator[Iterator[Message]]:
    """Open a stream with a Connect client that others wrote."""
    with (
        SyncHTTPTransport(http_version=HTTPVersion.HTTP1) as transport,
        ConnectClientSync(
            edge.http, codec=codec, timeout_ms=timeout_ms, http_client=SyncClient(transport)
        ) as client,
    ):
        bearer = edge.issuer.token() if token is None else token
        yield client.execute_server_stream(
            request=ASK, method=METHOD, headers={"authorization": f"Bearer {bearer}"}
        )


CODECS = {"binary": google_protobuf_binary_codec(), "JSON": google_protobuf_json_codec()}


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something becomes true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.01)
    return holds()


EXPECTED = [store_pb2.WatchResponse(cursor=b"here....", protocol=number) for number in (1, 2, 3)]


def test_messages_come_in_order_and_the_stream_ends(serve: StartEdge) -> None:
    assert list(watch(Watching().on(serve))) == EXPECTED


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_the_connect_client_gets_the_messages_and_the_end(serve: StartEdge, codec: Codec) -> None:
    edge = Watching().on(serve)
    with connect_watch(edge, codec) as messages:
        assert list(messages) == EXPECTED


def test_an_error_after_some_messages_carries_its_details(serve: StartEdge) -> None:
    stream = watch(Watching(fails=True).on(serve))
    assert [next(stream) for _ in range(3)] == EXPECTED
    failed = failure_of(lambda: next(stream))
    assert (failed.code, failed.reason) == (grpc.StatusCode.NOT_FOUND, "MEMBER_NOT_FOUND")


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_the_connect_client_reads_the_details_of_an_error_at_the_end(serve: StartEdge, codec: Codec) -> None:
    edge = Watching(fails=True).on(serve)
    seen: list[Message] = []
    with connect_watch(edge, codec) as messages, pytest.raises(ConnectError) as raised:
        seen.extend(messages)
    assert seen in ([], EXPECTED)
    assert (raised.value.code, raised.value.message) == (Code.NOT_FOUND, "No such member.")
    [detail] = raised.value.details
    assert ErrorInfo.FromString(detail.message_bytes).metadata["member_id"] == "m1"


def test_a_stream_needs_a_token_a_role_and_a_well_formed_request(serve: StartEdge) -> None:
    edge = Watching().on(serve)
    method: Any = edge.channel().unary_stream(WATCH)
    malformed = store_pb2.WatchRequest().SerializeToString()
    for metadata, payload, reason in (
        ((), ASK.SerializeToString(), "TOKEN_MISSING"),
        (edge.issuer.bearer("WEBSHOP"), ASK.SerializeToString(), "ROLE_NOT_ALLOWED"),
        (edge.issuer.bearer(), malformed, "INVALID_INPUT"),
        (edge.issuer.bearer(), b"\xff\xff", "MESSAGE_MALFORMED"),
    ):
        stream = method(payload, metadata=metadata)
        assert failure_of(lambda stream=stream: next(stream)).reason == reason  # type: ignore[misc]
    with connect_watch(edge, CODECS["binary"], token="no") as messages, pytest.raises(ConnectError) as raised:
        list(messages)
    assert raised.value.code is Code.UNAUTHENTICATED
    assert len(edge.pipeline.streams) == 0


def test_a_stream_may_have_no_deadline_and_keeps_the_one_that_it_has(serve: StartEdge) -> None:
    watching = Watching(stays=True)
    edge = watching.on(serve)
    stream = watch(edge, timeout_s=0.6)
    assert [next(stream) for _ in range(3)] == EXPECTED
    assert failure_of(lambda: next(stream)).code is grpc.StatusCode.DEADLINE_EXCEEDED
    with (
        connect_watch(edge, CODECS["binary"], timeout_ms=600) as messages,
        pytest.raises(ConnectError) as raised,
    ):
        list(messages)
    assert raised.value.code is Code.DEADLINE_EXCEEDED
    assert within(WAIT_S, lambda: len(edge.pipeline.streams) == 0)


def test_a_stream_that_has_reached_its_age_ends_well(serve: StartEdge) -> None:
    watching = Watching(stays=True)
    edge = watching.on(serve, limits=Limits(stream_age_max_s=0.5))
    began = time.monotonic()
    assert list(watch(edge, timeout_s=30)) == EXPECTED
    assert 0.4 < time.monotonic() - began < 3
    assert watching.ended.wait(WAIT_S)


def test_a_connection_that_has_reached_its_age_does_not_keep_the_stream_for_ever(serve: StartEdge) -> None:
    watching = Watching(stays=True)
    edge = watching.on(serve, settings=grpc_settings(connection_age_s=1, connection_grace_s=1))
    stream = watch(edge)
    failed = failure_of(lambda: list(stream))
    assert failed.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert watching.ended.wait(WAIT_S)
    assert list(watch(Watching().on(serve))) == EXPECTED


def test_streams_are_no_calls_in_flight(serve: StartEdge) -> None:
    edge = Watching(stays=True).on(serve, limits=Limits(in_flight_max=1))
    streams = [watch(edge), watch(edge, device_id=OTHER_TILL)]
    for stream in streams:
        next(stream)
    assert edge.pipeline.metrics.in_flight == 0
    assert b"tallystick_rpc_streams 2.0" in edge.pipeline.metrics.exposition()
    call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer())


def test_a_third_stream_of_a_device_ends_its_oldest(serve: StartEdge) -> None:
    edge = Watching(stays=True).on(serve)
    streams = []
    for device_id in (TILL_ID, TILL_ID, OTHER_TILL, TILL_ID):
        # One after the other: of calls that are sent together the server may take up either first.
        streams.append(watch(edge, device_id=device_id))
        assert [next(streams[-1]) for _ in range(3)] == EXPECTED
    failed = failure_of(lambda: next(streams[0]))
    assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert failed.retry_s > 0
    assert len(edge.pipeline.streams) == 3


def test_a_process_takes_only_so_many_streams(serve: StartEdge) -> None:
    edge = Watching(stays=True).on(serve, limits=Limits(streams_max=2))
    streams = [watch(edge), watch(edge, device_id=OTHER_TILL)]
    for stream in streams:
        next(stream)
    failed = failure_of(lambda: next(watch(edge, device_id=THIRD_TILL)))
    assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert failed.info.metadata["limit"] == "streams"
    streams[0].cancel()
    assert within(WAIT_S, lambda: len(edge.pipeline.streams) == 1)
    next(watch(edge, device_id=THIRD_TILL))


def test_the_open_stream_of_a_revoked_device_is_ended_within_two_seconds(serve: StartEdge) -> None:
    edge = Watching(stays=True).on(serve)
    stream, other = watch(edge), watch(edge, device_id=OTHER_TILL)
    assert [next(stream) for _ in range(3)] == [next(other) for _ in range(3)] == EXPECTED
    edge.issuer.revoked.add(TILL_ID)
    began = time.monotonic()
    failed = failure_of(lambda: next(stream))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "DEVICE_REVOKED")
    assert time.monotonic() - began < 2
    assert len(edge.pipeline.streams) == 1


def test_a_caller_that_goes_away_ends_its_handler(serve: StartEdge) -> None:
    watching = Watching(stays=True)
    edge = watching.on(serve)
    stream = watch(edge)
    next(stream)
    stream.cancel()
    assert watching.ended.wait(WAIT_S)
    watching.ended.clear()
    connection = raw_watch(edge)
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    connection.close()
    assert watching.ended.wait(WAIT_S)
    assert within(WAIT_S, lambda: len(edge.pipeline.streams) == 0)


def test_a_slow_reader_holds_its_handler_back(serve: StartEdge) -> None:
    watching = Watching(messages=2_000, bytes_each=64_000, stays=True)
    edge = watching.on(serve)
    stream = watch(edge)
    next(stream)
    time.sleep(0.5)
    assert watching.yielded < 400
    stream.cancel()
    assert watching.ended.wait(WAIT_S)
    watching.ended.clear()
    connection = raw_watch(edge)
    time.sleep(0.5)
    assert watching.yielded < 400
    connection.close()
    assert watching.ended.wait(WAIT_S)


def test_a_drain_ends_streams_at_once_and_takes_no_new_ones(serve: StartEdge) -> None:
    watching = Watching(stays=True)
    edge = watching.on(serve, settings=ServerSettings(drain_wait_s=1.5))
    stream = watch(edge)
    assert [next(stream) for _ in range(3)] == EXPECTED
    with connect_watch(edge, CODECS["binary"]) as messages, ThreadPoolExecutor(1) as pool:
        assert next(messages) == EXPECTED[0]
        began = time.monotonic()
        drained = pool.submit(edge.loop.run, edge.server.drain())
        failed = failure_of(lambda: next(stream))
        assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        with pytest.raises(ConnectError) as raised:
            list(messages)
        assert raised.value.code is Code.UNAVAILABLE
        assert time.monotonic() - began < 1
        again = failure_of(lambda: next(watch(edge)))
        assert (again.code, again.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        drained.result(20)
    edge.is_stopped = True


@pytest.mark.parametrize("over", ["grpc", "connect"])
def test_a_stream_that_nobody_reads_does_not_hold_up_a_stop(serve: StartEdge, over: str) -> None:
    watching = Watching(messages=2_000, bytes_each=64_000, stays=True)
    edge = watching.on(serve)
    open_end: Any = watch(edge) if over == "grpc" else raw_watch(edge)
    if over == "grpc":
        next(open_end)
    assert within(WAIT_S, lambda: watching.yielded > 1)
    time.sleep(0.3)
    began = time.monotonic()
    edge.loop.run(edge.server.drain(), timeout_s=30)
    assert time.monotonic() - began < 4
    assert watching.ended.is_set()
    edge.is_stopped = True
    if over == "grpc":
        open_end.cancel()
    else:
        open_end.close()


def test_a_stream_is_counted_and_logged_once_at_its_end(serve: StartEdge, lines: Lines) -> None:
    edge = Watching(stays=True).on(serve, log=LogSettings(every=1, key=KEY))
    stream = watch(edge)
    assert [next(stream) for _ in range(3)] == EXPECTED
    assert lines.calls() == []
    stream.cancel()
    assert within(WAIT_S, lambda: bool(lines.calls()))
    time.sleep(0.1)
    [line] = lines.calls()
    assert (line["method"], line["code"], line["role"]) == (WATCH.lstrip("/"), "CANCELLED", "TILL")
    counted = edge.pipeline.metrics.method(WATCH.lstrip("/")).calls
    assert sum(counted.values()) == 1


ENVELOPE = struct.Struct(">BI")


def envelope(payload: bytes, flags: int = 0) -> bytes:
    return ENVELOPE.pack(flags, len(payload)) + payload


def raw_watch(edge: Edge) -> socket.socket:
    """A Connect stream on a bare socket, which a test can leave unread."""
    body = envelope(ASK.SerializeToString())
    connection = socket.create_connection(("127.0.0.1", edge.server.bound.http_port), timeout=10)
    head = (
        f"POST {WATCH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+proto\r\n"
        f"authorization: Bearer {edge.issuer.token()}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def post(edge: Edge, body: bytes, content_type: str, **headers: str) -> tuple[int, dict[str, Any]]:
    """Post a body to the stream: the HTTP status, and the last envelope."""
    connection = http.client.HTTPConnection("127.0.0.1", edge.server.bound.http_port, timeout=10)
    sent = {"content-type": content_type, "authorization": f"Bearer {edge.issuer.token()}"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", WATCH, body, sent | named)
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    last: dict[str, Any] = {}
    while len(read) >= ENVELOPE.size:
        flags, length = ENVELOPE.unpack_from(read)
        if flags == 2:
            last = json.loads(read[ENVELOPE.size : ENVELOPE.size + length])
        read = read[ENVELOPE.size + length :]
    return answer.status, last


def test_envelopes_that_are_none_are_refused_at_the_end_of_the_stream(serve: StartEdge) -> None:
    edge = Watching().on(serve)
    good = ASK.SerializeToString()
    proto = "application/connect+proto"
    assert post(edge, envelope(good), proto) == (200, {})
    for body in (
        b"",
        b"\x00\x00",
        envelope(good)[:-1],
        envelope(good) * 2,
        envelope(good, 2),
        envelope(good, 1),
    ):
        status, end = post(edge, body, proto)
        assert (status, end["error"]["code"]) == (200, "invalid_argument")


def test_a_packed_request_is_taken(serve: StartEdge) -> None:
    edge = Watching().on(serve)
    packed = envelope(gzip.compress(ASK.SerializeToString()), 1)
    assert post(edge, packed, "application/connect+proto", connect_content_encoding="gzip") == (200, {})


def test_a_stream_is_asked_for_as_a_stream(serve: StartEdge) -> None:
    edge = Watching().on(serve)
    assert post(edge, ASK.SerializeToString(), "application/proto")[0] == 415
    connection = http.client.HTTPConnection("127.0.0.1", edge.server.bound.http_port, timeout=10)
    connection.request("GET", f"{WATCH}?encoding=proto&message=")
    assert connection.getresponse().status == 405
    connection.close()
