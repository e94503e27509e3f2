"""The Connect protocol as browsers speak it: gRPC's answers, errors as JSON, nothing for strangers' pages."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import re
import socket
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from tallystick.rpc import connect_server, connect_wire, http_server
from tallystick.rpc.call import Call
from tallystick.rpc.errors import MessageTooLarge
from tallystick.rpc.limits import MESSAGE_BYTES_MAX, TEXT_FACTOR, TRANSPORT_BYTES_MAX, Limits, Rate
from tallystick.rpc.server import ServerSettings
from tallystick.service.errors import NotFound
from tallystick.v1 import identity_pb2, ledger_pb2, options_pb2, types_pb2
from tests.rpc.edge import (
    GET_BALANCE,
    IDENTIFY,
    MEMBER_ID,
    Edge,
    LoopThread,
    StartEdge,
    balance_request,
    call,
    failure_of,
    services_with,
    start_edge,
)

JSON = "application/json"
PROTO = "application/proto"
CARD = "https://card.example"
BALANCE = ledger_pb2.GetBalanceResponse(balance=types_pb2.Balance(active=42, tier_id="guld"))


class MemberUnknown(NotFound):
    """No such member."""

    reason = "MEMBER_NOT_FOUND"


async def get_balance(request: ledger_pb2.GetBalanceRequest, _call: Call) -> Message:
    if request.member_id != MEMBER_ID:
        raise MemberUnknown(member_id=request.member_id)
    return BALANCE


async def list_lots(_request: Message, _call: Call) -> Message:
    return ledger_pb2.ListLotsResponse(next_page_token="t" * 5000)


@pytest.fixture(scope="module")
def edge(loop: LoopThread) -> Iterator[Edge]:
    services = services_with(get_balance=get_balance, list_lots=list_lots)
    shared = start_edge(loop, services, settings=ServerSettings(origins=(CARD,)))
    yield shared
    shared.stop()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        assert self.headers["content-type"] == JSON
        return dict(json.loads(self.body))

    def detail(self, kind: type[Message]) -> Any:
        for detail in self.error["details"]:
            if detail["type"] == kind.DESCRIPTOR.full_name:
                return kind.FromString(base64.b64decode(detail["value"] + "==="))
        raise AssertionError("no such detail")

    @property
    def reason(self) -> str:
        return str(self.detail(ErrorInfo).reason)


def ask(
    edge: Edge,
    path: str = GET_BALANCE,
    body: bytes | Message = b"",
    *,
    method: str = "POST",
    content_type: str = JSON,
    timeout_ms: str | None = "5000",
    token: bool = True,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    sent = {"content-type": content_type, "connect-protocol-version": "1"}
    if timeout_ms is not None:
        sent["connect-timeout-ms"] = timeout_ms
    if token:
        sent["authorization"] = f"Bearer {edge.issuer.token()}"
    connection = http.client.HTTPConnection("127.0.0.1", edge.server.bound.http_port, timeout=10)
    payload = body if isinstance(body, bytes) else body.SerializeToString()
    connection.request(method, path, payload or None, sent | dict(headers or {}))
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, read)


def as_json(member_id: str = MEMBER_ID) -> bytes:
    return json.dumps({"memberId": member_id}).encode()


def test_json_and_binary_get_the_answer_that_grpc_gets(edge: Edge) -> None:
    over_grpc = call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer())
    binary = ask(edge, body=balance_request(), content_type=PROTO)
    text = ask(edge, body=as_json())
    assert (binary.status, binary.headers["content-type"]) == (200, PROTO)
    assert binary.body == over_grpc == BALANCE.SerializeToString()
    assert (text.status, text.headers["content-type"]) == (200, JSON)
    assert json.loads(text.body) == {"balance": {"active": "42", "tierId": "guld"}}
    assert text.headers["cache-control"] == "no-store"


def test_a_content_type_may_name_its_charset(edge: Edge) -> None:
    assert ask(edge, body=as_json(), content_type="Application/JSON; charset=utf-8").status == 200


def test_an_error_carries_the_details_that_grpc_carries(edge: Edge) -> None:
    request = ledger_pb2.GetBalanceRequest(member_id=MEMBER_ID.replace("1", "2"))
    over_grpc = failure_of(lambda: call(edge.channel(), GET_BALANCE, request, metadata=edge.issuer.bearer()))
    answer = ask(edge, body=as_json(request.member_id))
    assert over_grpc.code is grpc.StatusCode.NOT_FOUND
    assert answer.status == 404
    assert answer.error["code"] == "not_found"
    assert answer.error["message"] == "No such member."
    assert answer.detail(ErrorInfo) == over_grpc.info


@pytest.mark.parametrize(
    ("changes", "status", "code", "reason"),
    [
        ({"token": False}, 401, "unauthenticated", "TOKEN_MISSING"),
        ({"timeout_ms": None}, 400, "invalid_argument", "DEADLINE_MISSING"),
        ({"timeout_ms": "0"}, 504, "deadline_exceeded", "DEADLINE_PASSED"),
        ({"timeout_ms": "-1"}, 400, "invalid_argument", "INVALID_INPUT"),
        ({"timeout_ms": "1_0"}, 400, "invalid_argument", "INVALID_INPUT"),
        ({"timeout_ms": "12345678901"}, 400, "invalid_argument", "INVALID_INPUT"),
        ({"headers": {"connect-protocol-version": "2"}}, 400, "invalid_argument", "INVALID_INPUT"),
        ({"headers": {"content-encoding": "br"}}, 400, "invalid_argument", "MESSAGE_MALFORMED"),
        ({"headers": {"x-note": "n" * 8000}}, 429, "resource_exhausted", "MESSAGE_TOO_LARGE"),
        ({"body": b"{"}, 400, "invalid_argument", "MESSAGE_MALFORMED"),
        ({"body": b'{"a":' * 21 * 2 + b"1" + b"}" * 42}, 400, "invalid_argument", "MESSAGE_MALFORMED"),
        ({"body": b"\xff", "content_type": PROTO}, 400, "invalid_argument", "MESSAGE_MALFORMED"),
        ({"body": b'{"memberId":"x"}'}, 400, "invalid_argument", "INVALID_INPUT"),
        (
            {"body": b"\0" * (MESSAGE_BYTES_MAX + 1), "content_type": PROTO},
            429,
            "resource_exhausted",
            "MESSAGE_TOO_LARGE",
        ),
        (
            {"body": b" " * (TEXT_FACTOR * MESSAGE_BYTES_MAX + 1)},
            429,
            "resource_exhausted",
            "MESSAGE_TOO_LARGE",
        ),
        ({"body": b" " * (TRANSPORT_BYTES_MAX + 1)}, 429, "resource_exhausted", "MESSAGE_TOO_LARGE"),
        ({"path": "/tallystick.v1.LedgerService/Nothing"}, 404, "unimplemented", "METHOD_NOT_FOUND"),
        (
            {"path": "/tallystick.v1.AdminService/PublishRuleSet"},
            403,
            "permission_denied",
            "ROLE_NOT_ALLOWED",
        ),
    ],
)
def test_bad_input_gets_one_clear_error(
    edge: Edge, changes: dict[str, Any], status: int, code: str, reason: str
) -> None:
    answer = ask(edge, **{"body": as_json(), **changes})
    assert (answer.status, answer.error["code"], answer.reason) == (status, code, reason)


SALE = "/tallystick.v1.LedgerService/PostSale"
START = "/tallystick.v1.TillService/IssueToken"


def a_sale(lines: int, **more: object) -> bytes:
    """A sale as Python and PHP write JSON: every letter beyond ASCII is six bytes."""
    line = {
        "sku": "7310865004703",
        "categories": ["молоко", "продукты"],
        "quantityMilli": "1000",
        "amountMinor": "1999",
        "taxCode": "A",
    }
    origin = {"channel": "CHANNEL_STORE"}
    basket = {"currencyCode": "SEK", "taxGroups": [{"code": "A"}], "lines": [line] * lines}
    ids = {"commandId": MEMBER_ID, "memberId": MEMBER_ID, "assurance": "ASSURANCE_TYPED"}
    return json.dumps(ids | {"origin": origin, "basket": basket} | more).encode()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (a_sale(2).replace(b'"1999"', b"19.99", 1), "basket.lines.amountMinor"),
        (a_sale(1).replace(b'"1000"', b'"1,5"'), "basket.lines.quantityMilli"),
        (a_sale(1, origin={"occurredAt": "2026-11-23T23:50:00"}), "origin.occurredAt"),
        (a_sale(1, origin={"occurred_at": 1795478000}), "origin.occurred_at"),
        (a_sale(1, rewardIds="free-coffee"), "rewardIds"),
    ],
)
def test_json_that_is_not_of_a_fields_type_is_told_the_field_and_not_what_it_held(
    edge: Edge, body: bytes, field: str
) -> None:
    answer = ask(edge, SALE, body)
    assert (answer.status, answer.reason) == (400, "MESSAGE_MALFORMED")
    assert [one.field for one in answer.detail(BadRequest).field_violations] == [field]
    assert field in answer.error["message"]
    held = [b"19.99", b"1,5", b"23:50", b"1795478000", b"free-coffee"]
    assert [text for text in held if text in answer.body] == []


def test_json_has_room_for_all_the_lines_of_the_contract(edge: Edge) -> None:
    body = a_sale(500)
    assert len(body) > MESSAGE_BYTES_MAX
    assert ask(edge, SALE, body).status == 200
    answer = ask(edge, SALE, a_sale(501))
    assert (answer.status, answer.reason) == (400, "INVALID_INPUT")


def test_a_message_in_json_is_no_larger_than_in_binary(edge: Edge) -> None:
    answer = ask(edge, SALE, a_sale(1, rewardIds=["r" * MESSAGE_BYTES_MAX]))
    assert (answer.status, answer.reason) == (429, "MESSAGE_TOO_LARGE")
    assert answer.detail(ErrorInfo).metadata["max_bytes"] == str(MESSAGE_BYTES_MAX)


def test_strangers_have_no_more_room_in_json_than_in_binary(edge: Edge) -> None:
    answer = ask(edge, START, b"{" + b" " * MESSAGE_BYTES_MAX + b"}", token=False)
    assert (answer.status, answer.reason) == (429, "MESSAGE_TOO_LARGE")


def test_violations_name_the_fields(edge: Edge) -> None:
    answer = ask(edge, IDENTIFY, b'{"text":""}')
    fields = [violation.field for violation in answer.detail(BadRequest).field_violations]
    assert fields == ["text", "channel"]


def test_a_caller_above_its_rate_learns_when_to_come_back(serve: StartEdge) -> None:
    edge = serve(limits=Limits(rates={options_pb2.ROLE_TILL: Rate(per_s=0.5, burst=1)}))
    assert ask(edge, body=as_json()).status == 200
    answer = ask(edge, body=as_json())
    assert (answer.status, answer.reason) == (429, "RATE_LIMITED")
    assert answer.headers["retry-after"] == "2"
    assert answer.detail(RetryInfo).retry_delay.seconds <= 2


def strangers(edge: Edge, *forwarded_for: str) -> list[int]:
    """The statuses of calls of a public method, each with what a proxy says of its caller."""
    path, body = "/tallystick.v1.TillService/IssueToken", b'{"clientAssertion":"a"}'
    return [
        ask(edge, path, body, token=False, headers={"x-forwarded-for": one} if one else None).status
        for one in forwarded_for
    ]


def test_callers_behind_a_proxy_that_is_known_count_each_for_itself(serve: StartEdge) -> None:
    limits = Limits(rates={options_pb2.ROLE_PUBLIC: Rate(per_s=0.01, burst=1)})
    edge = serve(settings=ServerSettings(proxies=("127.0.0.0/8",)), limits=limits)
    said = ("192.0.2.1", "192.0.2.2", "192.0.2.1", "", "")
    assert strangers(edge, *said) == [200, 200, 429, 200, 429]
    # What the caller itself has written is to the left of what the proxy appends.
    assert strangers(edge, "203.0.113.9, 192.0.2.1", "192.0.2.3") == [429, 200]


def test_what_a_caller_says_of_itself_is_not_believed(serve: StartEdge) -> None:
    limits = Limits(rates={options_pb2.ROLE_PUBLIC: Rate(per_s=0.01, burst=1)})
    for proxies in ((), ("10.0.0.0/8",)):
        edge = serve(settings=ServerSettings(proxies=proxies), limits=limits)
        assert strangers(edge, "192.0.2.1", "192.0.2.2") == [200, 429]


def test_a_deadline_is_enforced(serve: StartEdge) -> None:
    import asyncio

    async def never(_request: Message, _call: Call) -> Message:
        await asyncio.sleep(30)
        return BALANCE

    edge = serve(services_with(get_balance=never))
    began = time.monotonic()
    answer = ask(edge, body=as_json(), timeout_ms="200")
    assert (answer.status, answer.reason) == (504, "DEADLINE_PASSED")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("content_type", ["text/plain", "application/connect+json", "application/grpc", ""])
def test_other_content_types_are_turned_away_with_those_that_are_taken(edge: Edge, content_type: str) -> None:
    answer = ask(edge, body=as_json(), content_type=content_type)
    assert answer.status == 415
    assert answer.headers["accept-post"] == "application/json, application/proto"


def test_messages_may_come_and_go_packed(edge: Edge) -> None:
    packed = ask(
        edge,
        "/tallystick.v1.LedgerService/ListLots",
        gzip.compress(as_json()),
        headers={"content-encoding": "gzip", "accept-encoding": "br, gzip"},
    )
    assert (packed.status, packed.headers["content-encoding"]) == (200, "gzip")
    assert json.loads(gzip.decompress(packed.body))["nextPageToken"] == "t" * 5000
    small = ask(edge, body=as_json(), headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers
    plain = ask(edge, "/tallystick.v1.LedgerService/ListLots", as_json())
    assert json.loads(plain.body)["nextPageToken"] == "t" * 5000


@pytest.mark.parametrize(
    ("packed", "status"),
    [
        (gzip.compress(b" " * 5_000_000), 429),
        (gzip.compress(as_json())[:-4], 400),
        (gzip.compress(as_json()) + b"more", 400),
        (b"not gzip", 400),
    ],
    ids=["bomb", "cut short", "with a tail", "rubbish"],
)
def test_packed_bombs_and_rubbish_are_refused(edge: Edge, packed: bytes, status: int) -> None:
    assert ask(edge, body=packed, headers={"content-encoding": "gzip"}).status == status


def test_a_packed_bomb_is_not_unfolded_to_be_refused() -> None:
    bomb = gzip.compress(b" " * 20_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(MessageTooLarge):
            connect_wire.unpacked(bomb, b"gzip")
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def query(**fields: str) -> str:
    return f"{GET_BALANCE}?{urlencode(fields)}"


def test_a_method_without_side_effects_can_be_got(edge: Edge) -> None:
    text = ask(edge, query(encoding="json", message=as_json().decode(), connect="v1"), method="GET")
    assert json.loads(text.body) == {"balance": {"active": "42", "tierId": "guld"}}
    encoded = base64.urlsafe_b64encode(balance_request().SerializeToString()).decode().rstrip("=")
    binary = ask(edge, query(encoding="proto", message=encoded, base64="1"), method="GET")
    assert binary.body == BALANCE.SerializeToString()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (query(encoding="xml", message="{}"), 415),
        (query(message="{}"), 415),
        (query(encoding="json"), 400),
        (query(encoding="proto", message="a", base64="1"), 400),
        (query(encoding="json", message="{}", compression="br"), 400),
        (GET_BALANCE + "?encoding=json&message=" + "&a=1" * 50, 415),
        (GET_BALANCE + "?encoding=json&message=%ff", 415),
    ],
)
def test_a_get_that_is_not_one_of_the_protocol_is_refused(edge: Edge, path: str, status: int) -> None:
    assert ask(edge, path, method="GET").status == status


@pytest.mark.parametrize(("path", "method"), [(IDENTIFY, "GET"), (GET_BALANCE, "PUT"), (GET_BALANCE, "HEAD")])
def test_other_http_methods_are_not_allowed(edge: Edge, path: str, method: str) -> None:
    answer = ask(edge, path, method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == ("POST" if path == IDENTIFY else "GET, POST")


QUOTE = "/tallystick.v1.LedgerService/Quote"


def widget_call(edge: Edge, **headers: str) -> Answer:
    bearer = f"Bearer {edge.issuer.token('WIDGET', subject=MEMBER_ID, origin=CARD)}"
    body = {
        "memberId": MEMBER_ID,
        "basket": {"currencyCode": "EUR", "lines": [{"sku": "A", "quantityMilli": 1000, "amountMinor": 1}]},
        "origin": {"channel": "CHANNEL_WEBSHOP"},
        "assurance": "ASSURANCE_TYPED",
    }
    sent = {"authorization": bearer, **headers}
    return ask(edge, QUOTE, json.dumps(body).encode(), token=False, headers=sent)


def test_a_widget_calls_from_the_pages_of_its_own_origin(edge: Edge) -> None:
    answer = widget_call(edge, origin=CARD)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == CARD


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_a_widget_of_another_page_or_of_none_is_refused(edge: Edge, origin: str) -> None:
    answer = widget_call(edge, origin=origin) if origin else widget_call(edge)
    assert (answer.status, answer.reason) == (403, "WEB_ORIGIN_MISMATCH")


def test_grpc_takes_no_token_of_a_widget_whatever_it_says_of_its_origin(edge: Edge) -> None:
    token = edge.issuer.token("WIDGET", subject=MEMBER_ID, origin=CARD)
    metadata = (("authorization", f"Bearer {token}"), ("origin", CARD))
    failure = failure_of(lambda: call(edge.channel(), QUOTE, b"", metadata=metadata))
    assert failure.reason == "WEB_ORIGIN_MISMATCH"


def preflight(edge: Edge, origin: str, path: str = GET_BALANCE) -> Answer:
    headers = {"origin": origin, "access-control-request-method": "POST"}
    return ask(edge, path, method="OPTIONS", headers=headers, token=False)


def test_pages_of_an_allowed_origin_may_call(edge: Edge) -> None:
    answer = preflight(edge, CARD)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == CARD
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert "authorization" in answer.headers["access-control-allow-headers"]
    called = ask(edge, body=as_json(), headers={"origin": CARD})
    assert called.headers["access-control-allow-origin"] == CARD
    assert "Origin" in called.headers["vary"]


def test_pages_of_any_other_origin_may_not(edge: Edge, serve: StartEdge) -> None:
    for origin in ("https://evil.example", "https://card.example.evil", "null", CARD.upper()):
        assert "access-control-allow-origin" not in preflight(edge, origin).headers
    closed = serve()
    assert preflight(closed, CARD).status == 405
    assert "access-control-allow-origin" not in ask(closed, body=as_json(), headers={"origin": CARD}).headers


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


def test_an_identify_request_never_travels_in_a_url(edge: Edge) -> None:
    scan = identity_pb2.IdentifyRequest(text="2000000000015")
    encoded = base64.urlsafe_b64encode(scan.SerializeToString()).decode()
    path = f"{IDENTIFY}?{urlencode({'encoding': 'proto', 'message': encoded, 'base64': '1'})}"
    assert ask(edge, path, method="GET").status == 405
