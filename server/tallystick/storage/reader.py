"""The reading half of every store: each read is one short transaction that sees committed rows only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from tallystick.core.advice import TillChain
from tallystick.core.entry import Entry
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.state import Account, Hold, Lot
from tallystick.service.coupon_ports import CouponCode, CouponCounts
from tallystick.service.ports import Exposure, InboxItem, InboxState, Known, TillMember
from tallystick.service.scan_ports import Key, Scanned
from tallystick.storage.clock import Now
from tallystick.storage.till_reads import LAST_UUID

PAGE_MAX = 10_000
"""Most rows that one read returns, and most keys that one read takes."""

ENDED_KEPT_MS = 60 * 24 * 3600 * 1000
"""How long a till is told of a lease or voucher that has ended."""

T = TypeVar("T")


class Reads(Protocol):
    """What a transaction can read, with or without the right to write."""

    def accounts(self, member_ids: Iterable[MemberId]) -> dict[MemberId, Account]: ...

    def known(self, command_ids: Iterable[CommandId]) -> dict[CommandId, Known]: ...

    def holds(
        self, *, open_of: Iterable[MemberId], ids: Iterable[CommandId]
    ) -> dict[MemberId, list[Hold]]: ...

    def lots(
        self, *, of: Iterable[MemberId], also: Iterable[tuple[MemberId, int]]
    ) -> dict[MemberId, list[Lot]]: ...

    def standing(
        self, member_id: MemberId, also: Iterable[int]
    ) -> tuple[Account | None, list[Lot], Account | None]: ...

    def reversals(self, of: Iterable[tuple[MemberId, int]]) -> list[Entry]: ...

    def entries_named(self, refs: Iterable[tuple[MemberId, int]]) -> list[tuple[Entry, Ms]]: ...

    def entries(
        self, member_id: MemberId, *, before_seq: int | None, limit: int
    ) -> list[tuple[Entry, Ms]]: ...

    def due(self, *, due_ms: Ms, after: MemberId | None, limit: int) -> list[MemberId]: ...

    def sums(self) -> dict[str, int]: ...

    def scanned(self, keys: Sequence[Key], *, nobody: MemberId) -> Scanned: ...

    def codes(self, tokens: Iterable[str]) -> dict[str, CouponCode]: ...

    def coupon_counts(
        self, coupon_ids: Iterable[str], members: Iterable[MemberId], *, now_ms: Ms
    ) -> CouponCounts: ...

    def memberships(
        self, members: Iterable[MemberId], segment_ids: Iterable[str]
    ) -> dict[tuple[MemberId, str], Ms]: ...

    def tills(self, *, store_id: str, limit: int) -> list[TillChain]: ...

    def inbox(self, item_ids: Iterable[str]) -> dict[str, InboxItem]: ...

    def inbox_page(
        self, *, store_id: str, state: InboxState, before: tuple[Ms, str] | None, limit: int
    ) -> list[InboxItem]: ...

    def parked(self, *, after: str, limit: int) -> list[InboxItem]: ...

    def exposure(self, store_id: str) -> Exposure: ...

    def journal_heads(self) -> dict[int, int]: ...

    def journal_hashes(self, at: Mapping[int, int]) -> dict[int, bytes]: ...

    def journal_behind(self, after: Mapping[int, int], *, limit: int) -> list[tuple[int, int, bytes]]: ...

    def changed_members(self, *, after: tuple[Ms, str], limit: int) -> list[tuple[Ms, MemberId]]: ...

    def till_members(
        self, member_ids: Sequence[MemberId], *, store_id: str, ended_since: Ms
    ) -> list[TillMember]: ...

    def till_member_page(
        self, *, after: str, limit: int, store_id: str, ended_since: Ms
    ) -> list[TillMember]: ...


class LedgerReads(ABC):
    """``LedgerReader`` over a store's own way to read; what a lane's transaction reads is read by the same code."""

    _now_ms: Now

    @abstractmethod
    def _read(self, program_id: ProgramId, work: Callable[[Reads], T], *, at_one_instant: bool = False) -> T:
        """Run reads of one program in a transaction of their own; what several of them see may be made one instant."""

    def read_accounts(self, program_id: ProgramId, member_ids: Sequence[MemberId]) -> dict[MemberId, Account]:
        """Return accounts by one set-based query, without locks; at most ``PAGE_MAX`` of them."""
        assert len(member_ids) <= PAGE_MAX
        return self._read(program_id, lambda reads: reads.accounts(member_ids))

    def read_scanned(self, program_id: ProgramId, keys: Sequence[Key], *, nobody: MemberId) -> Scanned:
        """Return what keys lead to, in few round trips; at most ``PAGE_MAX`` of them, and at least one."""
        assert 0 < len(keys) <= PAGE_MAX
        return self._read(program_id, lambda reads: reads.scanned(keys, nobody=nobody))

    def read_lots(
        self, program_id: ProgramId, member_id: MemberId, *, also: Collection[int] = ()
    ) -> list[Lot]:
        """Return lots with points remaining, pending ones also when empty, and the named ones, in burning order."""
        named = [(member_id, lot_seq) for lot_seq in also]
        found = self._read(program_id, lambda reads: reads.lots(of=[member_id], also=named))
        return found.get(member_id, [])

    def read_standing(
        self, program_id: ProgramId, member_id: MemberId, *, also: Collection[int] = ()
    ) -> tuple[Account | None, list[Lot], Account | None]:
        """Return the account, lots as ``read_lots`` does, and the account again, in this order."""
        return self._read(program_id, lambda reads: reads.standing(member_id, also))

    def read_holds(self, program_id: ProgramId, member_id: MemberId) -> list[Hold]:
        """Return open holds."""
        found = self._read(program_id, lambda reads: reads.holds(open_of=[member_id], ids=()))
        return found.get(member_id, [])

    def read_known(self, program_id: ProgramId, command_ids: Sequence[CommandId]) -> dict[CommandId, Known]:
        """Return stored answers; to at most ``PAGE_MAX`` commands."""
        assert len(command_ids) <= PAGE_MAX
        return self._read(program_id, lambda reads: reads.known(command_ids))

    def read_entries(
        self, program_id: ProgramId, member_id: MemberId, *, before_seq: int | None, limit: int
    ) -> list[tuple[Entry, Ms]]:
        """Return a member's entries with their recorded instants, newest first, ``seq`` < ``before_seq``."""
        most = min(limit, PAGE_MAX)
        return self._read(
            program_id, lambda reads: reads.entries(member_id, before_seq=before_seq, limit=most)
        )

    def read_reversals(self, program_id: ProgramId, member_id: MemberId, seq: int) -> list[Entry]:
        """Return the entries that reverse or return against one entry, oldest first."""
        return self._read(program_id, lambda reads: reads.reversals([(member_id, seq)]))

    def read_entries_named(
        self, program_id: ProgramId, refs: Collection[tuple[MemberId, int]]
    ) -> list[tuple[Entry, Ms]]:
        """Return the entries (member, seq) with their recorded instants, by member and seq."""
        return self._read(program_id, lambda reads: reads.entries_named(refs))

    def read_due(
        self, program_id: ProgramId, *, due_ms: Ms, after: MemberId | None, limit: int
    ) -> list[MemberId]:
        """Return members with ``due_ms`` <= the given instant, ordered by id, after a member."""
        most = min(limit, PAGE_MAX)
        return self._read(program_id, lambda reads: reads.due(due_ms=due_ms, after=after, limit=most))

    def read_sums(self, program_id: ProgramId) -> dict[str, int]:
        """Return the program's accounts: each of ``Moves``' fields summed over the journal."""
        return self._read(program_id, lambda reads: reads.sums())

    def read_codes(self, program_id: ProgramId, tokens: Sequence[str]) -> dict[str, CouponCode]:
        """Return unique codes by token, without locks; at most ``PAGE_MAX`` of them."""
        assert len(tokens) <= PAGE_MAX
        return self._read(program_id, lambda reads: reads.codes(tokens))

    def read_coupon_counts(
        self, program_id: ProgramId, coupon_ids: Sequence[str], member_id: MemberId, *, now_ms: Ms
    ) -> CouponCounts:
        """Return what is counted of coupons at one instant; reservations whose time is over are not among them."""
        return self._read(
            program_id,
            lambda reads: reads.coupon_counts(coupon_ids, [member_id], now_ms=now_ms),
            at_one_instant=True,
        )

    def read_memberships(
        self, program_id: ProgramId, members: Sequence[MemberId], segment_ids: Sequence[str]
    ) -> dict[tuple[MemberId, str], Ms]:
        """Return when members came into those of the segments that they are in."""
        assert len(members) <= PAGE_MAX
        return self._read(program_id, lambda reads: reads.memberships(members, segment_ids))

    def read_tills(self, program_id: ProgramId, *, store_id: str) -> list[TillChain]:
        """Return the chains of a store's tills, by id; of all stores when ``store_id`` is empty."""
        return self._read(program_id, lambda reads: reads.tills(store_id=store_id, limit=PAGE_MAX))

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
        most = min(limit, PAGE_MAX)
        return self._read(
            program_id,
            lambda reads: reads.inbox_page(store_id=store_id, state=state, before=before, limit=most),
        )

    def read_item(self, program_id: ProgramId, item_id: str) -> InboxItem | None:
        """Return one item."""
        return self._read(program_id, lambda reads: reads.inbox([item_id])).get(item_id)

    def read_parked(self, program_id: ProgramId, *, after: str, limit: int) -> list[InboxItem]:
        """Return open items whose verdict is PARKED, by ``item_id``, after one."""
        most = min(limit, PAGE_MAX)
        return self._read(program_id, lambda reads: reads.parked(after=after, limit=most))

    def read_exposure(self, program_id: ProgramId, *, store_id: str) -> Exposure:
        """Return what is escrowed to a store and what it has paid for."""
        return self._read(program_id, lambda reads: reads.exposure(store_id))

    def read_journal(
        self, program_id: ProgramId, *, after: Mapping[int, int], limit: int
    ) -> list[tuple[int, int, bytes]]:
        """Return (lane_id, lane_seq, payload) of journal rows behind each lane's position, in order within a lane.

        Fewer than ``limit`` mean that there are no more; lanes with news share the page.
        """
        most = min(limit, PAGE_MAX)
        return self._read(program_id, lambda reads: reads.journal_behind(after, limit=most))

    def read_journal_heads(self, program_id: ProgramId) -> dict[int, int]:
        """Return each lane's last position in the journal."""
        return self._read(program_id, lambda reads: reads.journal_heads())

    def read_journal_hashes(self, program_id: ProgramId, at: Mapping[int, int]) -> dict[int, bytes]:
        """Return the hash of the journal row at one position of each lane; a lane without that row is absent."""
        return self._read(program_id, lambda reads: reads.journal_hashes(at))

    def read_changed_members(
        self, program_id: ProgramId, *, since: Ms, after: tuple[Ms, str] | None, limit: int
    ) -> list[tuple[Ms, MemberId]]:
        """Return members whose status or identifiers changed at or after an instant, by (changed_ms, member_id).

        Changes bear the instant of their process, and are seen once they are committed: whoever follows them looks
        back a little.
        """
        before_first = Ms(since - 1), LAST_UUID
        behind = before_first if after is None else max(after, before_first)
        most = min(limit, PAGE_MAX)
        return self._read(program_id, lambda reads: reads.changed_members(after=behind, limit=most))

    def read_till_members(
        self, program_id: ProgramId, member_ids: Sequence[MemberId], *, store_id: str
    ) -> list[TillMember]:
        """Return what a till of a store may know of members, by id, all as of one instant; unknown ones are absent.

        ``holds`` are leases and vouchers bound to the store: the open ones, and those whose time ended within
        ``ENDED_KEPT_MS``. At most ``PAGE_MAX`` members.
        """
        assert len(member_ids) <= PAGE_MAX
        ended_since = Ms(self._now_ms() - ENDED_KEPT_MS)
        return self._read(
            program_id,
            lambda reads: reads.till_members(member_ids, store_id=store_id, ended_since=ended_since),
            at_one_instant=True,
        )

    def read_till_member_page(
        self, program_id: ProgramId, *, store_id: str, after: str, limit: int
    ) -> list[TillMember]:
        """Return the same of living members in the order of their ids, after one.

        Of the holds that are not open only those that could still be shown: their time has not run out.
        """
        most = min(limit, PAGE_MAX)
        return self._read(
            program_id,
            lambda reads: reads.till_member_page(
                after=after, limit=most, store_id=store_id, ended_since=self._now_ms()
            ),
            at_one_instant=True,
        )
