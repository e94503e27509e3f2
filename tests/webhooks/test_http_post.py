"""One POST to somebody else's server: what it says, how long it may take, and where it never goes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import h11
import pytest

from tallystick.events import http_post
from tallystick.events.http_post import HttpPost, NotSent
from tests.rpc.certificates import Authority
from tests.webhooks.receiver import Receiver


def post(url: str, *, private: bool = True, timeout_s: float = 1.0, tls: ssl.SSLContext | None = None) -> int:
    sender = HttpPost(private=private, tls=tls, timeout_s=timeout_s)
    return asyncio.run(sender.post(url, {"webhook-id": "evt_1"}, b'{"a":1}'))


def why(url: str, **more: Any) -> str:
    with pytest.raises(NotSent) as refused:
        post(url, **more)
    return str(refused.value)


@contextmanager
def raw_server(answer: bytes, *, close: bool = True) -> Iterator[str]:
    """A server that reads a request, writes bytes and closes, or waits."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        done = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                try:
                    connection.sendall(answer)
                    if not close:
                        done.wait(10)
                except OSError:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        done.set()
        thread.join(10)


def test_a_message_arrives_as_it_was_sent(receiver: Receiver) -> None:
    assert post(receiver.url) == 204
    (got,) = receiver.all
    assert (got.path, got.body) == ("/hook?a=b", b'{"a":1}')
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == "evt_1"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("status", [200, 301, 302, 307, 404, 410, 500])
def test_an_answer_is_its_status_and_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _: status
    receiver.headers = {"location": receiver.url}
    assert post(receiver.url) == status
    assert len(receiver.all) == 1


def test_a_server_that_hangs_is_left_after_the_timeout(receiver: Receiver) -> None:
    receiver.answer = receiver.hang
    began = time.monotonic()
    assert why(receiver.url, timeout_s=0.3) == "timeout"
    assert time.monotonic() - began < 3


def test_an_answer_that_never_ends_counts_by_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_post, "DRAIN_S", 0.2)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"
    with raw_server(head + b"x" * 100, close=False) as url:
        assert post(url) == 200


def test_no_more_than_a_little_of_an_answer_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0
    receive = h11.Connection.receive_data

    def count(self: Any, data: bytes) -> None:
        nonlocal taken
        taken += len(data)
        receive(self, data)

    monkeypatch.setattr(h11.Connection, "receive_data", count)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 20000000\r\n\r\n"
    with raw_server(head + b"x" * 20_000_000) as url:
        assert post(url, timeout_s=10) == 200
    assert taken < http_post.ANSWER_BYTES_MAX + 32_768


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"", "no answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 40_000, "no HTTP"),
    ],
)
def test_what_is_no_answer_is_named(answer: bytes, word: str) -> None:
    with raw_server(answer) as url:
        assert why(url) == word


def test_a_port_where_nobody_listens_is_named() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    assert why(f"http://127.0.0.1:{port}/") == "no connection"


@pytest.mark.parametrize(
    "url",
    ["https://10.0.0.7/", "http://127.0.0.1:{port}/", "http://[::1]:{port}/", "https://169.254.169.254/"],
)
def test_nothing_goes_to_an_address_that_is_not_public(receiver: Receiver, url: str) -> None:
    assert why(url.format(port=receiver.port), private=False) == "address not public"
    assert receiver.all == []


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"]])
def test_a_name_that_leads_inside_is_noticed_when_the_message_is_sent(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    async def lookup(_loop: Any, host: str, port: int, **_: Any) -> Any:
        assert host == "rebound.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lookup)
    assert why(f"http://rebound.example:{receiver.port}/", private=False) == "address not public"
    assert receiver.all == []


def test_the_address_that_was_looked_at_is_the_one_that_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def lookup(_loop: Any, host: str, port: int, **_: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lookup)
    assert post(f"http://name.example:{receiver.port}/") == 204
    assert asked.count("name.example") == 1
    assert receiver.all[0].headers["host"] == f"name.example:{receiver.port}"


def test_a_name_that_nobody_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lookup(*_: Any, **__: Any) -> Any:
        raise socket.gaierror

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lookup)
    assert why("https://nobody.example/") == "name not found"


@contextmanager
def tls_server(receiver: Receiver, certificate: Path, key: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = receiver._server
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield f"https://localhost:{receiver.port}/"


def test_a_certificate_must_be_trusted_and_must_be_of_the_name(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    certificate, key = authority.issue("localhost").write(tmp_path)
    trusting = ssl.create_default_context(cadata=authority.certificate.decode())

    async def lookup(_loop: Any, _host: str, port: int, **_: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lookup)
    with tls_server(receiver, certificate, key) as url:
        assert post(url, tls=trusting, timeout_s=5) == 204
        assert why(url, timeout_s=5) == "certificate not trusted"
        assert (
            why(url.replace("localhost", "other.example"), tls=trusting, timeout_s=5)
            == "certificate not trusted"
        )
    assert len(receiver.taken) == 1


def test_a_server_without_tls_is_named(receiver: Receiver) -> None:
    assert why(f"https://127.0.0.1:{receiver.port}/") in ("no TLS", "no connection")
