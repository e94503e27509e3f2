"""The gRPC transport: grpc.aio with one generic handler in front of the pipeline's endpoints.

Messages reach us as bytes and are parsed by the pipeline, so that a malformed one is INVALID_ARGUMENT. There is one
generic handler and no registered methods: grpc.aio waits on a future for each of those, and every call would pay for
all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn, cast

import grpc
from google.protobuf.message import Message

from tallystick.core.record import record
from tallystick.rpc import health as health_service
from tallystick.rpc.health import Health
from tallystick.rpc.limits import METADATA_BYTES_MAX, TRANSPORT_BYTES_MAX
from tallystick.rpc.pipeline import Arrival, CallerGone, CallFailed, Endpoint, Pipeline
from tallystick.rpc.tls import TlsSource

DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
STREAMS_OF_CONNECTION_MAX = 256
IN_FLIGHT_HEADROOM = 4
"""Calls beyond the pipeline's limit are still answered with a reason; this many times the limit, without one."""

LAST_WORD_S = 1.0
"""How long the status of a stream that is ended from outside may take to get out behind messages nobody reads."""

_IDENTITY_ONLY = 1

ServicerContext = grpc.aio.ServicerContext[bytes, bytes]
Behaviour = Callable[[bytes, ServicerContext], Awaitable[bytes]]
StreamBehaviour = Callable[[bytes, ServicerContext], Awaitable[None]]
_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}


class CannotListen(Exception):
    """An address cannot be listened on; the message names it."""


@record(frozen=True, slots=True, kw_only=True)
class GrpcSettings:
    """Where and how gRPC is served.

    ``address`` is "host:port"; port 0 takes a free one. ``reuse_port`` lets several processes share the port.
    Connections end after ``connection_age_s``, so that the load spreads over replicas that were added later.
    """

    address: str = "127.0.0.1:50051"
    reuse_port: bool = False
    reflection: bool = False
    connection_age_s: int = 1800
    connection_grace_s: int = 60
    keepalive_s: int = 60
    keepalive_timeout_s: int = 20


class GrpcServer:
    """A gRPC server over a pipeline; ``port`` is known once it has started."""

    def __init__(
        self, pipeline: Pipeline, health: Health, settings: GrpcSettings, *, tls: TlsSource | None = None
    ) -> None:
        self._metrics = pipeline.metrics
        self._has_unread = False
        self._server = grpc.aio.server(
            options=_options(settings),
            maximum_concurrent_rpcs=pipeline.limits.in_flight_max * IN_FLIGHT_HEADROOM
            + pipeline.limits.streams_max,
        )
        if settings.reflection:
            _add_reflection(self._server, pipeline.service_names)
        # Last, because it answers every path.
        self._server.add_generic_rpc_handlers((_Router(pipeline, health, self._note_unread),))
        try:
            if tls is None:
                self.port = self._server.add_insecure_port(settings.address)
            else:
                self.port = self._server.add_secure_port(settings.address, tls.grpc_credentials())
        except RuntimeError as error:
            raise CannotListen(f"cannot listen on {settings.address}: {error}") from None

    async def start(self) -> None:
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Take no new calls, and give those that run ``grace_s`` seconds to end.

        Where streams have ended whose callers do not read, it ends as soon as nothing else runs.
        """
        stopped = asyncio.create_task(self._server.stop(grace_s))
        idle = False
        while not stopped.done():
            await asyncio.wait((stopped,), timeout=LAST_WORD_S / 2)
            was_idle, idle = idle, self._has_unread and not self._metrics.in_flight
            if was_idle and idle:
                await self._server.stop(None)
        await stopped

    def _note_unread(self) -> None:
        self._has_unread = True


class _Router(grpc.GenericRpcHandler):
    def __init__(self, pipeline: Pipeline, health: Health, on_unread: Callable[[], None]) -> None:
        self._pipeline = pipeline
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            path: _method_handler(endpoint, on_unread) for path, endpoint in pipeline.endpoints.items()
        }
        self._handlers.update(health.handlers())

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        path = handler_call_details.method
        handler = self._handlers.get(path)
        if handler is None:
            handler = grpc.unary_unary_rpc_method_handler(self._unknown(path))
        return handler

    def _unknown(self, path: str) -> Behaviour:
        async def refuse(_payload: bytes, context: ServicerContext) -> bytes:
            await _abort(context, self._pipeline.unknown_method(path))

        return refuse


def _method_handler(endpoint: Endpoint, on_unread: Callable[[], None]) -> grpc.RpcMethodHandler[Any, Any]:
    if endpoint.method.streams:
        # The stubs know generators only; a coroutine that writes is told apart by grpc.aio itself.
        return grpc.unary_stream_rpc_method_handler(cast("Any", _stream_behaviour(endpoint, on_unread)))
    return grpc.unary_unary_rpc_method_handler(_behaviour(endpoint))


def _behaviour(endpoint: Endpoint) -> Behaviour:
    async def behave(payload: bytes, context: ServicerContext) -> bytes:
        try:
            response = await endpoint.answer(_arrival(payload, context))
        except CallFailed as failed:
            await _abort(context, failed)
        return response.SerializeToString()

    return behave


def _stream_behaviour(endpoint: Endpoint, on_unread: Callable[[], None]) -> StreamBehaviour:
    # A coroutine that writes, not a generator: the pipeline can then end a write that nobody reads as well.
    async def behave(payload: bytes, context: ServicerContext) -> None:
        async def write(message: Message) -> None:
            try:
                await context.write(message.SerializeToString())
            except (grpc.aio.UsageError, grpc.aio.InternalError):
                # The connection was lost, and this task is not cancelled for it yet.
                raise CallerGone from None

        try:
            await endpoint.stream(_arrival(payload, context), write)
        except CallFailed as failed:
            try:
                async with asyncio.timeout(LAST_WORD_S):
                    await _abort(context, failed)
            except TimeoutError:
                # grpc.aio cannot cut off one call: the status waits behind what is not read.
                on_unread()

    return behave


def _arrival(payload: bytes, context: ServicerContext) -> Arrival:
    return Arrival(
        payload,
        _parse,
        context.peer(),
        # The stubs know of the class Metadata only; in a server it is a tuple of pairs.
        cast("Sequence[tuple[str, str | bytes]]", context.invocation_metadata()),
        context.time_remaining(),
        enforces_deadline=True,
    )


def _parse(message_class: type[Message], payload: bytes) -> Message:
    return message_class.FromString(payload)


async def _abort(context: ServicerContext, failed: CallFailed) -> NoReturn:
    trailers: list[tuple[str, str | bytes]] = [(DETAILS_KEY, failed.status.SerializeToString())]
    if failed.retry_after_s is not None:
        trailers.append((PUSHBACK_KEY, str(max(1, int(failed.retry_after_s * 1000)))))
    await context.abort(_STATUS_CODES[failed.status.code], failed.status.message, tuple(trailers))


def _add_reflection(server: grpc.aio.Server, service_names: Sequence[str]) -> None:
    from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

    names = (*service_names, health_service.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)


def _options(settings: GrpcSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", int(settings.reuse_port)),
        ("grpc.max_receive_message_length", TRANSPORT_BYTES_MAX),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        # Both limits alike: between a soft and a hard one, calls would be refused at random.
        ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.max_concurrent_streams", STREAMS_OF_CONNECTION_MAX),
        # Without compression there is no small message that unfolds into a large one.
        ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
        ("grpc.max_connection_age_ms", settings.connection_age_s * 1000),
        ("grpc.max_connection_age_grace_ms", settings.connection_grace_s * 1000),
        ("grpc.keepalive_time_ms", settings.keepalive_s * 1000),
        ("grpc.keepalive_timeout_ms", settings.keepalive_timeout_s * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 2),
    ]
