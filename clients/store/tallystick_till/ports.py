"""What the till needs of the world around it, so that a simulator can be that world.

Everything is synchronous. Nothing in the till reads a clock, makes randomness or opens a connection but through here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tallystick.core.ids import CommandId, MemberId
from tallystick.core.record import record
from tallystick.v1 import identity_pb2, ledger_pb2, store_pb2


class GatewayAway(Exception):
    """The gateway did not answer: nothing is known of what it did. The till stands in and tries again later."""


class GatewayRefused(Exception):
    """The gateway answered with an error that trying again does not mend.

    ``reason`` is its stable reason (an ErrorReason without its prefix), ``details`` its facts.
    """

    def __init__(self, reason: str, message: str, details: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = details or {}


class Gateway(Protocol):
    """The calls that a till makes. Each raises ``GatewayAway`` or ``GatewayRefused``."""

    def push(self, request: store_pb2.PushAdvicesRequest) -> store_pb2.PushAdvicesResponse: ...

    def watch(self, request: store_pb2.WatchRequest) -> Iterator[store_pb2.WatchResponse]: ...

    def request_leases(self, request: store_pb2.RequestLeasesRequest) -> store_pb2.RequestLeasesResponse: ...

    def return_lease(self, request: store_pb2.ReturnLeaseRequest) -> store_pb2.ReturnLeaseResponse: ...

    def recover(self, request: store_pb2.RecoverAdvicesRequest) -> store_pb2.RecoverAdvicesResponse: ...

    def check_pin(self, request: store_pb2.CheckPinRequest) -> store_pb2.CheckPinResponse: ...

    def list_inbox(self, request: store_pb2.ListInboxRequest) -> store_pb2.ListInboxResponse: ...

    def resolve_inbox_item(
        self, request: store_pb2.ResolveInboxItemRequest
    ) -> store_pb2.ResolveInboxItemResponse: ...

    def exposure(self, request: store_pb2.GetExposureRequest) -> store_pb2.GetExposureResponse: ...

    def identify(self, request: identity_pb2.IdentifyRequest) -> identity_pb2.IdentifyResponse: ...

    def enrol(self, request: identity_pb2.EnrolRequest) -> identity_pb2.EnrolResponse: ...

    def post_sale(self, request: ledger_pb2.PostSaleRequest) -> ledger_pb2.PostSaleResponse: ...

    def preview_return(
        self, request: ledger_pb2.PreviewReturnRequest
    ) -> ledger_pb2.PreviewReturnResponse: ...


class Clock(Protocol):
    """The machine's clocks. ``boot_id`` changes with every boot, when the monotonic clock begins anew."""

    def monotonic_ms(self) -> int: ...

    def wall_ms(self) -> int: ...

    def boot_id(self) -> str: ...


@record(frozen=True, slots=True)
class Known:
    """What the snapshot says of a member. ``seq`` is the member's last entry that it contains.

    ``tier_id`` is empty for none; ``status`` is 0 open, 1 blocked, 2 erased, 3 locked. ``memberships`` are those that
    were paid for, each with the ordinal of its last day.
    """

    member_id: MemberId
    seq: int
    active: int
    tier_id: str
    status: int
    memberships: tuple[tuple[str, int], ...] = ()


class Snapshot(Protocol):
    """The members of a program as a till of one store knows them."""

    def find(self, tag: bytes) -> list[Known]:
        """Return the members that a store tag (7 bytes) may belong to: none, one, or, hardly ever, more."""
        ...

    def member(self, member_id: MemberId) -> Known | None: ...

    def count(self) -> int: ...


@record(frozen=True, slots=True)
class Granted:
    """What a hub let a till burn. ``points`` <= what was asked for."""

    hold_id: CommandId
    points: int


@record(frozen=True, slots=True)
class Return:
    """A lease to give back. ``command_id`` was stored before it is sent."""

    command_id: CommandId
    member_id: MemberId
    lease_id: CommandId


class Hub(Protocol):
    """Who holds the store's leases and its list of used vouchers: this till itself, or another of the store.

    Each raises ``HubAway``. Repeating a call with the same advice id returns the same answer.
    """

    def limit(self, member_id: MemberId) -> int:
        """Return how many points the leases of a member still give."""
        ...

    def take(self, member_id: MemberId, advice_id: CommandId, points: int) -> list[Granted]:
        """Take points out of leases for good; durable before it returns. It gives all of them or none (empty)."""
        ...

    def use_voucher(self, voucher_id: CommandId, advice_id: CommandId) -> bool:
        """Mark a voucher as used; False when another sale used it."""
        ...

    def release(self, member_id: MemberId) -> list[Return]:
        """Close the leases of a member of which the gateway has seen all that was taken; return how to give them back.

        Durable before it returns: nothing more is taken from them. What the caller does not give back, the hub does.
        """
        ...


class HubAway(Exception):
    """The till that holds the leases does not answer: only the floor limit is left."""


@record(frozen=True, slots=True)
class Identity:
    """Who this till is. ``issuer`` names the installation; ``gateway`` is where it is, host:port."""

    till_id: str
    program_id: str
    store_id: str
    label: str
    gateway: str
    issuer: str
