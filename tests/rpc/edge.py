"""A running edge for tests: the real services of the contract with handlers of the test's own, and tokens for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import grpc
import uvloop
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status  # type: ignore[import-untyped]

from tallystick.rpc.access_log import LogSettings
from tallystick.rpc.auth import Authenticator
from tallystick.rpc.call import Call
from tallystick.rpc.grpc_server import GrpcSettings
from tallystick.rpc.limits import Limits
from tallystick.rpc.pipeline import Pipeline
from tallystick.rpc.server import DRAIN_WAIT_S, Server, ServerSettings
from tallystick.rpc.service import Service
from tallystick.rpc.tracing import Tracing
from tallystick.security.keys import SigningKey, generate_signing_key
from tallystick.security.tokens import access_profile, new_token_id, sign_access_token
from tallystick.v1 import admin_pb2, identity_pb2, ledger_pb2, till_pb2

T = TypeVar("T")

ISSUER = "https://tallystick.test"
PROFILE = access_profile(issuer=ISSUER, audience=ISSUER)
MEMBER_ID = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e11"
TILL_ID = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e14"
START_TIMEOUT_S = 20.0

GET_BALANCE = "/tallystick.v1.LedgerService/GetBalance"
IDENTIFY = "/tallystick.v1.IdentityService/Identify"

DESCRIPTORS: tuple[ServiceDescriptor, ...] = (
    ledger_pb2.DESCRIPTOR.services_by_name["LedgerService"],
    identity_pb2.DESCRIPTOR.services_by_name["IdentityService"],
    till_pb2.DESCRIPTOR.services_by_name["TillService"],
    admin_pb2.DESCRIPTOR.services_by_name["AdminService"],
)

Metadata = tuple[tuple[str, str | bytes], ...]
FakeHandler = Callable[[Any, Call], Awaitable[Message] | AsyncGenerator[Message, None]]


def handlers_for(descriptor: ServiceDescriptor, **given: FakeHandler) -> object:
    """Handlers of a whole service: those given, and for all other methods one that answers an empty response.

    A stream ends without a message.
    """

    def empty(response_class: type[Message]) -> FakeHandler:
        async def answer(_request: Message, _call: Call) -> Message:
            return response_class()

        return answer

    async def no_messages(_request: Message, _call: Call) -> AsyncGenerator[Message, None]:
        nothing: tuple[Message, ...] = ()
        for message in nothing:
            yield message

    members: dict[str, Any] = {}
    for method in descriptor.methods:
        name = "".join(f"_{char.lower()}" if char.isupper() else char for char in method.name).lstrip("_")
        default = no_messages if method.server_streaming else empty(GetMessageClass(method.output_type))
        members[name] = staticmethod(given.get(name, default))
    return type("Fake", (), members)()


def services_with(**given: FakeHandler) -> list[Service]:
    """All services, with the given handlers by their method's name in snake case."""
    return [Service(descriptor, handlers_for(descriptor, **given)) for descriptor in DESCRIPTORS]


class Issuer:
    """Signs access tokens with a key of its own, and knows which devices are revoked."""

    def __init__(self) -> None:
        self.key: SigningKey = generate_signing_key()
        self.revoked: set[str] = set()
        self.key_lookups = 0

    def authenticator(self) -> Authenticator:
        return Authenticator(profile=PROFILE, keys=self._keys, is_revoked=self.revoked.__contains__)

    def _keys(self, _now_s: int) -> dict[str, Any]:
        self.key_lookups += 1
        return {self.key.kid: self.key.verify_key}

    def token(
        self,
        *roles: str,
        device_id: str = TILL_ID,
        subject: str = "",
        age_s: int = 0,
        key: SigningKey | None = None,
        origin: str = "",
    ) -> str:
        return sign_access_token(
            key or self.key,
            PROFILE,
            subject=subject or device_id,
            program_id="demo",
            roles=roles or ("TILL",),
            token_id=new_token_id(),
            now_s=int(time.time()) - age_s,
            store_id="s1",
            device_id=device_id,
            origin=origin,
        )

    def bearer(self, *roles: str, device_id: str = TILL_ID) -> Metadata:
        return (("authorization", f"Bearer {self.token(*roles, device_id=device_id)}"),)


class LoopThread:
    """The event loop of the servers, in a thread of its own: there must never be a second one that grpc uses."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="edge", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = START_TIMEOUT_S) -> T:
        return self.submit(work).result(timeout_s)

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


@dataclass(slots=True)
class Edge:
    """A served pipeline and what a test needs to talk to it."""

    loop: LoopThread
    issuer: Issuer
    pipeline: Pipeline
    server: Server
    channels: list[grpc.Channel] = field(default_factory=list)
    is_stopped: bool = False

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.server.bound.grpc_port}"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.server.bound.http_port}"

    def channel(self, **options: int | str) -> grpc.Channel:
        channel = grpc.insecure_channel(
            self.target, [(f"grpc.{name}", value) for name, value in options.items()]
        )
        self.channels.append(channel)
        return channel

    def stop(self) -> None:
        if not self.is_stopped:
            self.is_stopped = True
            for channel in self.channels:
                channel.close()
            self.loop.run(self.server.drain())


StartEdge = Callable[..., Edge]


def start_edge(
    loop: LoopThread,
    services: Sequence[Service] | None = None,
    *,
    settings: ServerSettings | None = None,
    limits: Limits | None = None,
    log: LogSettings | None = None,
    tracing: Tracing | None = None,
) -> Edge:
    """Serve on free ports, by default with handlers that answer empty responses."""
    issuer = Issuer()
    pipeline = Pipeline(
        services if services is not None else services_with(),
        authenticator=issuer.authenticator(),
        limits=limits,
        log=log,
        tracing=tracing,
    )
    asked = settings or ServerSettings()
    free = replace(
        asked,
        grpc=replace(asked.grpc, address="127.0.0.1:0"),
        http_address="127.0.0.1:0",
        ops_address="127.0.0.1:0",
        drain_wait_s=0.0 if asked.drain_wait_s == DRAIN_WAIT_S else asked.drain_wait_s,
    )

    async def make() -> Server:
        server = Server(free, pipeline)
        await server.start()
        return server

    return Edge(loop, issuer, pipeline, loop.run(make()))


@dataclass(frozen=True, slots=True)
class Failure:
    """A status other than OK as a client reads it."""

    code: grpc.StatusCode
    status: Status | None
    trailers: dict[str, str | bytes]

    @property
    def info(self) -> ErrorInfo:
        return self._detail(ErrorInfo)

    @property
    def reason(self) -> str:
        return str(self.info.reason)

    @property
    def violations(self) -> list[tuple[str, str]]:
        bad_request = self._detail(BadRequest)
        return [(violation.field, violation.description) for violation in bad_request.field_violations]

    @property
    def retry_s(self) -> float:
        delay = self._detail(RetryInfo).retry_delay
        return float(delay.seconds + delay.nanos / 1e9)

    def _detail(self, message_class: type[T]) -> T:
        message: Any = message_class()
        assert self.status is not None, f"{self.code} came without details"
        assert any(detail.Unpack(message) for detail in self.status.details), "no such detail"
        return message  # type: ignore[no-any-return]


def call(
    channel: grpc.Channel,
    path: str,
    request: Message | bytes,
    *,
    metadata: Metadata = (),
    timeout_s: float | None = 10.0,
    compression: grpc.Compression | None = None,
) -> bytes:
    """Call a method with a message or raw bytes; the raw answer, or grpc.RpcError."""
    payload = request if isinstance(request, bytes) else request.SerializeToString()
    method = channel.unary_unary(path, lambda value: value, lambda value: value)
    return bytes(method(payload, timeout=timeout_s, metadata=metadata, compression=compression))


def failure_of(work: Callable[[], object]) -> Failure:
    """Run a call that must fail."""
    try:
        work()
    except grpc.RpcError as error:
        failed: Any = error
        trailers = dict(failed.trailing_metadata() or ())
        return Failure(failed.code(), rpc_status.from_call(failed), trailers)
    raise AssertionError("the call was answered with OK")


def balance_request() -> ledger_pb2.GetBalanceRequest:
    return ledger_pb2.GetBalanceRequest(member_id=MEMBER_ID)


def grpc_settings(**changes: Any) -> ServerSettings:
    return ServerSettings(grpc=GrpcSettings(**changes))
