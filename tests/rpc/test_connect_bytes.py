"""What comes over HTTP/1.1 byte by byte: heads without an end, dawdlers, offers of other protocols, cut bodies."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator

import pytest

from tallystick.rpc import connect_server, http_server
from tests.rpc.connect_client import as_json, ask, balance_edge
from tests.rpc.edge import GET_BALANCE, Edge, LoopThread


@pytest.fixture(scope="module")
def edge(loop: LoopThread) -> Iterator[Edge]:
    yield from balance_edge(loop)


def raw(edge: Edge, *chunks: bytes, pause_s: float = 0.0) -> bytes:
    """What comes back, until the server closes, for bytes that no well-behaved client sends."""
    received = b""
    with socket.create_connection(("127.0.0.1", edge.server.bound.http_port), timeout=10) as connection:
        try:
            for chunk in chunks:
                connection.sendall(chunk)
                time.sleep(pause_s)
            while data := connection.recv(65_536):
                received += data
        except ConnectionError:
            pass
    return received


def test_a_head_that_never_ends_is_cut_off(edge: Edge) -> None:
    line = b"x-" + b"a" * 1000 + b": b\r\n"
    many = [line * 10] * 200
    began = time.monotonic()
    assert raw(edge, b"POST /x HTTP/1.1\r\nhost: a\r\n", *many, pause_s=0.001) == b""
    assert raw(edge, b"POST /x HTTP/1.1\r\nhost: a\r\nx: ", *[b"v" * 10_000] * 200, pause_s=0.001) == b""
    assert time.monotonic() - began < http_server.HEAD_TIMEOUT_S


def test_a_client_that_dawdles_is_cut_off(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connect_server, "BODY_TIMEOUT_S", 0.3)
    began = time.monotonic()
    assert raw(edge) == b""
    assert raw(edge, b"POST /x HTTP/1.1\r\nhost:") == b""
    head = f"POST {GET_BALANCE} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n".encode()
    head += b"content-type: application/json\r\nconnect-timeout-ms: 5000\r\ncontent-length: 10\r\n\r\n"
    answer = raw(edge, head, b"{")
    assert answer.startswith(b"HTTP/1.1 504")
    assert b"deadline_exceeded" in answer
    assert time.monotonic() - began < 5


def test_what_is_not_http_is_refused(edge: Edge) -> None:
    assert raw(edge, b"\x16\x03\x01\x02\x00\x01\x00").startswith(b"HTTP/1.1 400")
    assert raw(edge, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("offer", ["Upgrade: h2c", "upgrade:websocket"])
def test_an_offer_of_another_protocol_is_passed_over_and_the_body_is_read(edge: Edge, offer: str) -> None:
    """The clients of Java offer HTTP/2 in each call over plain HTTP, `curl --http2` does so too."""
    body = as_json()
    head = f"POST {GET_BALANCE} HTTP/1.1\r\nhost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n{offer}\r\n"
    head += f"HTTP2-Settings: AAMAAABk\r\nauthorization: Bearer {edge.issuer.token()}\r\n"
    head += "content-type: application/json\r\nconnect-timeout-ms: 5000\r\n"
    call = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    last = f"{head}connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    at = call.index(offer.encode()) + 4
    for pieces in ([call, last], [call[: -len(body)], body, last[: -len(body)], body]):
        answers = raw(edge, *pieces, pause_s=0.05)
        assert answers.count(b"HTTP/1.1 200 OK") == 2, answers
        assert answers.count(b'"active":"42"') == 2
    cut = raw(edge, call[:at], call[at:], pause_s=0.05)
    assert cut.startswith(b"HTTP/1.1 400")
    assert b"offer no upgrade" in cut


def test_a_body_that_reads_like_an_offer_comes_whole_however_it_is_cut(edge: Edge) -> None:
    """A proxy sends the calls of many on one connection: a body cut short would take its rest from the next one."""
    body = as_json("1\r\nupgrade: x\r\n\r\n").replace(b"\\r\\n", b"\r\n")
    head = f"POST {GET_BALANCE} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {edge.issuer.token()}\r\n"
    head += "content-type: application/json\r\nconnect-timeout-ms: 5000\r\n"
    call = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    good = as_json()
    last = f"{head}connection: close\r\ncontent-length: {len(good)}\r\n\r\n".encode() + good
    ends = len(call) - len(body)
    for at in range(ends - 4, ends + 1):
        answers = raw(edge, call[:at], call[at:], last, pause_s=0.05)
        assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"400", b"200"], (at - ends, answers)


def test_a_client_that_goes_away_in_the_middle_leaves_nothing_behind(edge: Edge) -> None:
    head = f"POST {GET_BALANCE} HTTP/1.1\r\nhost: a\r\n".encode()
    head += b"content-type: application/json\r\nconnect-timeout-ms: 5000\r\ncontent-length: 10\r\n\r\n{"
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", edge.server.bound.http_port), timeout=5) as connection:
            connection.sendall(head)
    assert ask(edge, body=as_json()).status == 200
    assert edge.pipeline.metrics.in_flight == 0


def test_a_header_of_any_bytes_is_taken_and_a_token_of_them_refused(edge: Edge) -> None:
    head = f"POST {GET_BALANCE} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n".encode()
    head += b"content-type: application/json\r\nconnect-timeout-ms: 5000\r\ncontent-length: 2\r\n"
    answer = raw(edge, head + b"authorization: Bearer \xff\xfe\r\n\r\n{}")
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"unauthenticated" in answer
