"""What needs a person's eye: advices that were adjusted, parked or quarantined, and what becomes of them.

An item is changed under the lock of its till's chain, as the lane does, so that a person and an arriving sale do not
end the same one twice.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol, TypeVar

from tallystick.core.advice import TillChain, VerdictKind, VerdictReason, reinstate
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.service.advices import Advices
from tallystick.service.directory import Directory
from tallystick.service.errors import FailedPrecondition, InvalidInput, NotFound, StoreConflict
from tallystick.service.ports import (
    InboxItem,
    InboxState,
    LedgerReader,
    LedgerStore,
    Transaction,
    WriteSet,
)
from tallystick.service.submission import Submission

PARKED_PAGE_MAX = 200
"""Most parked advices that are looked at in one go."""

T = TypeVar("T")

CONFLICTS_MAX = 20
PROGRAMS_PAGE = 500


class Store(LedgerStore, LedgerReader, Directory, Protocol):
    """The whole store."""


class Inbox:
    """The use cases around items and chains. Safe to use from several threads."""

    def __init__(self, store: Store, advices: Advices, *, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._advices = advices
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._parked: dict[ProgramId, str] = {}

    def page(
        self,
        program_id: ProgramId,
        *,
        store_id: str,
        state: InboxState,
        before: tuple[Ms, str] | None,
        limit: int,
    ) -> list[InboxItem]:
        """Return items of a state, newest first; of all stores when ``store_id`` is empty."""
        return self._store.read_inbox(program_id, store_id=store_id, state=state, before=before, limit=limit)

    def get(self, program_id: ProgramId, item_id: str, *, store_id: str) -> InboxItem:
        """Return an item. ``store_id`` is the caller's store, empty for all. Raises ``NotFound``."""
        item = self._store.read_item(program_id, item_id)
        if item is None or store_id not in ("", item.store_id):
            raise NotFound("There is no such item.", reason="INBOX_ITEM_NOT_FOUND", item_id=item_id)
        return item

    def prepare_post(self, program_id: ProgramId, item: InboxItem, *, deadline: float) -> Submission | None:
        """Return what posts an item, None when there is nothing to post: it was, or it cannot be read.

        Raises ``FailedPrecondition`` for one that has ended otherwise, ``InvalidInput`` for one that was posted at
        once.
        """
        _require_waiting(item)
        if item.state is InboxState.POSTED:
            return None
        if item.state is not InboxState.OPEN:
            raise _closed(item)
        return self._advices.again(program_id, item, deadline=deadline)

    def conclude_post(
        self, program_id: ProgramId, item_id: str, *, store_id: str, resolved_by: str, note: str
    ) -> InboxItem:
        """Write down who had an item posted, and return it; one that is still open stays as it is."""

        def change(item: InboxItem) -> InboxItem:
            if item.state is not InboxState.POSTED or item.resolved_by:
                return item
            return replace(item, resolved_by=resolved_by, note=note)

        return self._changed(program_id, self.get(program_id, item_id, store_id=store_id), change)

    def dismiss(
        self, program_id: ProgramId, item_id: str, *, store_id: str, resolved_by: str, note: str
    ) -> InboxItem:
        """End an item without a posting, for a reason. Raises ``FailedPrecondition`` when it has ended otherwise."""
        if not note.strip():
            raise InvalidInput("Whoever dismisses says why.", violations=(("note", "is needed to dismiss"),))
        item = self.get(program_id, item_id, store_id=store_id)
        _require_waiting(item)
        return self._ended(program_id, item, InboxState.DISMISSED, resolved_by, note)

    def mark_seen(
        self, program_id: ProgramId, item_id: str, *, store_id: str, resolved_by: str, note: str
    ) -> InboxItem:
        """Mark an adjustment as read."""
        item = self.get(program_id, item_id, store_id=store_id)
        if item.verdict.kind is not VerdictKind.ADJUSTED and item.state is InboxState.OPEN:
            raise InvalidInput(
                "Only an adjustment is done with once it was read.",
                violations=(("action", "must be POST or DISMISS for what was not posted"),),
            )
        return self._ended(program_id, item, InboxState.SEEN, resolved_by, note)

    def chain(self, program_id: ProgramId, *, till_id: str, store_id: str) -> TillChain | None:
        """Return the chain of a till of a store, None when it was never heard of."""
        chains = self._store.read_tills(program_id, store_id=store_id)
        return next((one for one in chains if one.till_id == till_id), None)

    def reinstate(self, program_id: ProgramId, till_id: str) -> TillChain:
        """Trust a till again, in a new epoch; one that is trusted stays as it is. The till must exist."""

        def work(transaction: Transaction) -> TillChain:
            chain = transaction.lock_tills([till_id])[till_id]
            trusted = reinstate(chain)
            if trusted != chain:
                transaction.write(WriteSet(self._now_ms(), tills=[trusted]))
            return trusted

        return self._in_transaction(program_id, work)

    def note_parked(self, program_id: ProgramId) -> None:
        """Remember that a program has something that waits."""
        with self._lock:
            self._parked.setdefault(program_id, "")

    def waits(self, program_id: ProgramId) -> bool:
        """Return whether something of a program is known to wait; quick."""
        return program_id in self._parked

    def look_for_parked(self) -> list[ProgramId]:
        """Return the programs in which something waits, whichever process parked it."""
        after = ""
        while page := self._store.programs(after=after, limit=PROGRAMS_PAGE):
            for program in page:
                if self._store.read_parked(program.program_id, after="", limit=1):
                    self.note_parked(program.program_id)
            after = page[-1].program_id
        return list(self._parked)

    def due(self, program_id: ProgramId, *, deadline: float) -> list[Submission]:
        """Return what posts the parked advices whose missing part has arrived.

        Looks at one page of them and goes on from there the next time, so that many that wait in vain do not keep
        the others from their turn.
        """
        after = self._parked.get(program_id, "")
        page = self._store.read_parked(program_id, after=after, limit=PARKED_PAGE_MAX)
        with self._lock:
            if len(page) == PARKED_PAGE_MAX:
                self._parked[program_id] = page[-1].item_id
            elif page or after:
                self._parked[program_id] = ""
            else:
                self._parked.pop(program_id, None)
        arrived = self._arrived(program_id, page)
        found = [self._advices.again(program_id, item, deadline=deadline) for item in arrived]
        return [submission for submission in found if submission is not None]

    def _arrived(self, program_id: ProgramId, items: Iterable[InboxItem]) -> list[InboxItem]:
        """Return the items for which what they wait for is there; by two set-based reads."""
        waiting = list(items)
        wanted = {item.waits_for for item in waiting if item.waits_for}
        commands = self._store.read_known(program_id, [CommandId(one) for one in sorted(wanted)])
        members = self._store.read_accounts(program_id, [MemberId(one) for one in sorted(wanted)])
        rules_missing = VerdictReason.RULE_SET_UNKNOWN
        return [
            item
            for item in waiting
            if item.waits_for in commands
            or item.waits_for in members
            or rules_missing in item.verdict.reasons
        ]

    def _ended(
        self, program_id: ProgramId, item: InboxItem, state: InboxState, resolved_by: str, note: str
    ) -> InboxItem:
        def change(now: InboxItem) -> InboxItem:
            if now.state is state:
                return now
            if now.state is not InboxState.OPEN:
                raise _closed(now)
            return replace(now, state=state, resolved_by=resolved_by, note=note, resolved_ms=self._now_ms())

        return self._changed(program_id, item, change)

    def _changed(
        self, program_id: ProgramId, item: InboxItem, change: Callable[[InboxItem], InboxItem]
    ) -> InboxItem:
        def work(transaction: Transaction) -> InboxItem:
            transaction.lock_tills([item.till_id])
            now = transaction.inbox([item.item_id])[item.item_id]
            changed = change(now)
            if changed != now:
                transaction.write(WriteSet(self._now_ms(), inbox=[changed]))
            return changed

        return self._in_transaction(program_id, work)

    def _in_transaction(self, program_id: ProgramId, work: Callable[[Transaction], T]) -> T:
        for attempt in range(CONFLICTS_MAX):
            try:
                with self._store.transaction(program_id) as transaction:
                    return work(transaction)
            except StoreConflict:
                time.sleep(random.uniform(0, 0.001 * 2 ** min(attempt, 6)))  # noqa: S311
        raise StoreConflict("other writers were first, again and again", mend="Send it again.")


def _require_waiting(item: InboxItem) -> None:
    if item.verdict.kind is VerdictKind.ADJUSTED and item.state in (InboxState.OPEN, InboxState.SEEN):
        raise InvalidInput(
            "It was posted already, with other points.",
            violations=(("action", "must be SEEN for an adjustment"),),
        )


def _closed(item: InboxItem) -> FailedPrecondition:
    return FailedPrecondition(
        "The item has ended in another way already.",
        reason="INBOX_ITEM_CLOSED",
        item_id=item.item_id,
        state=item.state.name,
    )
