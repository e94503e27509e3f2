"""A serving process: both transports over one pipeline, from the first listening socket to the end of the drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from tallystick.core.record import record
from tallystick.rpc.grpc_server import GrpcServer, GrpcSettings
from tallystick.rpc.health import Health
from tallystick.rpc.pipeline import Pipeline
from tallystick.rpc.tls import TlsFiles, TlsSource
from tallystick.rpc.workers import LIFELINE_VARIABLE

if TYPE_CHECKING:
    from tallystick.rpc.connect_server import Mount
    from tallystick.rpc.http_server import HttpServer

DRAIN_WAIT_S = 5.0
DRAIN_GRACE_S = 25.0
QUIET_S = 0.05
HOLD_MAX_S = 1.0
TICK_S = 0.01
GOODBYE_S = 0.25
"""How long clients may take to hear that their connection ends; a call on it after that is their retry's business."""

log = logging.getLogger("tallystick.server")


@record(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where and how a process serves; an empty address leaves that door closed.

    ``http_address`` is for browsers (Connect), ``ops_address`` for metrics and probes: keep that one private.
    ``proxies`` are addresses and networks before the HTTP address whose X-Forwarded-For is believed.
    ``tls`` is for gRPC and ``http_tls`` for HTTP, which has its own because browsers cannot do mTLS.
    A drain says "not serving" for ``drain_wait_s``, so that balancers turn away, and then gives calls that still run
    ``drain_grace_s`` to end.
    """

    grpc: GrpcSettings = field(default_factory=GrpcSettings)
    http_address: str = "127.0.0.1:8080"
    ops_address: str = "127.0.0.1:9464"
    origins: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    tls: TlsFiles | None = None
    http_tls: TlsFiles | None = None
    drain_wait_s: float = DRAIN_WAIT_S
    drain_grace_s: float = DRAIN_GRACE_S


@record(frozen=True, slots=True)
class Bound:
    """The ports that a process serves on; 0 for a door that is closed."""

    grpc_port: int
    http_port: int
    ops_port: int


class Server:
    """Both transports over a pipeline. Make it inside the running event loop, which must be the only one."""

    def __init__(
        self, settings: ServerSettings, pipeline: Pipeline, *, mounts: Mapping[str, Mount] | None = None
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self.health = Health(pipeline.service_names)
        # All certificates and sockets are taken here, so that a fault in any of them stops the start.
        tls = TlsSource(settings.tls) if settings.tls is not None else None
        self._http: list[HttpServer] = []
        http_port = ops_port = 0
        if settings.http_address or settings.ops_address:
            http_port, ops_port = self._open_http(mounts or {})
        self._grpc = GrpcServer(pipeline, self.health, settings.grpc, tls=tls)
        self.bound = Bound(self._grpc.port, http_port, ops_port)

    def _open_http(self, mounts: Mapping[str, Mount]) -> tuple[int, int]:
        """Open the doors for browsers and for metrics; return their ports. Without either nothing of HTTP is loaded."""
        from tallystick.rpc.connect_server import ConnectApp, OpsApp
        from tallystick.rpc.http_server import HttpServer

        settings, pipeline = self._settings, self._pipeline
        tls = TlsSource(settings.http_tls) if settings.http_tls is not None else None
        http_port = ops_port = 0
        if settings.http_address:
            app = ConnectApp(pipeline, self.health, origins=settings.origins, mounts=mounts)
            http = HttpServer(
                app,
                settings.http_address,
                reuse_port=settings.grpc.reuse_port,
                tls=tls,
                proxies=settings.proxies,
            )
            self._http.append(http)
            http_port = http.port
        if settings.ops_address:
            # Not shared with other processes: each has numbers of its own.
            ops = HttpServer(OpsApp(pipeline, self.health), settings.ops_address)
            self._http.append(ops)
            ops_port = ops.port
        return http_port, ops_port

    async def start(self) -> None:
        """Begin to serve and say so."""
        for http in self._http:
            await http.start()
        await self._grpc.start()
        self.health.set_serving(True)

    async def drain(self, hurry: asyncio.Event | None = None) -> None:
        """Say "not serving", go on answering for a while, then end without losing a call.

        Setting ``hurry`` ends the while.
        """
        self.health.drain()
        # Streams end first: whoever watches finds another replica meanwhile, and none of them holds up the stop.
        self._pipeline.streams.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for((hurry or asyncio.Event()).wait(), self._settings.drain_wait_s)
        # Clients that watch our health are gone by now. For the others: when gRPC is stopped it drops calls that
        # have arrived and are not yet taken up, and those that are sent before the goodbye is heard; their callers
        # see CANCELLED. So calls wait at our door for a moment: what has arrived is taken up, its callers send
        # nothing more, and the goodbye reaches them before their answers do.
        self._pipeline.hold()
        await self._quiet()
        grace_s = self._settings.drain_grace_s
        stops = [asyncio.create_task(self._grpc.stop(grace_s))]
        stops += [asyncio.create_task(http.stop(grace_s)) for http in self._http]
        await asyncio.sleep(GOODBYE_S)
        self._pipeline.release()
        await asyncio.gather(*stops)

    async def _quiet(self) -> None:
        """Wait until no call has arrived or ended for QUIET_S, at most HOLD_MAX_S."""
        metrics = self._pipeline.metrics
        give_up_at = time.monotonic() + HOLD_MAX_S
        changed_at, in_flight = time.monotonic(), metrics.in_flight
        while (now := time.monotonic()) < give_up_at and now - changed_at < QUIET_S:
            await asyncio.sleep(TICK_S)
            if metrics.in_flight != in_flight:
                changed_at, in_flight = time.monotonic(), metrics.in_flight


async def serve(
    settings: ServerSettings,
    pipeline: Pipeline,
    *,
    mounts: Mapping[str, Mount] | None = None,
    on_ready: Callable[[Bound], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT (or, in a worker, until the parent is gone), then drain.

    A second signal skips the wait of the drain. ``on_ready`` is called once everything listens. Raises
    CannotListen or TlsRefused when it cannot start. ``mounts`` answer what lies under their paths over HTTP.
    """
    server = Server(settings, pipeline, mounts=mounts)
    async with _stop_requests() as requests:
        await server.start()
        log.info("serving", extra={"grpc_port": server.bound.grpc_port, "http_port": server.bound.http_port})
        if on_ready is not None:
            on_ready(server.bound)
        await requests.get()
        log.info("draining")
        hurry = asyncio.Event()
        second = asyncio.create_task(requests.get())
        second.add_done_callback(lambda _task: hurry.set())
        await server.drain(hurry)
        second.cancel()
    log.info("stopped")


@contextlib.asynccontextmanager
async def _stop_requests() -> AsyncIterator[asyncio.Queue[None]]:
    """One item for each request to stop: a signal, or the end of the parent of a worker."""
    requests: asyncio.Queue[None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, requests.put_nowait, None)
    lifeline = int(os.environ.get(LIFELINE_VARIABLE, "-1"))

    def parent_is_gone() -> None:
        loop.remove_reader(lifeline)
        requests.put_nowait(None)

    if lifeline >= 0:
        loop.add_reader(lifeline, parent_is_gone)
    try:
        yield requests
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if lifeline >= 0:
            loop.remove_reader(lifeline)
