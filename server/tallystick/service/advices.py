"""Facts that tills report: from the bytes of an upload to the lane, and from the lane's answers to the till.

Each use case has two halves with the lane between them: ``prepare`` reads, checks and gives the submissions,
``conclude`` turns their answers into the response.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tallystick.core.advice import (
    Slot,
    TillStatus,
    Verdict,
    VerdictKind,
    VerdictReason,
    digest_of,
    item_id_of,
    quarantined,
)
from tallystick.core.basket import Channel, Origin
from tallystick.core.chain import GENESIS
from tallystick.core.command import CatchUp, SettleEnrolment
from tallystick.core.entry import Entry, Explanation, Posted
from tallystick.core.fingerprint import FINGERPRINT_BYTES
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.security.envelope import RECEIPT, body_holds
from tallystick.service.challenges_met import MetBySale
from tallystick.service.directory import Device, DeviceStatus, Directory
from tallystick.service.enrolment import device_not_found
from tallystick.service.errors import FailedPrecondition, PermissionDenied, Unauthenticated
from tallystick.service.ports import InboxItem, LedgerReader
from tallystick.service.rulebook import RuleBook
from tallystick.service.sign_ups import SignUps
from tallystick.service.signed import Signer
from tallystick.service.submission import Answer, Contact, Fact, Halt, Place, Submission, Told, pinned_version
from tallystick.service.uploads import advice_of, keys_of, signed_by, slots_of
from tallystick.v1 import advice_pb2, store_pb2
from tallystick.wire.advices import (
    ReadAdvice,
    Unreadable,
    bytes_of,
    parse_advice,
    read_advice,
)
from tallystick.wire.verdicts import verdict_to_pb

BUSY_FROM = 2_000
"""From so many waiting commands on, tills are asked to wait before the next batch of their queue."""

BUSY_RETRY_MS = 500
NOBODY = MemberId("00000000-0000-8000-8000-000000000000")
"""Stands for the member of what cannot be read; nobody's id."""


class Store(LedgerReader, Directory, Protocol):
    """What is read beside the lane."""


@record(frozen=True, slots=True)
class Prepared:
    """A till's batch, checked and read: what goes down the lane, in order; never empty."""

    till_id: str
    first_seq: int
    submissions: tuple[Submission, ...]


@record(frozen=True, slots=True)
class Recovery:
    """Advices from elsewhere, in order: each goes down the lane or has its verdict already."""

    outcomes: tuple[Submission | Verdict, ...]

    @property
    def submissions(self) -> tuple[Submission, ...]:
        """What goes down the lane."""
        return tuple(one for one in self.outcomes if isinstance(one, Submission))


class Advices:
    """The use cases around advices. Safe to use from several threads.

    ``waiting`` says how many commands wait for the lane.
    """

    def __init__(
        self,
        store: Store,
        rulebook: RuleBook,
        sign_ups: SignUps,
        signer: Signer,
        *,
        now_ms: Callable[[], Ms],
        waiting: Callable[[], int],
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._sign_ups = sign_ups
        self._signer = signer
        self._now_ms = now_ms
        self._waiting = waiting

    def prepare(
        self,
        program_id: ProgramId,
        till_id: str,
        request: store_pb2.PushAdvicesRequest,
        *,
        deadline: float,
    ) -> Prepared:
        """Check the signature of a batch, then read it; people who joined are enrolled before the lane sees them.

        Raises ``PermissionDenied`` when the till's current key did not sign exactly this, ``Unauthenticated`` for a
        revoked till, and ``FailedPrecondition`` for a suspended one.
        """
        till = self._till(program_id, till_id)
        contact = Contact(request.queued_after, request.floor_points)
        if not request.advices:
            slot = Slot(till_id, till.store_id, request.epoch, request.first_seq, GENESIS, GENESIS, b"")
            fact = Fact(slot, self._now_ms(), Place.CONTACT, contact=contact)
            return Prepared(till_id, request.first_seq, (self._kept(program_id, fact, deadline),))
        slots = slots_of(till, request)
        if not signed_by(till, request, slots):
            raise _signature_invalid(till_id)
        reads = [_read(slot) for slot in slots]
        may_enrol = any(_enrols(read) for read in reads) and self._is_next(program_id, till, request)
        submissions = []
        for slot, read in zip(slots, reads, strict=True):
            said = contact if slot is slots[-1] else None
            submissions.append(
                self._in_chain(program_id, till, slot, read, said, deadline=deadline, may_enrol=may_enrol)
            )
        return Prepared(till_id, request.first_seq, tuple(submissions))

    def conclude(
        self, prepared: Prepared, answers: Sequence[Answer], met: MetBySale
    ) -> store_pb2.PushAdvicesResponse:
        """Return the verdicts and where the till goes on; ``met`` is what the sales among them have won.

        Raises ``FailedPrecondition`` for advices that do not follow what is there, and for a suspended till.
        """
        told = [_told(answer) for answer in answers]
        for one in told:
            if one.halt is Halt.GAP:
                raise _sequence_gap(one)
            suspended = one.chain.status is TillStatus.SUSPENDED
            if one.halt is Halt.SUSPENDED or (suspended and one.verdict is None):
                raise _till_suspended(prepared.till_id)
        chain = told[-1].chain
        response = store_pb2.PushAdvicesResponse(
            epoch=chain.epoch,
            acked_seq=chain.acked_seq,
            acked_hash=chain.head,
            anchor=self._signer.anchor(prepared.till_id),
            retry_after_ms=BUSY_RETRY_MS if self._waiting() >= BUSY_FROM else 0,
        )
        for seq, (one, answer) in enumerate(zip(told, answers, strict=True), prepared.first_seq):
            if one.verdict is not None:
                response.verdicts.append(verdict_to_pb(one.verdict, seq=seq, met=_met_by(answer, met)))
        return response

    def prepare_recovery(
        self,
        program_id: ProgramId,
        advices: Sequence[advice_pb2.SignedAdvice],
        *,
        store_id: str,
        deadline: float,
    ) -> Recovery:
        """Read advices that do not come from their till. ``store_id`` is the caller's store, empty for all stores."""
        outcomes = [self._recovered(program_id, one, store_id=store_id, deadline=deadline) for one in advices]
        return Recovery(tuple(outcomes))

    def conclude_recovery(
        self, recovery: Recovery, answers: Sequence[Answer]
    ) -> store_pb2.RecoverAdvicesResponse:
        """Return the verdicts in the order of the advices; they have no place in a chain, so ``seq`` is 0."""
        decided = iter(answers)
        verdicts = [
            one if isinstance(one, Verdict) else _told(next(decided)).verdict for one in recovery.outcomes
        ]
        return store_pb2.RecoverAdvicesResponse(
            verdicts=[verdict_to_pb(verdict, seq=0) for verdict in verdicts if verdict is not None]
        )

    def again(self, program_id: ProgramId, item: InboxItem, *, deadline: float) -> Submission | None:
        """Return what posts an item of the inbox after all; None when it cannot be read."""
        try:
            read = read_advice(advice_of(item), store_id=item.store_id)
        except Unreadable:
            return None
        place = Slot(item.till_id, item.store_id, 0, 0, GENESIS, digest_of(item.raw), item.raw)
        noted = self._sign_ups.enrol(program_id, self._device(program_id, item.till_id), read)
        return self._posting(program_id, read, Fact(place, read.told_ms, Place.LOOSE, noted), deadline)

    def _in_chain(
        self,
        program_id: ProgramId,
        till: Device,
        slot: Slot,
        read: ReadAdvice | Unreadable,
        contact: Contact | None,
        *,
        deadline: float,
        may_enrol: bool,
    ) -> Submission:
        held = self._cannot_judge(program_id, slot, read)
        if held is not None:
            fact = Fact(slot, self._now_ms(), held=held, contact=contact)
            return self._kept(program_id, fact, deadline)
        assert isinstance(read, ReadAdvice), "what cannot be read is held"
        noted = self._sign_ups.enrol(program_id, till, read) if may_enrol else ()
        return self._posting(
            program_id, read, Fact(slot, read.told_ms, noted=noted, contact=contact), deadline
        )

    def _cannot_judge(
        self, program_id: ProgramId, slot: Slot, read: ReadAdvice | Unreadable
    ) -> Verdict | None:
        """Return the verdict on an advice that is kept as it is, None for one that is decided."""
        if isinstance(read, Unreadable):
            return quarantined(VerdictReason.UNREADABLE, why=str(read))
        own = read.slot
        if (own.till_id, own.epoch, own.seq) != (slot.till_id, slot.epoch, slot.seq):
            return quarantined(VerdictReason.INVALID, why="it claims another place than it was sent for")
        if not self._rules_are_ours(program_id, read):
            return quarantined(VerdictReason.RULE_SET_UNKNOWN, version=str(read.message.rule_set))
        return None

    def _rules_are_ours(self, program_id: ProgramId, read: ReadAdvice) -> bool:
        """Return whether the rule set that was used is the one of that number here; an absent one is not judged."""
        version, sha256 = pinned_version(read.command, ()), read.message.rule_set_sha256
        if not version or version < 0 or not sha256:
            return True
        rules = self._rulebook.version(program_id, version)
        return rules is None or rules.sha256 == sha256.hex()

    def _recovered(
        self,
        program_id: ProgramId,
        signed: advice_pb2.SignedAdvice,
        *,
        store_id: str,
        deadline: float,
    ) -> Submission | Verdict:
        raw = signed.advice
        try:
            message = parse_advice(raw)
            till = self._store.device(program_id, message.till_id)
            if till is None or store_id not in ("", till.store_id):
                # Nobody's advice is not kept: there is no till in whose inbox it would lie.
                return quarantined(VerdictReason.BAD_SIGNATURE)
            read = read_advice(raw, store_id=till.store_id)
        except Unreadable as error:
            return quarantined(VerdictReason.UNREADABLE, why=str(error))
        if not body_holds(keys_of(till), RECEIPT, raw, key_id=till.kid, signature=signed.signature):
            # With its signature, and so under an id of its own: a forged receipt must not stand in the way of what
            # the till uploads itself.
            kept = bytes_of(signed)
            slot = Slot(till.device_id, till.store_id, 0, 0, GENESIS, digest_of(kept), kept)
            held = quarantined(VerdictReason.BAD_SIGNATURE)
            return self._kept(program_id, Fact(slot, read.told_ms, Place.LOOSE, held=held), deadline)
        if till.status is DeviceStatus.REVOKED:
            held = quarantined(VerdictReason.TILL_REVOKED)
            fact = Fact(read.slot, read.told_ms, Place.LOOSE, held=held)
            return self._posting(program_id, read, fact, deadline)
        fact = Fact(read.slot, read.told_ms, Place.LOOSE, self._sign_ups.enrol(program_id, till, read))
        return self._posting(program_id, read, fact, deadline)

    def _posting(self, program_id: ProgramId, read: ReadAdvice, fact: Fact, deadline: float) -> Submission:
        fingerprint = read.slot.digest[:FINGERPRINT_BYTES]
        return Submission(program_id, read.command, fingerprint, deadline, 0, NEVER_MS, fact)

    def _kept(self, program_id: ProgramId, fact: Fact, deadline: float) -> Submission:
        """Return what keeps an advice without deciding it; its command is nobody's and is never looked at."""
        digest = fact.slot.digest
        nothing = CatchUp(CommandId(item_id_of(digest)), NOBODY, Origin(self._now_ms(), Channel.UNKNOWN))
        return Submission(program_id, nothing, digest[:FINGERPRINT_BYTES], deadline, 0, NEVER_MS, fact)

    def _is_next(self, program_id: ProgramId, till: Device, request: store_pb2.PushAdvicesRequest) -> bool:
        """Return whether the batch belongs to an epoch that counts: people in a fenced one are not enrolled.

        Raises ``FailedPrecondition`` for a suspended till.
        """
        chains = self._store.read_tills(program_id, store_id=till.store_id)
        chain = next((one for one in chains if one.till_id == till.device_id), None)
        if chain is None:
            return True
        if chain.status is TillStatus.SUSPENDED:
            raise _till_suspended(till.device_id)
        return request.epoch >= chain.epoch

    def _till(self, program_id: ProgramId, till_id: str) -> Device:
        device = self._device(program_id, till_id)
        if device.status is not DeviceStatus.ACTIVE:
            raise Unauthenticated("The device was revoked.", reason="DEVICE_REVOKED", device_id=till_id)
        return device

    def _device(self, program_id: ProgramId, device_id: str) -> Device:
        device = self._store.device(program_id, device_id)
        if device is None:
            raise device_not_found(device_id)
        return device


def _read(slot: Slot) -> ReadAdvice | Unreadable:
    try:
        return read_advice(slot.raw, store_id=slot.store_id)
    except Unreadable as error:
        return error


def _enrols(read: ReadAdvice | Unreadable) -> bool:
    return isinstance(read, ReadAdvice) and isinstance(read.command, SettleEnrolment)


def _told(answer: Answer) -> Told:
    assert answer.told is not None, "what is submitted as a fact is answered as one"
    return answer.told


def counted_sales(answers: Sequence[Answer]) -> list[Entry]:
    """Return the posted sales that counted towards a challenge or a membership."""
    decisions = [answer.decision for answer in answers]
    return [one.entry for one in decisions if isinstance(one, Posted) and one.entry.detail.counted]


def _met_by(answer: Answer, met: MetBySale) -> tuple[Explanation, ...]:
    """Return what an advice has won; one that took the id of somebody else's entry has not."""
    verdict, decision = _told(answer).verdict, answer.decision
    if not isinstance(decision, Posted) or verdict is None or verdict.member_seq != decision.entry.seq:
        return ()
    return met.get(decision.entry.command_id, ())


def posted_any(answers: Sequence[Answer]) -> bool:
    """Return whether something was posted for which parked advices may have waited."""
    return any(one.told and one.told.verdict and one.told.verdict.member_seq for one in answers)


def parked_any(answers: Sequence[Answer]) -> bool:
    """Return whether something was parked."""
    verdicts = [one.told.verdict for one in answers if one.told]
    return any(verdict is not None and verdict.kind is VerdictKind.PARKED for verdict in verdicts)


def _signature_invalid(till_id: str) -> PermissionDenied:
    return PermissionDenied(
        "The batch is not what the till's key signed.",
        mend="Sign it with the key that is enrolled; send the advices one by one to find a damaged one.",
        reason="ADVICE_SIGNATURE_INVALID",
        till_id=till_id,
    )


def _till_suspended(till_id: str) -> FailedPrecondition:
    return FailedPrecondition(
        "The till's chain forked too often: it may exist twice.",
        mend="Let a manager make sure that there is one of it, and reinstate it.",
        reason="TILL_SUSPENDED",
        till_id=till_id,
    )


def _sequence_gap(told: Told) -> FailedPrecondition:
    chain = told.chain
    return FailedPrecondition(
        "The advices do not follow what the gateway has of the till.",
        mend="Send from the position that it expects.",
        reason="ADVICE_SEQUENCE_GAP",
        expected_epoch=chain.epoch,
        expected_seq=chain.acked_seq + 1,
    )
