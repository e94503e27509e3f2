"""HTTP/1.1 on this machine alone: uvicorn over a socket of ours; signals stay ours."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Generator
from typing import Final

import anyio.to_thread
import uvicorn
from anyio import CapacityLimiter

from tallystick_till.config import split_local_address
from tallystick_till.daemon.api import THREADS_MAX, LocalApi, application
from tallystick_till.daemon.desk import Desk
from tallystick_till.daemon.events import Broadcast
from tallystick_till.daemon.guard import Guard
from tallystick_till.daemon.screen import Screen

CONNECTIONS_MAX: Final = 128
HEAD_BYTES_MAX: Final = 32_768
KEEP_ALIVE_S: Final = 75
STOP_WAIT_S: Final = 5
BACKLOG: Final = 64


class CannotListen(Exception):
    """The address is taken or not this machine's."""


def listen(address: str) -> socket.socket:
    """Listen on HOST:PORT of this machine; port 0 takes a free one. Raises ``CannotListen``, ``ConfigRefused``."""
    host, port = split_local_address(address)
    try:
        return socket.create_server((host, port), backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"port {port} of this machine is taken by another program") from error
        raise CannotListen(f"cannot listen at {address}: {error.strerror}") from error


def port_of(listener: socket.socket) -> int:
    """Return the port of a listening socket."""
    return int(listener.getsockname()[1])


async def serve(
    desk: Desk,
    screen: Screen,
    listener: socket.socket,
    stop: asyncio.Event,
    *,
    ready: Callable[[], None] | None = None,
) -> None:
    """Serve until ``stop`` is set; then end what runs, at most ``STOP_WAIT_S`` long.

    ``ready`` is called when requests are answered.
    """
    broadcast = Broadcast(lambda: _state(desk, limiter))
    limiter = CapacityLimiter(THREADS_MAX)
    desk.on_change(broadcast.changed)
    app = Guard(application(LocalApi(desk, broadcast, limiter), screen), port=port_of(listener))
    server = _Server(_config(app))
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    pump = asyncio.create_task(broadcast.pump(), name="events")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    begun = asyncio.create_task(server.begun.wait(), name="begun")
    try:
        await asyncio.wait({serving, begun}, return_when=asyncio.FIRST_COMPLETED)
        if ready is not None and server.begun.is_set():
            ready()
        await asyncio.wait({serving, pump, stopping}, return_when=asyncio.FIRST_COMPLETED)
        broadcast.close()
        server.should_exit = True
        await serving
        if pump.done():
            # Only a fault of ours ends the events; it must not end in silence.
            await pump
    finally:
        for task in (pump, stopping, begun):
            task.cancel()


async def _state(desk: Desk, limiter: CapacityLimiter) -> dict[str, object]:
    return await anyio.to_thread.run_sync(desk.state, limiter=limiter)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _config(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_WAIT_S,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        backlog=BACKLOG,
    )
