"""grpc.health.v1: whether this process takes calls, as a whole and for each service.

It needs no token, so that a probe can ask, and therefore has limits of its own. Watchers are told when the process
begins to drain and are then let go: an open stream would hold up the end of the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1.health_pb2 import (  # type: ignore[import-untyped]
    HealthCheckRequest,
    HealthCheckResponse,
)

SERVICE_NAME = "grpc.health.v1.Health"
WATCHERS_MAX = 64

ServicerContext = grpc.aio.ServicerContext[bytes, bytes]


class Health:
    """The serving status of a process; it starts as not serving."""

    def __init__(self, service_names: Iterable[str], *, watchers_max: int = WATCHERS_MAX) -> None:
        self._names = frozenset(service_names) | {""}
        self._serving = False
        self._draining = False
        self._watchers = 0
        self._watchers_max = watchers_max
        self._changed = asyncio.Event()

    @property
    def serving(self) -> bool:
        """Whether the process takes calls."""
        return self._serving

    def set_serving(self, serving: bool) -> None:
        """Say whether the process takes calls; once it drains it stays at no."""
        if not self._draining and serving != self._serving:
            self._serving = serving
            self._wake()

    def drain(self) -> None:
        """Say no from now on, and let the watchers go once they were told."""
        self._serving = False
        self._draining = True
        self._wake()

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """The methods of the health service by path, on bytes."""
        return {
            f"/{SERVICE_NAME}/Check": grpc.unary_unary_rpc_method_handler(self._check),
            f"/{SERVICE_NAME}/Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _status(self, name: str) -> HealthCheckResponse:
        if name not in self._names:
            return HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
        serving = HealthCheckResponse.SERVING if self._serving else HealthCheckResponse.NOT_SERVING
        return HealthCheckResponse(status=serving)

    async def _check(self, payload: bytes, context: ServicerContext) -> bytes:
        name = await _service_name(payload, context)
        if name not in self._names:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return bytes(self._status(name).SerializeToString())

    async def _watch(self, payload: bytes, context: ServicerContext) -> AsyncIterator[bytes]:
        name = await _service_name(payload, context)
        if self._watchers >= self._watchers_max:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watchers: ask with Check")
        self._watchers += 1
        try:
            while True:
                # Both before the answer goes out: what changes meanwhile must be told as well.
                changed, is_last = self._changed, self._draining
                yield self._status(name).SerializeToString()
                if is_last:
                    return
                await changed.wait()
        finally:
            self._watchers -= 1


async def _service_name(payload: bytes, context: ServicerContext) -> str:
    try:
        return str(HealthCheckRequest.FromString(payload).service)
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a HealthCheckRequest")
