"""The gateway over gRPC: every call has a deadline, proves who calls, and ends as an answer, ``GatewayAway`` or
``GatewayRefused``. Buying a token counts towards the deadline of the call that needed it, so a cashier never waits
longer than the call's own budget.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from tallystick.security.device_link import (
    DOMAIN,
    RECEIVE_BYTES_MAX,
    TOKEN_MARGIN_S,
    TOKEN_REASONS,
    DeviceLink,
    LinkLost,
    LinkRefused,
    Tls,
    bearer,
    failure_of,
)
from tallystick.security.keys import SigningKey
from tallystick.v1 import (
    identity_pb2,
    identity_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    store_pb2,
    store_pb2_grpc,
)
from tallystick_till.backoff import GatewayBusy
from tallystick_till.ports import GatewayAway, GatewayRefused, Identity

__all__ = ["DOMAIN", "RECEIVE_BYTES_MAX", "TOKEN_MARGIN_S", "GrpcGateway", "Tls"]

IDENTIFY_S = 1.0
SALE_S = 2.0
PUSH_S = 10.0
CALL_S = 5.0
WATCH_IDLE_S = 45.0
"""Three heartbeats of the gateway: a stream that is silent so long is dead."""
WATCH_S = 3600.0

Response = TypeVar("Response", bound=Message)


class GrpcGateway:
    """One connection of one till; safe to use from several threads.

    ``now_s`` is the till's best time in seconds since 1970: an assertion counts for a minute only, so a till whose
    wall clock is wrong must use the gateway's anchor. Without ``tls`` nothing is encrypted.
    """

    def __init__(
        self, identity: Identity, key: SigningKey, *, now_s: Callable[[], int], tls: Tls | None = None
    ) -> None:
        self._link = DeviceLink(
            identity.gateway,
            issuer=identity.issuer,
            device_id=identity.till_id,
            key=key,
            now_s=now_s,
            tls=tls,
        )
        channel = self._link.channel
        self._store = store_pb2_grpc.StoreServiceStub(channel)
        self._identities = identity_pb2_grpc.IdentityServiceStub(channel)
        self._ledger = ledger_pb2_grpc.LedgerServiceStub(channel)

    def close(self) -> None:
        """End all calls, the stream too."""
        self._link.close()

    def push(self, request: store_pb2.PushAdvicesRequest) -> store_pb2.PushAdvicesResponse:
        return self._call(self._store.PushAdvices, request, PUSH_S)

    def watch(self, request: store_pb2.WatchRequest) -> Iterator[store_pb2.WatchResponse]:
        """Yield what the gateway tells until it ends the stream; ``GatewayAway`` when it has been silent too long."""
        try:
            token = self._link.fresh_token(time.monotonic() + CALL_S)
        except (LinkLost, LinkRefused) as error:
            raise _meaning(error) from error
        call = self._store.Watch(request, timeout=WATCH_S, metadata=bearer(token))
        guard = _IdleGuard(call.cancel, WATCH_IDLE_S)
        try:
            for response in call:
                guard.heard()
                yield response
                guard.heard()
        except grpc.RpcError as error:
            failure = failure_of(error)
            if isinstance(failure, LinkRefused) and failure.reason in TOKEN_REASONS:
                self._link.forget_token(token)
                raise GatewayAway("the token was not accepted: another is bought") from error
            raise _meaning(failure) from error
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
        try:
            return self._link.call(method, request, budget_s)
        except (LinkLost, LinkRefused) as error:
            raise _meaning(error) from error


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


def _meaning(failure: LinkLost | LinkRefused) -> GatewayAway | GatewayRefused:
    """Return what a failed call means for a till."""
    if isinstance(failure, LinkRefused):
        return GatewayRefused(failure.reason, str(failure), failure.details)
    if failure.retry_after_s:
        return GatewayBusy(str(failure), retry_after_s=failure.retry_after_s)
    return GatewayAway(str(failure))
