"""A client of a Tallystick server as a till or shop would write it: key, token, deadline, patience.

The device proves its key with a signed assertion (RFC 7523) and buys a token for a few minutes. Every call has a
deadline. What the server could not take is sent again with the same ids, so nothing is lost and nothing counts
twice.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from tallystick.cli.output import CommandFailed
from tallystick.cli.profile import Profile
from tallystick.security.device_link import NEVER_AGAIN, TOKEN_MARGIN_S, StatusDetails, details_of
from tallystick.security.enrolment import normalise_code, prove_possession
from tallystick.security.keys import SigningKey, public_jwk
from tallystick.security.tokens import assertion_profile, new_token_id, sign_client_assertion
from tallystick.v1 import (
    admin_pb2_grpc,
    card_pb2_grpc,
    coupon_pb2_grpc,
    identity_pb2_grpc,
    ledger_pb2_grpc,
    member_pb2_grpc,
    notification_pb2_grpc,
    review_pb2_grpc,
    reward_pb2_grpc,
    store_pb2_grpc,
    till_pb2,
    till_pb2_grpc,
    webshop_pb2_grpc,
)

DEADLINE_S = 15.0
PATIENCE_S = 30.0
"""How long one call is tried again before its caller hears of it."""
BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 2.0

# The ids make a repetition harmless, so each of these may be tried again.
_RETRIED = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)

Response = TypeVar("Response")


class CallFailed(CommandFailed):
    """The server's final no to a call. `reason` is that of the contract's ErrorReason, empty when it gave none."""

    def __init__(self, code: grpc.StatusCode, reason: str, message: str, *, mend: str = "") -> None:
        super().__init__(f"{message} ({reason or code.name})", mend=mend)
        self.status = code
        self.reason = reason


class Client:
    """One connection of one device; use it as an async context manager.

    `server` overrules the profile's address. Public calls only are possible without a key.
    """

    def __init__(
        self,
        profile: Profile,
        key: SigningKey | None,
        *,
        server: str = "",
        deadline_s: float = DEADLINE_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.profile = profile
        self.retries = 0
        self._key = key
        self._server = server or profile.server
        self._deadline_s = deadline_s
        self._patience_s = patience_s
        self._token = ""
        self._token_until = 0.0
        self._buying = asyncio.Lock()
        self._channel = _open_channel(profile, self._server)
        self.ledger = ledger_pb2_grpc.LedgerServiceStub(self._channel)
        self.identity = identity_pb2_grpc.IdentityServiceStub(self._channel)
        self.members = member_pb2_grpc.MemberServiceStub(self._channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self._channel)
        self.cards = card_pb2_grpc.CardServiceStub(self._channel)
        self.coupons = coupon_pb2_grpc.CouponServiceStub(self._channel)
        self.reviews = review_pb2_grpc.ReviewServiceStub(self._channel)
        self.rewards = reward_pb2_grpc.RewardServiceStub(self._channel)
        self.till = till_pb2_grpc.TillServiceStub(self._channel)
        self.notifications = notification_pb2_grpc.NotificationServiceStub(self._channel)
        self.webhooks = webshop_pb2_grpc.WebhookServiceStub(self._channel)
        self.store = store_pb2_grpc.StoreServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Any, Response],
        request: Any,
        *,
        public: bool = False,
    ) -> Response:
        """Call a method until it answers, and return the answer.

        Raises CallFailed for what trying again cannot mend, or when `patience_s` is over.
        """
        give_up_at = time.monotonic() + self._patience_s
        backoff_s = BACKOFF_FIRST_S
        token_renewed = False
        while True:
            metadata = () if public else (("authorization", f"Bearer {await self._fresh_token()}"),)
            try:
                return await method(request, timeout=self._deadline_s, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                details = details_of(error.trailing_metadata())
                if details.reason == "TOKEN_EXPIRED" and not token_renewed:
                    token_renewed, self._token = True, ""
                    continue
                if not _may_retry(error.code(), details.reason) or time.monotonic() >= give_up_at:
                    raise self._failure(error, details) from error
            self.retries += 1
            asked_s = min(BACKOFF_MAX_S, details.retry_after_s)
            await asyncio.sleep(max(asked_s, random.uniform(backoff_s / 2, backoff_s)))  # noqa: S311
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    async def enrol_device(self, code: str, program_id: str) -> till_pb2.EnrolDeviceResponse:
        """Register this client's key with an enrolment code; the manager then confirms its fingerprint."""
        assert self._key is not None, "a device that enrols has a key"
        if normalise_code(code) is None:
            raise CommandFailed(
                "that is no enrolment code", mend="it has 12 letters and digits: K7AB-9QRS-TVWX"
            )
        request = till_pb2.EnrolDeviceRequest(
            code=code,
            program_id=program_id,
            public_jwk=json.dumps(public_jwk(self._key.private_key.public_key())),
            proof=prove_possession(self._key, code=code, program_id=program_id),
        )
        return await self.call(self.till.EnrolDevice, request, public=True)

    async def _fresh_token(self) -> str:
        if self._token and time.monotonic() < self._token_until:
            return self._token
        async with self._buying:
            if not self._token or time.monotonic() >= self._token_until:
                await self._buy_token()
        return self._token

    async def _buy_token(self) -> None:
        assert self._key is not None, "only public calls go without a key"
        bought_at = time.monotonic()
        give_up_at = bought_at + self._patience_s
        backoff_s = BACKOFF_FIRST_S
        while True:
            # Each try signs anew: an assertion counts once, even when its answer was lost.
            assertion = sign_client_assertion(
                self._key,
                assertion_profile(issuer=self.profile.issuer),
                device_id=self.profile.device_id,
                token_id=new_token_id(),
                now_s=int(time.time()),
            )
            request = till_pb2.IssueTokenRequest(client_assertion=assertion)
            try:
                answer = await self.till.IssueToken(request, timeout=self._deadline_s)
            except grpc.aio.AioRpcError as error:
                details = details_of(error.trailing_metadata())
                if not _may_retry(error.code(), details.reason) or time.monotonic() >= give_up_at:
                    raise self._failure(error, details) from error
            else:
                self._token = answer.access_token
                self._token_until = bought_at + max(1, answer.expires_in_s - TOKEN_MARGIN_S)
                return
            await asyncio.sleep(max(min(BACKOFF_MAX_S, details.retry_after_s), backoff_s))
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    def _failure(self, error: grpc.aio.AioRpcError, details: StatusDetails) -> CallFailed:
        code, reason = error.code(), details.reason
        message = error.details() or "the server gave no message"
        mend = "\n            ".join(details.violations)
        if code is grpc.StatusCode.UNAVAILABLE and not reason:
            message, mend = _no_connection(self._server, message)
        elif code is grpc.StatusCode.UNAUTHENTICATED:
            mend = (
                "the server does not know this device: make its profile again, see `tallystick keys device`"
            )
        elif reason == "ROLE_NOT_ALLOWED":
            mend = "use a profile with another role: --profile NAME"
        return CallFailed(code, reason, message, mend=mend)


def _no_connection(server: str, said: str) -> tuple[str, str]:
    """The message and the mend for a server that was not reached, by what gRPC said: nothing else tells them apart."""
    if "CERTIFICATE_VERIFY_FAILED" in said or "Hostname Verification" in said:
        return (
            f"the certificate of the server at {server} is not trusted",
            "`tls_ca` in the profile is the file of its authority; the certificate must hold the name in `server`",
        )
    if "handshake failed" in said:
        return (
            f"the server at {server} does not speak TLS as this profile does",
            "correct `tls_ca` in the profile",
        )
    # A server that wants another certificate says so only after the client's half of the handshake.
    if "failed to connect" in said and "Socket closed" in said:
        return (
            f"the server at {server} took the connection and closed it at once",
            "it may demand a client certificate (`tls_cert` and `tls_key` in the profile) or TLS (`tls_ca`)",
        )
    return (
        f"no server answers at {server}",
        "start it with `tallystick run` or `tallystick serve`, or name another with --server",
    )


def _may_retry(code: grpc.StatusCode, reason: str) -> bool:
    return code in _RETRIED and reason not in NEVER_AGAIN


def _open_channel(profile: Profile, server: str) -> grpc.aio.Channel:
    options = [
        ("grpc.keepalive_time_ms", 60_000),
        # Retries are ours: a second layer below would multiply them.
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]
    if not profile.tls_ca:
        return grpc.aio.insecure_channel(server, options)
    try:
        credentials = grpc.ssl_channel_credentials(
            Path(profile.tls_ca).read_bytes(),
            Path(profile.tls_key).read_bytes() if profile.tls_key else None,
            Path(profile.tls_cert).read_bytes() if profile.tls_cert else None,
        )
    except OSError as error:
        raise CommandFailed(
            f"{error.filename} cannot be read: {error.strerror}", mend="correct the tls_* of the profile"
        ) from error
    return grpc.aio.secure_channel(server, credentials, options)
