"""A till on paper: it writes advices, keeps them in a chain and signs batches, and decides nothing by itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tallystick.core.advice import TillChain, digest_of
from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.chain import GENESIS
from tallystick.core.command import Adjust, Burn, Command, IssueVoucher
from tallystick.core.entry import Entry, Posted, Refused
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Ms, ProgramId
from tallystick.security.envelope import BATCH, RECEIPT, sign_body
from tallystick.security.key_dir import create_key_dir
from tallystick.security.keys import SigningKey, generate_signing_key, verify_key_from_jwk
from tallystick.security.sealed_box import enrolment_context, seal_for_gateway
from tallystick.service.advices import counted_sales, posted_any
from tallystick.service.challenges_met import challenges_met
from tallystick.service.directory import Clock
from tallystick.service.errors import TallystickError
from tallystick.service.gateway import Gateway, open_gateway
from tallystick.service.identity import Enrolled, Text
from tallystick.service.ports import InboxItem, InboxState
from tallystick.service.submission import Answer, Submission
from tallystick.storage.memory import MemoryStore
from tallystick.storage.open import Store
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import options_pb2, store_pb2, types_pb2
from tallystick.wire.advices import batch_message, bytes_of, id_bytes

SHOP, OTHER = ProgramId("shop"), ProgramId("other")
START_MS = Ms(1_772_366_400_000)  # 2026-03-01T12:00:00Z
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
WAIT_S = 20.0
NEVER = float("inf")
RULES = """\
format: tallystick/1
name: Shop
currency: EUR
time_zone: Europe/Stockholm
earning:
  rules:
    - {id: base, kind: per_amount, points: 1, per_minor: 100}
burning:
  points: 1
  minor: 1
  assurance_caps: {typed: unlimited}
rewards:
  - {id: five-off, kind: money_off, points: 50, amount_minor: 500}
offline:
  lease_share_percent: 50
  floor: {sale_points: 20, member_points: 20, till_points: 100}
"""


def new_id() -> str:
    return str(uuid.uuid4())


@dataclass(slots=True)
class PaperTill:
    """A till with its key, its place in its chain and what it wrote so far."""

    program_id: str
    store_id: str
    device_id: str
    key: SigningKey
    rules_sha256: str
    now_ms: int = START_MS
    epoch: int = 1
    seq: int = 0
    head: bytes = GENESIS
    written: list[bytes] = field(default_factory=list)

    def advice(self, member_id: str, *, advice_id: str = "", **fact: Any) -> bytes:
        """Write the next advice of the chain and return its bytes."""
        self.seq += 1
        facts: dict[str, Any] = {
            "advice_id": id_bytes(advice_id or new_id()),
            "till_id": self.device_id,
            "epoch": self.epoch,
            "seq": self.seq,
            "prev_hash": self.head,
            "rule_set": 1,
            "rule_set_sha256": bytes.fromhex(self.rules_sha256),
            "clock": pb.ClockReading(occurred_ms=self.now_ms),
            "member_id": id_bytes(member_id),
            "assurance": types_pb2.ASSURANCE_STATIC_CARD,
            "reference": f"R{self.seq}",
        }
        return self.keep(bytes_of(pb.Advice(**{**facts, **fact})))

    def keep(self, raw: bytes) -> bytes:
        """Take bytes into the chain as they are."""
        self.written.append(raw)
        self.head = digest_of(raw)
        return raw

    def sale(
        self,
        member_id: str,
        amount_minor: int,
        *,
        rights: tuple[pb.Authority, ...] = (),
        earned: int = -1,
        **more: Any,
    ) -> bytes:
        """Write a sale; what it burned are its authorities, at one minor unit a point."""
        burned = sum(right.points for right in rights)
        line = types_pb2.Line(sku="A-1", quantity_milli=1000, amount_minor=amount_minor)
        basket = types_pb2.Basket(currency_code="EUR", lines=[line], prices_include_tax=True)
        fact = pb.SaleFact(
            basket=basket,
            earned_points=(amount_minor - burned) // 100 if earned < 0 else earned,
            burned_points=burned,
            discount_minor=burned,
            authorities=rights,
        )
        if burned:
            fact.spend.points = burned
        return self.advice(member_id, sale=fact, **more)

    def give_back(self, member_id: str, sale_id: str, **more: Any) -> bytes:
        goods = pb.ReturnedGoods(line_no=1, quantity_milli=1000)
        fact = pb.ReturnFact(sale_id=id_bytes(sale_id), lines=[goods])
        return self.advice(member_id, goods_return=fact, **more)

    def undo(self, member_id: str, sale_id: str, **more: Any) -> bytes:
        return self.advice(member_id, undo=pb.UndoFact(sale_id=id_bytes(sale_id)), **more)

    def sign_up(self, gateway: Gateway, member_id: str, text: str, **more: Any) -> bytes:
        box = gateway.keys().box
        public = verify_key_from_jwk(json.loads(box.jwk))
        context = enrolment_context(program_id=self.program_id, member_id=member_id)
        fact = pb.EnrolmentFact(sealed=seal_for_gateway(public, text, context), key_id=box.kid)
        return self.advice(member_id, enrolment=fact, **more)

    def batch(
        self, *raws: bytes, first_seq: int = 0, queued: int = 0, floor: int = 0, epoch: int = 0, **more: Any
    ) -> store_pb2.PushAdvicesRequest:
        """Sign some of what was written; without any it only asks."""
        first = first_seq or (self.written.index(raws[0]) + 1 if raws else self.seq + 1)
        request = store_pb2.PushAdvicesRequest(
            epoch=epoch or self.epoch,
            first_seq=first,
            advices=raws,
            queued_after=queued,
            floor_points=floor,
            prev_hash=digest_of(self.written[first - 2]) if 1 < first <= len(self.written) + 1 else GENESIS,
        )
        if raws:
            request.signature = self.sign(request)
        request.MergeFrom(store_pb2.PushAdvicesRequest(**more))
        return request

    def sign(self, request: store_pb2.PushAdvicesRequest, key: SigningKey | None = None) -> bytes:
        message = batch_message(
            till_id=self.device_id,
            epoch=request.epoch,
            first_seq=request.first_seq,
            count=len(request.advices),
            prev_hash=request.prev_hash,
            head=digest_of(request.advices[-1]),
        )
        return sign_body(key or self.key, BATCH, message)

    def receipt(self, raw: bytes, key: SigningKey | None = None) -> pb.SignedAdvice:
        return pb.SignedAdvice(advice=raw, signature=sign_body(key or self.key, RECEIPT, raw))

    def restored(self, to: int) -> PaperTill:
        """Return this till as it was after its first advices: a backup, or a clone."""
        head = digest_of(self.written[to - 1]) if to else GENESIS
        return PaperTill(
            self.program_id,
            self.store_id,
            self.device_id,
            self.key,
            self.rules_sha256,
            self.now_ms,
            self.epoch,
            to,
            head,
            self.written[:to],
        )

    def begin(self, epoch: int) -> None:
        """Go on in a new epoch."""
        self.epoch, self.seq, self.head, self.written = epoch, 0, GENESIS, []


def lease_right(hold_id: str, points: int) -> pb.Authority:
    return pb.Authority(kind=pb.AUTHORITY_KIND_LEASE, hold_id=id_bytes(hold_id), points=points)


def voucher_right(hold_id: str, points: int) -> pb.Authority:
    return pb.Authority(kind=pb.AUTHORITY_KIND_VOUCHER, hold_id=id_bytes(hold_id), points=points)


def floor_right(points: int) -> pb.Authority:
    return pb.Authority(kind=pb.AUTHORITY_KIND_FLOOR, points=points)


def enrolled_till(
    gateway: Gateway, *, program_id: ProgramId = SHOP, store_id: str = "s1", label: str = "Till"
) -> PaperTill:
    """Enrol a till and return it."""
    key = generate_signing_key()
    device = gateway.enrolment.add_confirmed(
        program_id, kind=1, role=options_pb2.ROLE_TILL, store_id=store_id, label=label, key=key.verify_key
    )
    rules = gateway.rulebook.current(program_id)
    assert rules is not None
    return PaperTill(program_id, store_id, device.device_id, key, rules.sha256)


class Shop:
    """The use cases on a store, with one program and members, and a clock that the test moves."""

    def __init__(self, path: Path, store: Store | None = None) -> None:
        self.now_ms: int = START_MS
        store = store or MemoryStore(now_ms=lambda: Ms(self.now_ms))
        keys = create_key_dir(path / "keys", now_s=START_MS // 1000 - 60)
        self.store = store
        self.gateway = open_gateway(
            store,
            keys=lambda: keys,
            issuer="https://tallystick.test",
            database="test",
            now_ms=lambda: Ms(self.now_ms),
        )
        for program_id in (SHOP, OTHER):
            self.gateway.programs.create(program_id, program_id.title(), Clock.LIVE)
            self.publish(RULES, program_id)

    def close(self) -> None:
        self.gateway.close()

    def publish(self, text: str, program_id: ProgramId = SHOP) -> None:
        self.gateway.programs.publish(program_id, text, request_id=new_id(), published_by="test")

    def till(self, **more: Any) -> PaperTill:
        made = enrolled_till(self.gateway, **more)
        made.now_ms = self.now_ms
        return made

    def member(self, points: int = 0, text: str = "") -> str:
        """Enrol a member, with some points."""
        member_id = new_id()
        answer = self.gateway.identity.enrol(
            SHOP,
            MemberId(member_id),
            Text(text),
            enrolled_ms=Ms(self.now_ms),
            channel=Channel.STORE,
            store_id="s1",
        )
        assert isinstance(answer, Enrolled)
        if points:
            command = Adjust(CommandId(new_id()), MemberId(member_id), self.origin(), points, "gift")
            assert isinstance(self.send(command).decision, Posted)
        return member_id

    def origin(self, store_id: str = "s1") -> Origin:
        return Origin(Ms(self.now_ms), Channel.STORE, store_id, "online-till")

    def send(self, command: Command) -> Answer:
        return self.lane([Submission(SHOP, command, fingerprint(command), NEVER, 0, NEVER_MS)])[0]

    def burn(self, member_id: str, points: int) -> Answer:
        command_id = CommandId(new_id())
        command = Burn(command_id, MemberId(member_id), self.origin(), points, "prize", Assurance.STATIC_CARD)
        return self.send(command)

    def lane(self, submissions: Sequence[Submission]) -> list[Answer]:
        futures: list[Future[Answer]] = self.gateway.lane.submit_all(submissions)
        return [future.result(WAIT_S) for future in futures]

    def push(
        self, till: PaperTill, *raws: bytes, request: store_pb2.PushAdvicesRequest | None = None, **more: Any
    ) -> store_pb2.PushAdvicesResponse:
        """Upload a batch as the gateway does it, without a network around it."""
        asked = till.batch(*raws, **more) if request is None else request
        advices = self.gateway.advices
        prepared = advices.prepare(ProgramId(till.program_id), till.device_id, asked, deadline=NEVER)
        answers = self.lane(prepared.submissions)
        met = challenges_met(self.gateway.store, prepared.submissions[0].program_id, counted_sales(answers))
        return advices.conclude(prepared, answers, met)

    def refused(self, till: PaperTill, *raws: bytes, **more: Any) -> TallystickError:
        """Upload what must be refused as a whole."""
        try:
            answer = self.push(till, *raws, **more)
        except TallystickError as error:
            return error
        raise AssertionError(f"the batch was taken: {answer}")

    def post_parked(self) -> None:
        """Do what the gateway does after an upload and every few seconds."""
        inbox = self.gateway.inbox
        for program_id in inbox.look_for_parked():
            while submissions := inbox.due(program_id, deadline=NEVER):
                if not posted_any(self.lane(submissions)):
                    break

    def recover(self, *signed: pb.SignedAdvice, store_id: str = "") -> list[pb.Verdict]:
        advices = self.gateway.advices
        recovery = advices.prepare_recovery(SHOP, signed, store_id=store_id, deadline=NEVER)
        return list(advices.conclude_recovery(recovery, self.lane(recovery.submissions)).verdicts)

    def lease(self, till: PaperTill, member_id: str, lease_id: str = "") -> store_pb2.LeaseAnswer:
        asks = [(CommandId(lease_id or new_id()), MemberId(member_id))]
        leases = self.gateway.leases
        submissions = leases.prepare_grants(
            SHOP, asks, store_id=till.store_id, till_id=till.device_id, deadline=NEVER
        )
        return leases.conclude_grants(SHOP, asks, self.lane(submissions), store_id=till.store_id)[0]

    def give_lease_back(self, till: PaperTill, member_id: str, lease_id: str, *, command_id: str = "") -> int:
        leases, member, lease = self.gateway.leases, MemberId(member_id), CommandId(lease_id)
        submission = leases.prepare_return(
            SHOP,
            CommandId(command_id or new_id()),
            member_id=member,
            lease_id=lease,
            store_id=till.store_id,
            till_id=till.device_id,
            deadline=NEVER,
        )
        return leases.conclude_return(self.lane([submission])[0], member_id=member, lease_id=lease)

    def voucher(
        self,
        member_id: str,
        *,
        points: int = 0,
        reward_id: str = "",
        store_id: str = "s1",
        voucher_id: str = "",
    ) -> store_pb2.IssueVoucherResponse:
        command = IssueVoucher(
            CommandId(voucher_id or new_id()),
            MemberId(member_id),
            Origin(Ms(0), Channel.APP),
            store_id,
            points,
            reward_id,
            Assurance.STATIC_CARD,
        )
        leases = self.gateway.leases
        submission = leases.prepare_voucher(SHOP, command, till_id="app", deadline=NEVER)
        return leases.conclude_voucher(SHOP, command, self.lane([submission])[0])

    def chain(self, till: PaperTill) -> TillChain:
        found = self.gateway.inbox.chain(SHOP, till_id=till.device_id, store_id=till.store_id)
        assert found is not None
        return found

    def inbox(self, state: InboxState = InboxState.OPEN, store_id: str = "") -> list[InboxItem]:
        """Return the items of a state, the oldest first."""
        found = self.store.read_inbox(SHOP, store_id=store_id, state=state, before=None, limit=100)
        return list(reversed(found))

    def active(self, member_id: str) -> int:
        return self.store.read_accounts(SHOP, [MemberId(member_id)])[MemberId(member_id)].active

    def held(self, member_id: str) -> int:
        return self.store.read_accounts(SHOP, [MemberId(member_id)])[MemberId(member_id)].held

    def kinds(self, member_id: str) -> list[str]:
        """Return the kinds of a member's entries, the oldest first."""
        return [entry.kind.name for entry in self.entries(member_id)]

    def entries(self, member_id: str) -> list[Entry]:
        rows = self.store.read_entries(SHOP, MemberId(member_id), before_seq=None, limit=1_000)
        return [entry for entry, _ in reversed(rows)]

    def wait(self, ms: int) -> None:
        self.now_ms += ms


def kinds_of(verdicts: Sequence[pb.Verdict]) -> list[str]:
    """Return verdicts as a reader wants them: kind, and why."""
    told = []
    for verdict in verdicts:
        kind = pb.VerdictKind.Name(verdict.kind).removeprefix("VERDICT_KIND_")
        why = [pb.VerdictReason.Name(one).removeprefix("VERDICT_REASON_") for one in verdict.reasons]
        told.append(" ".join([kind, *why]))
    return told


def id_of(raw: bytes) -> str:
    """Return the id of what an advice reports."""
    return str(uuid.UUID(bytes=pb.Advice.FromString(raw).advice_id))


def why_refused(answer: Answer) -> str:
    assert isinstance(answer.decision, Refused), answer
    return answer.decision.reason.name
