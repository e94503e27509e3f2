"""The web service that phones ask for passes (Apple: "Adding a Web Service to Update Passes"): five calls under
``/wallet/apple/PROGRAM/v1/``, as an ASGI application.

A pass's secret is what counts: it opens its own pass in its own program and nothing else. Neither secrets nor serial
numbers nor push tokens are ever logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs

from tallystick.cards.apple import MIME, ROUTE, ApplePasses
from tallystick.cards.refused import PassRefused
from tallystick.core.ids import ProgramId
from tallystick.core.record import record
from tallystick.service.errors import Overloaded, StoreUnavailable, TallystickError
from tallystick.service.reads import ReadPool
from tallystick.service.wallet_store import Registered, WalletPass
from tallystick.service.wallets import Wallets

BODY_BYTES_MAX = 16_384
BODY_TIMEOUT_S = 10.0
TOKEN_CHARS_MAX = 128
NAME_CHARS_MAX = 128
PUSH_TOKEN_CHARS_MAX = 256
LOG_LINES_PER_S_MAX = 10
LOG_LINE_CHARS_MAX = 200
TAG_DIGITS_MAX = 18

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = logging.getLogger("tallystick.wallet")

_PROGRAM = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{NAME_CHARS_MAX}}}")
_PUSH_TOKEN = re.compile(rf"[0-9A-Fa-f]{{1,{PUSH_TOKEN_CHARS_MAX}}}")
_SECRETIVE = re.compile(r"[A-Za-z0-9+/=_-]{16,}")
_SCHEME = "ApplePass "


@record(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@record(frozen=True, slots=True)
class Ask:
    """One call: what is behind ``/v1/`` in the path, the program before it, the query, the headers, the body."""

    method: str
    program_id: ProgramId
    path: tuple[str, ...]
    query: str
    headers: dict[str, str]
    body: bytes


class AppleService:
    """Answers the five calls."""

    def __init__(self, wallets: Wallets, passes: ApplePasses, pool: ReadPool) -> None:
        self._wallets = wallets
        self._passes = passes
        self._pool = pool
        self._log_second = 0
        self._log_lines = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await _body(receive)
        except TimeoutError:
            body = None
        if body is None:
            answer = Answer(413)
        else:
            answer = await self._answer(scope, body)
        headers = {"cache-control": "no-store", "content-length": str(len(answer.body)), **answer.headers}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, body: bytes) -> Answer:
        program, _, rest = scope["path"].removeprefix(ROUTE).partition("/")
        version, *path = rest.split("/")
        if not _PROGRAM.fullmatch(program) or version != "v1":
            return Answer(404)
        ask = Ask(
            scope["method"],
            ProgramId(program),
            tuple(path),
            scope["query_string"].decode("latin-1"),
            {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            body,
        )
        try:
            return await self._routed(ask)
        except (Overloaded, StoreUnavailable) as error:
            log.warning("a wallet was sent away", extra={"reason": error.reason})
            return Answer(503, {"retry-after": "30"})
        except (TallystickError, PassRefused):
            log.exception("a pass could not be made")
            return Answer(500)

    async def _routed(self, ask: Ask) -> Answer:
        match ask.path:
            case ("devices", device_id, "registrations", pass_type, serial):
                return await self._registration(ask, device_id, pass_type, serial)
            case ("devices", device_id, "registrations", pass_type):
                return await self._changes(ask, device_id, pass_type)
            case ("passes", pass_type, serial):
                return await self._pass(ask, pass_type, serial)
            case ("log",):
                return self._logged(ask)
            case _:
                return Answer(404)

    async def _registration(self, ask: Ask, device_id: str, pass_type: str, serial: str) -> Answer:
        if ask.method not in ("POST", "DELETE"):
            return Answer(405, {"allow": "POST, DELETE"})
        found = await self._proven(ask, pass_type, serial)
        if found is None or not _NAME.fullmatch(device_id):
            return _UNAUTHORIZED
        if ask.method == "DELETE":
            await self._pool.run(self._wallets.unregister, ask.program_id, found, device_id=device_id)
            return Answer(200)
        push_token = _push_token(ask.body)
        if push_token is None:
            return Answer(400)
        became = await self._pool.run(
            self._wallets.register, ask.program_id, found, device_id=device_id, push_token=push_token
        )
        return Answer({Registered.NEW: 201, Registered.KNOWN: 200, Registered.TOO_MANY: 429}[became])

    async def _changes(self, ask: Ask, device_id: str, pass_type: str) -> Answer:
        if ask.method != "GET":
            return Answer(405, {"allow": "GET"})
        if pass_type != self._passes.pass_type or not _NAME.fullmatch(device_id):
            return Answer(204)
        since = parse_qs(ask.query, max_num_fields=8).get("passesUpdatedSince", [""])[0]
        # A tag that is not ours tells nothing: all passes are named, and a tag of ours with them.
        known = since.isascii() and since.isdecimal() and len(since) <= TAG_DIGITS_MAX
        found = await self._pool.run(
            self._wallets.changed, ask.program_id, device_id, after_tag=int(since) if known else -1
        )
        if not found:
            return Answer(204)
        named = {"serialNumbers": [one.serial for one in found], "lastUpdated": str(found[-1].tag)}
        return Answer(200, {"content-type": "application/json"}, json.dumps(named).encode())

    async def _pass(self, ask: Ask, pass_type: str, serial: str) -> Answer:
        if ask.method != "GET":
            return Answer(405, {"allow": "GET"})
        found = await self._proven(ask, pass_type, serial)
        if found is None:
            return _UNAUTHORIZED
        headers = {
            "last-modified": format_datetime(datetime.fromtimestamp(found.changed_s, UTC), usegmt=True)
        }
        if _seconds(ask.headers.get("if-modified-since", "")) >= found.changed_s:
            return Answer(304, headers)
        token = ask.headers["authorization"].removeprefix(_SCHEME)
        bundle = await self._pool.run(self._passes.bundle, ask.program_id, found, token)
        return Answer(200, {"content-type": MIME, **headers}, bundle.data)

    async def _proven(self, ask: Ask, pass_type: str, serial: str) -> WalletPass | None:
        """The pass whose secret the call shows; None also for another pass, pass type or program."""
        given = ask.headers.get("authorization", "")
        token = given.removeprefix(_SCHEME)
        if not given.startswith(_SCHEME) or len(token) > TOKEN_CHARS_MAX or not _NAME.fullmatch(serial):
            return None
        found = await self._pool.run(self._wallets.of_token, ask.program_id, serial, token)
        return found if pass_type == self._passes.pass_type else None

    def _logged(self, ask: Ask) -> Answer:
        """Phones report what went wrong; anybody may call this, so little of it is believed, or written down."""
        if ask.method != "POST":
            return Answer(405, {"allow": "POST"})
        try:
            lines = json.loads(ask.body)["logs"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return Answer(400)
        for line in lines if isinstance(lines, list) else []:
            second = int(time.monotonic())
            if second != self._log_second:
                self._log_second, self._log_lines = second, 0
            if self._log_lines >= LOG_LINES_PER_S_MAX:
                break
            self._log_lines += 1
            log.info("a phone reports", extra={"line": _harmless(str(line))})
        return Answer(200)


_UNAUTHORIZED = Answer(401)


async def _body(receive: Receive) -> bytes | None:
    """The body of a call; None when it is too long or the caller is gone."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += bytes(message.get("body", b""))
        if len(body) > BODY_BYTES_MAX:
            return None
        if not message.get("more_body", False):
            return body


def _push_token(body: bytes) -> str | None:
    try:
        token = json.loads(body)["pushToken"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return token if isinstance(token, str) and _PUSH_TOKEN.fullmatch(token) else None


def _seconds(http_date: str) -> int:
    """The instant of an HTTP date in seconds; before everything when there is none."""
    try:
        return int(parsedate_to_datetime(http_date).timestamp())
    except (ValueError, TypeError, OverflowError):
        return -1


def _harmless(line: str) -> str:
    """A reported line without control characters, and without anything that may be a secret."""
    printable = "".join(char if char.isprintable() else " " for char in line[: 4 * LOG_LINE_CHARS_MAX])
    return _SECRETIVE.sub("***", printable)[:LOG_LINE_CHARS_MAX]
