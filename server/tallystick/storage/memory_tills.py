"""What the memory store keeps and reads for and about tills."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from tallystick.core.advice import TillChain, VerdictKind
from tallystick.core.ids import MemberId, Ms
from tallystick.core.state import Account, Hold, HoldKind, HoldStatus, MemberStatus
from tallystick.service.ports import Exposure, InboxItem, InboxState, TillMember, WriteSet
from tallystick.storage.memory_sharing import leads_to
from tallystick.storage.memory_tables import ProgramTables, Undo
from tallystick.storage.till_reads import LAST_MS, LAST_UUID, shares, till_member

StoreOf = Callable[[str], str]
"""Returns the store that a till was enrolled in, empty when it is unknown."""


class MemoryTills:
    """The part of a transaction that is about tills."""

    def __init__(self, tables: ProgramTables, undo: Undo, store_of: StoreOf) -> None:
        self._tables = tables
        self._undo = undo
        self._store_of = store_of

    def lock_tills(self, till_ids: Iterable[str]) -> dict[str, TillChain]:
        """Make the chains that are not there and return all; the store's one lock is every chain's lock."""
        chains = self._tables.tills
        wanted = sorted(set(till_ids))
        for till_id in wanted:
            if till_id not in chains:
                self._undo.put(chains, till_id, TillChain(till_id, self._store_of(till_id)))
        return {till_id: chains[till_id] for till_id in wanted}

    def inbox(self, item_ids: Iterable[str]) -> dict[str, InboxItem]:
        """Return the items that are there."""
        items = self._tables.inbox
        return {item_id: items[item_id] for item_id in set(item_ids) if item_id in items}

    def _write_tills(self, changes: WriteSet) -> None:
        for chain in changes.tills:
            self._undo.put(self._tables.tills, chain.till_id, chain)
        for item in changes.inbox:
            stored = self._tables.inbox.get(item.item_id)
            self._undo.put(self._tables.inbox, item.item_id, _as_sent(item, stored or item))

    def tills(self, *, store_id: str, limit: int) -> list[TillChain]:
        """Return the chains of a store's tills, or of all when ``store_id`` is empty, by id."""
        chains = self._tables.tills
        return [chains[key] for key in sorted(chains) if store_id in ("", chains[key].store_id)][:limit]

    def inbox_page(
        self, *, store_id: str, state: InboxState, before: tuple[Ms, str] | None, limit: int
    ) -> list[InboxItem]:
        """Return items of a state, newest first, of a store or of all."""
        older = before or (LAST_MS, LAST_UUID)
        found = [
            item
            for item in self._tables.inbox.values()
            if item.state is state and store_id in ("", item.store_id) and _place(item) < older
        ]
        return sorted(found, key=_place, reverse=True)[:limit]

    def parked(self, *, after: str, limit: int) -> list[InboxItem]:
        """Return open items whose verdict is PARKED, by id, after one."""
        items = self._tables.inbox
        return [
            items[key]
            for key in sorted(items)
            if key > after
            and items[key].state is InboxState.OPEN
            and items[key].verdict.kind is VerdictKind.PARKED
        ][:limit]

    def exposure(self, store_id: str) -> Exposure:
        """Return what is escrowed to a store and what it has paid for."""
        left = {HoldKind.LEASE: 0, HoldKind.VOUCHER: 0}
        tills = set()
        for member_id, holds in self._tables.holds.items():
            for hold in holds.values():
                if hold.status is HoldStatus.OPEN and hold.kind in left and hold.store_id == store_id:
                    left[hold.kind] += hold.left
                    if hold.kind is HoldKind.LEASE:
                        tills.add(self._asked_by(member_id, hold))
        entries = [new.entry for rows in self._tables.ledger.values() for new, _ in rows.values()]
        lost = -sum(entry.moves.store_loss for entry in entries if entry.origin.store_id == store_id)
        return Exposure(left[HoldKind.LEASE], left[HoldKind.VOUCHER], lost, tuple(sorted(tills)))

    def journal_heads(self) -> dict[int, int]:
        """Return each lane's last position."""
        return {lane_id: max(rows) for lane_id, rows in self._tables.journal.items() if rows}

    def journal_hashes(self, at: Mapping[int, int]) -> dict[int, bytes]:
        """Return the hash of the row at one position of each lane, where there is one."""
        rows = {lane_id: self._tables.journal.get(lane_id, {}).get(seq) for lane_id, seq in at.items()}
        return {lane_id: row.hash for lane_id, row in rows.items() if row is not None}

    def journal_behind(self, after: Mapping[int, int], *, limit: int) -> list[tuple[int, int, bytes]]:
        """Return (lane_id, lane_seq, payload) of the rows behind each lane's position; lanes share the page."""
        return [
            (lane_id, lane_seq, self._tables.journal[lane_id][lane_seq].payload)
            for lane_id, position, most in shares(self.journal_heads(), after, limit=limit)
            for lane_seq in range(position + 1, position + most + 1)
        ]

    def changed_members(self, *, after: tuple[Ms, str], limit: int) -> list[tuple[Ms, MemberId]]:
        """Return (changed_ms, member_id) behind one of them."""
        changed = ((at, member) for member, at in self._tables.changed_ms.items())
        return sorted(one for one in changed if one > after)[:limit]

    def till_members(
        self, member_ids: Sequence[MemberId], *, store_id: str, ended_since: Ms
    ) -> list[TillMember]:
        """Return what a till may know of members, by id."""
        accounts = self._tables.accounts
        wanted = [accounts[member] for member in sorted(set(member_ids)) if member in accounts]
        return self._till_members(wanted, store_id, ended_since)

    def till_member_page(self, *, after: str, limit: int, store_id: str, ended_since: Ms) -> list[TillMember]:
        """Return the same of living members by id, after one."""
        accounts = self._tables.accounts
        living = [key for key in accounts if key > after and accounts[key].status is not MemberStatus.ERASED]
        page = [accounts[key] for key in sorted(living)[:limit]]
        return self._till_members(page, store_id, ended_since)

    def _till_members(self, accounts: Sequence[Account], store_id: str, ended_since: Ms) -> list[TillMember]:
        tags: dict[MemberId, list[bytes]] = {account.member_id: [] for account in accounts}
        for row in self._tables.identifiers.values():
            account_id = leads_to(self._tables, row.member_id)
            if row.scan_tag and account_id in tags:
                tags[account_id].append(row.scan_tag)
        return [
            till_member(account, tags[account.member_id], self._escrowed(account, store_id, ended_since))
            for account in accounts
        ]

    def _escrowed(self, account: Account, store_id: str, ended_since: Ms) -> list[tuple[Hold, str]]:
        return [
            (hold, self._asked_by(account.member_id, hold))
            for hold in self._tables.holds.get(account.member_id, {}).values()
            if hold.store_id == store_id
            and hold.kind is not HoldKind.CHECKOUT
            and (hold.status is HoldStatus.OPEN or hold.ends_ms >= ended_since)
        ]

    def _asked_by(self, member_id: MemberId, hold: Hold) -> str:
        found = self._tables.ledger.get(member_id, {}).get(hold.seq)
        return found[0].entry.origin.till_id if found else ""


def _as_sent(item: InboxItem, stored: InboxItem) -> InboxItem:
    """What a till sent, and when it came, stays as it was."""
    return replace(
        item,
        till_id=stored.till_id,
        store_id=stored.store_id,
        epoch=stored.epoch,
        seq=stored.seq,
        received_ms=stored.received_ms,
        raw=stored.raw,
    )


def _place(item: InboxItem) -> tuple[Ms, str]:
    return item.received_ms, item.item_id
