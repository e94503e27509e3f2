"""HTTP/1.1 for the ASGI applications: uvicorn and httptools in the event loop of the gRPC server.

Signals stay ours, and what uvicorn leaves open is closed here: how long a connection may take to send its head, and
how large that may be. An offer to speak another protocol is passed over, as a server may (RFC 9110, 7.8).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Generator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tallystick.rpc.connect_server import ConnectApp, OpsApp
from tallystick.rpc.connect_stream import ABORT
from tallystick.rpc.grpc_server import CannotListen
from tallystick.rpc.tls import TlsSource

HEAD_BYTES_MAX = 32_768
HEAD_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 75
CONNECTIONS_MAX = 2048
BACKLOG = 512

_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*(?=\r\n)", re.IGNORECASE)


class HttpServer:
    """Serves one ASGI application on ``address`` ("host:port"; port 0 takes a free one).

    ``proxies`` are addresses and networks whose X-Forwarded-For is believed: calls count for whom it names.
    """

    def __init__(
        self,
        app: ConnectApp | OpsApp,
        address: str,
        *,
        reuse_port: bool = False,
        tls: TlsSource | None = None,
        proxies: tuple[str, ...] = (),
    ) -> None:
        self._socket = _listen(address, reuse_port=reuse_port)
        self.port: int = self._socket.getsockname()[1]
        context = tls.ssl_context() if tls is not None else None
        self._server = _Server(_config(app, context, proxies))
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise CannotListen("the HTTP server ended before it had begun")
            await asyncio.sleep(0.005)

    async def stop(self, grace_s: float) -> None:
        """Take no new connections, and give the calls that run ``grace_s`` seconds to end."""
        if self._task is None:
            self._socket.close()
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_s))
        self._server.should_exit = True
        await self._task


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol with a bound on the head of a request: its size, and the time until it is complete.

    Offers of another protocol do not reach the parser, which would pass over the body of such a request: clients of
    Java offer HTTP/2 in each.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_between = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_between = False
        # For a stream whose reader has stopped: closing would wait for it for ever.
        self.scope["extensions"] = {ABORT: {"now": self.transport.abort}}
        self._await_head()

    def on_headers_complete(self) -> None:
        self._have_head()
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_between = True
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        # The offer came behind the first piece of its head. The body that follows would not be read.
        self.send_400_response("This server speaks HTTP/1.1: offer no upgrade.")

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        if self._is_between:
            # Of what comes later nobody can tell here where the body begins, which must not lose a byte.
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _UPGRADE.sub(b"", head + end) + rest
        super().data_received(data)
        # Looked at afterwards: what came may hold a complete head and a body behind it.
        if self._head_timer is not None and self._head_bytes > HEAD_BYTES_MAX:
            self.transport.close()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_bytes = 0
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _have_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _config(
    app: ConnectApp | OpsApp, context: ssl.SSLContext | None, proxies: tuple[str, ...]
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http=_BoundedHttp,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        server_header=False,
        date_header=True,
        timeout_keep_alive=KEEP_ALIVE_S,
        limit_concurrency=CONNECTIONS_MAX,
        backlog=BACKLOG,
        ssl_context_factory=(lambda _config, _default: context) if context is not None else None,
    )


def _listen(address: str, *, reuse_port: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server(
            (host, int(port)), family=family, backlog=BACKLOG, reuse_port=reuse_port
        )
    except (OSError, ValueError, OverflowError) as error:
        raise CannotListen(f"cannot listen on {address}: {error}") from None
    listener.setblocking(False)
    return listener
