"""What the writer path needs of a store. Memory, SQLite and PostgreSQL meet the same contract tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from tallystick.core.advice import TillChain, Verdict
from tallystick.core.chain import JournalRow
from tallystick.core.entry import Entry, Refused
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.state import Account, Hold, Lot, MemberStatus
from tallystick.service.coupon_ports import CouponReader, CouponTransaction
from tallystick.service.segment_ports import Purchase, SegmentReader, SegmentTransaction

BATCH_MAX = 256
"""Most commands that one transaction takes.

Larger batches share little more, but two processes whose batches want one member wait for each other: with 100,000
members two batches of 256 meet now and then, two of 1,000 nearly always."""


@record(frozen=True, slots=True)
class Known:
    """The stored answer to a command id: its fingerprint, the entry or the refusal, and when it was recorded."""

    member_id: MemberId
    fingerprint: bytes
    answer: Entry | Refused
    recorded_ms: Ms


@record(frozen=True, slots=True)
class NewEntry:
    """An entry to write, with what the chain sealed of it."""

    entry: Entry
    fingerprint: bytes
    detail_text: str


@record(frozen=True, slots=True)
class NewRefusal:
    """A refusal to write: declines are stored, so that every replica gives the same answer for ever."""

    command_id: CommandId
    member_id: MemberId
    fingerprint: bytes
    refused: Refused


class InboxState(IntEnum):
    """How far an advice that needs a person's eye is. The numbers are those of the contract."""

    OPEN = 1
    POSTED = 2
    DISMISSED = 3
    SEEN = 4


@record(frozen=True, slots=True)
class InboxItem:
    """An advice that was adjusted, parked or quarantined.

    ``item_id`` follows from the advice's bytes (``core.advice.item_id_of``). ``epoch`` and ``seq`` are 0 for one that
    was recovered from a receipt. ``verdict`` is what the till was told; when it is posted after all, what it became.
    ``waits_for`` is the command whose arrival would let it be posted (empty: none does).
    """

    item_id: str
    till_id: str
    store_id: str
    epoch: int
    seq: int
    verdict: Verdict
    state: InboxState
    received_ms: Ms
    raw: bytes
    waits_for: str = ""
    resolved_by: str = ""
    note: str = ""
    resolved_ms: Ms = Ms(0)


@dataclass(slots=True)
class WriteSet:
    """Everything that one transaction writes; ``journal`` is None when there is no entry."""

    recorded_ms: Ms
    entries: list[NewEntry] = field(default_factory=list)
    refusals: list[NewRefusal] = field(default_factory=list)
    accounts: list[tuple[Account, Account]] = field(default_factory=list)
    """Each changed account as (as loaded, as it is now); the store checks that ``seq`` is still as loaded."""
    lots_new: list[tuple[MemberId, Lot]] = field(default_factory=list)
    lots_changed: list[tuple[MemberId, Lot]] = field(default_factory=list)
    holds_new: list[tuple[MemberId, Hold]] = field(default_factory=list)
    holds_changed: list[tuple[MemberId, Hold]] = field(default_factory=list)
    tills: list[TillChain] = field(default_factory=list)
    """Chains of tills as they are now; all were locked. Written whole, also when there was no row."""
    inbox: list[InboxItem] = field(default_factory=list)
    """Items to insert, or to change when ``item_id`` is there."""
    purchases: list[Purchase] = field(default_factory=list)
    """Goods of sales among the entries, where a segment asks about them."""
    journal: JournalRow | None = None
    """The lane's next row; the store checks that the one before it is there, as ``prev_hash`` says."""


@record(frozen=True, slots=True)
class Exposure:
    """What lies in a store's open leases and vouchers, and what the store has paid for since the beginning."""

    leased_points: int
    voucher_points: int
    lost_points: int
    lease_tills: tuple[str, ...] = ()
    """The tills that asked for those leases, sorted."""


@record(frozen=True, slots=True)
class TillMember:
    """What a till may know of a member: never who it is."""

    member_id: MemberId
    seq: int
    active: int
    tier_id: str
    status: MemberStatus
    scan_tags: tuple[bytes, ...]
    holds: tuple[Hold, ...] = ()
    memberships: tuple[tuple[str, int], ...] = ()
    """Each membership that was ever paid for, with the ordinal of its last day."""
    hold_tills: tuple[str, ...] = ()
    """The till that asked for each of the holds, in their order; empty for one that no till asked for."""


class Transaction(CouponTransaction, SegmentTransaction, Protocol):
    """One transaction of one program. Leaving its block commits; an exception rolls back.

    Operating faults are raised as ``tallystick.service.errors`` names them: ``StoreConflict`` when the same batch may
    simply be run again (40001, 40P01, 23505, a moved account or lane, a connection lost before COMMIT's answer),
    ``StoreUnavailable`` when the store is away.
    """

    def lock_accounts(self, member_ids: Iterable[MemberId]) -> dict[MemberId, Account]:
        """Lock the accounts in sorted order until the end of the transaction; unknown members are absent."""
        ...

    def known(self, command_ids: Iterable[CommandId]) -> dict[CommandId, Known]:
        """Return the stored answers. A statement of its own after the locks, so that it sees what they waited for."""
        ...

    def locked(
        self, member_ids: Iterable[MemberId], command_ids: Iterable[CommandId]
    ) -> tuple[dict[MemberId, Account], dict[CommandId, Known]]:
        """Do ``lock_accounts`` and then ``known``, in one round trip where the store can."""
        ...

    def lock_tills(self, till_ids: Iterable[str]) -> dict[str, TillChain]:
        """Lock the chains of tills in sorted order until the end of the transaction, before any account.

        One that has no row yet is locked all the same (the row is made), and answered in its first state.
        """
        ...

    def inbox(self, item_ids: Iterable[str]) -> dict[str, InboxItem]:
        """Return the items that are there."""
        ...

    def holds(self, *, open_of: Iterable[MemberId], ids: Iterable[CommandId]) -> dict[MemberId, list[Hold]]:
        """Return the open holds of members, and the named holds whatever their status; no hold twice."""
        ...

    def lots(
        self, *, of: Iterable[MemberId], also: Iterable[tuple[MemberId, int]]
    ) -> dict[MemberId, list[Lot]]:
        """Return lots with points remaining (pending ones also when empty), and the named ones; no lot twice.

        Sorted by (expires_ms, earned_ms, lot_seq): the order in which points are burned.
        """
        ...

    def reversals(self, of: Iterable[tuple[MemberId, int]]) -> list[Entry]:
        """Return the entries (returns, reverses) whose ``reverses_seq`` is one of the (member, seq)."""
        ...

    def tail(self, lane_id: int) -> tuple[int, bytes]:
        """Return the lane's last (lane_seq, hash) in this program; (0, GENESIS) when it has none."""
        ...

    def write(self, changes: WriteSet) -> None:
        """Write the set. Checks row counts: anything unexpected raises ``StoreConflict``, at the latest at the end."""
        ...


class LedgerStore(Protocol):
    """The part of a store that a lane uses."""

    def transaction(self, program_id: ProgramId) -> AbstractContextManager[Transaction]:
        """Open a read-write transaction for one program (on PostgreSQL, row level security is set to it)."""
        ...

    def claim_lane(self) -> int:
        """Return a lane number that no other live process of this database has; called once per lane."""
        ...

    def close(self) -> None:
        """Give back connections and locks."""
        ...


class LedgerReader(CouponReader, SegmentReader, Protocol):
    """Reads that do not go through the lane; each is its own short read-only transaction."""

    def read_accounts(self, program_id: ProgramId, member_ids: Sequence[MemberId]) -> dict[MemberId, Account]:
        """Return accounts by one set-based query, without locks."""
        ...

    def read_lots(
        self, program_id: ProgramId, member_id: MemberId, *, also: Collection[int] = ()
    ) -> list[Lot]:
        """Return lots with points remaining, pending ones also when empty, and the named ones, in burning order.

        An empty lot that is pending still carries qualifying credits until it matures.
        """
        ...

    def read_standing(
        self, program_id: ProgramId, member_id: MemberId, *, also: Collection[int] = ()
    ) -> tuple[Account | None, list[Lot], Account | None]:
        """Return the account, lots as ``read_lots`` does, and the account again, one read after the other.

        When the two accounts are the same, nobody has written between them and the lots belong to them.
        """
        ...

    def read_holds(self, program_id: ProgramId, member_id: MemberId) -> list[Hold]:
        """Return open holds."""
        ...

    def read_known(self, program_id: ProgramId, command_ids: Sequence[CommandId]) -> dict[CommandId, Known]:
        """Return stored answers."""
        ...

    def read_entries(
        self, program_id: ProgramId, member_id: MemberId, *, before_seq: int | None, limit: int
    ) -> list[tuple[Entry, Ms]]:
        """Return a member's entries with their recorded instants, newest first, ``seq`` < ``before_seq``."""
        ...

    def read_reversals(self, program_id: ProgramId, member_id: MemberId, seq: int) -> list[Entry]:
        """Return the entries that reverse or return against one entry."""
        ...

    def read_due(
        self, program_id: ProgramId, *, due_ms: Ms, after: MemberId | None, limit: int
    ) -> list[MemberId]:
        """Return members with ``due_ms`` <= the given instant, ordered by id, after a member."""
        ...

    def read_tills(self, program_id: ProgramId, *, store_id: str) -> list[TillChain]:
        """Return the chains of a store's tills, by id; of all stores when ``store_id`` is empty. At most 10,000."""
        ...

    def read_inbox(
        self,
        program_id: ProgramId,
        *,
        store_id: str,
        state: InboxState,
        before: tuple[Ms, str] | None,
        limit: int,
    ) -> list[InboxItem]:
        """Return items of a state, newest first by (received_ms, item_id); of all stores when ``store_id`` is empty."""
        ...

    def read_item(self, program_id: ProgramId, item_id: str) -> InboxItem | None:
        """Return one item."""
        ...

    def read_parked(self, program_id: ProgramId, *, after: str, limit: int) -> list[InboxItem]:
        """Return open items whose verdict is PARKED, by ``item_id``, after one."""
        ...

    def read_exposure(self, program_id: ProgramId, *, store_id: str) -> Exposure:
        """Return what is escrowed to a store and what it has paid for."""
        ...

    def read_journal(
        self, program_id: ProgramId, *, after: Mapping[int, int], limit: int
    ) -> list[tuple[int, int, bytes]]:
        """Return (lane_id, lane_seq, payload) of journal rows behind each lane's position, in order within a lane.

        A lane that is not named is read from its beginning.
        """
        ...

    def read_journal_heads(self, program_id: ProgramId) -> dict[int, int]:
        """Return each lane's last position in the journal."""
        ...

    def read_journal_hashes(self, program_id: ProgramId, at: Mapping[int, int]) -> dict[int, bytes]:
        """Return the hash of the journal row at one position of each lane; a lane without that row is absent."""
        ...

    def read_changed_members(
        self, program_id: ProgramId, *, since: Ms, after: tuple[Ms, str] | None, limit: int
    ) -> list[tuple[Ms, MemberId]]:
        """Return members whose status or identifiers changed at or after an instant, by (changed_ms, member_id)."""
        ...

    def read_till_members(
        self, program_id: ProgramId, member_ids: Sequence[MemberId], *, store_id: str
    ) -> list[TillMember]:
        """Return what a till of a store may know of members: account, scan tags, and holds for the store.

        ``holds`` are leases and vouchers bound to the store: the open ones, and those that ended in the last 60 days.
        """
        ...

    def read_till_member_page(
        self, program_id: ProgramId, *, store_id: str, after: str, limit: int
    ) -> list[TillMember]:
        """Return the same of living members in the order of their ids, after one.

        Of the holds that are not open only those that could still be shown: their time has not run out.
        """
        ...

    def read_sums(self, program_id: ProgramId) -> dict[str, int]:
        """Return the program's accounts: each of ``Moves``' fields summed over the journal."""
        ...
