"""Whatever a stranger sends gets one clear status with a stable reason, and no handler ever sees it."""

from __future__ import annotations

import gzip

import grpc
import pytest
from google.protobuf.message import Message

from tallystick.rpc.call import Call
from tallystick.rpc.limits import MESSAGE_BYTES_MAX, TRANSPORT_BYTES_MAX
from tallystick.v1 import identity_pb2, ledger_pb2, types_pb2
from tests.rpc.edge import (
    GET_BALANCE,
    IDENTIFY,
    MEMBER_ID,
    Edge,
    Metadata,
    StartEdge,
    balance_request,
    call,
    failure_of,
    services_with,
)

OK = ledger_pb2.GetBalanceResponse(balance=types_pb2.Balance(active=42))


@pytest.fixture
def seen() -> list[Message]:
    """The requests that reached a handler."""
    return []


@pytest.fixture
def edge(serve: StartEdge, seen: list[Message]) -> Edge:
    async def get_balance(request: Message, _call: Call) -> Message:
        seen.append(request)
        return OK

    async def identify(request: Message, _call: Call) -> Message:
        seen.append(request)
        return identity_pb2.IdentifyResponse()

    return serve(services_with(get_balance=get_balance, identify=identify))


def test_a_good_call_is_answered_by_its_handler(edge: Edge, seen: list[Message]) -> None:
    answer = call(edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer())
    assert ledger_pb2.GetBalanceResponse.FromString(answer) == OK
    assert seen == [balance_request()]


@pytest.mark.parametrize(
    "payload",
    [b"\xff\xff\xff", b"\x0a\x7f", b"\x0a\x02\xff\xfe", b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"],
    ids=["no tag", "cut short", "text that is not UTF-8", "endless number"],
)
def test_bytes_that_are_no_message_are_an_invalid_argument(
    edge: Edge, seen: list[Message], payload: bytes
) -> None:
    failure = failure_of(lambda: call(edge.channel(), GET_BALANCE, payload, metadata=edge.issuer.bearer()))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.reason == "MESSAGE_MALFORMED"
    assert failure.info.metadata["method"] == GET_BALANCE.lstrip("/")
    assert seen == []


def test_a_bomb_of_nested_groups_is_an_invalid_argument(edge: Edge, seen: list[Message]) -> None:
    bomb = b"\xfb\x7f" * 20_000
    failure = failure_of(lambda: call(edge.channel(), GET_BALANCE, bomb, metadata=edge.issuer.bearer()))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_MALFORMED")
    assert seen == []


@pytest.mark.parametrize("size", [MESSAGE_BYTES_MAX + 1, TRANSPORT_BYTES_MAX - 1])
def test_a_message_above_the_limit_is_refused_and_told_the_limit(
    edge: Edge, seen: list[Message], size: int
) -> None:
    failure = failure_of(lambda: call(edge.channel(), IDENTIFY, b"x" * size, metadata=edge.issuer.bearer()))
    assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failure.reason == "MESSAGE_TOO_LARGE"
    assert failure.info.metadata["max_bytes"] == str(MESSAGE_BYTES_MAX)
    assert seen == []


def test_a_message_that_no_transport_takes_is_cut_off(edge: Edge, seen: list[Message]) -> None:
    huge = b"x" * (TRANSPORT_BYTES_MAX + 1)
    failure = failure_of(lambda: call(edge.channel(), IDENTIFY, huge, metadata=edge.issuer.bearer()))
    assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failure.status is None, "it reached the pipeline"
    assert seen == []


def test_a_message_that_would_unfold_is_not_unfolded(edge: Edge, seen: list[Message]) -> None:
    assert len(gzip.compress(b"x" * 900_000)) < 2000
    failure = failure_of(
        lambda: call(
            edge.channel(),
            IDENTIFY,
            b"x" * 900_000,
            metadata=edge.issuer.bearer(),
            compression=grpc.Compression.Gzip,
        )
    )
    assert failure.code is grpc.StatusCode.UNIMPLEMENTED
    assert seen == []


def test_metadata_above_the_limit_is_refused(edge: Edge, seen: list[Message]) -> None:
    metadata: Metadata = (*edge.issuer.bearer(), ("x-note", "n" * 9000))
    failure = failure_of(lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=metadata))
    assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert seen == []


def test_a_call_without_a_deadline_is_refused_with_the_mend(edge: Edge, seen: list[Message]) -> None:
    failure = failure_of(
        lambda: call(
            edge.channel(), GET_BALANCE, balance_request(), metadata=edge.issuer.bearer(), timeout_s=None
        )
    )
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_MISSING")
    assert failure.info.metadata["max_s"] == "60"
    assert failure.status is not None
    assert "set a timeout" in failure.status.message
    assert seen == []


def test_every_field_that_breaks_its_rule_is_named(edge: Edge, seen: list[Message]) -> None:
    request = ledger_pb2.PostSaleRequest(
        command_id="1", member_id=MEMBER_ID, assurance=types_pb2.ASSURANCE_TYPED
    )
    request.basket.currency_code = "euro"
    request.basket.lines.add(sku="A", quantity_milli=1000)
    request.basket.lines.add(sku="B", quantity_milli=-1)
    request.origin.channel = types_pb2.CHANNEL_STORE
    failure = failure_of(
        lambda: call(
            edge.channel(), "/tallystick.v1.LedgerService/PostSale", request, metadata=edge.issuer.bearer()
        )
    )
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT")
    assert [field for field, _ in failure.violations] == [
        "command_id",
        "basket.currency_code",
        "basket.lines[1].quantity_milli",
    ]
    assert failure.info.metadata["violations"] == "3"
    assert all(description for _, description in failure.violations)


def test_a_status_with_hundreds_of_violations_still_arrives(edge: Edge) -> None:
    request = ledger_pb2.PostSaleRequest(
        command_id="1", member_id=MEMBER_ID, assurance=types_pb2.ASSURANCE_TYPED
    )
    request.basket.currency_code = "EUR"
    for _ in range(500):
        request.basket.lines.add(sku="", quantity_milli=0)
    request.origin.channel = types_pb2.CHANNEL_STORE
    failure = failure_of(
        lambda: call(
            edge.channel(), "/tallystick.v1.LedgerService/PostSale", request, metadata=edge.issuer.bearer()
        )
    )
    assert failure.reason == "INVALID_INPUT"
    assert failure.info.metadata["violations"] == "1001"
    assert 10 < len(failure.violations) < 1001


@pytest.mark.parametrize(
    "path",
    ["/tallystick.v1.LedgerService/PostSales", "/tallystick.v1.Nothing/Quote", "/x", "/" + "a" * 4000],
)
def test_a_method_that_is_not_in_the_contract_is_unimplemented(edge: Edge, path: str) -> None:
    failure = failure_of(lambda: call(edge.channel(), path, b"", metadata=edge.issuer.bearer()))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND")
    assert failure.info.metadata["method"] == path.lstrip("/")[:128]
