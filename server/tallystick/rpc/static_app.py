"""The card app's files, served to phones under ``/card/PROGRAM/``: one build for every program.

All files are read when the server starts and answered from memory, so that no path from outside reaches the disk.
Names with a digest of their content are kept by browsers for a year, everything else is asked for again each time and
mostly answered with 304. The page may load and call its own origin, and nothing else.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from tallystick.core.ids import ProgramId
from tallystick.core.record import record
from tallystick.rpc.connect_server import Headers, Scope
from tallystick.rpc.connect_stream import Receive, Send
from tallystick.service.errors import TallystickError

ROUTE = "/card/"
BUILT = Path(__file__).resolve().parent.parent / "card_app"

FILES_MAX = 100
FILE_BYTES_MAX = 1_000_000
GZIP_FROM_BYTES = 500
SHORT_NAME_CHARS = 12
"""What fits under an icon on a home screen."""

POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
    "worker-src 'self'"
)

TitleOf = Callable[[ProgramId], Awaitable[str]]
"""Answers a program's name as people know it; raises `TallystickError` when there is no such program."""

_PAGE, _WORKER, _MANIFEST = "index.html", "sw.js", "manifest.webmanifest"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
_PACKED = frozenset({".html", ".js", ".css", ".svg"})
_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST_IN_NAME = re.compile(r"assets/[^/]+-[A-Za-z0-9_-]{8}\.[a-z]+")
_SECURITY: Headers = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    # A link may carry the secret of a claim.
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
_NOT_BUILT = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>The card is not built</title>
<h1>The card is not built</h1>
<p>This gateway runs from a source tree in which the card app was never built. Run <code>make</code> there, or
<code>python -m tools.web build</code>, and start the gateway again.</p>
"""


@record(frozen=True, slots=True)
class File:
    """One file as it is sent; ``packed`` is empty where gzip does not pay."""

    content_type: str
    body: bytes
    packed: bytes
    etag: str
    kept_for_ever: bool


class BadBuild(Exception):
    """The folder holds what the card's build never makes; the text names it."""


def read_app(folder: Path) -> Mapping[str, File]:
    """Return the files of a built card by their path in it; nothing when it is not built. Raises `BadBuild`."""
    if not (folder / _PAGE).is_file():
        return MappingProxyType({})
    names = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in _TYPES)
    if len(names) > FILES_MAX:
        raise BadBuild(f"{folder} holds {len(names)} files, more than {FILES_MAX}: build the card again")
    return MappingProxyType({path.relative_to(folder).as_posix(): _read(folder, path) for path in names})


def _read(folder: Path, path: Path) -> File:
    if path.stat().st_size > FILE_BYTES_MAX:
        raise BadBuild(f"{path} is larger than {FILE_BYTES_MAX} bytes: build the card again")
    name = path.relative_to(folder).as_posix()
    return _file(path.read_bytes(), path.suffix, kept_for_ever=_DIGEST_IN_NAME.fullmatch(name) is not None)


def _file(body: bytes, suffix: str, *, kept_for_ever: bool = False) -> File:
    packs = suffix in _PACKED and len(body) >= GZIP_FROM_BYTES
    packed = gzip.compress(body, 9, mtime=0) if packs else b""
    # Weak: packed or not, it is the same file.
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
    return File(_TYPES[suffix], body, packed, etag, kept_for_ever)


class CardApp:
    """The ASGI application. ``title_of`` names the program on home screens."""

    def __init__(self, files: Mapping[str, File], *, title_of: TitleOf) -> None:
        self._files = files
        self._title_of = title_of

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        status, headers, body = await self._answer(scope)
        headers = [*headers, *_SECURITY]
        if status != 304:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        sent = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": sent, "more_body": False})

    async def _answer(self, scope: Scope) -> tuple[int, Headers, bytes]:
        if scope["method"] not in ("GET", "HEAD"):
            return 405, [(b"allow", b"GET, HEAD")], b""
        program, slash, name = scope["path"].removeprefix(ROUTE).partition("/")
        if not _PROGRAM.fullmatch(program):
            return _missing()
        if not self._files:
            return 503, [*_type(_TYPES[".html"]), (b"cache-control", b"no-store")], _NOT_BUILT
        if not slash:
            query = b"?" + scope["query_string"] if scope["query_string"] else b""
            return 308, [(b"location", ROUTE.encode() + quote(program).encode() + b"/" + query)], b""
        found = self._files.get(name or _PAGE)
        if found is None:
            return _missing()
        if name == _MANIFEST:
            found = await self._named(found, ProgramId(program))
        return _sent(found, dict(scope["headers"]), worker=name == _WORKER)

    async def _named(self, manifest: File, program_id: ProgramId) -> File:
        """Return the manifest with the program's name, which is what the icon on a home screen bears."""
        try:
            title = await self._title_of(program_id)
        except TallystickError:
            # Without the store, or for no program at all, a card can be installed no worse than any other page.
            return manifest
        value = json.loads(manifest.body) | {"name": title}
        if len(title) <= SHORT_NAME_CHARS:
            value["short_name"] = title
        return _file(json.dumps(value, ensure_ascii=False).encode(), ".webmanifest")


def _sent(file: File, headers: Mapping[bytes, bytes], *, worker: bool) -> tuple[int, Headers, bytes]:
    kept = b"public, max-age=31536000, immutable" if file.kept_for_ever else b"no-cache"
    answer: Headers = [(b"etag", file.etag.encode()), (b"cache-control", kept), (b"vary", b"Accept-Encoding")]
    if worker:
        # Its scope is the program's own path, and never more.
        answer.append((b"service-worker-allowed", b"./"))
    known = headers.get(b"if-none-match", b"").decode("latin-1")
    if file.etag in (part.strip() for part in known.split(",")):
        return 304, answer, b""
    answer += _type(file.content_type)
    if file.packed and b"gzip" in headers.get(b"accept-encoding", b""):
        return 200, [*answer, (b"content-encoding", b"gzip")], file.packed
    return 200, answer, file.body


def _type(content_type: str) -> Headers:
    return [(b"content-type", content_type.encode())]


def _missing() -> tuple[int, Headers, bytes]:
    return (
        404,
        [*_type("text/plain; charset=utf-8"), (b"cache-control", b"no-store")],
        b"There is no such page.\n",
    )
