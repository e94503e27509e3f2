"""The back office: what managers and other channels do while a till sells, over gRPC, and what the books say."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import grpc

from tallystick.cli.options import ADMIN_PROFILE
from tallystick.cli.profile import load_profile
from tallystick.security.tokens import assertion_profile, new_token_id, sign_client_assertion
from tallystick.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    options_pb2,
    reward_pb2,
    reward_pb2_grpc,
    store_pb2,
    store_pb2_grpc,
    till_pb2,
    till_pb2_grpc,
    types_pb2,
)

CALL_S = 20.0
ENTRIES_MAX = 1_000

Request = TypeVar("Request")
Response = TypeVar("Response")


class Premises(Protocol):
    """A gateway that can be started and killed: where it listens, and where its keys and profiles lie."""

    @property
    def address(self) -> str: ...

    @property
    def data_dir(self) -> Path: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...


class Office:
    """An admin device with a token, one call at a time."""

    def __init__(self, installation: Premises) -> None:
        profile, key = load_profile(installation.data_dir, ADMIN_PROFILE)
        assertion = sign_client_assertion(
            key,
            assertion_profile(issuer=profile.issuer),
            device_id=profile.device_id,
            token_id=new_token_id(),
            now_s=int(time.time()),
        )
        self._channel = grpc.insecure_channel(installation.address, [("grpc.enable_http_proxy", 0)])
        self._tills = till_pb2_grpc.TillServiceStub(self._channel)
        self._ledger = ledger_pb2_grpc.LedgerServiceStub(self._channel)
        self._identity = identity_pb2_grpc.IdentityServiceStub(self._channel)
        self._rewards = reward_pb2_grpc.RewardServiceStub(self._channel)
        self._store = store_pb2_grpc.StoreServiceStub(self._channel)
        self._admin = admin_pb2_grpc.AdminServiceStub(self._channel)
        token = self._tills.IssueToken(
            till_pb2.IssueTokenRequest(client_assertion=assertion), timeout=CALL_S, wait_for_ready=True
        )
        self.token = token.access_token
        self._metadata = (("authorization", f"Bearer {token.access_token}"),)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def publish(self, rules: Mapping[str, Any]) -> None:
        """Publish a rule set."""
        request = admin_pb2.PublishRuleSetRequest(request_id=new_id(), text=json.dumps(rules))
        self._call(self._admin.PublishRuleSet, request)

    def till_code(self, store_id: str, label: str) -> str:
        """Return a one-time code for a till of a store."""
        request = till_pb2.CreateEnrolmentCodeRequest(
            kind=till_pb2.DEVICE_KIND_TILL, role=options_pb2.ROLE_TILL, store_id=store_id, label=label
        )
        return self._call(self._tills.CreateEnrolmentCode, request).code

    def shop_code(self, label: str) -> str:
        """Return a one-time code for a webshop."""
        request = till_pb2.CreateEnrolmentCodeRequest(
            kind=till_pb2.DEVICE_KIND_WEBSHOP, role=options_pb2.ROLE_WEBSHOP, label=label
        )
        return self._call(self._tills.CreateEnrolmentCode, request).code

    def confirm(self, device_id: str, fingerprint: str) -> None:
        """Let a device in whose fingerprint was compared."""
        request = till_pb2.ConfirmDeviceRequest(device_id=device_id, fingerprint=fingerprint)
        self._call(self._tills.ConfirmDevice, request)

    def member(self, points: int = 0) -> tuple[str, str]:
        """Enrol a member with points; return id and number."""
        request = identity_pb2.EnrolRequest(member_id=new_id(), origin=_origin())
        member = self._call(self._identity.Enrol, request).enrolled.member
        if points:
            self.adjust(member.member_id, points)
        return member.member_id, member.number

    def adjust(self, member_id: str, points: int) -> None:
        """Give points, or take them."""
        request = ledger_pb2.AdjustRequest(
            command_id=new_id(), member_id=member_id, points=points, reason="opening gift", origin=_origin()
        )
        assert self._call(self._ledger.Adjust, request).decision.HasField("posted")

    def burn(self, member_id: str, points: int) -> None:
        """Spend points in the webshop."""
        request = ledger_pb2.BurnRequest(
            command_id=new_id(),
            member_id=member_id,
            points=points,
            reason="prize",
            assurance=types_pb2.ASSURANCE_DEVICE_CODE,
            origin=_origin(),
        )
        assert self._call(self._ledger.Burn, request).decision.HasField("posted")

    def hand_out(self, member_id: str, code: str) -> None:
        """Note that the reward was handed out which a member's code stands for."""
        request = reward_pb2.UseRedemptionRequest(
            command_id=new_id(), member_id=member_id, code=code, origin=_origin()
        )
        assert self._call(self._rewards.UseRedemption, request).decision.HasField("posted")

    def voucher(self, member_id: str, store_id: str, points: int) -> str:
        """Turn points into a voucher; return what its code shows."""
        request = store_pb2.IssueVoucherRequest(
            voucher_id=new_id(),
            member_id=member_id,
            store_id=store_id,
            points=points,
            assurance=types_pb2.ASSURANCE_DEVICE_CODE,
        )
        return self._call(self._store.IssueVoucher, request).voucher.digits

    def set_cashier(self, store_id: str, cashier_id: str, label: str, pin: str, *, active: bool) -> None:
        """Let a cashier sign in at a store, or no longer."""
        request = store_pb2.SetCashierRequest(
            store_id=store_id, cashier_id=cashier_id, label=label, pin=pin, active=active
        )
        self._call(self._store.SetCashier, request)

    def balance(self, member_id: str) -> types_pb2.Balance:
        """Return a member's balance."""
        request = ledger_pb2.GetBalanceRequest(member_id=member_id)
        return self._call(self._ledger.GetBalance, request).balance

    def entries(self, member_id: str) -> list[ledger_pb2.Entry]:
        """Return a member's entries, the first one first."""
        request = ledger_pb2.ListEntriesRequest(member_id=member_id, page_size=ENTRIES_MAX)
        return sorted(self._call(self._ledger.ListEntries, request).entries, key=lambda entry: entry.seq)

    def _call(self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Response:
        # A gateway that was just started may take a moment.
        return method(request, timeout=CALL_S, metadata=self._metadata, wait_for_ready=True)


def new_id() -> str:
    """Return an id that nobody has used."""
    return str(uuid.uuid4())


def _origin() -> types_pb2.Origin:
    return types_pb2.Origin(channel=types_pb2.CHANNEL_BACKOFFICE)
