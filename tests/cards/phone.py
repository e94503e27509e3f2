"""A phone that asks the web service for its passes, without a network in between."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

from tallystick.cards.apple_service import AppleService


@dataclass(frozen=True, slots=True)
class Answered:
    """What the service answered."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Phone:
    """Calls as Wallet makes them."""

    service: AppleService
    program: str
    pass_type: str
    device: str = "d" * 32
    push_token: str = "ab" * 32
    last_updated: str = ""
    seen: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, *, token: str = "", body: bytes = b"", **headers: str) -> Answered:
        path, _, query = path.partition("?")
        return self.raw(method, f"/wallet/apple/{self.program}/v1/{path}", query, token, body, headers)

    def raw(
        self, method: str, path: str, query: str, token: str, body: bytes, headers: dict[str, str]
    ) -> Answered:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["authorization"] = f"ApplePass {token}"
        scope: MutableMapping[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.service(scope, receive, send))
        start, last = sent
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answered(start["status"], answered, last["body"])

    def register(self, serial: str, token: str) -> int:
        body = f'{{"pushToken": "{self.push_token}"}}'.encode()
        return self.call("POST", self._registration(serial), token=token, body=body).status

    def unregister(self, serial: str, token: str) -> int:
        return self.call("DELETE", self._registration(serial), token=token).status

    def changed(self, since: str = "") -> Answered:
        query = f"?passesUpdatedSince={since}" if since else ""
        return self.call("GET", f"devices/{self.device}/registrations/{self.pass_type}{query}")

    def fetch(self, serial: str, token: str, *, since: str = "") -> Answered:
        headers = {"if-modified-since": since} if since else {}
        path = f"/wallet/apple/{self.program}/v1/passes/{self.pass_type}/{serial}"
        return self.raw("GET", path, "", token, b"", headers)

    def _registration(self, serial: str) -> str:
        return f"devices/{self.device}/registrations/{self.pass_type}/{serial}"
