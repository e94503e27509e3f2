"""Clocks, a snapshot, a hub and a gateway that tests command."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.core import advice as chain
from tallystick.core.basket import Assurance, Origin
from tallystick.core.entry import Refused
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.standin import stand_in_sale
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import identity_pb2, ledger_pb2, member_pb2, store_pb2, types_pb2
from tallystick.wire.advices import read_advice
from tallystick.wire.basket import basket_from_pb, spend_from_pb
from tallystick_till.ports import GatewayAway, GatewayRefused, Granted, HubAway, Known, Return
from tests.till.premises import (
    ANNA_CARD,
    START_MS,
    STORE,
)


class FakeClock:
    def __init__(self) -> None:
        self.monotonic = 5_000
        self.wall = START_MS
        self.boot = "boot-1"

    def monotonic_ms(self) -> int:
        return self.monotonic

    def wall_ms(self) -> int:
        return self.wall

    def boot_id(self) -> str:
        return self.boot

    def go(self, seconds: float) -> None:
        self.monotonic += int(seconds * 1000)
        self.wall += int(seconds * 1000)

    def reboot(self) -> None:
        self.boot += "+"
        self.monotonic = 100


class FakeSnapshot:
    def __init__(self) -> None:
        self.members: dict[MemberId, Known] = {}
        self.tags: dict[bytes, list[MemberId]] = {}

    def find(self, tag: bytes) -> list[Known]:
        return [self.members[member_id] for member_id in self.tags.get(tag, ())]

    def member(self, member_id: MemberId) -> Known | None:
        return self.members.get(member_id)

    def count(self) -> int:
        return len(self.members)

    def put(self, known: Known, *tags: bytes) -> None:
        self.members[known.member_id] = known
        for tag in tags:
            self.tags.setdefault(tag, []).append(known.member_id)


class FakeHub:
    state = "self"

    def __init__(self) -> None:
        self.leases: dict[MemberId, int] = {}
        self.taken: dict[CommandId, list[Granted]] = {}
        self.vouchers: dict[CommandId, CommandId] = {}
        self.away = False

    def _answer(self) -> None:
        if self.away:
            raise HubAway

    def limit(self, member_id: MemberId) -> int:
        self._answer()
        return self.leases.get(member_id, 0)

    def take(self, member_id: MemberId, advice_id: CommandId, points: int) -> list[Granted]:
        self._answer()
        if advice_id in self.taken:
            before = self.taken[advice_id]
            return before if sum(one.points for one in before) == points else []
        if points > self.leases.get(member_id, 0):
            return []
        self.leases[member_id] -= points
        self.taken[advice_id] = [Granted(CommandId(str(uuid.UUID(int=99))), points)]
        return self.taken[advice_id]

    def use_voucher(self, voucher_id: CommandId, advice_id: CommandId) -> bool:
        self._answer()
        return self.vouchers.setdefault(voucher_id, advice_id) == advice_id

    def release(self, member_id: MemberId) -> list[Return]:
        self._answer()
        return []


@dataclass
class FakeGateway:
    """Decides by the core's own functions; keeps one till's chain as the gateway does.

    ``away``: nothing answers. ``lost``: it decides, and the answer does not arrive. ``refuses``: the error it answers.
    ``ahead`` and ``met`` are the challenges that it tells of with every scan and every sale.
    """

    rules: RuleSet
    away: bool = True
    lost: bool = False
    refuses: str = ""
    balances: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    scans: dict[str, str] = field(default_factory=dict)
    sales: dict[str, ledger_pb2.Decision] = field(default_factory=dict)
    enrolled: dict[str, str] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    locked_until_ms: int = 0
    previews: dict[str, ledger_pb2.PreviewReturnResponse] = field(default_factory=dict)
    chain: chain.TillChain = field(default_factory=lambda: chain.TillChain("till-1", STORE))
    heard: list[pb.Advice] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    verdicts: dict[bytes, pb.Verdict] = field(default_factory=dict)
    recovered: list[pb.SignedAdvice] = field(default_factory=list)
    seqs: dict[str, int] = field(default_factory=dict)
    assurance: types_pb2.Assurance.ValueType = types_pb2.ASSURANCE_STATIC_CARD
    ahead: list[identity_pb2.ChallengeAhead] = field(default_factory=list)
    met: list[types_pb2.ChallengeMet] = field(default_factory=list)

    def _answer(self, call: str) -> None:
        self.asked.append(call)
        if self.away:
            raise GatewayAway(call)
        if self.refuses:
            raise GatewayRefused(self.refuses, "no")

    def _next_seq(self, member_id: str) -> int:
        self.seqs[member_id] = self.seqs.get(member_id, 10) + 1
        return self.seqs[member_id]

    def push(self, request: store_pb2.PushAdvicesRequest) -> store_pb2.PushAdvicesResponse:
        self._answer("push")
        verdicts = []
        for raw in request.advices:
            slot = read_advice(raw, store_id=STORE).slot
            known = slot.digest in self.verdicts
            match chain.admit(self.chain, slot, known=known):
                case chain.Admission.NEXT:
                    self.chain = chain.advance(self.chain, slot)
                    self.verdicts.setdefault(slot.digest, self._verdict(raw))
                    verdicts.append(self.verdicts[slot.digest])
                case chain.Admission.REPLAY:
                    verdicts.append(self.verdicts[slot.digest])
                case chain.Admission.GAP:
                    break
                case other:
                    if other is chain.Admission.FORK:
                        self.chain = chain.fence(self.chain, Ms(START_MS))
                    reason = pb.VERDICT_REASON_FORKED
                    verdicts.append(
                        pb.Verdict(seq=slot.seq, kind=pb.VERDICT_KIND_QUARANTINED, reasons=[reason])
                    )
        response = store_pb2.PushAdvicesResponse(
            verdicts=verdicts,
            epoch=self.chain.epoch,
            acked_seq=self.chain.acked_seq,
            acked_hash=self.chain.head,
        )
        if self.lost:
            raise GatewayAway("push")
        return response

    def _verdict(self, raw: bytes) -> pb.Verdict:
        advice = pb.Advice.FromString(raw)
        self.heard.append(advice)
        seq = self._next_seq(str(uuid.UUID(bytes=advice.member_id)))
        return pb.Verdict(
            seq=advice.seq,
            kind=pb.VERDICT_KIND_POSTED,
            member_seq=seq,
            earned_points=advice.sale.earned_points,
            challenges_met=self.met,
        )

    def watch(self, request: store_pb2.WatchRequest) -> Iterator[store_pb2.WatchResponse]:
        self._answer("watch")
        return iter(())

    def request_leases(self, request: store_pb2.RequestLeasesRequest) -> store_pb2.RequestLeasesResponse:
        self._answer("request_leases")
        return store_pb2.RequestLeasesResponse()

    def return_lease(self, request: store_pb2.ReturnLeaseRequest) -> store_pb2.ReturnLeaseResponse:
        self._answer("return_lease")
        return store_pb2.ReturnLeaseResponse()

    def recover(self, request: store_pb2.RecoverAdvicesRequest) -> store_pb2.RecoverAdvicesResponse:
        self._answer("recover")
        self.recovered += request.advices
        return store_pb2.RecoverAdvicesResponse(
            verdicts=[pb.Verdict(kind=pb.VERDICT_KIND_POSTED) for _ in request.advices]
        )

    def check_pin(self, request: store_pb2.CheckPinRequest) -> store_pb2.CheckPinResponse:
        self._answer("check_pin")
        locked = Timestamp()
        locked.FromMilliseconds(self.locked_until_ms)
        return store_pb2.CheckPinResponse(
            correct=self.pins.get(request.cashier_id) == request.pin,
            locked_until=locked if self.locked_until_ms else None,
        )

    def list_inbox(self, request: store_pb2.ListInboxRequest) -> store_pb2.ListInboxResponse:
        self._answer("list_inbox")
        return store_pb2.ListInboxResponse()

    def resolve_inbox_item(
        self, request: store_pb2.ResolveInboxItemRequest
    ) -> store_pb2.ResolveInboxItemResponse:
        self._answer("resolve_inbox_item")
        return store_pb2.ResolveInboxItemResponse()

    def exposure(self, request: store_pb2.GetExposureRequest) -> store_pb2.GetExposureResponse:
        self._answer("exposure")
        return store_pb2.GetExposureResponse()

    def identify(self, request: identity_pb2.IdentifyRequest) -> identity_pb2.IdentifyResponse:
        self._answer("identify")
        member_id = self.scans.get(request.text)
        if member_id is None:
            reason = identity_pb2.IDENTITY_REFUSAL_REASON_UNKNOWN
            return identity_pb2.IdentifyResponse(not_identified=identity_pb2.NotIdentified(reason=reason))
        return identity_pb2.IdentifyResponse(
            identified=identity_pb2.Identification(
                member_id=member_id,
                assurance=self.assurance,
                balance=types_pb2.Balance(active=self.balances.get(member_id, 0)),
                display_name=self.names.get(member_id, ""),
                status=member_pb2.MEMBER_STATUS_OPEN,
                challenges=self.ahead,
            )
        )

    def enrol(self, request: identity_pb2.EnrolRequest) -> identity_pb2.EnrolResponse:
        self._answer("enrol")
        if request.text in self.enrolled.values() and self.enrolled.get(request.member_id) != request.text:
            reason = identity_pb2.IDENTITY_REFUSAL_REASON_TAKEN
            return identity_pb2.EnrolResponse(refused=identity_pb2.IdentifierRefused(reason=reason))
        self.enrolled[request.member_id] = request.text
        if self.lost:
            raise GatewayAway("enrol")
        member = member_pb2.Member(member_id=request.member_id, number=ANNA_CARD)
        return identity_pb2.EnrolResponse(enrolled=identity_pb2.Enrolled(member=member))

    def post_sale(self, request: ledger_pb2.PostSaleRequest) -> ledger_pb2.PostSaleResponse:
        self._answer("post_sale")
        if request.command_id not in self.sales:
            self.sales[request.command_id] = self._decide(request)
        if self.lost:
            raise GatewayAway("post_sale")
        return ledger_pb2.PostSaleResponse(decision=self.sales[request.command_id])

    def _decide(self, request: ledger_pb2.PostSaleRequest) -> ledger_pb2.Decision:
        balance = self.balances.get(request.member_id, 0)
        priced = stand_in_sale(
            self.rules,
            basket=basket_from_pb(request.basket),
            origin=Origin(Ms(START_MS)),
            tier_id="",
            spend=spend_from_pb(request.spend) if request.HasField("spend") else None,
            reward_ids=tuple(request.reward_ids),
            available=balance,
            assurance=Assurance(request.assurance - 1),
            counted=True,
            away=False,
        )
        if isinstance(priced, Refused):
            reason = ledger_pb2.RefusalReason.Value(f"REFUSAL_REASON_{priced.reason.name}")
            return ledger_pb2.Decision(
                refused=ledger_pb2.Refused(reason=reason, details=dict(priced.details))
            )
        active = balance + priced.earned_points - priced.burned_points
        self.balances[request.member_id] = active
        entry = ledger_pb2.Entry(
            seq=self._next_seq(request.member_id),
            rule_set_version=self.rules.version,
            balance_after=types_pb2.Balance(active=active),
        )
        benefits = ledger_pb2.Benefits(
            earned_points=priced.earned_points,
            burned_points=priced.burned_points,
            discount_minor=priced.discount_minor,
            payable_minor=priced.payable_minor,
            lines=[
                ledger_pb2.LineShare(
                    line_no=number,
                    discount_minor=share.discount_minor,
                    earned_points=share.earned_points,
                    burned_points=share.burned_points,
                )
                for number, share in enumerate(priced.detail.lines, 1)
            ],
        )
        return ledger_pb2.Decision(
            posted=ledger_pb2.Posted(entry=entry, benefits=benefits, challenges_met=self.met)
        )

    def preview_return(self, request: ledger_pb2.PreviewReturnRequest) -> ledger_pb2.PreviewReturnResponse:
        self._answer("preview_return")
        return self.previews[request.sale_id]
