"""The Connect protocol: the answers that gRPC gives, errors as JSON, packed messages, calls that are got."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from tallystick.rpc import connect_wire
from tallystick.rpc.call import Call
from tallystick.rpc.errors import MessageTooLarge
from tallystick.rpc.limits import MESSAGE_BYTES_MAX, TEXT_FACTOR, TRANSPORT_BYTES_MAX, Limits, Rate
from tallystick.rpc.server import ServerSettings
from tallystick.v1 import identity_pb2, ledger_pb2, options_pb2
from tests.rpc.connect_client import BALANCE, JSON, PROTO, as_json, ask, balance_edge
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
)


@pytest.fixture(scope="module")
def edge(loop: LoopThread) -> Iterator[Edge]:
    yield from balance_edge(loop)


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


def test_an_identify_request_never_travels_in_a_url(edge: Edge) -> None:
    scan = identity_pb2.IdentifyRequest(text="2000000000015")
    encoded = base64.urlsafe_b64encode(scan.SerializeToString()).decode()
    path = f"{IDENTIFY}?{urlencode({'encoding': 'proto', 'message': encoded, 'base64': '1'})}"
    assert ask(edge, path, method="GET").status == 405
