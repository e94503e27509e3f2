"""A shop's page with the element, the shop's token URL, and a stand-in for the gateway whose answers a test sets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tallystick.rpc.widget_app import WIDGET_FILE, WIDGET_NAME, WIDGET_ROUTE

GET_CARD = "/tallystick.v1.AppService/GetCard"
MEMBER = "0190b5a0-0000-7000-8000-000000000001"
POLICY = "default-src 'none'; script-src 'self' {gateway}; connect-src 'self' {gateway}"


def card(**changes: Any) -> dict[str, Any]:
    """A member with 1,250 points of 1 cent, burned by the hundred from 200, as Connect JSON spells it."""
    return {
        "memberId": MEMBER,
        "programName": "Bookshop",
        "currencyCode": "EUR",
        "status": "MEMBER_STATUS_OPEN",
        "balance": {"active": "1250", "tierId": "silver"},
        "ladder": {
            "tierId": "silver",
            "qualifyingCredits": "60000",
            "basis": "spend",
            "nextTierId": "gold",
            "nextCredits": "40000",
            "nextRewardId": "tote",
            "nextRewardPoints": "750",
        },
        "rewards": [
            {"rewardId": "fiver", "costPoints": "500", "amountMinor": "500", "inTier": True},
            {
                "rewardId": "tenth",
                "costPoints": "300",
                "percentPpm": 100000,
                "minimumMinor": "2000",
                "inTier": True,
            },
            {"rewardId": "tote", "costPoints": "2000", "inTier": True},
            {"rewardId": "lounge", "costPoints": "10"},
        ],
        "conversion": {
            "points": "100",
            "amountMinor": "100",
            "unitPoints": "100",
            "minimumPoints": "200",
            "shareMaxPpm": 1000000,
        },
        **changes,
    }


@dataclass
class Answers:
    """What the two servers answer, and what they were asked."""

    card: dict[str, Any] = field(default_factory=card)
    card_status: int = 200
    token_status: int = 200
    expires_in_s: int = 300
    token: str = "first"
    member_id: str = MEMBER
    good_token: str = ""
    """When set, the gateway takes this token alone."""
    element: str = 'basket-minor="10000"'
    page: str = '<html lang="en">'
    asked: list[dict[str, Any]] = field(default_factory=list)
    tokens_sold: int = 0


@dataclass(frozen=True)
class Place:
    """Both servers of a test."""

    shop: str
    gateway: str
    answers: Answers


class _Quiet(BaseHTTPRequestHandler):
    answers: Answers
    gateway: str

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def put(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class _Shop(_Quiet):
    def do_GET(self) -> None:
        answers = self.answers
        if self.path == "/token":
            answers.tokens_sold += 1
            sold = {
                "token": answers.token,
                "member_id": answers.member_id,
                "expires_in_s": answers.expires_in_s,
            }
            self.put(answers.token_status, json.dumps(sold).encode(), "application/json")
        elif self.path == "/":
            policy = POLICY.format(gateway=self.gateway)
            self.put(200, self.page().encode(), "text/html; charset=utf-8", content_security_policy=policy)
        elif self.path == "/note.js":
            script = "window.heard=[];addEventListener('tallystick-change',e=>heard.push(e.detail))"
            self.put(200, script.encode(), "text/javascript")
        else:
            self.put(404, b"", "text/plain")

    def page(self) -> str:
        script = f"{self.gateway}{WIDGET_ROUTE}{WIDGET_NAME}"
        return (
            f"<!doctype html>{self.answers.page}<meta name=viewport content='width=device-width'>"
            "<meta name=color-scheme content='light dark'><title>Basket</title><script src=note.js></script>"
            f"<script type=module src={script}></script><main><h1>Basket</h1><tallystick-rewards "
            f"gateway={self.gateway} token-url=/token {self.answers.element}><a href=/in>Sign in</a>"
            "</tallystick-rewards></main></html>"
        )


class _Gateway(_Quiet):
    def do_GET(self) -> None:
        if self.path == WIDGET_ROUTE + WIDGET_NAME:
            body = WIDGET_FILE.read_bytes()
            self.put(200, body, "text/javascript", access_control_allow_origin="*")
        else:
            self.put(404, b"", "text/plain")

    def do_OPTIONS(self) -> None:
        self.put(
            204,
            b"",
            "text/plain",
            access_control_allow_origin="*",
            access_control_allow_headers="authorization, content-type, connect-timeout-ms",
            access_control_allow_methods="POST",
        )

    def do_POST(self) -> None:
        answers = self.answers
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        token = self.headers["authorization"]
        answers.asked.append({"path": self.path, "token": token, **body})
        is_good = not answers.good_token or token == f"Bearer {answers.good_token}"
        status = answers.card_status if is_good else 401
        said = {"card": answers.card} if status == 200 else {"code": "unauthenticated"}
        self.put(status, json.dumps(said).encode(), "application/json", access_control_allow_origin="*")


@contextmanager
def open_place() -> Iterator[Place]:
    """Both servers, on free ports of this machine."""
    answers = Answers()
    with _serving(_Gateway, answers, "") as gateway, _serving(_Shop, answers, gateway) as shop:
        yield Place(shop, gateway, answers)


@contextmanager
def open_shop(gateway: str, answers: Answers) -> Iterator[str]:
    """A shop alone, before a gateway that is somewhere else."""
    with _serving(_Shop, answers, gateway) as shop:
        yield shop


@contextmanager
def _serving(kind: type[_Quiet], answers: Answers, gateway: str) -> Iterator[str]:
    handler = type("Handler", (kind,), {"answers": answers, "gateway": gateway})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
