"""One batch: what must be loaded, each command decided in order, one write set. Pure, given the transaction.

Memory, SQLite and PostgreSQL run this same code; so does the simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from tallystick.core.chain import JournalRow, entry_digest, entry_ref, seal
from tallystick.core.codec import detail_to_text
from tallystick.core.command import Capture, CatchUp, Command, SettleSale, Void
from tallystick.core.decide import NO_REFS, Refs, decide, needs_lots, not_open, refers_to
from tallystick.core.entry import Decision, Entry, Posted, Refusal, Refused, refused
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.rules.model import RuleSet
from tallystick.core.state import Account, Hold, Lot, MemberState
from tallystick.service.ports import Known, NewEntry, NewRefusal, Transaction, WriteSet

ACCOUNTS = 9
"""How many accounts an entry moves: the fields of ``Moves``."""

NO_FINGERPRINT = b""
"""Entries that time makes due have no command, so nothing to compare."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A command on its way to the lane.

    ``fingerprint`` is over the command as it was sent, before defaults were filled in. ``deadline`` is on the clock
    of ``time.monotonic()``. Business time must lie in [``earliest_ms``, ``latest_ms``] for a command that is new;
    a retry gets its stored answer however late it comes.
    """

    program_id: ProgramId
    command: Command
    fingerprint: bytes
    deadline: float
    earliest_ms: int
    latest_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller is told. ``recorded_ms`` is when it was first decided (0 when only the ledger knows)."""

    decision: Decision
    replayed: bool
    recorded_ms: Ms


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
        if changes.entries or changes.refusals or changes.accounts:
            self._tx.write(changes)
        return answers, changes.journal

    def _load(self) -> None:
        commands = [submission.command for submission in self._submissions]
        ids = {command.command_id for command in commands}
        ids.update(ref for command in commands if (ref := refers_to(command)))
        members = {command.member_id for command in commands}
        self._loaded, self._known = self._tx.locked(members, ids)
        latest: dict[MemberId, int] = {}
        whole: set[MemberId] = set()
        for command in commands:
            if command.command_id in self._known or command.member_id not in self._loaded:
                continue
            member = command.member_id
            as_of_ms = self._loaded[member].as_of_ms
            latest[member] = max(latest.get(member, as_of_ms), command.origin.occurred_ms)
            if needs_lots(command):
                whole.add(member)
        whole.update(member for member, at_ms in latest.items() if self._loaded[member].due_ms <= at_ms)
        holds, lots = self._load_whole(commands, whole) if whole else ({}, {})
        for member, account in self._loaded.items():
            if member in whole:
                state = MemberState(
                    account, tuple(lots.get(member, ())), tuple(holds.get(member, ())), complete=True
                )
            else:
                state = MemberState(account, rest_due_ms=account.due_ms)
            self._states[member] = state
            self._lots_before[member] = {lot.lot_seq: lot for lot in state.lots}
            self._holds_before[member] = {hold.hold_id: hold for hold in state.holds}

    def _load_whole(
        self, commands: Iterable[Command], whole: set[MemberId]
    ) -> tuple[dict[MemberId, list[Hold]], dict[MemberId, list[Lot]]]:
        """Load lots and holds of the members that need them, and what their commands refer to."""
        named = {command.hold_id for command in commands if isinstance(command, (Capture, Void))}
        # Open holds and held points come and go together, so most members need no look for them.
        holding = {member for member in whole if self._loaded[member].held}
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

    def _decide(self, submission: Submission) -> Answer:
        command = submission.command
        known = self._known.get(command.command_id)
        if known is not None:
            return self._replay(submission, known)
        state = self._states.get(command.member_id)
        if state is None:
            return self._refuse(submission, refused(Refusal.MEMBER_UNKNOWN, member_id=command.member_id))
        if not submission.earliest_ms <= command.origin.occurred_ms <= submission.latest_ms:
            return self._refuse(submission, not_open(command, state) or _out_of_range(submission))
        rules = self._rules_for(0)
        version = command.rule_set if isinstance(command, SettleSale) else 0
        pinned = self._rules_for(version) if version else None
        if rules is None or (version and pinned is None):
            no = not_open(command, state) or refused(Refusal.RULE_SET_UNKNOWN, version=version)
            return self._refuse(submission, no)
        if pinned is not None and pinned.version == rules.version:
            pinned = None
        outcome = decide(command, state, rules, self._refs_of(command), pinned=pinned)
        self._states[command.member_id] = outcome.state
        for entry in outcome.entries:
            own = entry.command_id == command.command_id
            self._keep(entry, submission.fingerprint if own else NO_FINGERPRINT)
        if isinstance(outcome.decision, Refused):
            return self._refuse(submission, outcome.decision)
        return Answer(outcome.decision, replayed=False, recorded_ms=self._now_ms)

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
            if state.account == before:
                continue
            changes.accounts.append((before, state.account))
            lots, holds = self._lots_before[member], self._holds_before[member]
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


def with_occurred(command: Command, occurred_ms: Ms) -> Command:
    """Return the command at a business time, for a caller that left it to the server."""
    return replace(command, origin=replace(command.origin, occurred_ms=occurred_ms))
