"""A Google Wallet API on this machine: tokens for assertions, classes, objects, and the faults that are asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.cards.discovery import faults

KINDS = {"loyaltyClass": "LoyaltyClass", "loyaltyObject": "LoyaltyObject"}


@dataclass(slots=True)
class GoogleService:
    """What it has taken. ``say`` is a status to answer every call of the API with (0: as it should)."""

    public: rsa.RSAPublicKey
    url: str = ""
    say: int = 0
    tokens: int = 0
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)

    def token(self, body: str) -> tuple[int, dict[str, Any]]:
        given = {name: values[0] for name, values in parse_qs(body).items()}
        if given["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return 400, {"error": "unsupported_grant_type"}
        try:
            jwt.decode(
                given["assertion"],
                self.public,
                ["RS256"],
                audience=f"{self.url}/token",
                options={
                    "require": ["iss", "scope", "aud", "iat", "exp"],
                    # The shop's clock is the test's.
                    "verify_iat": False,
                    "verify_exp": False,
                },
            )
        except jwt.PyJWTError:
            return 400, {"error": "invalid_grant"}
        self.tokens += 1
        return 200, {"access_token": f"token-{self.tokens}", "expires_in": 3599, "token_type": "Bearer"}

    def api(
        self, method: str, path: str, bearer: str, document: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        self.calls.append((method, path, document))
        if self.say:
            return self.say, {"error": {"status": "ASKED_FOR", "message": json.dumps(document)}}
        if bearer != f"Bearer token-{self.tokens}":
            return 401, {"error": {"status": "UNAUTHENTICATED"}}
        kind, _, name = path.removeprefix("/walletobjects/v1/").partition("/")
        if faults(KINDS[kind], document):
            return 400, {"error": {"status": "INVALID_ARGUMENT"}}
        if method == "POST":
            if document["id"] in self.stored:
                return 409, {"error": {"status": "ALREADY_EXISTS"}}
            self.stored[document["id"]] = document
            return 200, document
        if unquote(name) not in self.stored:
            return 404, {"error": {"status": "NOT_FOUND"}}
        self.stored[unquote(name)] |= document
        return 200, document


@contextmanager
def served(service: GoogleService) -> Iterator[GoogleService]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            if self.path == "/token":
                status, answer = service.token(body)
            else:
                bearer = self.headers.get("authorization", "")
                status, answer = service.api(self.command, self.path, bearer, json.loads(body))
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_PATCH = do_POST  # noqa: N815 - the name is http.server's

        def log_message(self, format: str, *args: object) -> None:
            """Tests look at what was taken instead."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
