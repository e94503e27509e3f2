"""The gateway over gRPC: every call has a deadline, proves who calls, and ends as an answer, ``GatewayAway`` or
``GatewayRefused``.

The till proves its key with a signed assertion (RFC 7523) and buys a token for a few minutes; that counts towards the
deadline of the call that needed it, so a cashier never waits longer than the call's own budget.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from tallystick.security.keys import SigningKey
from tallystick.security.tokens import assertion_profile, new_token_id, sign_client_assertion
from tallystick.v1 import (
    identity_pb2,
    identity_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    store_pb2,
    store_pb2_grpc,
    till_pb2,
    till_pb2_grpc,
)
from tallystick_till.backoff import GatewayBusy
from tallystick_till.ports import GatewayAway, GatewayRefused, Identity

IDENTIFY_S = 1.0
SALE_S = 2.0
PUSH_S = 10.0
CALL_S = 5.0
WATCH_IDLE_S = 45.0
"""Three heartbeats of the gateway: a stream that is silent so long is dead."""
WATCH_S = 3600.0
TOKEN_MARGIN_S = 30.0
RECEIVE_BYTES_MAX = 4 << 20
DOMAIN = "tallystick"

_DETAILS_KEY = "grpc-status-details-bin"
# Trying again later may mend these; what the gateway did is not known.
_AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_NEVER_AGAIN = frozenset({"MESSAGE_TOO_LARGE", "LIMIT_REACHED"})
_TOKEN_REASONS = frozenset({"TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED"})

Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: who vouches for the gateway, and the till's own certificate where the gateway wants one."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None


class GrpcGateway:
    """One connection of one till; safe to use from several threads.

    ``now_s`` is the till's best time in seconds since 1970: an assertion counts for a minute only, so a till whose
    wall clock is wrong must use the gateway's anchor. Without ``tls`` nothing is encrypted.
    """

    def __init__(
        self, identity: Identity, key: SigningKey, *, now_s: Callable[[], int], tls: Tls | None = None
    ) -> None:
        self._identity = identity
        self._key = key
        self._now_s = now_s
        self._token = ""
        self._token_until = 0.0
        self._buying = threading.Lock()
        self._channel = _open_channel(identity.gateway, tls)
        self._store = store_pb2_grpc.StoreServiceStub(self._channel)
        self._identities = identity_pb2_grpc.IdentityServiceStub(self._channel)
        self._ledger = ledger_pb2_grpc.LedgerServiceStub(self._channel)
        self._tills = till_pb2_grpc.TillServiceStub(self._channel)

    def close(self) -> None:
        """End all calls, the stream too."""
        self._channel.close()

    def push(self, request: store_pb2.PushAdvicesRequest) -> store_pb2.PushAdvicesResponse:
        return self._call(self._store.PushAdvices, request, PUSH_S)

    def watch(self, request: store_pb2.WatchRequest) -> Iterator[store_pb2.WatchResponse]:
        """Yield what the gateway tells until it ends the stream; ``GatewayAway`` when it has been silent too long."""
        token = self._fresh_token(time.monotonic() + CALL_S)
        call = self._store.Watch(request, timeout=WATCH_S, metadata=_bearer(token))
        guard = _IdleGuard(call.cancel, WATCH_IDLE_S)
        try:
            for response in call:
                guard.heard()
                yield response
                guard.heard()
        except grpc.RpcError as error:
            failure = _failure(error)
            if isinstance(failure, GatewayRefused) and failure.reason in _TOKEN_REASONS:
                self._token = ""
                raise GatewayAway("the token was not accepted: another is bought") from error
            raise failure from error
        finally:
            guard.stop()
            call.cancel()

    def request_leases(self, request: store_pb2.RequestLeasesRequest) -> store_pb2.RequestLeasesResponse:
        return self._call(self._store.RequestLeases, request, PUSH_S)

    def return_lease(self, request: store_pb2.ReturnLeaseRequest) -> store_pb2.ReturnLeaseResponse:
        return self._call(self._store.ReturnLease, request, CALL_S)

    def recover(self, request: store_pb2.RecoverAdvicesRequest) -> store_pb2.RecoverAdvicesResponse:
        return self._call(self._store.RecoverAdvices, request, PUSH_S)

    def check_pin(self, request: store_pb2.CheckPinRequest) -> store_pb2.CheckPinResponse:
        return self._call(self._store.CheckPin, request, SALE_S)

    def list_inbox(self, request: store_pb2.ListInboxRequest) -> store_pb2.ListInboxResponse:
        return self._call(self._store.ListInbox, request, CALL_S)

    def resolve_inbox_item(
        self, request: store_pb2.ResolveInboxItemRequest
    ) -> store_pb2.ResolveInboxItemResponse:
        return self._call(self._store.ResolveInboxItem, request, CALL_S)

    def exposure(self, request: store_pb2.GetExposureRequest) -> store_pb2.GetExposureResponse:
        return self._call(self._store.GetExposure, request, CALL_S)

    def identify(self, request: identity_pb2.IdentifyRequest) -> identity_pb2.IdentifyResponse:
        return self._call(self._identities.Identify, request, IDENTIFY_S)

    def enrol(self, request: identity_pb2.EnrolRequest) -> identity_pb2.EnrolResponse:
        return self._call(self._identities.Enrol, request, SALE_S)

    def post_sale(self, request: ledger_pb2.PostSaleRequest) -> ledger_pb2.PostSaleResponse:
        return self._call(self._ledger.PostSale, request, SALE_S)

    def preview_return(self, request: ledger_pb2.PreviewReturnRequest) -> ledger_pb2.PreviewReturnResponse:
        return self._call(self._ledger.PreviewReturn, request, SALE_S)

    def _call(self, method: Callable[..., Response], request: Message, budget_s: float) -> Response:
        """Make one call. Only a token that is not accepted is tried again, once, within the same budget."""
        until = time.monotonic() + budget_s
        token = self._fresh_token(until)
        try:
            return method(request, timeout=_left(until), metadata=_bearer(token))
        except grpc.RpcError as error:
            failure = _failure(error)
            if not isinstance(failure, GatewayRefused) or failure.reason not in _TOKEN_REASONS:
                raise failure from error
        self._forget_token(token)
        token = self._fresh_token(until)
        try:
            return method(request, timeout=_left(until), metadata=_bearer(token))
        except grpc.RpcError as error:
            raise _failure(error) from error

    def _fresh_token(self, until: float) -> str:
        if self._token and time.monotonic() < self._token_until:
            return self._token
        if not self._buying.acquire(timeout=max(0.0, until - time.monotonic())):
            raise GatewayAway("no token in time")
        try:
            if not self._token or time.monotonic() >= self._token_until:
                self._buy_token(until)
            return self._token
        finally:
            self._buying.release()

    def _buy_token(self, until: float) -> None:
        bought_at = time.monotonic()
        try:
            answer = self._prove_key(self._now_s(), until)
        except GatewayRefused as refused:
            # A till that starts with a wrong clock has no anchor yet and gets none without a token.
            server_ms = refused.details.get("server_ms", "")
            if refused.reason != "ASSERTION_INVALID" or not server_ms.isdecimal():
                raise
            answer = self._prove_key(int(server_ms) // 1000, until)
        self._token_until = bought_at + max(1.0, answer.expires_in_s - TOKEN_MARGIN_S)
        self._token = answer.access_token

    def _prove_key(self, now_s: int, until: float) -> till_pb2.IssueTokenResponse:
        assertion = sign_client_assertion(
            self._key,
            assertion_profile(issuer=self._identity.issuer),
            device_id=self._identity.till_id,
            token_id=new_token_id(),
            now_s=now_s,
        )
        request = till_pb2.IssueTokenRequest(client_assertion=assertion)
        try:
            return self._tills.IssueToken(request, timeout=_left(until))
        except grpc.RpcError as error:
            raise _failure(error) from error

    def _forget_token(self, token: str) -> None:
        with self._buying:
            if self._token == token:
                self._token = ""


class _IdleGuard:
    """Cancels a stream on which nothing was heard for ``idle_s``: a dead line shows in no other way."""

    def __init__(self, cancel: Callable[[], object], idle_s: float) -> None:
        self._cancel = cancel
        self._idle_s = idle_s
        self._heard_at = time.monotonic()
        self._over = threading.Event()
        threading.Thread(target=self._guard, name="till-watch-guard", daemon=True).start()

    def heard(self) -> None:
        self._heard_at = time.monotonic()

    def stop(self) -> None:
        self._over.set()

    def _guard(self) -> None:
        while (left_s := self._heard_at + self._idle_s - time.monotonic()) > 0:
            if self._over.wait(left_s):
                return
        self._cancel()


def _left(until: float) -> float:
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise GatewayAway("the call's time is over")
    return left_s


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _failure(error: grpc.RpcError) -> GatewayAway | GatewayRefused:
    """Return what a status means for a till.

    Only an error that the gateway itself signed with its domain is a no; whatever a proxy or a stranger at the
    address says is no answer of the gateway.
    """
    if not hasattr(error, "trailing_metadata"):
        return GatewayAway(f"the call failed: {type(error).__name__}")
    # Every error of a call is also the call; the stubs do not know.
    call = cast("grpc.Call", error)
    info, retry_after_s = _details_of(call)
    code, message = call.code(), call.details() or ""
    ours = info.domain == DOMAIN
    if not ours or (code in _AWAY and info.reason not in _NEVER_AGAIN):
        text = f"{code.name}: {message}"
        return GatewayBusy(text, retry_after_s=retry_after_s) if retry_after_s else GatewayAway(text)
    return GatewayRefused(info.reason, message, dict(info.metadata))


def _details_of(error: grpc.Call) -> tuple[error_details_pb2.ErrorInfo, float]:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    trailers = error.trailing_metadata() or ()
    packed = next((value for name, value in trailers if name == _DETAILS_KEY), b"")
    try:
        status = status_pb2.Status.FromString(packed)
    except (DecodeError, TypeError):
        return info, 0.0
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(retry.DESCRIPTOR):
            detail.Unpack(retry)
    return info, retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9


def _open_channel(address: str, tls: Tls | None) -> grpc.Channel:
    options = [
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A till talks to its gateway only; a proxy of the machine's environment is not asked.
        ("grpc.enable_http_proxy", 0),
        # Trying again is the till's own business: a second layer below would multiply it.
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 2_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.max_receive_message_length", RECEIVE_BYTES_MAX),
    ]
    if tls is None:
        return grpc.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(
        tls.ca.read_bytes(),
        tls.key.read_bytes() if tls.key else None,
        tls.cert.read_bytes() if tls.cert else None,
    )
    return grpc.secure_channel(address, credentials, options)
