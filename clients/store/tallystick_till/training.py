"""Training: the same till on a copy of what it knows. Nothing that is done there leaves it."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.core.ids import CommandId, MemberId
from tallystick.security.keys import generate_signing_key
from tallystick.v1 import identity_pb2, ledger_pb2, store_pb2
from tallystick_till.db import TillDb
from tallystick_till.engine import Till
from tallystick_till.ports import GatewayAway, Granted, Hub, HubAway, Return

_KNOWLEDGE = ("kv", "rules", "fact", "enrolled")
"""What training begins with; its outbox and its sales are empty."""

LEASES_MAX = 10_000
_SAYS = "{} is not sent in training"


def training_till(till: Till, hub: Hub) -> Till:
    """Return a till in memory that knows what the real one knows, asks nobody and tells nobody.

    It signs with a key of its own that no one trusts: a receipt of training is no receipt anywhere.
    """
    db = TillDb.in_memory()
    for table in _KNOWLEDGE:
        till.db.copy_table_to(db, table)
    return Till(
        identity=till.identity,
        key=generate_signing_key(),
        db=db,
        snapshot=till.snapshot,
        hub=TrainingHub(hub),
        gateway=NoGateway(),
        clock=till.machine,
        new_id=till.new_id,
        training=True,
    )


class TrainingHub:
    """The store's leases to look at; what is taken of them in training is taken of a copy."""

    state = "self"

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._taken: dict[CommandId, list[Granted]] = {}
        self._used: dict[MemberId, int] = {}
        self._vouchers: dict[CommandId, CommandId] = {}

    def limit(self, member_id: MemberId) -> int:
        try:
            limit = self._hub.limit(member_id)
        except HubAway:
            limit = 0
        return max(0, limit - self._used.get(member_id, 0))

    def take(self, member_id: MemberId, advice_id: CommandId, points: int) -> list[Granted]:
        if advice_id in self._taken:
            return self._taken[advice_id]
        if points > self.limit(member_id) or len(self._taken) >= LEASES_MAX:
            return []
        self._used[member_id] = self._used.get(member_id, 0) + points
        # The lease behind it is nobody's business in training; any id serves.
        self._taken[advice_id] = [Granted(advice_id, points)]
        return self._taken[advice_id]

    def use_voucher(self, voucher_id: CommandId, advice_id: CommandId) -> bool:
        return self._vouchers.setdefault(voucher_id, advice_id) == advice_id

    def release(self, _member_id: MemberId) -> list[Return]:
        return []


class NoGateway:
    """A gateway that is never there."""

    def push(self, request: store_pb2.PushAdvicesRequest) -> store_pb2.PushAdvicesResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def watch(self, request: store_pb2.WatchRequest) -> Iterator[store_pb2.WatchResponse]:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def request_leases(self, request: store_pb2.RequestLeasesRequest) -> store_pb2.RequestLeasesResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def return_lease(self, request: store_pb2.ReturnLeaseRequest) -> store_pb2.ReturnLeaseResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def recover(self, request: store_pb2.RecoverAdvicesRequest) -> store_pb2.RecoverAdvicesResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def check_pin(self, request: store_pb2.CheckPinRequest) -> store_pb2.CheckPinResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def list_inbox(self, request: store_pb2.ListInboxRequest) -> store_pb2.ListInboxResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def resolve_inbox_item(
        self, request: store_pb2.ResolveInboxItemRequest
    ) -> store_pb2.ResolveInboxItemResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def exposure(self, request: store_pb2.GetExposureRequest) -> store_pb2.GetExposureResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def identify(self, request: identity_pb2.IdentifyRequest) -> identity_pb2.IdentifyResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def enrol(self, request: identity_pb2.EnrolRequest) -> identity_pb2.EnrolResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def post_sale(self, request: ledger_pb2.PostSaleRequest) -> ledger_pb2.PostSaleResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))

    def preview_return(self, request: ledger_pb2.PreviewReturnRequest) -> ledger_pb2.PreviewReturnResponse:
        raise GatewayAway(_SAYS.format(type(request).__name__))
