"""The element for webshops, as a browser of any origin fetches it."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from tallystick.rpc.widget_app import WidgetApp

PATH = "/widget/tallystick-rewards.js"
TEXT = b"export const answer = 42;\n" * 20


@pytest.fixture
def app(tmp_path: Path) -> WidgetApp:
    file = tmp_path / "tallystick-rewards.js"
    file.write_bytes(TEXT)
    return WidgetApp(file)


def ask(
    app: WidgetApp, path: str = PATH, *, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    asyncio.run(app(scope, receive, send))
    start, body = sent
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body["body"]


def test_any_origin_may_load_the_element(app: WidgetApp) -> None:
    status, headers, body = ask(app)
    assert (status, body) == (200, TEXT)
    assert headers["access-control-allow-origin"] == "*"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-length"] == str(len(TEXT))


def test_a_browser_that_takes_gzip_gets_it(app: WidgetApp) -> None:
    status, headers, body = ask(app, accept_encoding="br, gzip")
    assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "accept-encoding")
    assert gzip.decompress(body) == TEXT
    assert headers["content-length"] == str(len(body))


def test_a_browser_keeps_the_element_for_a_while_and_then_asks_whether_it_is_another(app: WidgetApp) -> None:
    _, first, _ = ask(app)
    assert first["cache-control"] == "public, max-age=300"
    status, again, body = ask(app, if_none_match=f'"other", W/{first["etag"]}')
    assert (status, body, again["etag"]) == (304, b"", first["etag"])
    assert again["access-control-allow-origin"] == "*"
    assert ask(app, if_none_match='"other"')[0] == 200


def test_the_packed_element_has_a_tag_of_its_own(app: WidgetApp) -> None:
    _, plain, _ = ask(app)
    _, packed, _ = ask(app, accept_encoding="gzip")
    assert plain["etag"] != packed["etag"]
    assert ask(app, accept_encoding="gzip", if_none_match=packed["etag"])[0] == 304


def test_the_head_of_the_element_has_its_length_and_no_body(app: WidgetApp) -> None:
    status, headers, body = ask(app, method="HEAD")
    assert (status, headers["content-length"], body) == (200, str(len(TEXT)), b"")


@pytest.mark.parametrize(
    "path", ["/widget/", "/widget/other.js", "/widget/../../etc/passwd", "/widget/tallystick-rewards.js/"]
)
def test_nothing_else_is_served(app: WidgetApp, path: str) -> None:
    assert ask(app, path)[0] == 404


def test_the_element_is_only_read(app: WidgetApp) -> None:
    status, headers, _ = ask(app, method="POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_a_gateway_whose_element_was_not_built_says_what_to_do(tmp_path: Path) -> None:
    status, _, body = ask(WidgetApp(tmp_path / "missing.js"))
    assert status == 404
    assert b"make web" in body
