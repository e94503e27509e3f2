"""One batch: what must be loaded, each command decided in order, one write set. Pure, given the transaction.

Memory, SQLite and PostgreSQL run this same code; so does the simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    bounded_ms,
    fence,
    item_id_of,
    quarantined,
    verdict_of_entry,
    verdict_of_refusal,
    verdict_of_request,
)
from tallystick.core.chain import JournalRow, entry_digest, entry_ref, seal
from tallystick.core.codec import detail_to_text
from tallystick.core.command import (
    Capture,
    CatchUp,
    Command,
    PlaceHold,
    ReturnLease,
    Sale,
    SettleSale,
    Void,
)
from tallystick.core.decide import NO_REFS, Refs, decide, needs_lots, not_open, refers_to
from tallystick.core.entry import CaughtUp, Decision, Entry, EntryKind, Posted, Refusal, Refused, refused
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.rules.model import RuleSet
from tallystick.core.state import Account, Hold, Lot, MemberState
from tallystick.service.coupon_book import CouponBook, load_book
from tallystick.service.ports import (
    InboxItem,
    InboxState,
    Known,
    NewEntry,
    NewRefusal,
    Transaction,
    WriteSet,
)
from tallystick.service.submission import (
    Answer,
    Fact,
    Halt,
    Place,
    Submission,
    Told,
    pinned_version,
    with_occurred,
)

ACCOUNTS = 9
"""How many accounts an entry moves: the fields of ``Moves``."""

NO_LOTS: dict[int, Lot] = {}
NO_HOLDS: dict[CommandId, Hold] = {}

NO_FINGERPRINT = b""
"""Entries that time makes due have no command, so nothing to compare."""


RulesFor = Callable[[int], RuleSet | None]
"""Gives a rule set by version, 0 for the current one; None when there is none."""


class Batch:
    """Decides the commands of one transaction against what it has loaded."""

    def __init__(
        self,
        *,
        program_id: ProgramId,
        submissions: Sequence[Submission],
        rules_for: RulesFor,
        transaction: Transaction,
        lane_id: int,
        now_ms: Ms,
    ) -> None:
        self._program_id = program_id
        self._submissions = submissions
        self._rules_for = rules_for
        self._tx = transaction
        self._lane_id = lane_id
        self._now_ms = now_ms
        self._loaded: dict[MemberId, Account] = {}
        self._states: dict[MemberId, MemberState] = {}
        self._known: dict[CommandId, Known] = {}
        self._before: dict[tuple[MemberId, int], list[Entry]] = {}
        self._lots_before: dict[MemberId, dict[int, Lot]] = {}
        self._holds_before: dict[MemberId, dict[CommandId, Hold]] = {}
        self._changes = WriteSet(recorded_ms=now_ms)
        self._refs: list[bytes] = []
        self._sums = [0] * ACCOUNTS
        self._chains_before: dict[str, TillChain] = {}
        self._chains: dict[str, TillChain] = {}
        self._inbox: dict[str, InboxItem] = {}
        self._coupons: CouponBook | None = None

    def run(self, tail: tuple[int, bytes]) -> tuple[list[Answer], JournalRow | None]:
        """Decide and write everything; return the answers in order, and the journal row if there is one.

        ``tail`` is the lane's last (seq, hash). Committing is the transaction's business.
        """
        self._load()
        answers = [self._decide(submission) for submission in self._submissions]
        self._collect_state()
        if self._refs:
            self._changes.journal = seal(
                program_id=self._program_id,
                lane_id=self._lane_id,
                lane_seq=tail[0] + 1,
                recorded_ms=self._now_ms,
                sums=tuple(self._sums),
                refs=self._refs,
                prev_hash=tail[1],
            )
        changes = self._changes
        changes.tills = [chain for till, chain in self._chains.items() if chain != self._chains_before[till]]
        if changes.entries or changes.refusals or changes.accounts or changes.tills or changes.inbox:
            self._tx.write(changes)
        if self._coupons is not None and (coupons := self._coupons.changes()):
            self._tx.write_coupons(coupons)
        return answers, changes.journal

    def _load(self) -> None:
        facts = [submission.fact for submission in self._submissions if submission.fact]
        if facts:
            # Chains before accounts: every transaction that wants both takes them in this order.
            self._chains_before = self._tx.lock_tills({fact.slot.till_id for fact in facts})
            self._chains = dict(self._chains_before)
            self._inbox = self._tx.inbox({item_id_of(fact.slot.digest) for fact in facts})
        commands = [submission.command for submission in self._submissions]
        ids = {command.command_id for command in commands}
        ids.update(refs := {ref for command in commands if (ref := refers_to(command))})
        members = {command.member_id for command in commands}
        self._loaded, self._known = self._tx.locked(members, ids)
        latest: dict[MemberId, int] = {}
        whole: set[MemberId] = set()
        naming: list[Command] = []
        for submission in self._submissions:
            command = submission.command
            if self._known_to(submission) or command.member_id not in self._loaded:
                continue
            member = command.member_id
            as_of_ms = self._loaded[member].as_of_ms
            latest[member] = max(latest.get(member, as_of_ms), self._occurred_ms(submission))
            if needs_lots(command):
                whole.add(member)
            if isinstance(command, (Sale, PlaceHold)) and command.coupons:
                naming.append(command)
        whole.update(member for member, at_ms in latest.items() if self._loaded[member].due_ms <= at_ms)
        holds, lots = self._load_whole(commands, whole) if whole else ({}, {})
        for member, account in self._loaded.items():
            if member in whole:
                state = MemberState(
                    account, tuple(lots.get(member, ())), tuple(holds.get(member, ())), complete=True
                )
                self._lots_before[member] = {lot.lot_seq: lot for lot in state.lots}
                self._holds_before[member] = {hold.hold_id: hold for hold in state.holds}
            else:
                state = MemberState(account, rest_due_ms=account.due_ms)
            self._states[member] = state
        self._coupons = self._load_coupons(naming, refs, latest)

    def _load_coupons(
        self, naming: list[Command], refs: set[CommandId], latest: dict[MemberId, int]
    ) -> CouponBook | None:
        """Load the coupons that commands name, and those that captured, ended and reversed ones may free."""
        reserving = [
            (member, hold)
            for member, of_member in self._holds_before.items()
            for hold in of_member.values()
            if hold.coupons
        ]
        asked = (
            {hold_id for s in self._submissions for hold_id in _holds_named(s.command)} if reserving else ()
        )
        holds = [
            hold
            for member, hold in reserving
            if hold.hold_id in asked or hold.expires_ms <= latest.get(member, 0)
        ]
        sales = [
            known.answer
            for ref in refs
            if (known := self._known.get(ref)) and isinstance(known.answer, Entry)
        ]
        return load_book(
            self._tx,
            self._rules_for(0),
            commands=naming,
            holds=holds,
            sales=sales,
            members=self._loaded,
            now_ms=self._now_ms,
        )

    def _load_whole(
        self, commands: Iterable[Command], whole: set[MemberId]
    ) -> tuple[dict[MemberId, list[Hold]], dict[MemberId, list[Lot]]]:
        """Load lots and holds of the members that need them, and what their commands refer to."""
        named = {hold_id for command in commands for hold_id in _holds_named(command)}
        # Open holds and held points come and go together, so most members need no look for them: all but those of
        # coupons alone, which only another such hold asks about.
        holding = {member for member in whole if self._loaded[member].held}
        holding.update(
            command.member_id
            for command in commands
            if isinstance(command, PlaceHold) and command.coupons and command.member_id in whole
        )
        holds = self._tx.holds(open_of=holding, ids=named)
        targets = [
            known.answer
            for command in commands
            if (ref := refers_to(command))
            and (known := self._known.get(ref))
            and isinstance(known.answer, Entry)
        ]
        also: set[tuple[MemberId, int]] = set()
        for target in targets:
            also.update((target.member_id, alloc.lot_seq) for alloc in target.detail.allocs)
            also.add((target.member_id, target.seq))
        for member, member_holds in holds.items():
            also.update((member, alloc.lot_seq) for hold in member_holds for alloc in hold.allocs)
        also = {(member, seq) for member, seq in also if member in whole}
        if targets:
            for entry in self._tx.reversals({(target.member_id, target.seq) for target in targets}):
                self._before.setdefault((entry.member_id, entry.reverses_seq), []).append(entry)
        return holds, self._tx.lots(of=whole, also=also)

    def _occurred_ms(self, submission: Submission) -> Ms:
        """Return when a command happened: as it says, or, for a fact, within what is possible."""
        fact = submission.fact
        if fact is None:
            return submission.command.origin.occurred_ms
        # The till's outbox was empty then, so nothing that it reports is older. What comes by another way may be;
        # and what this very upload says of the outbox bounds only what comes after it.
        loose = fact.place is Place.LOOSE
        drained_ms = Ms(0) if loose else self._chains_before[fact.slot.till_id].drained_ms
        return bounded_ms(fact.told_ms, drained_ms, self._now_ms)

    def _known_to(self, submission: Submission) -> Known | None:
        """Return the stored answer to a submission. That a request was refused says nothing about a fact."""
        known = self._known.get(submission.command.command_id)
        if known is not None and submission.fact is not None and isinstance(known.answer, Refused):
            return None
        return known

    def _decide(self, submission: Submission) -> Answer:
        if submission.fact is not None:
            return self._take_fact(submission, submission.fact)
        command = submission.command
        known = self._known.get(command.command_id)
        if known is not None:
            return self._replay(submission, known)
        decision = self._judge(submission, command)
        if isinstance(decision, Refused):
            return self._refuse(submission, decision)
        return Answer(decision, replayed=False, recorded_ms=self._now_ms)

    def _judge(self, submission: Submission, command: Command) -> Decision:
        """Decide a new command on the state as the commands before it left it, and keep what it posts."""
        state = self._states.get(command.member_id)
        if state is None:
            return refused(Refusal.MEMBER_UNKNOWN, member_id=command.member_id)
        if not submission.earliest_ms <= command.origin.occurred_ms <= submission.latest_ms:
            return not_open(command, state) or _out_of_range(submission)
        rules = self._rules_for(0)
        version = pinned_version(command)
        pinned = self._rules_for(version) if version else None
        if rules is None or (version is not None and pinned is None):
            return not_open(command, state) or refused(Refusal.RULE_SET_UNKNOWN, version=version or 0)
        if pinned is not None and pinned.version == rules.version:
            pinned = None
        coupons = self._coupons.uses_of(command, state) if self._coupons else ()
        outcome = decide(command, state, rules, self._refs_of(command), pinned=pinned, coupons=coupons)
        if self._coupons:
            self._coupons.apply(state, outcome)
        self._states[command.member_id] = outcome.state
        for entry in outcome.entries:
            own = entry.command_id == command.command_id
            self._keep(entry, submission.fingerprint if own else NO_FINGERPRINT)
        return outcome.decision

    def _take_fact(self, submission: Submission, fact: Fact) -> Answer:
        """Find an advice's place in its till's chain, and give it its verdict."""
        slot = fact.slot
        chain = self._chains[slot.till_id]
        if fact.contact is not None:
            chain = self._heard_of(chain, fact)
        if fact.place is Place.CONTACT:
            return self._tell(submission, chain)
        stored = self._stored_verdict(submission, fact)
        if fact.place is Place.LOOSE:
            return self._tell(submission, chain, stored or self._settle(submission, fact))
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
                verdict = stored or self._settle(submission, fact)
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
        return self._chains_before[chain.till_id].status is TillStatus.TRUSTED

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
        known = self._known_to(submission)
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
        known = self._known_to(submission)
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

    def _settle(self, submission: Submission, fact: Fact) -> Verdict:
        """Post a fact that is new, or keep it in the inbox when that cannot be done."""
        if fact.held is not None:
            return self._hold(fact, fact.held)
        known = self._known_to(submission)
        if known is not None:
            no = refused(Refusal.COMMAND_ID_REUSED, command_id=submission.command.command_id)
            return self._hold(fact, verdict_of_refusal(no))
        decision = self._judge(submission, with_occurred(submission.command, self._occurred_ms(submission)))
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
            self._changes.inbox = [old for old in self._changes.inbox if old.item_id != item_id]
            self._changes.inbox.append(item)
        self._inbox[item_id] = item
        return verdict

    def _refs_of(self, command: Command) -> Refs:
        ref = refers_to(command)
        known = self._known.get(ref) if ref else None
        if known is None or not isinstance(known.answer, Entry) or known.member_id != command.member_id:
            return NO_REFS
        entry = known.answer
        return Refs(entry, tuple(self._before.get((entry.member_id, entry.seq), ())))

    def _replay(self, submission: Submission, known: Known) -> Answer:
        command = submission.command
        if known.member_id != command.member_id or known.fingerprint != submission.fingerprint:
            no = refused(Refusal.COMMAND_ID_REUSED, command_id=command.command_id)
            return Answer(no, replayed=False, recorded_ms=self._now_ms)
        answer = known.answer
        decision: Decision = Posted(answer) if isinstance(answer, Entry) else answer
        return Answer(decision, replayed=True, recorded_ms=known.recorded_ms)

    def _refuse(self, submission: Submission, no: Refused) -> Answer:
        command = submission.command
        if isinstance(command, CatchUp):
            return Answer(no, replayed=False, recorded_ms=self._now_ms)
        new = NewRefusal(command.command_id, command.member_id, submission.fingerprint, no)
        self._changes.refusals.append(new)
        known = Known(command.member_id, submission.fingerprint, no, self._now_ms)
        self._known[command.command_id] = known
        return Answer(no, replayed=False, recorded_ms=self._now_ms)

    def _keep(self, entry: Entry, fingerprint: bytes) -> None:
        text = detail_to_text(entry.detail)
        assert self._coupons or not entry.detail.coupons, "what an entry uses or frees was locked"
        self._changes.entries.append(NewEntry(entry, fingerprint, text))
        self._refs.append(entry_ref(entry.member_id, entry.seq, entry_digest(entry, fingerprint, text)))
        sums = self._sums
        for at, points in enumerate(entry.moves):
            if points:
                sums[at] += points
        self._known[entry.command_id] = Known(entry.member_id, fingerprint, entry, self._now_ms)
        if entry.reverses_seq:
            self._before.setdefault((entry.member_id, entry.reverses_seq), []).append(entry)

    def _collect_state(self) -> None:
        """Turn the difference between the loaded states and the last ones into rows to write."""
        changes = self._changes
        for member, state in self._states.items():
            before = self._loaded[member]
            if state.account.seq == before.seq and state.account == before:
                continue
            changes.accounts.append((before, state.account))
            # Of members that were not loaded whole, all lots are new; a hold needs them whole.
            lots = self._lots_before.get(member, NO_LOTS)
            holds = self._holds_before.get(member, NO_HOLDS)
            for lot in state.lots:
                old = lots.get(lot.lot_seq)
                if old is None:
                    changes.lots_new.append((member, lot))
                elif old != lot:
                    changes.lots_changed.append((member, lot))
            for hold in state.holds:
                old_hold = holds.get(hold.hold_id)
                if old_hold is None:
                    changes.holds_new.append((member, hold))
                elif old_hold != hold:
                    changes.holds_changed.append((member, hold))


def _out_of_range(submission: Submission) -> Refused:
    return refused(
        Refusal.OCCURRED_AT_OUT_OF_RANGE,
        occurred_ms=submission.command.origin.occurred_ms,
        earliest_ms=submission.earliest_ms,
        latest_ms=submission.latest_ms,
    )


def _holds_named(command: Command) -> Sequence[CommandId]:
    if isinstance(command, (Capture, Void)):
        return (command.hold_id,)
    if isinstance(command, ReturnLease):
        return (command.lease_id,)
    if isinstance(command, SettleSale):
        return [right.hold_id for right in command.authorities if right.hold_id]
    return ()


def _clock_off(entry: Entry, fact: Fact) -> bool:
    return abs(entry.origin.occurred_ms - fact.told_ms) > CLOCK_SLACK_MS
