"""A line that fails: the same bytes are sent again within the deadline, and what cannot be mended is said at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from tallystick.security.device_profile import write_profile
from tallystick.security.keys import generate_signing_key
from tallystick.v1 import identity_pb2, ledger_pb2, till_pb2, webshop_pb2
from tallystick_webshop import (
    Away,
    BadRequest,
    NotAllowed,
    Profile,
    Refused,
    Shop,
    ShopError,
    WidgetToken,
    new_id,
)
from tallystick_webshop.errors import MENDS
from tests.webshop.street import shirts_and_tea

Behave = Callable[[grpc.ServicerContext], None]
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


class Gateway:
    """Sells tokens, and does with each call what the next of ``before`` does, then answers."""

    def __init__(self) -> None:
        self.before: list[Behave] = []
        self.requests: list[bytes] = []
        self.tokens = 0
        self.port = 0

    def issue_token(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.tokens += 1
        return till_pb2.IssueTokenResponse(access_token=f"t{self.tokens}", expires_in_s=300)

    def answer(self, response: Message) -> Callable[[Any, grpc.ServicerContext], Message]:
        def behave(request: Any, context: grpc.ServicerContext) -> Message:
            self.requests.append(request.SerializeToString())
            if self.before:
                self.before.pop(0)(context)
            return response

        return behave


def fails(code: grpc.StatusCode, reason: str = "", *, retry_s: float = 0.0) -> Behave:
    """End the call with a status, as the gateway does (with a reason) or as a proxy does (without)."""

    def behave(context: grpc.ServicerContext) -> None:
        details = []
        if reason:
            details.append(error_details_pb2.ErrorInfo(reason=reason, domain="tallystick"))
        if retry_s:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromMilliseconds(int(retry_s * 1000))
            details.append(retry)
        packed = [Packed() for _ in details]
        for one, detail in zip(packed, details, strict=True):
            one.Pack(detail)
        status = status_pb2.Status(code=code.value[0], message="no", details=packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, "no")

    return behave


def sleeps(context: grpc.ServicerContext) -> None:
    time.sleep(1.0)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    sold = ledger_pb2.Decision(posted=ledger_pb2.Posted(entry=ledger_pb2.Entry(command_id="done")))
    unknown = identity_pb2.NotIdentified(
        reason=identity_pb2.IDENTITY_REFUSAL_REASON_REPLAYED, message="again"
    )
    methods: list[tuple[str, str, Any, Any]] = [
        ("TillService", "IssueToken", till_pb2.IssueTokenRequest, gateway.issue_token),
        *(
            (service, method, request, gateway.answer(response))
            for service, method, request, response in (
                (
                    "LedgerService",
                    "PostSale",
                    ledger_pb2.PostSaleRequest,
                    ledger_pb2.PostSaleResponse(decision=sold),
                ),
                (
                    "IdentityService",
                    "Identify",
                    identity_pb2.IdentifyRequest,
                    identity_pb2.IdentifyResponse(not_identified=unknown),
                ),
                (
                    "WebshopService",
                    "IssueWidgetToken",
                    webshop_pb2.IssueWidgetTokenRequest,
                    webshop_pb2.IssueWidgetTokenResponse(access_token="page", expires_in_s=300),
                ),
                (
                    "WebshopService",
                    "RedeemClaim",
                    webshop_pb2.RedeemClaimRequest,
                    webshop_pb2.RedeemClaimResponse(refused=webshop_pb2.CLAIM_REFUSAL_TAKEN),
                ),
            )
        ),
    ]
    server = grpc.server(ThreadPoolExecutor(8))
    for service, method, request, behave in methods:
        handler = grpc.unary_unary_rpc_method_handler(behave, request.FromString, _bytes_of)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(f"tallystick.v1.{service}", {method: handler}),)
        )
    gateway.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield gateway
    server.stop(None).wait()


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString()


@pytest.fixture
def shop(gateway: Gateway) -> Iterator[Shop]:
    with Shop(profile_of(gateway), generate_signing_key(), deadline_s=2.0) as shop:
        yield shop


def profile_of(gateway: Gateway) -> Profile:
    return Profile(
        server=f"127.0.0.1:{gateway.port}",
        program_id="club",
        device_id="shop-1",
        role="webshop",
        issuer="tallystick",
    )


def sell(shop: Shop) -> str:
    return shop.sell(new_id(), new_id(), shirts_and_tea(), order="1").sale_id


@pytest.mark.parametrize(
    "failure",
    [
        fails(UNAVAILABLE),
        fails(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED"),
        fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
        fails(grpc.StatusCode.ABORTED, "STORE_CONFLICT"),
        fails(grpc.StatusCode.INTERNAL, "INTERNAL"),
        fails(grpc.StatusCode.PERMISSION_DENIED),
    ],
    ids=["unavailable", "deadline", "overloaded", "conflict", "internal", "a proxy's no"],
)
def test_what_may_pass_is_tried_again_with_the_same_bytes(
    shop: Shop, gateway: Gateway, failure: Behave
) -> None:
    gateway.before = [failure, failure]
    assert sell(shop) == "done"
    assert len(gateway.requests) == 3
    assert len(set(gateway.requests)) == 1


def test_the_pause_that_the_gateway_asks_for_is_kept(shop: Shop, gateway: Gateway) -> None:
    gateway.before = [fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", retry_s=0.6)]
    started = time.monotonic()
    sell(shop)
    assert 0.6 <= time.monotonic() - started < 1.5


def test_a_gateway_that_stays_away_is_given_up_within_the_deadline(gateway: Gateway) -> None:
    gateway.before = [fails(UNAVAILABLE)] * 100
    with Shop(profile_of(gateway), generate_signing_key(), deadline_s=0.7) as shop:
        started = time.monotonic()
        with pytest.raises(Away, match="sell without rewards") as raised:
            sell(shop)
        assert time.monotonic() - started < 1.2
    assert "store what is to be posted" in raised.value.mend


def test_a_call_that_hangs_is_given_up_within_the_deadline(gateway: Gateway) -> None:
    gateway.before = [sleeps, sleeps]
    with Shop(profile_of(gateway), generate_signing_key(), deadline_s=0.4) as shop:
        started = time.monotonic()
        with pytest.raises(Away):
            sell(shop)
        assert time.monotonic() - started < 0.8


def test_nobody_at_the_address_is_a_gateway_that_is_away(gateway: Gateway) -> None:
    with Shop(profile_of(gateway), generate_signing_key(), deadline_s=0.5) as shop:
        pass
    from dataclasses import replace

    nowhere = replace(profile_of(gateway), server="127.0.0.1:1")
    with Shop(nowhere, generate_signing_key(), deadline_s=0.5) as shop, pytest.raises(Away):
        sell(shop)


@pytest.mark.parametrize(
    ("failure", "kind", "says"),
    [
        (fails(grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED"), NotAllowed, "role is webshop"),
        (fails(grpc.StatusCode.UNAUTHENTICATED, "DEVICE_REVOKED"), NotAllowed, "enrol this shop again"),
        (fails(grpc.StatusCode.FAILED_PRECONDITION, "DEVICE_NOT_CONFIRMED"), NotAllowed, "device confirm"),
        (fails(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT"), BadRequest, "INVALID_INPUT"),
        (fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"), BadRequest, "MESSAGE_TOO_LARGE"),
        (fails(grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND"), BadRequest, "update it"),
        (fails(grpc.StatusCode.NOT_FOUND, "MEMBER_NOT_FOUND"), Refused, "MEMBER_UNKNOWN"),
    ],
)
def test_what_cannot_pass_is_said_at_once(
    shop: Shop, gateway: Gateway, failure: Behave, kind: type[ShopError], says: str
) -> None:
    gateway.before = [failure]
    with pytest.raises(kind, match=says):
        sell(shop)
    assert len(gateway.requests) == 1


def test_a_token_that_is_over_is_bought_anew_and_the_call_goes_on(shop: Shop, gateway: Gateway) -> None:
    gateway.before = [fails(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")]
    assert sell(shop) == "done"
    assert (gateway.tokens, len(gateway.requests)) == (2, 2)


def test_threads_share_one_token(shop: Shop, gateway: Gateway) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: sell(shop), range(24))) == {"done"}
    assert gateway.tokens == 1


def test_a_members_code_is_sent_once_because_it_counts_once(shop: Shop, gateway: Gateway) -> None:
    gateway.before = [fails(UNAVAILABLE)]
    with pytest.raises(Away):
        shop.member(code="a rotating code")
    assert len(gateway.requests) == 1
    with pytest.raises(Refused) as raised:
        shop.member(code="a rotating code")
    assert (raised.value.reason, raised.value.mend) == ("REPLAYED", "ask the member for a fresh code")


def test_exactly_one_way_to_identify_a_member_is_given(shop: Shop, gateway: Gateway) -> None:
    for given in ({}, {"number": "1", "email": "a@b.example"}):
        with pytest.raises(BadRequest, match="give exactly one"):
            shop.member(**given)
    assert gateway.requests == []


def test_a_claim_that_another_has_redeemed_is_refused(shop: Shop) -> None:
    with pytest.raises(Refused, match="another member has redeemed the claim") as raised:
        shop.redeem_claim(new_id(), "code")
    assert raised.value.reason == "TAKEN"


def test_a_page_gets_a_token_for_its_member_and_its_origin(shop: Shop, gateway: Gateway) -> None:
    member_id = new_id()
    assert shop.widget_token(member_id, "https://shop.example") == WidgetToken("page", 300)
    sent = webshop_pb2.IssueWidgetTokenRequest.FromString(gateway.requests[0])
    assert (sent.member_id, sent.origin) == (member_id, "https://shop.example")


def test_a_hold_of_nothing_or_for_ever_is_refused_before_it_is_sent(shop: Shop, gateway: Gateway) -> None:
    with pytest.raises(BadRequest, match="use `sell`"):
        shop.hold(new_id(), new_id(), shirts_and_tea(), points=0)
    for ttl_s in (0, -1, 2_592_001, True):
        with pytest.raises(BadRequest, match="seconds"):
            shop.hold(new_id(), new_id(), shirts_and_tea(), points=1, ttl_s=ttl_s)
    assert gateway.requests == []


def test_a_directory_without_a_shop_says_how_to_enrol_one(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"no profile.json .* Shop\.enrol"):
        Shop.open(tmp_path)


def test_a_damaged_profile_and_a_missing_authority_name_the_mend(gateway: Gateway, tmp_path: Path) -> None:
    write_profile(tmp_path, profile_of(gateway), generate_signing_key())
    (tmp_path / "profile.json").write_text('{"server": 1}')
    with pytest.raises(BadRequest, match="enrol the shop again"):
        Shop.open(tmp_path)
    from dataclasses import replace

    with pytest.raises(BadRequest, match="correct the tls_"):
        Shop(replace(profile_of(gateway), tls_ca=str(tmp_path / "no.pem")), generate_signing_key())


def test_nobody_else_may_read_the_shops_key(gateway: Gateway, tmp_path: Path) -> None:
    write_profile(tmp_path / "shop", profile_of(gateway), generate_signing_key())
    assert {file.stat().st_mode & 0o077 for file in (tmp_path / "shop").iterdir()} == {0}


@pytest.mark.parametrize(
    "reason", [name.removeprefix("REFUSAL_REASON_") for name in ledger_pb2.RefusalReason.keys()[1:]]
)
def test_every_refusal_of_a_checkout_says_what_to_do(reason: str) -> None:
    elsewhere = {
        *("ENTRY_UNKNOWN", "NOT_REVERSIBLE", "LEASES_OFF", "LEASE_EXISTS", "REDEMPTION_USED"),
        *("ADJUST_NEEDS_SECOND", "TRANSFERS_OFF", "SHARING_LIMIT", "RECEIVER_NOT_ALLOWED", "MEMBER_TOO_NEW"),
        *("PROJECT_UNKNOWN", "PARTNER_UNKNOWN"),
    }
    assert (reason in MENDS) != (reason in elsewhere)
