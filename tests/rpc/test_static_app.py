"""The card app's files: what is answered, how long it is kept, and that nothing else is ever read."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.ids import ProgramId
from tallystick.rpc import static_app
from tallystick.rpc.static_app import BadBuild, CardApp, read_app
from tallystick.service.errors import NotFound

SCRIPT = b"console.log('card');" * 100
PAGE = b"<!doctype html><title>Card</title>"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built = tmp_path / "card_app"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_bytes(PAGE)
    (built / "sw.js").write_bytes(b"self.skipWaiting();")
    (built / "assets" / "index-BX4f_9-a.js").write_bytes(SCRIPT)
    (built / "manifest.webmanifest").write_text(json.dumps({"name": "Tallystick", "short_name": "Card"}))
    (built / ".stamp").write_text("digest")
    (tmp_path / "secret.html").write_text("a key")
    return built


async def title_of(program_id: ProgramId) -> str:
    if program_id == "unknown":
        raise NotFound("There is no such program.", reason="PROGRAM_NOT_FOUND")
    return {"club": "Corner Club", "long": "A name that is much too long for an icon"}[program_id]


@pytest.fixture
def app(folder: Path) -> CardApp:
    return CardApp(read_app(folder), title_of=title_of)


def ask(app: CardApp, path: str, method: str = "GET", *, query: bytes = b"", **headers: str) -> Answer:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("a file is answered without reading the body")

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": raw}
    asyncio.run(app(scope, receive, send))
    start, body = sent
    named = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], named, body["body"])


def test_each_program_has_the_page_under_its_own_path(app: CardApp) -> None:
    for program in ("club", "A.b_c-9"):
        answer = ask(app, f"/card/{program}/")
        assert (answer.status, answer.body) == (200, PAGE)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_a_path_without_its_last_slash_is_sent_on_with_what_the_link_brought(app: CardApp) -> None:
    answer = ask(app, "/card/club", query=b"claim=ABC&ref=X")
    assert answer.status == 308
    assert answer.headers["location"] == "/card/club/?claim=ABC&ref=X"


def test_only_files_with_a_digest_in_their_name_are_kept_without_asking(app: CardApp) -> None:
    kept = {
        name: ask(app, f"/card/club/{name}").headers["cache-control"]
        for name in ("", "index.html", "sw.js", "manifest.webmanifest", "assets/index-BX4f_9-a.js")
    }
    assert kept.pop("assets/index-BX4f_9-a.js") == "public, max-age=31536000, immutable"
    assert set(kept.values()) == {"no-cache"}


def test_what_the_browser_has_already_is_not_sent_again(app: CardApp) -> None:
    first = ask(app, "/card/club/")
    again = ask(app, "/card/club/", if_none_match=f'"other", {first.headers["etag"]}')
    assert (again.status, again.body) == (304, b"")
    assert "content-length" not in again.headers
    assert ask(app, "/card/club/", if_none_match='W/"other"').status == 200


def test_large_files_are_sent_packed_to_those_who_unpack(app: CardApp) -> None:
    path = "/card/club/assets/index-BX4f_9-a.js"
    packed = ask(app, path, accept_encoding="br, gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == SCRIPT
    assert len(packed.body) == int(packed.headers["content-length"]) < len(SCRIPT)
    plain = ask(app, path)
    assert plain.body == SCRIPT
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"


def test_every_answer_keeps_the_page_to_its_own_origin(app: CardApp) -> None:
    for path in ("/card/club/", "/card/club/none", "/card/club", "/card/"):
        headers = ask(app, path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/card/",
        "/card//",
        "/card/../secret.html",
        "/card/club/../secret.html",
        "/card/club/../../secret.html",
        "/card/club//etc/passwd",
        "/card/club/assets/../../secret.html",
        "/card/club/assets\\..\\..\\secret.html",
        "/card/club/%2e%2e/secret.html",
        "/card/club/.stamp",
        "/card/club/assets/",
        "/card/club/index.html/",
        "/card/club/index.html\x00.js",
        "/card/.club/",
        "/card/cl\r\nub",
        "/card/" + "a" * 65 + "/",
    ],
)
def test_a_path_that_is_no_file_of_the_build_is_not_found(app: CardApp, path: str) -> None:
    answer = ask(app, path)
    assert answer.status == 404
    assert b"key" not in answer.body
    assert "location" not in answer.headers


def test_the_service_worker_may_serve_its_own_path_and_no_more(app: CardApp) -> None:
    assert ask(app, "/card/club/sw.js").headers["service-worker-allowed"] == "./"
    assert "service-worker-allowed" not in ask(app, "/card/club/").headers


def test_the_card_is_installed_under_the_programs_name(app: CardApp) -> None:
    answer = ask(app, "/card/club/manifest.webmanifest")
    assert answer.headers["content-type"] == "application/manifest+json"
    assert json.loads(answer.body) == {"name": "Corner Club", "short_name": "Corner Club"}
    long = json.loads(ask(app, "/card/long/manifest.webmanifest").body)
    assert long == {"name": "A name that is much too long for an icon", "short_name": "Card"}


def test_a_program_that_nobody_knows_has_the_general_manifest(app: CardApp) -> None:
    assert json.loads(ask(app, "/card/unknown/manifest.webmanifest").body)["name"] == "Tallystick"


def test_head_answers_as_get_without_the_body(app: CardApp) -> None:
    head, get = ask(app, "/card/club/", "HEAD"), ask(app, "/card/club/")
    assert head.body == b""
    assert head.headers == get.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_files_are_only_read(app: CardApp, method: str) -> None:
    answer = ask(app, "/card/club/", method)
    assert (answer.status, answer.headers["allow"], answer.body) == (405, "GET, HEAD", b"")


def test_a_card_that_was_not_built_says_what_to_do(tmp_path: Path) -> None:
    answer = ask(CardApp(read_app(tmp_path / "none"), title_of=title_of), "/card/club/")
    assert answer.status == 503
    assert b"python -m tools.web build" in answer.body
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_a_folder_that_holds_too_much_is_not_served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_app, "FILES_MAX", 3)
    with pytest.raises(BadBuild, match="4 files, more than 3"):
        read_app(folder)
    monkeypatch.setattr(static_app, "FILES_MAX", 4)
    monkeypatch.setattr(static_app, "FILE_BYTES_MAX", len(SCRIPT) - 1)
    with pytest.raises(BadBuild, match="larger than"):
        read_app(folder)
