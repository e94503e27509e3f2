"""HTTP/2 by hand: what a hostile client can send below gRPC."""

from __future__ import annotations

import contextlib
import socket
import struct
import time

from google.protobuf.message import Message

from tallystick.rpc.call import Call
from tallystick.v1 import ledger_pb2
from tests.rpc.edge import GET_BALANCE, Edge, StartEdge, balance_request, call, services_with

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0x0, 0x1, 0x3, 0x4, 0x6
END_STREAM, END_HEADERS = 0x1, 0x4
CANCEL = 8


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name: str, value: str) -> bytes:
    """A header field in HPACK: literal, never indexed, not Huffman-coded, shorter than 127 bytes."""
    text = bytearray(b"\x10")
    for part in (name.encode(), value.encode()):
        assert len(part) < 127
        text += bytes([len(part)]) + part
    return bytes(text)


def request_headers(path: str) -> bytes:
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        "grpc-timeout": "5S",
    }
    return b"".join(literal(name, value) for name, value in fields.items())


def connect(edge: Edge) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", edge.server.bound.grpc_port), timeout=10)
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
    return connection


def send_until_closed(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        connection.sendall(data)


def test_thousands_of_streams_that_are_reset_at_once_leave_the_server_answering(serve: StartEdge) -> None:
    entered: list[Message] = []

    async def get_balance(request: Message, _call: Call) -> Message:
        entered.append(request)
        return ledger_pb2.GetBalanceResponse()

    edge = serve(services_with(get_balance=get_balance))
    headers = request_headers(GET_BALANCE)
    began = time.monotonic()
    for _ in range(4):
        with connect(edge) as connection:
            for first in range(1, 4000, 200):
                resets = b"".join(
                    frame(HEADERS, END_HEADERS, stream, headers)
                    + frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL))
                    for stream in range(first, first + 200, 2)
                )
                send_until_closed(connection, resets)
    assert call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer()) == b""
    assert time.monotonic() - began < 20
    assert entered == [balance_request()]
    assert edge.pipeline.metrics.in_flight == 0


def test_a_flood_of_pings_ends_that_connection_and_no_other(serve: StartEdge) -> None:
    edge = serve()
    channel, metadata = edge.channel(), edge.issuer.bearer()
    assert call(channel, GET_BALANCE, balance_request(), metadata=metadata) == b""
    with connect(edge) as connection:
        send_until_closed(connection, frame(PING, 0, 0, b"12345678") * 500)
        connection.settimeout(10)
        try:
            while connection.recv(65_536):
                pass
            is_closed = True
        except ConnectionError:
            is_closed = True
        except TimeoutError:
            is_closed = False
    assert is_closed
    assert call(channel, GET_BALANCE, balance_request(), metadata=metadata) == b""


def test_streams_that_never_send_their_message_hold_no_place(serve: StartEdge) -> None:
    edge = serve()
    headers = request_headers(GET_BALANCE)
    with connect(edge) as connection:
        for stream in range(1, 400, 2):
            connection.sendall(frame(HEADERS, END_HEADERS, stream, headers))
        time.sleep(0.3)
        assert edge.pipeline.metrics.in_flight == 0
        assert call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer()) == b""


def test_bytes_that_are_no_http2_end_their_connection_only(edge: Edge) -> None:
    for rubbish in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, PREFACE + b"\xff" * 100):
        with socket.create_connection(("127.0.0.1", edge.server.bound.grpc_port), timeout=5) as connection:
            send_until_closed(connection, rubbish)
    assert call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer()) == b""
