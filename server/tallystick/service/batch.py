"""One batch: what must be loaded, each command decided in order, one write set. Pure, given the transaction.

Memory, SQLite and PostgreSQL run this same code; so does the simulator.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.core.chain import JournalRow, entry_digest, entry_ref, seal
from tallystick.core.codec import detail_to_text
from tallystick.core.command import (
    CatchUp,
    Command,
)
from tallystick.core.decide import NO_REFS, Refs, decide, not_open, refers_to
from tallystick.core.entry import Decision, Entry, Posted, Refusal, Refused, refused
from tallystick.core.ids import Ms, ProgramId
from tallystick.core.state import Lot, MemberStatus
from tallystick.service.batch_facts import Facts
from tallystick.service.batch_load import NO_HOLDS, Loaded, RulesFor, load
from tallystick.service.goods import purchases_of
from tallystick.service.ports import (
    Known,
    NewEntry,
    NewRefusal,
    Transaction,
    WriteSet,
)
from tallystick.service.submission import (
    Answer,
    Submission,
    pinned_version,
)

ACCOUNTS = 9
"""How many accounts an entry moves: the fields of ``Moves``."""

NO_LOTS: dict[int, Lot] = {}

NO_FINGERPRINT = b""
"""Entries that time makes due have no command, so nothing to compare."""


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
        self._loaded: Loaded
        self._facts: Facts
        self._changes = WriteSet(recorded_ms=now_ms)
        self._refs: list[bytes] = []
        self._sums = [0] * ACCOUNTS

    def run(self, tail: tuple[int, bytes]) -> tuple[list[Answer], JournalRow | None]:
        """Decide and write everything; return the answers in order, and the journal row if there is one.

        ``tail`` is the lane's last (seq, hash). Committing is the transaction's business.
        """
        self._loaded = load(self._tx, self._submissions, self._rules_for, self._now_ms)
        self._facts = Facts(self._loaded)
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
        changes.tills, changes.inbox = self._facts.chains_changed(), self._facts.items_changed()
        if changes.entries or changes.refusals or changes.accounts or changes.tills or changes.inbox:
            self._tx.write(changes)
        if self._loaded.coupons is not None and (coupons := self._loaded.coupons.changes()):
            self._tx.write_coupons(coupons)
        return answers, changes.journal

    def _decide(self, submission: Submission) -> Answer:
        if submission.fact is not None:
            return self._facts.take(submission, submission.fact, self._judge)
        command = submission.command
        known = self._loaded.known.get(command.command_id)
        if known is not None:
            return self._replay(submission, known)
        decision = self._judge(submission, command)
        if isinstance(decision, Refused):
            return self._refuse(submission, decision)
        return Answer(decision, replayed=False, recorded_ms=self._now_ms)

    def _judge(self, submission: Submission, command: Command) -> Decision:
        """Decide a new command on the state as the commands before it left it, and keep what it posts."""
        state = self._loaded.states.get(command.member_id)
        if state is None:
            return refused(Refusal.MEMBER_UNKNOWN, member_id=command.member_id)
        if not submission.earliest_ms <= command.origin.occurred_ms <= submission.latest_ms:
            return not_open(command, state) or _out_of_range(submission)
        rules = self._rules_for(0)
        version = pinned_version(command, state.holds)
        pinned = self._rules_for(version) if version else None
        if rules is None or (version is not None and pinned is None):
            return not_open(command, state) or refused(Refusal.RULE_SET_UNKNOWN, version=version or 0)
        if pinned is not None and pinned.version == rules.version:
            pinned = None
        book = self._loaded.coupons
        coupons = book.uses_of(command, state, pinned or rules) if book else ()
        outcome = decide(command, state, rules, self._refs_of(command), pinned=pinned, coupons=coupons)
        if book:
            book.apply(state, outcome)
        self._loaded.states[command.member_id] = outcome.state
        # A till may tell of a member who was erased meanwhile: the sale stands, what was bought is nobody's business.
        if rules.goods_days and state.account.status is not MemberStatus.ERASED:
            self._changes.purchases += purchases_of(command, outcome.entries)
        for entry in outcome.entries:
            own = entry.command_id == command.command_id
            self._keep(entry, submission.fingerprint if own else NO_FINGERPRINT)
        return outcome.decision

    def _refs_of(self, command: Command) -> Refs:
        ref = refers_to(command)
        known = self._loaded.known.get(ref) if ref else None
        if known is None or not isinstance(known.answer, Entry) or known.member_id != command.member_id:
            return NO_REFS
        entry = known.answer
        return Refs(entry, tuple(self._loaded.before.get((entry.member_id, entry.seq), ())))

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
        self._loaded.known[command.command_id] = known
        return Answer(no, replayed=False, recorded_ms=self._now_ms)

    def _keep(self, entry: Entry, fingerprint: bytes) -> None:
        text = detail_to_text(entry.detail)
        assert self._loaded.coupons or not entry.detail.coupons, "what an entry uses or frees was locked"
        self._changes.entries.append(NewEntry(entry, fingerprint, text))
        self._refs.append(entry_ref(entry.member_id, entry.seq, entry_digest(entry, fingerprint, text)))
        sums = self._sums
        for at, points in enumerate(entry.moves):
            if points:
                sums[at] += points
        self._loaded.known[entry.command_id] = Known(entry.member_id, fingerprint, entry, self._now_ms)
        if entry.reverses_seq:
            self._loaded.before.setdefault((entry.member_id, entry.reverses_seq), []).append(entry)

    def _collect_state(self) -> None:
        """Turn the difference between the loaded states and the last ones into rows to write."""
        changes = self._changes
        for member, state in self._loaded.states.items():
            before = self._loaded.accounts[member]
            if state.account.seq == before.seq and state.account == before:
                continue
            changes.accounts.append((before, state.account))
            # Of members that were not loaded whole, all lots are new; a hold needs them whole.
            lots = self._loaded.lots.get(member, NO_LOTS)
            holds = self._loaded.holds.get(member, NO_HOLDS)
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
