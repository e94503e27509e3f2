"""Who may call: only a good token of a device that counts, in a role that the method allows."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.message import Message

from tallystick.rpc.call import Call, Principal
from tallystick.security.keys import generate_signing_key
from tallystick.v1 import ledger_pb2, options_pb2, till_pb2
from tests.rpc.edge import (
    GET_BALANCE,
    MEMBER_ID,
    TILL_ID,
    Edge,
    Issuer,
    Metadata,
    StartEdge,
    balance_request,
    call,
    failure_of,
    services_with,
)

PUBLISH = "/tallystick.v1.AdminService/PublishRuleSet"
ISSUE_TOKEN = "/tallystick.v1.TillService/IssueToken"


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


def test_the_handler_learns_who_calls_from_the_token_alone(serve: StartEdge) -> None:
    calls: list[Call] = []

    async def get_balance(_request: Message, call: Call) -> Message:
        calls.append(call)
        return ledger_pb2.GetBalanceResponse()

    edge = serve(services_with(get_balance=get_balance))
    metadata: Metadata = (*edge.issuer.bearer("TILL"), ("x-note", "hello"), ("x-raw-bin", b"\x00"))
    call(edge.channel(), GET_BALANCE, balance_request(), metadata=metadata)
    principal = Principal("demo", TILL_ID, options_pb2.ROLE_TILL, "s1", None)  # type: ignore[arg-type]
    assert calls[0].principal == principal
    assert calls[0].metadata["x-note"] == "hello"
    assert "x-raw-bin" not in calls[0].metadata
    assert calls[0].peer.startswith("ipv4:127.0.0.1:")


def test_a_members_app_acts_for_the_subject_of_its_token(serve: StartEdge) -> None:
    calls: list[Call] = []

    async def get_balance(_request: Message, call: Call) -> Message:
        calls.append(call)
        return ledger_pb2.GetBalanceResponse()

    edge = serve(services_with(get_balance=get_balance))
    token = edge.issuer.token("APP", subject=MEMBER_ID)
    call(edge.channel(), GET_BALANCE, balance_request(), metadata=bearer(token))
    assert calls[0].caller.member_id == MEMBER_ID
    assert calls[0].caller.device_id == TILL_ID


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "TOKEN_MISSING"),
        ((("authorization", ""),), "TOKEN_MISSING"),
        ((("authorization", "Basic dGlsbDp0aWxs"),), "TOKEN_INVALID"),
        ((("authorization", "Bearer"),), "TOKEN_INVALID"),
        ((("authorization", "Bearer "),), "TOKEN_INVALID"),
        (bearer("no.token.atall"), "TOKEN_INVALID"),
        (bearer("x" * 5000), "TOKEN_INVALID"),
        ((("authorization-bin", b"\xff\xfe"),), "TOKEN_MISSING"),
    ],
)
def test_a_call_without_a_good_token_is_unauthenticated(edge: Edge, metadata: Metadata, reason: str) -> None:
    failure = failure_of(lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=metadata))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)


def test_two_tokens_in_one_call_are_refused_even_if_both_are_good(edge: Edge) -> None:
    metadata = edge.issuer.bearer("TILL") + edge.issuer.bearer("TILL")
    failure = failure_of(lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=metadata))
    assert failure.reason == "TOKEN_INVALID"


def test_a_forged_token_is_refused(edge: Edge) -> None:
    forged = edge.issuer.token("TILL", key=generate_signing_key())
    failure = failure_of(
        lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=bearer(forged))
    )
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


def test_an_expired_token_is_told_from_a_forged_one(edge: Edge) -> None:
    expired = edge.issuer.token("TILL", age_s=400)
    failure = failure_of(
        lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=bearer(expired))
    )
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")


@pytest.mark.parametrize("roles", [("TILL", "ADMIN"), ("PUBLIC",), ("UNSPECIFIED",), ("ROLE_TILL",)])
def test_a_token_must_carry_exactly_one_role_of_the_contract(edge: Edge, roles: tuple[str, ...]) -> None:
    token = edge.issuer.token(*roles)
    failure = failure_of(lambda: call(edge.channel(), GET_BALANCE, balance_request(), metadata=bearer(token)))
    assert failure.reason == "TOKEN_INVALID"


def test_a_role_that_the_method_does_not_allow_is_denied_before_the_message_is_looked_at(edge: Edge) -> None:
    failure = failure_of(
        lambda: call(edge.channel(), PUBLISH, b"\xff\xff", metadata=edge.issuer.bearer("TILL"))
    )
    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
    assert dict(failure.info.metadata) == {"role": "TILL", "method": PUBLISH.lstrip("/")}


def test_a_public_method_needs_no_token_and_looks_at_none(edge: Edge) -> None:
    request = till_pb2.IssueTokenRequest(client_assertion="x")
    assert call(edge.channel(), ISSUE_TOKEN, request) == b""
    assert call(edge.channel(), ISSUE_TOKEN, request, metadata=bearer("rubbish")) == b""


def test_a_revoked_device_is_shut_out_from_its_next_call_on(serve: StartEdge) -> None:
    edge = serve()
    channel, metadata = edge.channel(), edge.issuer.bearer()
    call(channel, GET_BALANCE, balance_request(), metadata=metadata)
    edge.issuer.revoked.add(TILL_ID)
    failure = failure_of(lambda: call(channel, GET_BALANCE, balance_request(), metadata=metadata))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAUTHENTICATED, "DEVICE_REVOKED")
    assert failure.info.metadata["device_id"] == TILL_ID


def test_a_token_is_verified_once_and_again_when_keys_were_taken_away() -> None:
    issuer = Issuer()
    authenticator = issuer.authenticator()
    header = f"Bearer {issuer.token()}"
    assert authenticator.principal(header) is authenticator.principal(header)
    assert issuer.key_lookups == 1
    authenticator.forget_tokens()
    authenticator.principal(header)
    assert issuer.key_lookups == 2
