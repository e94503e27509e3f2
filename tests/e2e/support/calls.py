"""Single calls of a till without patience: what the server says, and how soon."""

from __future__ import annotations

import time
import uuid
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import grpc
from google.rpc import error_details_pb2, status_pb2

from tallystick.security.tokens import assertion_profile, new_token_id, sign_client_assertion
from tallystick.v1 import ledger_pb2, ledger_pb2_grpc, till_pb2, till_pb2_grpc, types_pb2
from tests.e2e.support.server import Installation

DEADLINE_S = 20.0
DETAILS_KEY = "grpc-status-details-bin"

Request = TypeVar("Request")
Response = TypeVar("Response")


class Said(NamedTuple):
    """A status with its reason, whether it said when to come back, and after how many seconds it came."""

    code: str
    reason: str
    retry_info: bool
    after_s: float


class Till:
    """A till with a token in its hand, one call at a time."""

    def __init__(self, installation: Installation) -> None:
        profile, key = installation.profile()
        assertion = sign_client_assertion(
            key,
            assertion_profile(issuer=profile.issuer),
            device_id=profile.device_id,
            token_id=new_token_id(),
            now_s=int(time.time()),
        )
        self._channel = grpc.insecure_channel(installation.address)
        request = till_pb2.IssueTokenRequest(client_assertion=assertion)
        token = till_pb2_grpc.TillServiceStub(self._channel).IssueToken(request, timeout=DEADLINE_S)
        self._metadata = (("authorization", f"Bearer {token.access_token}"),)
        self._ledger = ledger_pb2_grpc.LedgerServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def earn(self, member_id: str) -> Said:
        """Earn a point, and return what was said; the code is OK when it was posted or refused."""
        request = ledger_pb2.EarnRequest(
            command_id=str(uuid.uuid4()),
            member_id=member_id,
            points=1,
            action_id="visit",
            assurance=types_pb2.ASSURANCE_TYPED,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_WEBSHOP),
        )
        return self._said(self._ledger.Earn, request)

    def look_up(self, member_id: str) -> Said:
        """Ask for a balance."""
        return self._said(self._ledger.GetBalance, ledger_pb2.GetBalanceRequest(member_id=member_id))

    def _said(self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Said:
        started = time.monotonic()
        call = method.future(request, timeout=DEADLINE_S, metadata=self._metadata)
        code = call.code()
        after_s = time.monotonic() - started
        packed = next((value for key, value in call.trailing_metadata() if key == DETAILS_KEY), b"")
        assert isinstance(packed, bytes)
        reason, retry_info = "", False
        for detail in status_pb2.Status.FromString(packed).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                reason = info.reason
            retry_info = retry_info or detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)
        return Said(code.name, reason, retry_info, after_s)
