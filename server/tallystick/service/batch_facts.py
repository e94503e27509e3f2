"""The advices of a batch: each finds its place in its till's chain and gets its verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tallystick.core.advice import (
    CLOCK_SLACK_MS,
    Admission,
    TillChain,
    TillStatus,
    Verdict,
    VerdictKind,
    VerdictReason,
    admit,
    advance,
    fence,
    item_id_of,
    quarantined,
    verdict_of_entry,
    verdict_of_refusal,
    verdict_of_request,
)
from tallystick.core.command import Command, SettleSale
from tallystick.core.decide import refers_to
from tallystick.core.entry import CaughtUp, Decision, Entry, EntryKind, Posted, Refusal, Refused, refused
from tallystick.service.batch_load import Loaded
from tallystick.service.ports import InboxItem, InboxState
from tallystick.service.submission import Answer, Fact, Halt, Place, Submission, Told, with_occurred

Judge = Callable[[Submission, Command], Decision]
"""Decides a new command and keeps what it posts."""


class Facts:
    """The chains of tills and the inbox, as the advices of one batch leave them."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._now_ms = loaded.now_ms
        self._chains = dict(loaded.chains)
        self._inbox = dict(loaded.inbox)
        self._changed: dict[str, InboxItem] = {}

    def chains_changed(self) -> list[TillChain]:
        """Return the chains that are not as they were loaded."""
        return [chain for till, chain in self._chains.items() if chain != self._loaded.chains[till]]

    def items_changed(self) -> list[InboxItem]:
        """Return the items to insert or change."""
        return list(self._changed.values())

    def take(self, submission: Submission, fact: Fact, judge: Judge) -> Answer:
        """Find an advice's place in its till's chain, and give it its verdict."""
        slot = fact.slot
        chain = self._chains[slot.till_id]
        if fact.contact is not None:
            chain = self._heard_of(chain, fact)
        if fact.place is Place.CONTACT:
            return self._tell(submission, chain)
        stored = self._stored_verdict(submission, fact)
        if fact.place is Place.LOOSE:
            return self._tell(submission, chain, stored or self._settle(submission, fact, judge))
        if chain.status is not TillStatus.TRUSTED and not self._just_fenced(chain):
            return self._tell(submission, chain, halt=Halt.SUSPENDED)
        match admit(chain, slot, known=stored is not None):
            case Admission.GAP:
                return self._tell(submission, chain, halt=Halt.GAP)
            case Admission.REPLAY:
                return self._tell(submission, chain, stored)
            case Admission.FORK:
                verdict = self._hold(fact, quarantined(VerdictReason.FORKED))
                return self._tell(submission, fence(chain, self._now_ms), verdict)
            case Admission.FENCED:
                return self._tell(submission, chain, self._hold(fact, quarantined(VerdictReason.FENCED)))
            case Admission.NEXT:
                verdict = stored or self._settle(submission, fact, judge)
                return self._tell(submission, advance(chain, slot), verdict)

    def _heard_of(self, chain: TillChain, fact: Fact) -> TillChain:
        contact = fact.contact
        assert contact is not None, "only the last advice of an upload tells of the till"
        drained_ms = self._now_ms if contact.queued == 0 else chain.drained_ms
        return replace(
            chain,
            contact_ms=self._now_ms,
            drained_ms=drained_ms,
            queued=contact.queued,
            floor_points=contact.floor_points,
        )

    def _just_fenced(self, chain: TillChain) -> bool:
        """Return whether this very batch suspended the till: the rest of its upload still gets verdicts."""
        return self._loaded.chains[chain.till_id].status is TillStatus.TRUSTED

    def _tell(
        self,
        submission: Submission,
        chain: TillChain,
        verdict: Verdict | None = None,
        *,
        halt: Halt | None = None,
    ) -> Answer:
        if halt is None:
            self._chains[chain.till_id] = chain
        known = self._loaded.known_to(submission)
        posted = known is not None and isinstance(known.answer, Entry)
        decision: Decision = Posted(known.answer) if posted else CaughtUp(0)  # type: ignore[union-attr, arg-type]
        return Answer(decision, replayed=False, recorded_ms=self._now_ms, told=Told(chain, verdict, halt))

    def _stored_verdict(self, submission: Submission, fact: Fact) -> Verdict | None:
        """Return the verdict that an advice has got before, None when it is new or its id is somebody else's."""
        item = self._inbox.get(item_id_of(fact.slot.digest))
        if item is not None:
            retried = (
                fact.place is Place.LOOSE and item.state is InboxState.OPEN and not item.verdict.member_seq
            )
            return None if retried else item.verdict
        known = self._loaded.known_to(submission)
        if known is None or not isinstance(known.answer, Entry):
            return None
        entry, command = known.answer, submission.command
        if known.member_id != command.member_id:
            return None
        if known.fingerprint == submission.fingerprint:
            return verdict_of_entry(entry, clock_off=_clock_off(entry, fact))
        if isinstance(command, SettleSale) and entry.claimed_points == -1 and entry.kind is EntryKind.SALE:
            # The till asked, got no answer and stood in; the request had arrived after all.
            return verdict_of_request(entry, command)
        return None

    def _settle(self, submission: Submission, fact: Fact, judge: Judge) -> Verdict:
        """Post a fact that is new, or keep it in the inbox when that cannot be done."""
        if fact.held is not None:
            return self._hold(fact, fact.held)
        known = self._loaded.known_to(submission)
        if known is not None:
            no = refused(Refusal.COMMAND_ID_REUSED, command_id=submission.command.command_id)
            return self._hold(fact, verdict_of_refusal(no))
        decision = judge(submission, with_occurred(submission.command, self._loaded.occurred_ms(submission)))
        if isinstance(decision, Refused):
            waits_for = refers_to(submission.command) or submission.command.member_id
            return self._hold(fact, verdict_of_refusal(decision), waits_for=waits_for)
        assert isinstance(decision, Posted), "an advice is posted or refused"
        verdict = verdict_of_entry(decision.entry, clock_off=_clock_off(decision.entry, fact))
        if fact.noted:
            kind, reasons = VerdictKind.ADJUSTED, (*fact.noted, *verdict.reasons)
            verdict = replace(verdict, kind=kind, reasons=reasons)
        if verdict.kind is VerdictKind.POSTED and item_id_of(fact.slot.digest) not in self._inbox:
            return verdict
        return self._hold(fact, verdict)

    def _hold(self, fact: Fact, verdict: Verdict, *, waits_for: str = "") -> Verdict:
        """Keep an advice in the inbox with its verdict, or say there what became of one that lay in it."""
        slot = fact.slot
        item_id = item_id_of(slot.digest)
        item = self._inbox.get(item_id)
        parked = verdict.kind is VerdictKind.PARKED
        if item is None:
            in_chain = fact.place is Place.CHAIN
            item = InboxItem(
                item_id,
                slot.till_id,
                slot.store_id,
                slot.epoch if in_chain else 0,
                slot.seq if in_chain else 0,
                verdict,
                InboxState.OPEN,
                self._now_ms,
                slot.raw,
                waits_for if parked else "",
            )
        elif verdict.member_seq:
            item = replace(
                item, verdict=verdict, state=InboxState.POSTED, waits_for="", resolved_ms=self._now_ms
            )
        else:
            item = replace(item, verdict=verdict, waits_for=waits_for if parked else "")
        if item != self._inbox.get(item_id):
            # The last place, as of the last change.
            self._changed.pop(item_id, None)
            self._changed[item_id] = item
        self._inbox[item_id] = item
        return verdict


def _clock_off(entry: Entry, fact: Fact) -> bool:
    return abs(entry.origin.occurred_ms - fact.told_ms) > CLOCK_SLACK_MS
