"""A small world around a till: clocks, a snapshot, a hub and a gateway that tests command, and the till in its file."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.core import advice as chain
from tallystick.core.basket import Assurance, Basket, Line, Origin, TaxGroup
from tallystick.core.command import Spend
from tallystick.core.entry import Refused
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.core.standin import stand_in_sale
from tallystick.security.envelope import ANCHOR, RULES, VOUCHER, sign_body
from tallystick.security.keys import SigningKey, generate_signing_key, public_jwk
from tallystick.security.scan_tags import scan_tag, store_tag
from tallystick.security.sealed_box import derive_box_key
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import identity_pb2, ledger_pb2, member_pb2, store_pb2, types_pb2
from tallystick.wire.advices import bytes_of, id_bytes, read_advice, to_digits
from tallystick.wire.basket import basket_from_pb, spend_from_pb
from tallystick_till.db import TillDb
from tallystick_till.engine import Till
from tallystick_till.ports import GatewayAway, GatewayRefused, Granted, HubAway, Identity, Known
from tallystick_till.types import Identified, SaleAsk

START_MS = 1_790_000_000_000
PROGRAM, STORE = "corner", "store-1"
ANNA_CARD = "9900000000000010"
BOB_PHONE = "+46701234567"
SCAN_KEY, STORE_KEY = b"s" * 32, b"t" * 32
BOX = derive_box_key(b"b" * 32)

RULES_DOCUMENT: dict[str, object] = {
    "format": "tallystick/1",
    "name": "Corner points",
    "currency": "EUR",
    "time_zone": "Europe/Stockholm",
    "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
    "burning": {
        "points": 100,
        "minor": 100,
        "unit_points": 100,
        "assurance_caps": {
            "typed": 0,
            "static_card": 2000,
            "server_code": "unlimited",
            "rotating_code": "unlimited",
            "device_code": "unlimited",
        },
    },
    "rewards": [{"id": "free-coffee", "kind": "free_item", "points": 50, "category": ["coffee"]}],
    "returns": {"spent": "debt", "grace_days": 30},
    "offline": {"floor": {"sale_points": 500, "member_points": 800, "till_points": 1000}},
}


def member_uuid(number: int) -> MemberId:
    return MemberId(str(uuid.UUID(int=(7 << 76) | (2 << 62) | number)))


ANNA, BOB = member_uuid(1), member_uuid(2)


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


@dataclass
class FakeGateway:
    """Decides by the core's own functions; keeps one till's chain as the gateway does.

    ``away``: nothing answers. ``lost``: it decides, and the answer does not arrive. ``refuses``: the error it answers.
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
                assurance=types_pb2.ASSURANCE_STATIC_CARD,
                balance=types_pb2.Balance(active=self.balances.get(member_id, 0)),
                display_name=self.names.get(member_id, ""),
                status=member_pb2.MEMBER_STATUS_OPEN,
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
        return ledger_pb2.Decision(posted=ledger_pb2.Posted(entry=entry, benefits=benefits))

    def preview_return(self, request: ledger_pb2.PreviewReturnRequest) -> ledger_pb2.PreviewReturnResponse:
        self._answer("preview_return")
        return self.previews[request.sale_id]


class World:
    """One store with one till in a file, two members, and everything around it."""

    def __init__(self, directory: Path, **rules: object) -> None:
        document = {**RULES_DOCUMENT, **rules}
        self.canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
        parsed = parse_rules(document, version=1, sha256="00" * 32)
        assert isinstance(parsed, RuleSet), parsed
        self.path = directory / "till.db"
        self.server_key = generate_signing_key()
        self.till_key = generate_signing_key()
        self.other_key = generate_signing_key()
        self.clock = FakeClock()
        self.snapshot = FakeSnapshot()
        self.hub = FakeHub()
        self.gateway = FakeGateway(parsed)
        self.valid_until_ms = START_MS + 90 * 86_400_000
        self.minted = 0
        self.snapshot.put(Known(ANNA, 10, 1000, "", 0), tag("number", ANNA_CARD))
        self.snapshot.put(Known(BOB, 10, 300, "", 0), tag("phone", BOB_PHONE))
        for member_id, scan, points in ((ANNA, ANNA_CARD, 1000), (BOB, BOB_PHONE, 300)):
            self.gateway.scans[scan] = member_id
            self.gateway.balances[member_id] = points
        self.till = self.start(news=True)

    def start(self, *, news: bool = False, path: Path | None = None) -> Till:
        """Start the till's program: on its own file, or on another one."""
        self.till = Till(
            identity=Identity("till-1", PROGRAM, STORE, "Till 1", "gateway:443", "https://gateway"),
            key=self.till_key,
            db=TillDb.open(path or self.path),
            snapshot=self.snapshot,
            hub=self.hub,
            gateway=self.gateway,
            clock=self.clock,
            new_id=self.new_id,
        )
        if news:
            assert self.till.take_store_news(self.news()) == []
            self.meet_gateway()
        return self.till

    def restart(self) -> Till:
        """End the program as a power cut does, and start it again."""
        self.till.db.close()
        return self.start()

    def new_id(self) -> str:
        self.minted += 1
        return str(uuid.UUID(int=(0x7000 << 64) | (2 << 62) | 0xA0000 + self.minted))

    def news(self, **changes: object) -> store_pb2.StoreNews:
        grant = pb.RuleSetGrant(
            program_id=PROGRAM,
            version=1,
            canonical=self.canonical,
            current=True,
            valid_until_ms=self.valid_until_ms,
        )
        news = store_pb2.StoreNews(
            rule_sets=[self.signed(RULES, bytes_of(grant))],
            server_keys=[jwk(self.server_key)],
            scan_key=SCAN_KEY,
            store_key=STORE_KEY,
            tills=[
                store_pb2.StoreTill(till_id="till-1", label="Till 1", public_jwk=jwk(self.till_key)),
                store_pb2.StoreTill(till_id="till-2", label="Till 2", public_jwk=jwk(self.other_key)),
            ],
            sealing_jwk=BOX.jwk,
            till_status=store_pb2.TILL_STATUS_TRUSTED,
            cashiers=[store_pb2.Cashier(cashier_id="eva", label="Eva", active=True)],
            region="SE",
        )
        for name, value in changes.items():
            setattr(news, name, value)
        return news

    def signed(self, context: str, body: bytes, key: SigningKey | None = None) -> pb.Signed:
        by = key or self.server_key
        return pb.Signed(body=body, key_id=by.kid, signature=sign_body(by, context, body))

    def anchor(self, server_ms: int, *, till_id: str = "till-1") -> pb.Signed:
        return self.signed(ANCHOR, bytes_of(pb.Anchor(till_id=till_id, server_ms=server_ms)))

    def meet_gateway(self) -> None:
        """Let the till hear the gateway once: an anchor and an answer; then the line is down again."""
        self.till.take_anchor(self.anchor(self.now_ms()))
        self.till.gateway_answered()
        self.till.gateway_away()

    def now_ms(self) -> int:
        """The true time, which no wall clock of a till changes."""
        return START_MS + self.clock.monotonic - 5_000

    def line_up(self) -> None:
        self.gateway.away = False
        self.till.gateway_answered()

    def line_down(self) -> None:
        self.gateway.away = True
        self.till.gateway_away()

    def push_all(self) -> int:
        """Let the sync run until there is nothing to send; returns how many batches went up."""
        batches = 0
        while (request := self.till.next_batch()) is not None:
            self.till.take_verdicts(request, self.gateway.push(request))
            batches += 1
            assert batches < 50, "a queue that never drains"
        return batches

    def meet(self, scan: str = ANNA_CARD, source: str = "camera") -> MemberId:
        found = self.till.identify(scan, source=source)
        assert isinstance(found, Identified), found
        return MemberId(found.member.member_ref)

    def points(self, scan: str = ANNA_CARD) -> int:
        found = self.till.identify(scan, source="camera")
        assert isinstance(found, Identified), found
        return found.member.points

    def ask(self, minor: int = 5000, *, burn: int = 0, up_to: bool = False, **more: object) -> SaleAsk:
        fields: dict[str, object] = {"member_ref": ANNA, "basket": basket(minor), **more}
        if burn:
            fields["spend"] = Spend(burn, up_to=up_to)
        return SaleAsk(**fields)  # type: ignore[arg-type]

    def voucher(
        self, points: int, *, reward_id: str = "", store_id: str = STORE, hours: int = 24, number: int = 1
    ) -> str:
        grant = pb.VoucherGrant(
            voucher_id=uuid.UUID(int=500 + number).bytes,
            program_id=PROGRAM,
            store_id=store_id,
            member_id=id_bytes(ANNA),
            points=points,
            reward_id=reward_id,
            expires_ms=self.now_ms() + hours * 3_600_000,
        )
        return to_digits(bytes_of(self.signed(VOUCHER, bytes_of(grant))))


def basket(minor: int = 5000, *, lines: int = 1, sku: str = "tea") -> Basket:
    return Basket(
        "EUR",
        tuple(Line(f"{sku}-{at}", 2000, Minor(minor // lines), "std", ("coffee",)) for at in range(lines)),
        tax_groups=(TaxGroup("std", 250_000),),
    )


def tag(kind: str, value: str) -> bytes:
    return store_tag(STORE_KEY, scan_tag(SCAN_KEY, kind=kind, value=value))


def jwk(key: SigningKey) -> str:
    return json.dumps({**public_jwk(key.private_key.public_key()), "kid": key.kid})
