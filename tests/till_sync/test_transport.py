from __future__ import annotations

import threading
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

from tallystick.security.keys import generate_signing_key
from tallystick.security.tokens import Claims, TokenRefused, assertion_profile, verify
from tallystick.v1 import (
    identity_pb2,
    ledger_pb2,
    store_pb2,
    till_pb2,
)
from tallystick_till import transport
from tallystick_till.backoff import GatewayBusy
from tallystick_till.ports import GatewayAway, GatewayRefused, Identity
from tallystick_till.transport import GrpcGateway, Tls
from tests.rpc.certificates import Authority

KEY = generate_signing_key()
NOW_S = 1_790_000_000
EMPTY = store_pb2.PushAdvicesRequest()


class Server:
    """A gateway that sells tokens and answers as it is told."""

    def __init__(self) -> None:
        self.tokens_sold = 0
        self.assertions_refused = 0
        self.tokens_taken: list[str] = []
        self.before: Callable[[grpc.ServicerContext], None] = lambda _context: None
        self.before_token: Callable[[grpc.ServicerContext], None] = lambda _context: None
        self.pieces: list[Any] = []
        self.lifetime_s = 300

    def issue_token(self, request: till_pb2.IssueTokenRequest, context: grpc.ServicerContext) -> Any:
        self.before_token(context)
        try:
            claims = self._claims(request)
        except TokenRefused:
            self.assertions_refused += 1
            saying(grpc.StatusCode.UNAUTHENTICATED, "ASSERTION_INVALID", server_ms=f"{NOW_S}999")(context)
            raise
        assert claims.subject == "till-1"
        self.tokens_sold += 1
        return till_pb2.IssueTokenResponse(
            access_token=f"token-{self.tokens_sold}", expires_in_s=self.lifetime_s
        )

    def _claims(self, request: till_pb2.IssueTokenRequest) -> Claims:
        return verify(
            request.client_assertion,
            assertion_profile(issuer="tallystick"),
            {KEY.kid: KEY.verify_key},
            now_s=NOW_S,
        )

    def _called(self, context: grpc.ServicerContext) -> None:
        metadata = dict(context.invocation_metadata())
        self.tokens_taken.append(str(metadata["authorization"]))
        self.before(context)

    def push_advices(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._called(context)
        return store_pb2.PushAdvicesResponse(epoch=3)

    def identify(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._called(context)
        return identity_pb2.IdentifyResponse()

    def post_sale(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._called(context)
        return ledger_pb2.PostSaleResponse()

    def watch(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self._called(context)
        for piece in self.pieces:
            if callable(piece):
                piece(context)
            else:
                yield piece

    def handlers(self) -> Iterator[grpc.GenericRpcHandler]:
        """Yield what serves each method that a test calls."""
        for service, method, request, behave in (
            ("TillService", "IssueToken", till_pb2.IssueTokenRequest, self.issue_token),
            ("StoreService", "PushAdvices", store_pb2.PushAdvicesRequest, self.push_advices),
            ("IdentityService", "Identify", identity_pb2.IdentifyRequest, self.identify),
            ("LedgerService", "PostSale", ledger_pb2.PostSaleRequest, self.post_sale),
        ):
            handler = grpc.unary_unary_rpc_method_handler(behave, request.FromString, _bytes_of)
            yield grpc.method_handlers_generic_handler(f"tallystick.v1.{service}", {method: handler})
        stream = grpc.unary_stream_rpc_method_handler(
            self.watch, store_pb2.WatchRequest.FromString, _bytes_of
        )
        yield grpc.method_handlers_generic_handler("tallystick.v1.StoreService", {"Watch": stream})


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def port(server: Server) -> Iterator[int]:
    yield from served(server, None)


def served(server: Server, credentials: grpc.ServerCredentials | None) -> Iterator[int]:
    running = grpc.server(ThreadPoolExecutor(4))
    running.add_generic_rpc_handlers(tuple(server.handlers()))
    if credentials is None:
        number = running.add_insecure_port("127.0.0.1:0")
    else:
        number = running.add_secure_port("127.0.0.1:0", credentials)
    running.start()
    yield number
    running.stop(None).wait(5)


@pytest.fixture
def gateway(port: int) -> Iterator[GrpcGateway]:
    opened = open_gateway(port)
    yield opened
    opened.close()


def open_gateway(port: int, tls: Tls | None = None, *, now_s: int = NOW_S) -> GrpcGateway:
    identity = Identity("till-1", "program", "store-1", "Till 1", f"127.0.0.1:{port}", "tallystick")
    return GrpcGateway(identity, KEY, now_s=lambda: now_s, tls=tls)


def saying(
    code: grpc.StatusCode, reason: str = "", *, domain: str = "tallystick", retry_s: int = 0, **metadata: str
) -> Callable[[grpc.ServicerContext], None]:
    """Return what ends a call as the gateway ends one."""

    def end(context: grpc.ServicerContext) -> None:
        status = status_pb2.Status(code=code.value[0], message="no")
        details = (
            [error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)] if reason else []
        )
        for detail in [*details, *([retry] if (retry := _retry(retry_s)) else [])]:
            packed = Packed()
            packed.Pack(detail)
            status.details.append(packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, "no")

    return end


def _retry(seconds: int) -> error_details_pb2.RetryInfo | None:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.seconds = seconds
    return info if seconds else None


def once(first: Callable[[grpc.ServicerContext], None]) -> Callable[[grpc.ServicerContext], None]:
    """Return what does something the first time only."""
    left = [first]

    def act(context: grpc.ServicerContext) -> None:
        if left:
            left.pop()(context)

    return act


def test_a_till_proves_its_key_once_and_calls_with_the_token_until_it_is_nearly_over(
    server: Server, gateway: GrpcGateway
) -> None:
    assert gateway.push(EMPTY).epoch == 3
    gateway.identify(identity_pb2.IdentifyRequest())
    assert server.tokens_taken == ["Bearer token-1"] * 2


def test_a_token_is_replaced_before_it_ends(
    server: Server, gateway: GrpcGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.lifetime_s = 31
    monkeypatch.setattr(transport, "TOKEN_MARGIN_S", 30.95)
    gateway.push(EMPTY)
    gateway.push(EMPTY)
    time.sleep(1.01)
    gateway.push(EMPTY)
    assert server.tokens_taken == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


def test_a_till_whose_clock_is_days_off_proves_its_key_by_the_gateways_time(
    server: Server, port: int
) -> None:
    for days in (-3, 3):
        gateway = open_gateway(port, now_s=NOW_S + days * 86_400)
        assert gateway.push(EMPTY).epoch == 3
        gateway.close()
    assert server.assertions_refused == 2


def test_a_key_that_the_gateway_does_not_know_is_refused_after_one_more_try(
    server: Server, port: int
) -> None:
    server.before_token = saying(
        grpc.StatusCode.UNAUTHENTICATED, "ASSERTION_INVALID", server_ms=f"{NOW_S}000"
    )
    gateway = open_gateway(port)
    with pytest.raises(GatewayRefused) as refused:
        gateway.push(EMPTY)
    assert refused.value.reason == "ASSERTION_INVALID"
    gateway.close()


@pytest.mark.parametrize("reason", ["TOKEN_EXPIRED", "TOKEN_INVALID"])
def test_a_token_that_is_not_taken_is_bought_anew_once(
    server: Server, gateway: GrpcGateway, reason: str
) -> None:
    server.before = once(saying(grpc.StatusCode.UNAUTHENTICATED, reason))
    assert gateway.push(EMPTY).epoch == 3
    assert server.tokens_taken == ["Bearer token-1", "Bearer token-2"]

    server.before = saying(grpc.StatusCode.UNAUTHENTICATED, reason)
    with pytest.raises(GatewayRefused, match="no"):
        gateway.push(EMPTY)
    assert len(server.tokens_taken) == 4


def test_a_revoked_till_is_told_so(server: Server, gateway: GrpcGateway) -> None:
    server.before_token = saying(grpc.StatusCode.UNAUTHENTICATED, "DEVICE_REVOKED", device_id="till-1")
    with pytest.raises(GatewayRefused) as refused:
        gateway.push(EMPTY)
    assert (refused.value.reason, refused.value.details) == ("DEVICE_REVOKED", {"device_id": "till-1"})


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, "DRAINING"),
        (grpc.StatusCode.UNAVAILABLE, ""),
        (grpc.StatusCode.ABORTED, "STORE_CONFLICT"),
        (grpc.StatusCode.INTERNAL, "INTERNAL"),
        (grpc.StatusCode.CANCELLED, ""),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    ],
)
def test_what_may_mend_itself_counts_as_away(
    server: Server, gateway: GrpcGateway, code: grpc.StatusCode, reason: str
) -> None:
    server.before = saying(code, reason)
    with pytest.raises(GatewayAway):
        gateway.post_sale(ledger_pb2.PostSaleRequest())


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT"),
        (grpc.StatusCode.NOT_FOUND, "MEMBER_NOT_FOUND"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"),
        (grpc.StatusCode.FAILED_PRECONDITION, "TILL_SUSPENDED"),
    ],
)
def test_what_trying_again_does_not_mend_is_a_no(
    server: Server, gateway: GrpcGateway, code: grpc.StatusCode, reason: str
) -> None:
    server.before = saying(code, reason)
    with pytest.raises(GatewayRefused) as refused:
        gateway.push(EMPTY)
    assert refused.value.reason == reason


@pytest.mark.parametrize("code", [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED])
def test_a_stranger_at_the_address_is_not_the_gateway(
    server: Server, gateway: GrpcGateway, code: grpc.StatusCode
) -> None:
    for stranger in (saying(code), saying(code, "DEVICE_REVOKED", domain="proxy.example")):
        server.before = stranger
        with pytest.raises(GatewayAway):
            gateway.push(EMPTY)


def test_a_busy_gateway_is_left_alone_for_as_long_as_it_asks(server: Server, gateway: GrpcGateway) -> None:
    server.before = saying(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", retry_s=7)
    with pytest.raises(GatewayBusy) as busy:
        gateway.push(EMPTY)
    assert busy.value.retry_after_s == 7


def test_a_cashier_waits_no_longer_than_the_call_may_take_with_the_token_included(
    server: Server, gateway: GrpcGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (transport.IDENTIFY_S, transport.SALE_S, transport.PUSH_S) == (1.0, 2.0, 10.0)
    monkeypatch.setattr(transport, "IDENTIFY_S", 0.3)
    server.before_token = lambda _context: time.sleep(0.2)
    server.before = lambda _context: time.sleep(0.2)
    began = time.monotonic()
    with pytest.raises(GatewayAway):
        gateway.identify(identity_pb2.IdentifyRequest())
    assert time.monotonic() - began < 0.39


def test_a_gateway_that_is_switched_off_is_noticed_at_once(port: int) -> None:
    gateway = open_gateway(1)
    began = time.monotonic()
    with pytest.raises(GatewayAway):
        gateway.push(EMPTY)
    assert time.monotonic() - began < 5
    gateway.close()


def test_a_proxy_of_the_environment_is_not_asked(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "grpc_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    gateway = open_gateway(port)
    assert gateway.push(EMPTY).epoch == 3
    gateway.close()


def test_the_stream_ends_when_the_gateway_ends_it(server: Server, gateway: GrpcGateway) -> None:
    server.pieces = [store_pb2.WatchResponse(cursor=b"1"), store_pb2.WatchResponse(cursor=b"2")]
    assert [piece.cursor for piece in gateway.watch(store_pb2.WatchRequest())] == [b"1", b"2"]
    until = time.monotonic() + 2
    while "till-watch-guard" in [thread.name for thread in threading.enumerate()]:
        assert time.monotonic() < until, "the guard of a stream ends with it"
        time.sleep(0.01)


def test_a_stream_that_breaks_is_a_gateway_that_is_away(server: Server, gateway: GrpcGateway) -> None:
    server.pieces = [store_pb2.WatchResponse(cursor=b"1"), saying(grpc.StatusCode.UNAVAILABLE)]
    stream = gateway.watch(store_pb2.WatchRequest())
    assert next(stream).cursor == b"1"
    with pytest.raises(GatewayAway):
        next(stream)


def test_a_stream_without_a_sound_is_given_up(
    server: Server, gateway: GrpcGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "WATCH_IDLE_S", 0.3)
    server.pieces = [
        store_pb2.WatchResponse(cursor=b"1"),
        lambda _context: time.sleep(0.2),
        store_pb2.WatchResponse(cursor=b"2"),
        lambda _context: time.sleep(1.5),
    ]
    heard: list[bytes] = []
    began = time.monotonic()
    with pytest.raises(GatewayAway):
        _note(gateway.watch(store_pb2.WatchRequest()), heard)
    assert heard == [b"1", b"2"]
    assert time.monotonic() - began < 1.2


def _note(pieces: Iterator[store_pb2.WatchResponse], heard: list[bytes]) -> None:
    heard.extend(piece.cursor for piece in pieces)


def test_a_stream_whose_token_is_not_taken_comes_back_with_another(
    server: Server, gateway: GrpcGateway
) -> None:
    server.before = once(saying(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED"))
    with pytest.raises(GatewayAway):
        next(gateway.watch(store_pb2.WatchRequest()))
    assert list(gateway.watch(store_pb2.WatchRequest())) == []
    assert server.tokens_taken == ["Bearer token-1", "Bearer token-2"]


def test_closing_the_gateway_ends_the_stream(server: Server, gateway: GrpcGateway) -> None:
    server.pieces = [store_pb2.WatchResponse(cursor=b"1"), lambda _context: time.sleep(0.5)]
    stream = gateway.watch(store_pb2.WatchRequest())
    next(stream)
    gateway.close()
    with pytest.raises(GatewayAway):
        next(stream)


def test_an_encrypted_gateway_is_believed_only_when_the_tills_authority_vouches_for_it(
    server: Server, tmp_path: Path
) -> None:
    ours, other = Authority("ours"), Authority("other")
    pair = ours.issue("gateway")
    credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)])
    for name, authority in (("ours", ours), ("other", other)):
        (tmp_path / f"{name}.pem").write_bytes(authority.certificate)
    for port in served(server, credentials):
        trusting = open_gateway(port, Tls(tmp_path / "ours.pem"))
        assert trusting.push(EMPTY).epoch == 3
        trusting.close()
        for tls in (Tls(tmp_path / "other.pem"), None):
            doubting = open_gateway(port, tls)
            with pytest.raises(GatewayAway):
                doubting.push(EMPTY)
            doubting.close()
    assert len(server.tokens_taken) == 1
