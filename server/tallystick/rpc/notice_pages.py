"""The page behind the link in mails: `/notices/PROGRAM/TOKEN`, which ends mails of one kind (RFC 8058).

Looking at it changes nothing, since programs that read mails follow links; a POST does, by the button of the page or by
the mail program's own.
"""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

from tallystick.core.ids import ProgramId
from tallystick.rpc.connect_server import Headers, Scope
from tallystick.rpc.connect_stream import Receive, Send
from tallystick.service.errors import TallystickError
from tallystick.service.notice_texts import surrounding
from tallystick.service.notifications import STOP_ROUTE, Notifications, Stopped
from tallystick.service.reads import ReadPool
from tallystick.words import language_of

BODY_BYTES_MAX = 4_096
TOKEN_CHARS_MAX = 128

_HEADERS: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-robots-tag", b"noindex"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
]
_PAGE = """\
<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ margin: 0; font: 1rem/1.5 system-ui, sans-serif; background: Canvas; color: CanvasText; }}
main {{ max-width: 32rem; margin: 0 auto; padding: 3rem 1.5rem; }}
h1 {{ font-size: 1.25rem; }}
button {{ font: inherit; padding: .75rem 1.25rem; min-height: 2.75rem; }}
</style>
</head>
<body><main><h1>{title}</h1><p>{text}</p>{form}</main></body>
</html>
"""


class NoticePages:
    """Serves the pages as an ASGI application."""

    def __init__(self, notifications: Notifications, pool: ReadPool) -> None:
        self._notifications = notifications
        self._pool = pool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method: str = scope["method"]
        if method not in {"GET", "HEAD", "POST"}:
            await _answer(send, 405, [(b"allow", b"GET, HEAD, POST")])
            return
        language = _language(scope.get("query_string", b""))
        program_id, _, token = scope["path"].removeprefix(STOP_ROUTE).partition("/")
        link = None
        try:
            if 0 < len(token) <= TOKEN_CHARS_MAX:
                link = await self._pool.run(
                    self._notifications.stop_link, ProgramId(program_id), token, language=language
                )
            if link is not None and method == "POST":
                if not await _is_read(receive):
                    await _answer(send, 413)
                    return
                await self._pool.run(self._notifications.stop, link)
        except TallystickError:
            # The mail program, or the person, tries again.
            await _answer(send, 503, [(b"retry-after", b"60")])
            return
        page = _page(link, language, is_done=method == "POST").encode()
        await _answer(send, 200 if link else 404, _HEADERS, b"" if method == "HEAD" else page)


def _page(link: Stopped | None, language: str, *, is_done: bool) -> str:
    def said(key: str) -> str:
        name = link.program_name if link else "Tallystick"
        return escape(surrounding("stopped", key, language=language, program_name=name))

    if link is None:
        return _PAGE.format(language=language, title="Tallystick", text=said("wrong"), form="")
    if is_done:
        return _PAGE.format(language=language, title=said("title"), text=said("done"), form="")
    form = f'<form method="post"><button>{said("button")}</button></form>'
    return _PAGE.format(language=language, title=said("title"), text=said("ask"), form=form)


def _language(query: bytes) -> str:
    asked = parse_qs(query.decode("ascii", "replace")).get("lang", [""])
    return language_of(asked[0])


async def _is_read(receive: Receive) -> bool:
    """Take the body, of which nothing matters; False when it is longer than any that a mail program sends."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if size > BODY_BYTES_MAX or message["type"] != "http.request":
            return False
        if not message.get("more_body", False):
            return True


async def _answer(send: Send, status: int, headers: Headers | None = None, body: bytes = b"") -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*(headers or []), length]})
    await send({"type": "http.response.body", "body": body})
