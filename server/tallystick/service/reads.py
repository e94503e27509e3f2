"""Reads beside the lane: balances and scans are collected and answered many at a time, the rest runs on threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Protocol, TypeVar

from tallystick.core.ids import MemberId, ProgramId
from tallystick.core.record import record
from tallystick.core.rules.model import RuleSet
from tallystick.core.state import Account
from tallystick.service.card_ports import Card
from tallystick.service.collector import Collector, Ticket
from tallystick.service.directory import Directory, IdentifierRow
from tallystick.service.errors import Overloaded
from tallystick.service.household_store import HouseholdStore
from tallystick.service.ports import LedgerReader
from tallystick.service.rulebook import RuleBook
from tallystick.service.scan_ports import Key, ScanStore

READS_BATCH_MAX = 1_000
READ_THREADS = 4
READ_QUEUE_MAX = 1_000

DECOY_ID = MemberId("00000000-0000-8000-8000-000000000000")
"""Nobody's id: a scan that leads to nobody is looked up to the end all the same, so that it takes as long."""

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Store(LedgerReader, Directory, HouseholdStore, Protocol):
    """All that the use cases beside the lane need of a store."""


@record(frozen=True, slots=True)
class AccountRead:
    """A member's account as committed, None when there is no such member, and the rule set in force."""

    account: Account | None
    rules: RuleSet | None


@record(frozen=True, slots=True)
class ScanRead:
    """What a scan's key leads to; ``row`` is None when nobody has it, and ``card`` the card that it then is.

    ``account`` is the household's where the member is in one; ``sealed`` is the member's own personal data.
    """

    row: IdentifierRow | None
    account: Account | None
    sealed: bytes | None
    rules: RuleSet | None
    card: Card | None = None


AccountKey = tuple[ProgramId, MemberId]
ScanKey = tuple[ProgramId, Key]


class AccountReader:
    """Answers concurrent look-ups of accounts by one query for each program."""

    def __init__(self, reader: LedgerReader, rulebook: RuleBook) -> None:
        self._reader = reader
        self._rulebook = rulebook
        self._collector: Collector[AccountKey, AccountRead] = Collector(
            self._work, name="accounts", batch_max=READS_BATCH_MAX
        )

    async def account(self, program_id: ProgramId, member_id: MemberId) -> AccountRead:
        """Return a member's account. Raises ``Overloaded``, ``Draining`` or ``StoreUnavailable``."""
        return await self._collector.submit((program_id, member_id))

    def close(self) -> None:
        """Finish what waits and stop."""
        self._collector.close()

    def _work(self, tickets: Sequence[Ticket[AccountKey, AccountRead]]) -> None:
        for program_id, group in _by_program(tickets).items():
            rules = self._rulebook.current(program_id)
            wanted = list({ticket.item[1] for ticket in group})
            found = self._reader.read_accounts(program_id, wanted)
            for ticket in group:
                ticket.outcome = AccountRead(found.get(ticket.item[1]), rules)


class ScanReader:
    """Answers concurrent scans by one look at the store for each program."""

    def __init__(self, store: ScanStore, rulebook: RuleBook) -> None:
        self._store = store
        self._rulebook = rulebook
        self._collector: Collector[ScanKey, ScanRead] = Collector(
            self._work, name="scans", batch_max=READS_BATCH_MAX
        )

    async def scan(self, program_id: ProgramId, kind: str, token: bytes) -> ScanRead:
        """Return whom a blind-indexed identifier leads to. Raises as ``AccountReader.account``."""
        return await self._collector.submit((program_id, (kind, token)))

    def close(self) -> None:
        """Finish what waits and stop."""
        self._collector.close()

    def _work(self, tickets: Sequence[Ticket[ScanKey, ScanRead]]) -> None:
        for program_id, group in _by_program(tickets).items():
            rules = self._rulebook.current(program_id)
            keys = list({ticket.item[1] for ticket in group})
            found = self._store.read_scanned(program_id, keys, nobody=DECOY_ID)
            for ticket in group:
                key = ticket.item[1]
                row = found.identifiers.get(key)
                member_id = row.member_id if row else DECOY_ID
                ticket.outcome = ScanRead(
                    row,
                    # The card of a person in a household leads to the account that its people share.
                    found.accounts.get(found.households.get(member_id, member_id)),
                    found.sealed.get(member_id),
                    rules,
                    found.cards.get(key),
                )


class ReadPool:
    """Threads for the use cases that touch the store one call at a time; a bounded queue in front of them."""

    def __init__(self, *, threads: int = READ_THREADS, queue_max: int = READ_QUEUE_MAX) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="reads")
        self._room = threading.BoundedSemaphore(queue_max)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking work on a thread; from the event loop only. Raises ``Overloaded`` when too much waits.

        A caller that is cancelled stops waiting; the work is finished all the same.
        """
        if not self._room.acquire(blocking=False):
            raise Overloaded
        future = self._executor.submit(work, *args, **kwargs)
        # At the end of the work, not of the waiting: whoever gives up leaves the work in the queue.
        future.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Finish what waits and stop."""
        self._executor.shutdown(wait=True)


Wanted = TypeVar("Wanted", AccountKey, ScanKey)
Read = TypeVar("Read")


def _by_program(tickets: Sequence[Ticket[Wanted, Read]]) -> dict[ProgramId, list[Ticket[Wanted, Read]]]:
    groups: dict[ProgramId, list[Ticket[Wanted, Read]]] = {}
    for ticket in tickets:
        groups.setdefault(ticket.item[0], []).append(ticket)
    return groups
