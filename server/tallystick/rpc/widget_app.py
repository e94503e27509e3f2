"""The element for webshops as one file: `/widget/tallystick-rewards.js`, for the pages of any origin."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from tallystick.rpc.connect_server import Headers, Scope
from tallystick.rpc.connect_stream import Receive, Send

WIDGET_ROUTE = "/widget/"
WIDGET_NAME = "tallystick-rewards.js"
WIDGET_FILE = Path(__file__).parent.parent / "widget" / WIDGET_NAME
MAX_AGE_S = 300

_ALWAYS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"x-content-type-options", b"nosniff"),
]


class WidgetApp:
    """Serves the element as an ASGI application; a gateway whose screens were never built says so.

    Its address never changes, so browsers keep it for ``MAX_AGE_S`` seconds and then ask whether it is another one.
    """

    def __init__(self, file: Path = WIDGET_FILE) -> None:
        self._body = file.read_bytes() if file.is_file() else b""
        self._packed = gzip.compress(self._body, 9, mtime=0)
        digest = hashlib.sha256(self._body).hexdigest()[:32]
        self._tags = {False: f'"{digest}"'.encode(), True: f'"{digest}-gzip"'.encode()}

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        method: str = scope["method"]
        if method not in {"GET", "HEAD"}:
            await _answer(send, 405, [(b"allow", b"GET, HEAD")])
        elif scope["path"] != WIDGET_ROUTE + WIDGET_NAME:
            await _answer(send, 404)
        elif not self._body:
            await _answer(send, 404, _TEXT, b"the element was not built: run `make web` and start again\n")
        else:
            await self._serve(dict(scope["headers"]), send, is_head=method == "HEAD")

    async def _serve(self, asked: dict[bytes, bytes], send: Send, *, is_head: bool) -> None:
        is_packed = b"gzip" in asked.get(b"accept-encoding", b"")
        tag = self._tags[is_packed]
        headers: Headers = [
            (b"etag", tag),
            (b"cache-control", f"public, max-age={MAX_AGE_S}".encode()),
            (b"vary", b"accept-encoding"),
        ]
        known = asked.get(b"if-none-match", b"")
        if known == b"*" or tag in (each.strip().removeprefix(b"W/") for each in known.split(b",")):
            await _answer(send, 304, headers)
            return
        body = self._packed if is_packed else self._body
        headers += [
            (b"content-type", b"text/javascript; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
        ]
        if is_packed:
            headers.append((b"content-encoding", b"gzip"))
        await _answer(send, 200, headers, b"" if is_head else body)


_TEXT: Headers = [(b"content-type", b"text/plain; charset=utf-8")]


async def _answer(send: Send, status: int, headers: Headers | None = None, body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*_ALWAYS, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
