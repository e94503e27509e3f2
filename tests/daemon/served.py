"""A daemon over a till, in a thread of the test, and a plain HTTP client for it."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tallystick_till.daemon.desk import Desk
from tallystick_till.daemon.machine import new_id
from tallystick_till.daemon.screen import Screen
from tallystick_till.daemon.server import listen, port_of, serve
from tallystick_till.daemon.shelf import Shelf
from tallystick_till.db import TillDb
from tests.daemon.fake_till import FakeTill

WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        return str(self.json["error"]["reason"])


@dataclass(frozen=True, slots=True)
class Served:
    """The daemon as its callers see it, and the till behind it."""

    port: int
    till: FakeTill
    trained: list[FakeTill] = field(default_factory=list)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        sent = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        usual = {"content-type": "application/json"} if method != "GET" else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request(method, path, sent, usual | (headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.call("GET", "/api/v1" + path)

    def post(self, path: str, body: Any) -> Answer:
        return self.call("POST", "/api/v1" + path, body)

    @contextmanager
    def events(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """The stream of events, as (name, document) pairs."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request("GET", "/api/v1/events")
            response = connection.getresponse()
            assert response.status == 200, response.read()
            yield _events(response)
        finally:
            connection.close()


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    name = ""
    while line := response.readline():
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data: "):
            yield name, json.loads(text.removeprefix("data: "))


@contextmanager
def served(
    *, screen: Path | None = None, db: TillDb | None = None, till: FakeTill | None = None
) -> Iterator[Served]:
    """Serve a fake till until the block ends; the daemon must then end by itself."""
    trained: list[FakeTill] = []

    def training() -> Any:
        trained.append(FakeTill(training=True))
        return trained[-1]

    here = till or FakeTill()
    there: Any = here
    listener = listen("127.0.0.1:0")
    ready = threading.Event()
    doors: dict[str, Any] = {}

    async def run() -> None:
        doors["loop"], doors["stop"] = asyncio.get_running_loop(), asyncio.Event()
        ready.set()
        desk = Desk(there, Shelf(db or TillDb.in_memory(), new_id), training)
        await serve(desk, Screen(screen or Path("/nonexistent")), listener, doors["stop"])

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert ready.wait(WAIT_S)
        yield Served(port_of(listener), here, trained)
    finally:
        doors["loop"].call_soon_threadsafe(doors["stop"].set)
        thread.join(WAIT_S)
        listener.close()
    assert not thread.is_alive(), "the daemon did not end"
