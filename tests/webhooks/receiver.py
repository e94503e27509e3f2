"""Somebody else's server that is told of events: it verifies with a foreign library, fails, hangs and goes away."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def member(self) -> str:
        return str(self.message["data"]["memberId"])


Answer = Callable[[Received], int]


class Server(ThreadingHTTPServer):
    """Threads that nobody waits for: some of them hang on purpose."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


@dataclass
class Receiver:
    """Listens on a free port (or a given one) and answers what ``answer`` says; 0 hangs up without an answer."""

    answer: Answer = lambda _: 204
    port: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    all: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)
    """What was answered with 2xx."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._release = threading.Event()
        self._server = Server(("127.0.0.1", self.port), self._handler())
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=b"

    def stop(self) -> None:
        """Go away: nobody listens on the port any more, and whatever hangs is cut."""
        self._release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def hang(self, _: Received) -> int:
        """Let the caller wait until this receiver stops."""
        self._release.wait(WAIT_S)
        return 0

    def wait_for(self, count: int, *, seconds: float = WAIT_S) -> None:
        """Wait until so many messages were taken."""
        until = time.monotonic() + seconds
        while len(self.taken) < count:
            assert time.monotonic() < until, f"{len(self.taken)} of {count} messages, {len(self.all)} calls"
            time.sleep(0.02)

    def by_member(self) -> dict[str, list[Received]]:
        """The messages that were taken, by member, in their order."""
        found: dict[str, list[Received]] = defaultdict(list)
        for one in self.taken:
            found[one.member].append(one)
        return found

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                got = Received(
                    self.path,
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length),
                )
                with receiver._lock:
                    receiver.all.append(got)
                status = receiver.answer(got)
                self.close_connection = True
                if not status:
                    return
                if 200 <= status < 300:
                    with receiver._lock:
                        receiver.taken.append(got)
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(receiver.body)))
                self.end_headers()
                self.wfile.write(receiver.body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: tests show what they need."""

        return Handler
