"""The door of the local API: who may come in, and with what."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tallystick_till.daemon.guard import BODY_BYTES_MAX
from tests.daemon.served import Served, served


@pytest.mark.parametrize(
    "host", ["till.evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", ""]
)
def test_a_name_that_was_pointed_at_this_machine_is_sent_away(door: Served, host: str) -> None:
    answer = door.call("GET", "/api/v1/state", headers={"host": host})
    assert (answer.status, answer.reason) == (421, "HOST_REFUSED")


def test_the_machine_answers_to_localhost_as_well(door: Served) -> None:
    assert door.call("GET", "/api/v1/state", headers={"host": f"localhost:{door.port}"}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_page_of_the_same_browser_may_not_sell(door: Served, headers: dict[str, str]) -> None:
    answer = door.call("POST", "/api/v1/undo", {"sale_id": "x"}, headers=headers)
    assert (answer.status, answer.reason) == (403, "ORIGIN_REFUSED")


def test_our_own_page_may(door: Served) -> None:
    headers = {"origin": f"http://127.0.0.1:{door.port}", "sec-fetch-site": "same-origin"}
    assert door.call("POST", "/api/v1/identify", {"scan": "card"}, headers=headers).status == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_form_of_a_page_could_send_is_refused(door: Served, kind: str) -> None:
    answer = door.call("POST", "/api/v1/identify", {"scan": "card"}, headers={"content-type": kind})
    assert (answer.status, answer.reason) == (415, "NOT_JSON")


def test_json_with_a_charset_is_json(door: Served) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    assert door.call("POST", "/api/v1/identify", {"scan": "card"}, headers=headers).status == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_read(door: Served) -> None:
    head = (
        f"POST /api/v1/identify HTTP/1.1\r\nhost: 127.0.0.1:{door.port}\r\n"
        f"content-type: application/json\r\ncontent-length: {BODY_BYTES_MAX + 1}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", door.port), timeout=5) as line:
        line.sendall(head.encode())
        assert b" 413 " in line.recv(1000)


def test_a_body_that_does_not_say_how_large_it_is_is_cut_as_well(door: Served) -> None:
    head = (
        f"POST /api/v1/identify HTTP/1.1\r\nhost: 127.0.0.1:{door.port}\r\n"
        "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", door.port), timeout=5) as line:
        line.sendall(head.encode() + chunk * (BODY_BYTES_MAX // 0x4000 + 1))
        assert b" 413 " in line.recv(1000)


def test_a_body_of_just_the_limit_is_read(door: Served) -> None:
    raw = b'{"scan": "card"}'.ljust(BODY_BYTES_MAX)
    assert door.call("POST", "/api/v1/identify", raw=raw).status == 200


def test_every_answer_keeps_strangers_and_caches_out(door: Served) -> None:
    for answer in (
        door.get("/state"),
        door.get("/nothing"),
        door.call("GET", "/", headers={"host": "x"}),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'; script-src 'self' 'wasm-unsafe-eval';" in policy
        assert "unsafe-inline" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


@pytest.fixture
def built(tmp_path: Path) -> Path:
    screen = tmp_path / "screen"
    (screen / "assets").mkdir(parents=True)
    (screen / "index.html").write_text("<!doctype html><title>Till</title>")
    (screen / "assets" / "index-Bq3xY_7k.js").write_text("export {}")
    (screen / "assets" / "reader-0a1b2c3d.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret.txt").write_text("secret")
    (screen / "link.txt").symlink_to(tmp_path / "secret.txt")
    return screen


def test_the_screen_is_asked_for_anew_and_its_hashed_files_never_again(built: Path) -> None:
    with served(screen=built) as daemon:
        index, script, wasm = (
            daemon.call("GET", path)
            for path in ("/", "/assets/index-Bq3xY_7k.js", "/assets/reader-0a1b2c3d.wasm")
        )
    assert (index.status, index.headers["cache-control"]) == (200, "no-cache")
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert wasm.headers["content-type"] == "application/wasm"


@pytest.mark.parametrize(
    "path", ["/secret.txt", "/../secret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt", "/link.txt"]
)
def test_nothing_but_the_screens_own_files_can_be_read(built: Path, path: str) -> None:
    with served(screen=built) as daemon:
        assert daemon.call("GET", path).status == 404


def test_without_a_built_screen_the_page_says_where_the_api_is(door: Served) -> None:
    answer = door.call("GET", "/")
    assert answer.status == 404
    assert b"/api/v1/state" in answer.body
