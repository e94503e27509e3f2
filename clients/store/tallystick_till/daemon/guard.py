"""The door of the local API: only this machine, only our own page, only small JSON bodies.

Any web page that a cashier opens can send requests to 127.0.0.1. A page of another origin shows itself by its Origin
or Sec-Fetch-Site header, and by the Host header when its name was pointed at this machine (DNS rebinding).
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick_till.config import LOOPBACK
from tallystick_till.daemon.errors import (
    BAD_REQUEST,
    FORBIDDEN,
    MISDIRECTED,
    TOO_LARGE,
    WRONG_TYPE,
    ApiError,
)

BODY_BYTES_MAX: Final = 262_144
BODY_WAIT_S: Final = 10.0
WRITING: Final = frozenset({"POST", "PUT", "DELETE", "PATCH"})
OWN_SITES: Final = frozenset({"same-origin", "none"})

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; "
        "media-src 'self' blob:; worker-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=()",
}


class Guard:
    """ASGI middleware in front of everything; ``port`` is where we listen."""

    def __init__(self, app: ASGIApp, *, port: int) -> None:
        self._app = app
        self._hosts = frozenset(f"{name}:{port}" for name in LOOPBACK)
        self._origins = frozenset(f"http://{host}" for host in self._hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # Lifespan is of no interest to anybody here, and there are no web sockets.
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        try:
            headers = Headers(scope=scope)
            self._check_caller(headers)
            if scope["method"] in WRITING:
                _check_type(headers)
                receive = _replay(await _whole_body(headers, receive), receive)
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_caller(self, headers: Headers) -> None:
        if headers.get("host", "") not in self._hosts:
            raise ApiError(
                MISDIRECTED,
                "HOST_REFUSED",
                f"This till answers at {' and '.join(sorted(self._hosts))} only.",
            )
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "none")
        if (origin is not None and origin not in self._origins) or site not in OWN_SITES:
            raise ApiError(
                FORBIDDEN,
                "ORIGIN_REFUSED",
                "Pages of another origin may not use this till; call it from a program, without an Origin header.",
            )


def _check_type(headers: Headers) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(WRONG_TYPE, "NOT_JSON", "Send the header content-type: application/json.")


async def _whole_body(headers: Headers, receive: Receive) -> bytes:
    told = headers.get("content-length", "")
    if told.isdigit() and int(told) > BODY_BYTES_MAX:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ApiError(BAD_REQUEST, "CUT_OFF", "The request ended before its body did.")
                body += message.get("body", b"")
                if len(body) > BODY_BYTES_MAX:
                    raise _too_large()
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise ApiError(BAD_REQUEST, "CUT_OFF", f"The body did not come within {BODY_WAIT_S:g} s.") from None


def _too_large() -> ApiError:
    return ApiError(TOO_LARGE, "BODY_TOO_LARGE", f"A body has at most {BODY_BYTES_MAX} bytes.")


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def next_message() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return next_message


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return send_with_headers
