"""The one writer path: every change of points, from whatever caller, is collected here and committed in groups."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from tallystick.core.ids import Ms, ProgramId
from tallystick.core.rules.model import RuleSet
from tallystick.service.batch import Batch
from tallystick.service.batch_load import RulesWanted
from tallystick.service.collector import Collector, Ticket
from tallystick.service.errors import (
    DeadlinePassed,
    Overloaded,
    StoreConflict,
    StoreUnavailable,
    TallystickError,
)
from tallystick.service.ports import BATCH_MAX, LedgerStore
from tallystick.service.rulebook import RuleBook
from tallystick.service.submission import Answer, Submission, pinned_version

CONFLICT_RETRIES_MAX = 20
"""How often one batch is run again after losing against another writer, before its callers are told to come back."""

BACKOFF_MAX_S = 0.1

log = logging.getLogger(__name__)

LaneTicket = Ticket[Submission, Answer]


class Lane:
    """One thread with one connection that decides and commits what was submitted.

    A lane commits in order and numbers its batches without gaps, so whoever follows the journal keeps one
    watermark per lane and misses nothing.
    """

    def __init__(
        self,
        store: LedgerStore,
        rulebook: RuleBook,
        *,
        now_ms: Callable[[], Ms],
        monotonic: Callable[[], float] = time.monotonic,
        on_batch: Callable[[int, float], None] | None = None,
        batch_max: int = BATCH_MAX,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._on_batch = on_batch
        self._lane_id = store.claim_lane()
        self._tails: dict[ProgramId, tuple[int, bytes]] = {}
        self._collector: Collector[Submission, Answer] = Collector(
            self._work, name=f"lane-{self._lane_id}", batch_max=batch_max
        )

    @property
    def waiting(self) -> int:
        """How many commands wait for a batch."""
        return self._collector.waiting

    async def submit(self, submission: Submission) -> Answer:
        """Decide and commit a command; the answer is durable when it comes.

        Raises ``Overloaded`` or ``Draining`` when it was not taken, ``DeadlinePassed`` when nothing was written, and
        ``StoreUnavailable`` when that is not known: the caller sends the same id again.
        """
        return await self._collector.submit(submission)

    async def submit_together(self, submissions: Sequence[Submission]) -> list[Answer]:
        """Decide and commit commands in their order, one batch after the other; raises as ``submit``."""
        answers: list[Answer] = []
        for start in range(0, len(submissions), BATCH_MAX):
            answers += await self._collector.submit_together(submissions[start : start + BATCH_MAX])
        return answers

    def submit_all(self, submissions: Sequence[Submission]) -> list[Future[Answer]]:
        """Decide and commit commands from a thread; they stay in order."""
        return self._collector.submit_all(submissions)

    def close(self) -> None:
        """Finish what waits and stop."""
        self._collector.close()

    def _work(self, tickets: Sequence[LaneTicket]) -> None:
        """Run one collected batch, one transaction for each program in it."""
        now = self._monotonic()
        by_program: dict[ProgramId, list[LaneTicket]] = {}
        for ticket in tickets:
            if ticket.item.deadline < now:
                ticket.outcome = DeadlinePassed()
            else:
                by_program.setdefault(ticket.item.program_id, []).append(ticket)
        for program_id, group in by_program.items():
            self._work_on(program_id, group)

    def _work_on(self, program_id: ProgramId, group: list[LaneTicket]) -> None:
        started = self._monotonic()
        try:
            answers = self._with_retries(program_id, [ticket.item for ticket in group])
        except TallystickError as error:
            for ticket in group:
                ticket.outcome = error
        except Exception as error:
            # One command that cannot be worked on must not fail its neighbours: halve until it stands alone.
            self._tails.pop(program_id, None)
            if len(group) == 1:
                log.exception("command could not be decided", extra={"program_id": program_id})
                group[0].outcome = error
                return
            middle = len(group) // 2
            self._work_on(program_id, group[:middle])
            self._work_on(program_id, group[middle:])
        else:
            for ticket, answer in zip(group, answers, strict=True):
                ticket.outcome = answer
            if self._on_batch is not None:
                self._on_batch(len(group), self._monotonic() - started)

    def _with_retries(self, program_id: ProgramId, submissions: list[Submission]) -> list[Answer]:
        for attempt in range(CONFLICT_RETRIES_MAX):
            try:
                return self._commit(program_id, submissions)
            except StoreConflict:
                self._tails.pop(program_id, None)
                # Two lanes that lost against each other must not meet again: wait a random moment.
                time.sleep(random.uniform(0, min(BACKOFF_MAX_S, 0.001 * 2**attempt)))  # noqa: S311
            except StoreUnavailable:
                self._tails.pop(program_id, None)
                raise
        raise Overloaded("too many writers want the same members")

    def _commit(self, program_id: ProgramId, submissions: list[Submission]) -> list[Answer]:
        # Rules are looked up before the transaction begins: no read of theirs runs inside it.
        named = {pinned_version(submission.command, ()) or 0 for submission in submissions}
        rules = {
            version: self._rulebook.version(program_id, version) for version in {0, *named} if version >= 0
        }
        while True:
            try:
                return self._decide(program_id, submissions, rules)
            except RulesWanted as wanted:
                rules[wanted.version] = self._rulebook.version(program_id, wanted.version)

    def _decide(
        self, program_id: ProgramId, submissions: list[Submission], rules: Mapping[int, RuleSet | None]
    ) -> list[Answer]:
        def rules_for(version: int) -> RuleSet | None:
            if version in rules or version < 0:
                return rules.get(version)
            found = self._rulebook.at_hand(program_id, version)
            if found is None:
                raise RulesWanted(version)
            return found

        with self._store.transaction(program_id) as transaction:
            tail = self._tails.get(program_id)
            if tail is None:
                tail = transaction.tail(self._lane_id)
            batch = Batch(
                program_id=program_id,
                submissions=submissions,
                rules_for=rules_for,
                transaction=transaction,
                lane_id=self._lane_id,
                now_ms=self._now_ms(),
            )
            answers, journal = batch.run(tail)
        self._tails[program_id] = (journal.lane_seq, journal.hash) if journal else tail
        return answers
