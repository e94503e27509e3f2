"""The Connect transport for browsers: calls over plain HTTP, in JSON or binary, on the same pipeline.

It is an ASGI application that uvicorn serves in the gRPC server's event loop. The protocol is
https://connectrpc.com/docs/protocol: POST of a message, GET for methods without side effects, errors as JSON; server
streams are in connect_stream. The reasons for an adapter of our own are in docs/decisions.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import field
from typing import Any
from urllib.parse import parse_qs

from google.protobuf.message import Message
from google.rpc import code_pb2

from tallystick.core.record import record
from tallystick.rpc.connect_stream import STREAM_CODECS, Receive, Send, StreamCall, opened, serve_stream
from tallystick.rpc.connect_wire import (
    CODECS,
    CODECS_BY_CONTENT_TYPE,
    GZIP_WINDOW,
    Codec,
    ProtocolVersionUnknown,
    error_json,
    timeout_of,
    unpacked,
)
from tallystick.rpc.errors import MessageMalformed, MessageTooLarge, MetadataTooLarge
from tallystick.rpc.health import Health
from tallystick.rpc.limits import METADATA_BYTES_MAX, TRANSPORT_BYTES_MAX
from tallystick.rpc.pipeline import Arrival, CallFailed, Endpoint, Pipeline
from tallystick.service.errors import TallystickError

BODY_TIMEOUT_S = 10.0
GZIP_FROM_BYTES = 1024
PREFLIGHT_AGE_S = 7200
ORIGINS_MAX = 32
QUERY_FIELDS_MAX = 16

Scope = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]
Mount = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application of another room."""

NO_MOUNTS: Mapping[str, Mount] = {}

_ALWAYS: Headers = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_ALLOWED_HEADERS = b", ".join(
    (
        b"authorization",
        b"content-type",
        b"content-encoding",
        b"connect-content-encoding",
        b"connect-protocol-version",
        b"connect-timeout-ms",
        b"traceparent",
    )
)
_HTTP_STATUS = {
    code_pb2.CANCELLED: 499,
    code_pb2.UNKNOWN: 500,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.ABORTED: 409,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.INTERNAL: 500,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DATA_LOSS: 500,
    code_pb2.UNAUTHENTICATED: 401,
}


class BodyTimeout(TallystickError):
    """The body of the call did not arrive in time."""

    reason = "DEADLINE_PASSED"


@record(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""


class ClientGone(Exception):
    """The client closed the connection before its call was complete: there is nobody to answer."""


class ConnectApp:
    """The ASGI application. ``origins`` are the web origins whose pages may call ("https://card.example").

    ``mounts`` answer what lies under their path ("/wallet/apple/").
    """

    def __init__(
        self,
        pipeline: Pipeline,
        health: Health,
        *,
        origins: Sequence[str] = (),
        mounts: Mapping[str, Mount] = NO_MOUNTS,
    ) -> None:
        assert len(origins) <= ORIGINS_MAX, "more origins than ORIGINS_MAX"
        self._pipeline = pipeline
        self._health = health
        self._origins = frozenset(origin.encode("ascii") for origin in origins)
        self._mounts = tuple(mounts.items())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "uvicorn is set up without lifespan and websockets"
        for path, mount in self._mounts:
            if scope["path"].startswith(path):
                await mount(scope, receive, send)
                return
        headers = dict(scope["headers"])
        try:
            answer = await self._answer(scope, headers, receive)
        except ClientGone:
            return
        extra = self._cross_origin(headers)
        if isinstance(answer, StreamCall):
            await serve_stream(answer, scope, receive, send, [*extra, *_ALWAYS])
            return
        await _send(send, answer, extra, head=scope["method"] == "HEAD")

    async def _answer(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive
    ) -> Answer | StreamCall:
        path: str = scope["path"]
        endpoint = self._pipeline.endpoints.get(path)
        if endpoint is not None:
            return await self._answer_call(endpoint, scope, headers, receive)
        if path == "/healthz":
            return Answer(200, [(b"content-type", b"text/plain")], b"ok\n")
        if path == "/readyz":
            return _readiness(self._health)
        return _failure(self._pipeline.unknown_method(path), http_status=404)

    async def _answer_call(
        self, endpoint: Endpoint, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive
    ) -> Answer | StreamCall:
        method = scope["method"]
        if method == "OPTIONS":
            return self._preflight(endpoint)
        if endpoint.method.streams:
            return await self._take_stream(endpoint, scope, headers, receive)
        allowed = _methods_of(endpoint)
        if method.encode("ascii") not in allowed.split(b", "):
            return Answer(405, [(b"allow", allowed)])
        query = scope["query_string"] if method == "GET" else b""
        codec = _codec(method, headers, query)
        if codec is None:
            return Answer(415, [(b"accept-post", b"application/json, application/proto")])
        try:
            arrival = await self._arrival(codec, scope, headers, query=query, receive=receive)
        except TallystickError as error:
            return _failure(endpoint.refuse(error))
        try:
            response = await endpoint.answer(arrival)
        except CallFailed as failed:
            return _failure(failed)
        return _success(codec, response, headers)

    async def _take_stream(
        self, endpoint: Endpoint, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive
    ) -> Answer | StreamCall:
        if scope["method"] != "POST":
            return Answer(405, [(b"allow", b"POST")])
        codec = STREAM_CODECS.get(_content_type(headers))
        if codec is None:
            return Answer(415, [(b"accept-post", b", ".join(STREAM_CODECS))])
        try:
            arrival = await self._arrival(codec, scope, headers, receive=receive, enveloped=True)
        except TallystickError as error:
            return StreamCall(endpoint, codec, endpoint.refuse(error))
        return StreamCall(endpoint, codec, arrival)

    async def _arrival(
        self,
        codec: Codec,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        *,
        receive: Receive,
        query: bytes = b"",
        enveloped: bool = False,
    ) -> Arrival:
        began = time.monotonic()
        if sum(len(name) + len(value) for name, value in scope["headers"]) > METADATA_BYTES_MAX:
            raise MetadataTooLarge(max_bytes=METADATA_BYTES_MAX)
        if headers.get(b"connect-protocol-version", b"1") != b"1":
            raise ProtocolVersionUnknown
        timeout_s = timeout_of(headers)
        if scope["method"] == "GET":
            payload = _message_of(query)
        elif enveloped:
            payload = opened(await _body(receive), headers.get(b"connect-content-encoding", b"identity"))
        else:
            payload = unpacked(await _body(receive), headers.get(b"content-encoding", b"identity"))
        if timeout_s is not None:
            timeout_s -= time.monotonic() - began
        client = scope.get("client") or ("", 0)
        return Arrival(
            payload,
            codec.decode,
            f"http:{client[0]}:{client[1]}",
            # Decoded so that any byte is taken; what is no valid token is refused as one.
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
            timeout_s,
            enforces_deadline=False,
            web_origin=headers.get(b"origin", b"").decode("latin-1"),
            is_text=codec.is_text,
        )

    def _preflight(self, endpoint: Endpoint) -> Answer:
        if not self._origins:
            return Answer(405, [(b"allow", b"POST")])
        return Answer(
            204,
            [
                (b"access-control-allow-methods", _methods_of(endpoint)),
                (b"access-control-allow-headers", _ALLOWED_HEADERS),
                (b"access-control-max-age", str(PREFLIGHT_AGE_S).encode()),
            ],
        )

    def _cross_origin(self, headers: Mapping[bytes, bytes]) -> Headers:
        if not self._origins:
            return []
        extra: Headers = [(b"vary", b"Origin")]
        origin = headers.get(b"origin", b"")
        if origin in self._origins:
            extra.append((b"access-control-allow-origin", origin))
            extra.append((b"access-control-expose-headers", b"retry-after"))
        return extra


class OpsApp:
    """The ASGI application for those who run the server: /metrics, /healthz and /readyz."""

    def __init__(self, pipeline: Pipeline, health: Health) -> None:
        self._metrics = pipeline.metrics
        self._health = health

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        from tallystick.rpc.metrics import CONTENT_TYPE

        match scope["path"]:
            case "/metrics":
                content_type = CONTENT_TYPE.encode("ascii")
                answer = Answer(200, [(b"content-type", content_type)], self._metrics.exposition())
            case "/healthz":
                answer = Answer(200, [(b"content-type", b"text/plain")], b"ok\n")
            case "/readyz":
                answer = _readiness(self._health)
            case _:
                answer = Answer(404)
        await _send(send, answer, [], head=scope["method"] == "HEAD")


def _methods_of(endpoint: Endpoint) -> bytes:
    return b"GET, POST" if endpoint.method.read_only and not endpoint.method.streams else b"POST"


def _readiness(health: Health) -> Answer:
    headers: Headers = [(b"content-type", b"text/plain")]
    if health.serving:
        return Answer(200, headers, b"ready\n")
    return Answer(503, headers, b"not serving\n")


def _codec(method: str, headers: Mapping[bytes, bytes], query: bytes) -> Codec | None:
    if method == "GET":
        return CODECS.get(_query(query).get("encoding", ""))
    return CODECS_BY_CONTENT_TYPE.get(_content_type(headers))


def _content_type(headers: Mapping[bytes, bytes]) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _query(query: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(
            query.decode("ascii"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX, errors="strict"
        )
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _message_of(query: bytes) -> bytes:
    """The message in the query of a GET: text, or base64 with or without padding, as it is or packed."""
    fields = _query(query)
    text = fields.get("message")
    if text is None:
        raise MessageMalformed
    payload = text.encode("utf-8")
    if fields.get("base64") == "1":
        try:
            payload = base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
        except binascii.Error:
            raise MessageMalformed from None
    return unpacked(payload, fields.get("compression", "identity").encode("utf-8"))


async def _body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                size += len(message["body"])
                if size > TRANSPORT_BYTES_MAX:
                    raise MessageTooLarge(max_bytes=TRANSPORT_BYTES_MAX)
                chunks.append(message["body"])
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise BodyTimeout from None


def _success(codec: Codec, response: Message, headers: Mapping[bytes, bytes]) -> Answer:
    body = codec.encode(response)
    answer_headers: Headers = [(b"content-type", codec.content_type), (b"vary", b"Accept-Encoding")]
    accepted = {name.strip().lower() for name in headers.get(b"accept-encoding", b"").split(b",")}
    if len(body) >= GZIP_FROM_BYTES and b"gzip" in accepted:
        packer = zlib.compressobj(level=1, wbits=GZIP_WINDOW)
        body = packer.compress(body) + packer.flush()
        answer_headers.append((b"content-encoding", b"gzip"))
    return Answer(200, answer_headers, body)


def _failure(failed: CallFailed, *, http_status: int = 0) -> Answer:
    status = failed.status
    headers: Headers = [(b"content-type", b"application/json")]
    if failed.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, round(failed.retry_after_s))).encode()))
    return Answer(http_status or _HTTP_STATUS[status.code], headers, json.dumps(error_json(status)).encode())


async def _send(send: Send, answer: Answer, extra: Headers, *, head: bool) -> None:
    headers = [*answer.headers, *extra, *_ALWAYS]
    if answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body, "more_body": False})
