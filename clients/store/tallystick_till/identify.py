"""Who or what a scan is: a member, a voucher, a receipt, or nothing. A scan is data: nothing in it makes this fail."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace

from google.protobuf.message import DecodeError

from tallystick.core.basket import Assurance
from tallystick.core.entry import Refused
from tallystick.core.ids import MemberId
from tallystick.core.record import record
from tallystick.core.rules.scanning import Scanning
from tallystick.security.code import Scanned, scanned_code
from tallystick.security.envelope import RECEIPT, VOUCHER, body_holds
from tallystick.security.identifiers import (
    CARD_KINDS,
    Identifier,
    IdentifierReason,
    parse_identifier,
)
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import identity_pb2, member_pb2, types_pb2
from tallystick.wire.advices import Unreadable, from_digits, id_text, read_advice
from tallystick_till.authority import stop_of
from tallystick_till.challenges import nearly_met
from tallystick_till.clock import TillClock
from tallystick_till.codes import CodeCheck
from tallystick_till.db import TillDb
from tallystick_till.errors import CannotSell, SaleRefused
from tallystick_till.facts import Facts, Told
from tallystick_till.leases import Leases
from tallystick_till.link import Link
from tallystick_till.ports import Clock, Gateway, GatewayAway, GatewayRefused, Identity, Known, Snapshot
from tallystick_till.pricing import sale_of_advice
from tallystick_till.rulebook import Rulebook
from tallystick_till.sales import KeptSale, SaleBook
from tallystick_till.types import ChallengeView, NotIdentified, VoucherView

SEEN_MAX = 200
SEEN_FOR_MS = 3_600_000
"""How long a till remembers how sure an identification was; later the member is asked to show the card again."""

SCAN_CHARS_MAX = 8_192
"""More than any code holds; what stands behind is not looked at."""

CODE_DIGITS_MIN = 60
"""A voucher or receipt has at least so many digits; no card and no telephone number has."""

TOMBSTONE = 2
_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]", re.ASCII)
_SCANNED = frozenset({"wedge", "camera"})
_REASONS = {
    IdentifierReason.PAYMENT_CARD: "PAYMENT_CARD",
    IdentifierReason.AMBIGUOUS: "AMBIGUOUS",
    IdentifierReason.CHECK_DIGIT: "CHECK_DIGIT",
}
_BIDI_AND_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


@record(frozen=True, slots=True)
class Seen:
    """A member at the counter: how sure the scan was and what the gateway said, in memory only.

    ``stopped`` says why nothing of the member's points may be burned, empty when something may.
    """

    member_id: MemberId
    assurance: Assurance
    at_ms: int
    tier_id: str
    stopped: str
    told: Told | None = None
    name: str = ""
    memberships: tuple[tuple[str, int], ...] = ()
    challenges: tuple[ChallengeView, ...] = ()


@record(frozen=True, slots=True)
class SeenVoucher:
    """A voucher whose signature holds."""

    voucher: VoucherView


Found = Seen | SeenVoucher | KeptSale | NotIdentified


class People:
    """Finds members by scans, and remembers who is at the counter."""

    def __init__(
        self,
        *,
        db: TillDb,
        identity: Identity,
        snapshot: Snapshot,
        gateway: Gateway,
        rulebook: Rulebook,
        clock: TillClock,
        machine: Clock,
        link: Link,
        facts: Facts,
        sales: SaleBook,
        leases: Leases,
    ) -> None:
        self._leases = leases
        self._db = db
        self._identity = identity
        self._snapshot = snapshot
        self._gateway = gateway
        self._rulebook = rulebook
        self._clock = clock
        self._machine = machine
        self._link = link
        self._facts = facts
        self._sales = sales
        self._codes = CodeCheck(db=db, identity=identity, snapshot=snapshot, rulebook=rulebook, clock=clock)
        self._seen: dict[MemberId, Seen] = {}

    def find(self, scan: str, *, aim_id: str = "", source: str = "wedge", region: str = "") -> Found:
        """Return what a scan is. Never raises for what is in it."""
        code = scanned_code(scan[:SCAN_CHARS_MAX])
        if code is not None:
            return self._member_code(code)
        text = _BIDI_AND_CONTROLS.sub(" ", scan[:SCAN_CHARS_MAX]).strip()
        if len(text) >= CODE_DIGITS_MIN and text.isascii() and text.isdigit():
            return self._code(text)
        own = self._own_sale(text)
        if own is not None:
            return own
        aim_id = aim_id if _AIM.fullmatch(aim_id) else ""
        parsed = self.parse(scan, aim_id=aim_id, region=region)
        if isinstance(parsed, NotIdentified):
            return parsed
        scanned = source in _SCANNED and parsed.kind in CARD_KINDS
        assurance = Assurance.STATIC_CARD if scanned else Assurance.TYPED
        answer = None
        if self._link.online:
            answer = self._ask(text, assurance, aim_id=aim_id, region=region, typed=source not in _SCANNED)
            if isinstance(answer, Seen):
                return answer
        local = self._local(parsed)
        if isinstance(local, NotIdentified):
            return answer or local
        return answer if answer and not self._is_new(local) else self.meet(local, assurance)

    def _member_code(self, code: Scanned) -> Found:
        """Return whose code it is. The gateway has the last word; a code that was used here does not reach it."""
        shown = self._codes.check(code)
        if self._link.online and shown != NotIdentified("REPLAYED"):
            answer = self._ask(code.digits, Assurance.TYPED, aim_id="", region="", typed=False)
            if answer is not None:
                return answer
        return shown if isinstance(shown, NotIdentified) else self.meet(shown.known, shown.assurance)

    def parse(self, scan: str, *, aim_id: str = "", region: str = "") -> Identifier | NotIdentified:
        """Return the identifier that a text holds."""
        rules = self._rulebook.current
        scanning = rules.scanning if rules else Scanning()
        for country in (region, self._rulebook.region):
            parsed = parse_identifier(scan, default_region=country, aim_id=aim_id, scanning=scanning)
            if isinstance(parsed, Identifier):
                return parsed
            if parsed.reason is not IdentifierReason.REGION_UNKNOWN:
                return NotIdentified(_REASONS.get(parsed.reason, "FORMAT"))
        return NotIdentified("FORMAT")

    def _own_sale(self, text: str) -> KeptSale | None:
        try:
            return self._sales.find(str(uuid.UUID(text)), own=False) if len(text) == 36 else None
        except ValueError:
            return None

    def _code(self, digits: str) -> Found:
        """Read a voucher or a receipt: which it is shows in which of the two messages the bytes are."""
        raw = from_digits(digits)
        if raw is None:
            return NotIdentified("FORMAT")
        try:
            signed = pb.Signed.FromString(raw)
        except DecodeError:
            signed = pb.Signed()
        if len(signed.signature) == 64:
            return self.voucher(signed)
        try:
            receipt = pb.SignedAdvice.FromString(raw)
        except DecodeError:
            return NotIdentified("FORMAT")
        return self._receipt(receipt) if len(receipt.signature) == 64 else NotIdentified("FORMAT")

    def voucher_of(self, scan: str) -> SeenVoucher | NotIdentified:
        """Return the voucher that a text is, and nothing else."""
        found = self._code(_BIDI_AND_CONTROLS.sub(" ", scan[:SCAN_CHARS_MAX]).strip())
        if isinstance(found, SeenVoucher | NotIdentified):
            return found
        return NotIdentified("FORMAT")

    def voucher(self, signed: pb.Signed) -> SeenVoucher | NotIdentified:
        """Check a voucher without the gateway: signature, program, store, time."""
        keys = self._rulebook.server_keys
        if not body_holds(keys, VOUCHER, signed.body, key_id=signed.key_id, signature=signed.signature):
            return NotIdentified("BAD_SIGNATURE")
        try:
            grant = pb.VoucherGrant.FromString(signed.body)
            view = VoucherView(
                id_text(grant.voucher_id),
                id_text(grant.member_id),
                grant.points,
                grant.reward_id,
                grant.expires_ms,
            )
        except (DecodeError, Unreadable):
            return NotIdentified("FORMAT")
        if (grant.program_id, grant.store_id) != (self._identity.program_id, self._identity.store_id):
            return NotIdentified("OTHER_STORE")
        if not self._clock.trusted():
            return NotIdentified("CLOCK")
        if self._clock.now_ms() >= grant.expires_ms:
            return NotIdentified("EXPIRED")
        self._meet_bearer(MemberId(view.member_ref))
        return SeenVoucher(view)

    def _meet_bearer(self, member_id: MemberId) -> None:
        """Remember who shows a voucher: the gateway's signature makes that as sure as a code of its own."""
        before = self._seen.get(member_id)
        if before is not None and before.assurance >= Assurance.SERVER_CODE:
            return
        known = self._facts.known(member_id) or Known(member_id, 0, 0, "", 0)
        met = self.meet(known, Assurance.SERVER_CODE)
        if before is not None:
            self._seen[member_id] = replace(met, told=before.told, name=before.name)

    def _receipt(self, signed: pb.SignedAdvice) -> KeptSale | NotIdentified:
        """Read a receipt of any till of the store; what it says is taken by the rules that it names."""
        try:
            advice = read_advice(signed.advice, store_id=self._identity.store_id)
        except Unreadable:
            return NotIdentified("FORMAT")
        till_id = advice.slot.till_id
        key = self._rulebook.receipt_key(till_id, advice.told_ms)
        if key is None or not body_holds(
            {till_id: key}, RECEIPT, signed.advice, key_id=till_id, signature=signed.signature
        ):
            return NotIdentified("BAD_SIGNATURE")
        own = self._sales.find(advice.command.command_id, own=False)
        if own is not None:
            return own
        rules = self._rulebook.version(advice.message.rule_set)
        kept = sale_of_advice(advice, rules) if rules is not None else None
        if kept is None or isinstance(kept, Refused):
            return NotIdentified("UNKNOWN")
        self._sales.remember_elsewhere(kept)
        return kept

    def _local(self, parsed: Identifier) -> Known | NotIdentified:
        tag = self._rulebook.tag(parsed.kind.value, parsed.value)
        if tag is None:
            return NotIdentified("UNKNOWN")
        found = {known.member_id: known for known in self._snapshot.find(tag)}
        for row in self._db.read("SELECT member_id FROM enrolled WHERE tag = ? AND state != 'asking'", tag):
            member_id = MemberId(row[0])
            found.setdefault(member_id, Known(member_id, 0, 0, "", 0))
        alive = [known for known in found.values() if known.status != TOMBSTONE]
        if len(alive) != 1:
            return NotIdentified("AMBIGUOUS" if alive else "UNKNOWN")
        return alive[0]

    def meet(self, known: Known, assurance: Assurance) -> Seen:
        """Remember a member of the snapshot who stands at the counter."""
        return self._remember(
            Seen(
                known.member_id,
                assurance,
                self._machine.monotonic_ms(),
                known.tier_id,
                stop_of(known.status),
                memberships=known.memberships,
            )
        )

    def _is_new(self, known: Known) -> bool:
        """Return whether a member joined here and the gateway has not been told yet."""
        row = self._db.one(
            "SELECT 1 FROM enrolled WHERE member_id = ? AND state = 'queued'", str(known.member_id)
        )
        return row is not None

    def _ask(
        self, text: str, assurance: Assurance, *, aim_id: str, region: str, typed: bool
    ) -> Seen | NotIdentified | None:
        """Ask the gateway; None when it does not say. The till knows better than the gateway what was typed."""
        request = identity_pb2.IdentifyRequest(
            text=text,
            aim_id=aim_id,
            channel=types_pb2.CHANNEL_STORE,
            region=region if re.fullmatch("[A-Z]{2}", region) else self._rulebook.region,
        )
        try:
            response = self._gateway.identify(request)
        except GatewayAway:
            self._link.away()
            return None
        except GatewayRefused as error:
            self._link.refused(error.reason)
            return None
        self._link.answered()
        if response.WhichOneof("outcome") != "identified":
            name = identity_pb2.IdentityRefusalReason.Name(response.not_identified.reason)
            return NotIdentified(name.removeprefix("IDENTITY_REFUSAL_REASON_"))
        said = response.identified
        member_id = MemberId(said.member_id.lower())
        level = assurance if typed else max(assurance, Assurance(max(0, said.assurance - 1)))
        return self._remember(
            Seen(
                member_id,
                level,
                self._machine.monotonic_ms(),
                said.tier_id,
                stop_of(said.status - member_pb2.MEMBER_STATUS_OPEN),
                Told(said.balance.active, self._facts.answered_ids(member_id)),
                said.display_name,
                known.memberships if (known := self._snapshot.member(member_id)) else (),
                # What waits here may be the purchase that was missing: then nobody knows how many are.
                () if self._facts.waiting(member_id) else nearly_met(said.challenges),
            )
        )

    def _remember(self, seen: Seen) -> Seen:
        self._seen.pop(seen.member_id, None)
        if len(self._seen) >= SEEN_MAX:
            self._seen.pop(next(iter(self._seen)))
        self._seen[seen.member_id] = seen
        self._note_visit(seen.member_id)
        return seen

    def _note_visit(self, member_id: MemberId) -> None:
        """Say who comes to this store, so that leases are asked for; what is not kept costs nothing but a lease."""
        try:
            self._leases.tell_visit(member_id)
        except CannotSell:
            return

    def seen(self, member_ref: str) -> Seen | None:
        """Return who is at the counter; one who was there long ago, or is only known, counts as typed in."""
        member_id = MemberId(member_ref)
        seen = self._seen.get(member_id)
        if seen is not None and self._machine.monotonic_ms() - seen.at_ms <= SEEN_FOR_MS:
            return seen
        known = self._facts.known(member_id)
        if known is None or known.status == TOMBSTONE:
            return None
        return Seen(
            member_id,
            Assurance.TYPED,
            0,
            known.tier_id,
            stop_of(known.status),
            memberships=known.memberships,
        )

    def at_counter(self, member_ref: str, voucher: str = "") -> tuple[Seen, VoucherView | None]:
        """Return who is at the counter, and what the scan of a voucher in hand is. Raises ``SaleRefused``."""
        held = self._voucher_in_hand(voucher, member_ref) if voucher else None
        seen = self.seen(member_ref)
        if seen is None:
            raise SaleRefused("MEMBER_UNKNOWN", "Scan the member's card first.")
        return seen, held

    def _voucher_in_hand(self, scan: str, member_ref: str) -> VoucherView:
        found = self.voucher_of(scan)
        if isinstance(found, NotIdentified):
            raise SaleRefused(f"VOUCHER_{found.reason}", "This voucher does not count here.")
        if found.voucher.member_ref != member_ref:
            raise SaleRefused("VOUCHER_OTHER_MEMBER", "This voucher is another member's.")
        return found.voucher

    def news_of(self, member_id: MemberId) -> None:
        """Go by the snapshot again: it has just been told of the member."""
        seen = self._seen.get(member_id)
        known = self._snapshot.member(member_id)
        if seen is None or known is None:
            return
        if known.status == TOMBSTONE:
            del self._seen[member_id]
            return
        self._seen[member_id] = Seen(
            member_id,
            seen.assurance,
            seen.at_ms,
            known.tier_id,
            stop_of(known.status),
            None,
            seen.name,
            known.memberships,
        )
