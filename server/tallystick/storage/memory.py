"""The store in memory: for tests and simulations, and the plainest statement of what the others do.

One lock makes transactions take turns; an undo list makes a failed one leave nothing behind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tallystick.core.advice import TillChain
from tallystick.core.chain import GENESIS, JournalRow
from tallystick.core.entry import Entry, Moves
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Ms, ProgramId
from tallystick.core.state import Account, Hold, HoldStatus, Lot
from tallystick.service.coupon_ports import CouponCode, Reservation
from tallystick.service.errors import StoreConflict
from tallystick.service.ports import InboxItem, Known, NewEntry, Transaction, WriteSet
from tallystick.service.referral_ports import Referral
from tallystick.service.segment_ports import Purchase
from tallystick.service.shared_store import SharedPlace
from tallystick.service.transfer_store import Transfer
from tallystick.storage.clock import Now, wall_ms
from tallystick.storage.memory_coupons import MemoryCouponReads
from tallystick.storage.memory_directory import MemoryDirectory
from tallystick.storage.memory_scans import MemoryScanReads
from tallystick.storage.memory_segments import MemorySegmentReads
from tallystick.storage.memory_shared import HERE
from tallystick.storage.memory_tables import K, ProgramTables, Undo, V
from tallystick.storage.memory_tills import MemoryTills, StoreOf
from tallystick.storage.reader import LedgerReads, Reads
from tallystick.storage.rows import burning_order
from tallystick.storage.snapshot import LedgerRow, Snapshot

T = TypeVar("T")


class MemoryTransaction(MemoryTills, MemoryCouponReads, MemorySegmentReads, MemoryScanReads):
    """A transaction of one program."""

    def accounts(self, member_ids: Iterable[MemberId]) -> dict[MemberId, Account]:
        """Return accounts; unknown members are absent."""
        accounts = self._tables.accounts
        return {member: accounts[member] for member in sorted(set(member_ids)) if member in accounts}

    def lock_accounts(self, member_ids: Iterable[MemberId]) -> dict[MemberId, Account]:
        """Return the accounts; the store's one lock is every account's lock."""
        return self.accounts(member_ids)

    def locked(
        self, member_ids: Iterable[MemberId], command_ids: Iterable[CommandId]
    ) -> tuple[dict[MemberId, Account], dict[CommandId, Known]]:
        """Return the accounts and the stored answers."""
        return self.lock_accounts(member_ids), self.known(command_ids)

    def known(self, command_ids: Iterable[CommandId]) -> dict[CommandId, Known]:
        """Return the stored answers."""
        found = {}
        for command_id in set(command_ids):
            if command_id in self._tables.entry_of:
                member, seq = self._tables.entry_of[command_id]
                new, recorded_ms = self._tables.ledger[member][seq]
                found[command_id] = Known(member, new.fingerprint, new.entry, recorded_ms)
            elif command_id in self._tables.refusals:
                found[command_id] = self._tables.refusals[command_id]
        return found

    def holds(self, *, open_of: Iterable[MemberId], ids: Iterable[CommandId]) -> dict[MemberId, list[Hold]]:
        """Return the open holds of members, and the named holds whatever their status; no hold twice."""
        found: dict[MemberId, dict[CommandId, Hold]] = defaultdict(dict)
        for member in set(open_of):
            for hold in self._tables.holds.get(member, {}).values():
                if hold.status is HoldStatus.OPEN:
                    found[member][hold.hold_id] = hold
        for hold_id in set(ids) & self._tables.holder_of.keys():
            member = self._tables.holder_of[hold_id]
            found[member][hold_id] = self._tables.holds[member][hold_id]
        return {member: sorted(holds.values(), key=lambda hold: hold.seq) for member, holds in found.items()}

    def lots(
        self, *, of: Iterable[MemberId], also: Iterable[tuple[MemberId, int]]
    ) -> dict[MemberId, list[Lot]]:
        """Return lots with points remaining or pending, and the named ones, no lot twice, in burning order."""
        found: dict[MemberId, dict[int, Lot]] = defaultdict(dict)
        for member in set(of):
            for lot in self._tables.lots.get(member, {}).values():
                if lot.remaining or lot.pending:
                    found[member][lot.lot_seq] = lot
        for member, lot_seq in also:
            named = self._tables.lots.get(member, {}).get(lot_seq)
            if named is not None:
                found[member][lot_seq] = named
        return {member: sorted(lots.values(), key=burning_order) for member, lots in found.items()}

    def standing(
        self, member_id: MemberId, also: Iterable[int]
    ) -> tuple[Account | None, list[Lot], Account | None]:
        """Return the account, its lots, and the account again: under the store's one lock it is the same."""
        account = self._tables.accounts.get(member_id)
        lots = self.lots(of=[member_id], also=[(member_id, lot_seq) for lot_seq in also])
        return account, lots.get(member_id, []), account

    def reversals(self, of: Iterable[tuple[MemberId, int]]) -> list[Entry]:
        """Return the entries whose ``reverses_seq`` is one of the (member, seq), by member and seq."""
        found = []
        for member, seq in sorted(set(of)):
            later = self._tables.reversals_of.get((member, seq), ())
            found += [self._tables.ledger[member][one][0].entry for one in sorted(later)]
        return found

    def entries_named(self, refs: Iterable[tuple[MemberId, int]]) -> list[tuple[Entry, Ms]]:
        """Return the entries (member, seq) with their recorded instants, by member and seq."""
        ledger = self._tables.ledger
        found = [ledger[member][seq] for member, seq in sorted(set(refs)) if seq in ledger.get(member, {})]
        return [(new.entry, recorded_ms) for new, recorded_ms in found]

    def tail(self, lane_id: int) -> tuple[int, bytes]:
        """Return the lane's last (lane_seq, hash) in this program; (0, GENESIS) when it has none."""
        lane = self._tables.journal.get(lane_id)
        if not lane:
            return 0, GENESIS
        last = lane[max(lane)]
        return last.lane_seq, last.hash

    def entries(self, member_id: MemberId, *, before_seq: int | None, limit: int) -> list[tuple[Entry, Ms]]:
        """Return a member's entries with their recorded instants, newest first."""
        rows = self._tables.ledger.get(member_id, {})
        seqs = sorted((seq for seq in rows if before_seq is None or seq < before_seq), reverse=True)
        return [(rows[seq][0].entry, rows[seq][1]) for seq in seqs[:limit]]

    def due(self, *, due_ms: Ms, after: MemberId | None, limit: int) -> list[MemberId]:
        """Return members whose time has come, ordered by id, after a member."""
        accounts = self._tables.accounts.values()
        return sorted(
            a.member_id
            for a in accounts
            if a.due_ms <= due_ms and a.due_ms < NEVER_MS and a.member_id > (after or "")
        )[:limit]

    def sums(self) -> dict[str, int]:
        """Return each of ``Moves``' fields summed over the journal."""
        rows = [row.sums for lane in self._tables.journal.values() for row in lane.values()]
        totals = [sum(column) for column in zip(*rows, strict=True)] or [0] * len(Moves._fields)
        return dict(zip(Moves._fields, totals, strict=True))

    def write(self, changes: WriteSet) -> None:
        """Write the set. Raises ``StoreConflict`` when a key is taken or a row is not as it was loaded."""
        tables = self._tables
        self._write_tills(changes)
        for new in changes.entries:
            self._write_entry(new, changes.recorded_ms)
        for one in changes.purchases:
            self._insert(tables.purchases, (one.member_id, one.seq), one)
        for refusal in changes.refusals:
            known = Known(refusal.member_id, refusal.fingerprint, refusal.refused, changes.recorded_ms)
            self._insert(tables.refusals, refusal.command_id, known)
        for before, after in changes.accounts:
            stored = tables.accounts.get(before.member_id)
            if stored is None or stored.seq != before.seq:
                raise StoreConflict("An account is not as it was loaded.")
            assert min(after.active, after.pending, after.held, after.debt) >= 0, "a balance below 0"
            self._undo.put(tables.accounts, before.member_id, after)
        for member, lot in changes.lots_new:
            self._insert(tables.lots.setdefault(member, {}), lot.lot_seq, lot)
        for member, lot in changes.lots_changed:
            assert 0 <= lot.remaining <= lot.points
            self._replace(tables.lots.get(member, {}), lot.lot_seq, lot)
        for _, hold in (*changes.holds_new, *changes.holds_changed):
            assert 0 <= hold.used <= hold.points, "more used than held"
        for member, hold in changes.holds_new:
            self._insert(tables.holder_of, hold.hold_id, member)
            self._insert(tables.holds.setdefault(member, {}), hold.hold_id, hold)
        for member, hold in changes.holds_changed:
            self._replace(tables.holds.get(member, {}), hold.hold_id, hold)
        if changes.journal is not None:
            self._write_journal(changes.journal)

    def _write_journal(self, row: JournalRow) -> None:
        lane = self._tables.journal.setdefault(row.lane_id, {})
        before = lane.get(row.lane_seq - 1)
        if row.lane_seq > 1 and (before is None or before.hash != row.prev_hash):
            raise StoreConflict("The lane does not end where this batch goes on.")
        self._insert(lane, row.lane_seq, row)

    def _write_entry(self, new: NewEntry, recorded_ms: Ms) -> None:
        entry = new.entry
        assert sum(entry.moves) == 0, "an entry that does not balance"
        self._insert(self._tables.ledger.setdefault(entry.member_id, {}), entry.seq, (new, recorded_ms))
        self._insert(self._tables.entry_of, entry.command_id, (entry.member_id, entry.seq))
        if entry.reverses_seq:
            reversed_ = (entry.member_id, entry.reverses_seq)
            earlier = self._tables.reversals_of.get(reversed_, ())
            self._undo.put(self._tables.reversals_of, reversed_, (*earlier, entry.seq))

    def _insert(self, table: dict[K, V], key: K, value: V) -> None:
        if key in table:
            raise StoreConflict("Another writer was first; the batch may be run again.")
        self._undo.put(table, key, value)

    def _replace(self, table: dict[K, V], key: K, value: V) -> None:
        if key not in table:
            raise StoreConflict("A row that was to change is not there.")
        self._undo.put(table, key, value)


class MemorySnapshot:
    """A snapshot: nobody writes while it is open."""

    def __init__(self, tables: ProgramTables) -> None:
        self._tables = tables

    def entry_count(self) -> int:
        """Return the number of ledger rows."""
        return sum(map(len, self._tables.ledger.values()))

    def journal(self) -> Iterator[JournalRow]:
        """Yield journal rows by lane and number."""
        return (row for _, lane in sorted(self._tables.journal.items()) for _, row in sorted(lane.items()))

    def ledger(self) -> Iterator[LedgerRow]:
        """Yield entries by member and number."""
        for _, rows in sorted(self._tables.ledger.items()):
            for _, (new, recorded_ms) in sorted(rows.items()):
                yield LedgerRow(new.entry, new.fingerprint, new.detail_text, recorded_ms)

    def accounts(self) -> Iterator[Account]:
        """Yield accounts by member."""
        return (account for _, account in sorted(self._tables.accounts.items()))

    def lots(self) -> Iterator[tuple[MemberId, Lot]]:
        """Yield lots by member and number."""
        return (
            (member, lot)
            for member, lots in sorted(self._tables.lots.items())
            for _, lot in sorted(lots.items())
        )

    def holds(self) -> Iterator[tuple[MemberId, Hold]]:
        """Yield holds by member."""
        return (
            (member, hold)
            for member, holds in sorted(self._tables.holds.items())
            for _, hold in sorted(holds.items())
        )

    def tills(self) -> Iterator[TillChain]:
        """Yield chains by till."""
        return (chain for _, chain in sorted(self._tables.tills.items()))

    def inbox(self) -> Iterator[InboxItem]:
        """Yield inbox items by id."""
        return (item for _, item in sorted(self._tables.inbox.items()))

    def coupon_codes(self) -> Iterator[CouponCode]:
        """Yield unique codes by token."""
        return (code for _, code in sorted(self._tables.coupon_codes.items()))

    def coupon_counts(self) -> Iterator[tuple[str, int]]:
        """Yield (coupon_id, used) by coupon."""
        return iter(sorted(self._tables.coupons_used.items()))

    def coupon_members(self) -> Iterator[tuple[MemberId, str, int]]:
        """Yield (member_id, coupon_id, used) by member and coupon."""
        return ((*key, used) for key, used in sorted(self._tables.coupons_by_member.items()))

    def coupon_holds(self) -> Iterator[Reservation]:
        """Yield reservations by member, hold and coupon."""
        return (one for _, one in sorted(self._tables.coupon_holds.items()))

    def transfers(self) -> Iterator[Transfer]:
        """Yield transfers by id."""
        return (one for _, one in sorted(self._tables.transfers.items()))

    def referrals(self) -> Iterator[Referral]:
        """Yield recommendations by the member who joined."""
        return (one for _, one in sorted(self._tables.referrals.items()))

    def purchases(self) -> Iterator[Purchase]:
        """Yield goods of sales by member and number."""
        return (one for _, one in sorted(self._tables.purchases.items()))

    def shared_sums(self) -> Iterator[tuple[str, int]]:
        """Yield (key, total) by key."""
        return ((key, one.total) for key, one in sorted(self._tables.shared_sums.items()))

    def shared_place(self) -> SharedPlace:
        """Return how far the journal has been summed."""
        return self._tables.shared_places.get(HERE, SharedPlace({}))


class MemoryStore(LedgerReads, MemoryDirectory):
    """The store in memory. It lives as long as the object; any number of threads may share it."""

    def __init__(self, *, now_ms: Now = wall_ms) -> None:
        super().__init__(now_ms=now_ms)
        self._lane_next = 0

    @contextmanager
    def transaction(self, program_id: ProgramId) -> Iterator[Transaction]:
        """Open a read-write transaction; others wait until it ends."""
        with self._changes() as undo:
            yield MemoryTransaction(self._of(program_id), undo, self._store_of(program_id))

    @contextmanager
    def snapshot(self, program_id: ProgramId) -> Iterator[Snapshot]:
        """Open a snapshot of one program; writers wait until it is closed."""
        with self._lock:
            yield MemorySnapshot(self._of(program_id))

    def claim_lane(self) -> int:
        """Return the next number."""
        with self._lock:
            lane, self._lane_next = self._lane_next, self._lane_next + 1
        return lane

    def close(self) -> None:
        """Nothing is held that would have to be given back."""

    def _read(
        self,
        program_id: ProgramId,
        work: Callable[[Reads], T],
        *,
        at_one_instant: bool = False,  # noqa: ARG002 - every transaction is
    ) -> T:
        with self._lock:
            return work(MemoryTransaction(self._of(program_id), Undo(), self._store_of(program_id)))

    def _store_of(self, program_id: ProgramId) -> StoreOf:
        def store_of(till_id: str) -> str:
            device = self.device(program_id, till_id)
            return device.store_id if device else ""

        return store_of
