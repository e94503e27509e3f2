"""The line of a device to its gateway: channel, token, deadline, and what a status means.

A device proves its key with a signed assertion (RFC 7523) and buys a token for a few minutes. Buying counts towards
the time of the call that needed it, so that nobody waits longer than the call's own budget. Tills and webshops are
such devices.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from tallystick.core.record import record
from tallystick.security.enrolment import prove_possession
from tallystick.security.keys import SigningKey, public_jwk
from tallystick.security.tokens import assertion_profile, new_token_id, sign_client_assertion
from tallystick.v1 import till_pb2, till_pb2_grpc

TOKEN_MARGIN_S = 30.0
"""A token is replaced that long before it ends."""
REGISTER_S = 10.0
RECEIVE_BYTES_MAX = 4 << 20
VIOLATIONS_MAX = 10
DOMAIN = "tallystick"
DETAILS_KEY = "grpc-status-details-bin"

# Trying again later may mend these; what the gateway did is not known.
LOST = frozenset(
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
# Exhausted for good: waiting does not make a message smaller or a maximum larger.
NEVER_AGAIN = frozenset({"MESSAGE_TOO_LARGE", "LIMIT_REACHED"})
TOKEN_REASONS = frozenset({"TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED"})

Response = TypeVar("Response", bound=Message)
Method = Callable[..., Response]


class LinkLost(Exception):
    """No answer of the gateway: nothing is known of what it did.

    ``retry_after_s`` is the pause that a gateway with too much to do asked for, 0 when it asked for none.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LinkRefused(Exception):
    """The gateway's final no to a call. ``reason`` is an ErrorReason of the contract without its prefix."""

    def __init__(self, status: grpc.StatusCode, said: StatusDetails, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = said.reason
        self.details = dict(said.metadata)
        self.violations = said.violations


@record(frozen=True, slots=True)
class Tls:
    """PEM files: who vouches for the gateway, and the device's own certificate where the gateway wants one."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None


@record(frozen=True, slots=True)
class StatusDetails:
    """What a status carries beside its text; empty when its sender was not the gateway."""

    reason: str = ""
    domain: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float = 0.0
    violations: tuple[str, ...] = ()


class DeviceLink:
    """One connection of one device; safe to use from several threads.

    ``now_s`` is the device's best time in seconds since 1970: an assertion counts for a minute only. When the gateway
    answers that this clock is wrong, the gateway's own time is used. Without ``tls`` nothing is encrypted.
    """

    def __init__(
        self,
        server: str,
        *,
        issuer: str,
        device_id: str,
        key: SigningKey,
        now_s: Callable[[], int],
        tls: Tls | None = None,
    ) -> None:
        self._profile = assertion_profile(issuer=issuer)
        self._device_id = device_id
        self._key = key
        self._now_s = now_s
        self._token = ""
        self._token_until = 0.0
        self._buying = threading.Lock()
        self.channel = open_channel(server, tls)
        self._devices = till_pb2_grpc.TillServiceStub(self.channel)

    def close(self) -> None:
        """End all calls, streams too."""
        self.channel.close()

    def call(self, method: Method[Response], request: Message, budget_s: float) -> Response:
        """Make one call. Only a token that is not accepted is tried again, once, within the same budget.

        Raises LinkLost and LinkRefused.
        """
        until = time.monotonic() + budget_s
        token = self.fresh_token(until)
        try:
            return method(request, timeout=left_s(until), metadata=bearer(token))
        except grpc.RpcError as error:
            failure = failure_of(error)
            if not isinstance(failure, LinkRefused) or failure.reason not in TOKEN_REASONS:
                raise failure from error
        self.forget_token(token)
        token = self.fresh_token(until)
        try:
            return method(request, timeout=left_s(until), metadata=bearer(token))
        except grpc.RpcError as error:
            raise failure_of(error) from error

    def fresh_token(self, until: float) -> str:
        """Return a token that counts still, bought when needed before the monotonic instant ``until``."""
        if self._token and time.monotonic() < self._token_until:
            return self._token
        if not self._buying.acquire(timeout=max(0.0, until - time.monotonic())):
            raise LinkLost("no token in time")
        try:
            if not self._token or time.monotonic() >= self._token_until:
                self._buy_token(until)
            return self._token
        finally:
            self._buying.release()

    def forget_token(self, token: str) -> None:
        """Buy another for the next call, unless that has happened already."""
        with self._buying:
            if self._token == token:
                self._token = ""

    def _buy_token(self, until: float) -> None:
        bought_at = time.monotonic()
        try:
            answer = self._prove_key(self._now_s(), until)
        except LinkRefused as refused:
            # A device that starts with a wrong clock knows no better one and learns none without a token.
            server_ms = refused.details.get("server_ms", "")
            if refused.reason != "ASSERTION_INVALID" or not server_ms.isdecimal():
                raise
            answer = self._prove_key(int(server_ms) // 1000, until)
        self._token_until = bought_at + max(1.0, answer.expires_in_s - TOKEN_MARGIN_S)
        self._token = answer.access_token

    def _prove_key(self, now_s: int, until: float) -> till_pb2.IssueTokenResponse:
        # Each try signs anew: an assertion counts once, even when its answer was lost.
        assertion = sign_client_assertion(
            self._key, self._profile, device_id=self._device_id, token_id=new_token_id(), now_s=now_s
        )
        request = till_pb2.IssueTokenRequest(client_assertion=assertion)
        try:
            return self._devices.IssueToken(request, timeout=left_s(until))
        except grpc.RpcError as error:
            raise failure_of(error) from error


def register_key(
    server: str, tls: Tls | None, key: SigningKey, *, code: str, program_id: str
) -> till_pb2.EnrolDeviceResponse:
    """Register a device's key with a well-formed enrolment code. Raises LinkLost, LinkRefused and OSError."""
    request = till_pb2.EnrolDeviceRequest(
        code=code,
        program_id=program_id,
        public_jwk=json.dumps(public_jwk(key.private_key.public_key())),
        proof=prove_possession(key, code=code, program_id=program_id),
    )
    with open_channel(server, tls) as channel:
        try:
            return till_pb2_grpc.TillServiceStub(channel).EnrolDevice(request, timeout=REGISTER_S)
        except grpc.RpcError as error:
            raise failure_of(error) from error


def left_s(until: float) -> float:
    """Return how many seconds are left before a monotonic instant; LinkLost when none are."""
    left = until - time.monotonic()
    if left <= 0:
        raise LinkLost("the call's time is over")
    return left


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata with which a token goes along."""
    return (("authorization", f"Bearer {token}"),)


def failure_of(error: grpc.RpcError) -> LinkLost | LinkRefused:
    """Return what a status means for a device.

    Only an error that the gateway itself marked with its domain is a no; whatever a proxy or a stranger at the
    address says is no answer of the gateway.
    """
    if not hasattr(error, "trailing_metadata"):
        return LinkLost(f"the call failed: {type(error).__name__}")
    # Every error of a call is also the call; the stubs do not know.
    call = cast("grpc.Call", error)
    said = details_of(call.trailing_metadata() or ())
    code, message = call.code(), call.details() or ""
    if said.domain != DOMAIN or (code in LOST and said.reason not in NEVER_AGAIN):
        return LinkLost(f"{code.name}: {message}", retry_after_s=said.retry_after_s)
    return LinkRefused(code, said, message)


def details_of(trailers: object) -> StatusDetails:
    """Return what the trailing metadata of a call says about its status."""
    pairs = cast("tuple[tuple[str, bytes], ...]", trailers)
    packed = next((value for name, value in pairs if name == DETAILS_KEY), b"")
    try:
        status = status_pb2.Status.FromString(packed)
    except (DecodeError, TypeError):
        return StatusDetails()
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    bad_request = error_details_pb2.BadRequest()
    for detail in status.details:
        for known in (info, retry, bad_request):
            if detail.Is(known.DESCRIPTOR):
                detail.Unpack(known)
    return StatusDetails(
        info.reason,
        info.domain,
        dict(info.metadata),
        retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9,
        tuple(f"{one.field}: {one.description}" for one in bad_request.field_violations[:VIOLATIONS_MAX]),
    )


def open_channel(server: str, tls: Tls | None) -> grpc.Channel:
    """Open a channel to ``server``, host:port. Raises OSError when a file of ``tls`` cannot be read."""
    options = [
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A device talks to its gateway only; a proxy of the machine's environment is not asked.
        ("grpc.enable_http_proxy", 0),
        # Trying again is the caller's own business: a second layer below would multiply it.
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 2_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.max_receive_message_length", RECEIVE_BYTES_MAX),
    ]
    if tls is None:
        return grpc.insecure_channel(server, options)
    credentials = grpc.ssl_channel_credentials(
        tls.ca.read_bytes(),
        tls.key.read_bytes() if tls.key else None,
        tls.cert.read_bytes() if tls.cert else None,
    )
    return grpc.secure_channel(server, credentials, options)
