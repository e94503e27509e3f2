"""Verification: every balance, lot, hold and hash of a program computed anew, and the first bad row named.

Passes in constant memory over one snapshot: the journal's chain of hashes; the members, each with account, entries,
lots and holds; and the references of the journal against the entries that are there. A row that was changed, removed,
slipped in or swapped shows in at least one of them. Uses of coupons are counted anew on the way. Then the tills'
chains, and the inbox against them.

What it cannot see is the removal of a whole tail: the last batches of a lane together with all that they wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from tallystick.core.advice import TillChain
from tallystick.core.chain import GENESIS, JournalRow, entry_digest, row_hash, split_refs
from tallystick.core.entry import Moves
from tallystick.core.ids import MemberId, ProgramId
from tallystick.core.record import record
from tallystick.core.state import Account, Hold, HoldKind, HoldStatus, Lot
from tallystick.storage.open import Store, open_store
from tallystick.storage.refs import Refs
from tallystick.storage.snapshot import LedgerRow, Snapshot, UnreadableRow
from tallystick.storage.verify_coupons import CouponUses
from tallystick.storage.verify_referrals import ReferralPayments
from tallystick.storage.verify_shared import SharedTotals
from tallystick.storage.verify_tallies import TallyCounts
from tallystick.storage.verify_tills import chain_differences, item_differences
from tallystick.storage.verify_transfers import TransferPairs

R = TypeVar("R")

PROBLEMS_MAX = 100
"""Most problems that a report lists; it counts the others."""

PROGRESS_STEP = 5_000
"""Entries between two calls of the progress callback."""

PROGRAMS_PAGE = 100

Progress = Callable[[ProgramId, int, int], None]
"""Called with the program, the entries that were looked at, and how many there are."""


@record(frozen=True, slots=True)
class Problem:
    """A row that is not as it must be. ``table`` and ``key`` name it; ``expected`` and ``found`` say what is wrong."""

    program_id: ProgramId
    table: str
    key: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.program_id}: {self.table} ({self.key}): expected {self.expected}, found {self.found}"


@dataclass(slots=True)
class Report:
    """What a verification looked at, and what it found. ``first`` is the bad row to begin with.

    A broken chain comes before a broken entry, and that before a balance, lot or hold, each in the order of its key:
    the cause before what follows from it.
    """

    programs: int = 0
    members: int = 0
    entries: int = 0
    lots: int = 0
    holds: int = 0
    journal_rows: int = 0
    tills: int = 0
    inbox_items: int = 0
    coupon_uses: int = 0
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0

    @property
    def ok(self) -> bool:
        """Tell whether everything was as it must be."""
        return self.problem_count == 0

    @property
    def first(self) -> Problem | None:
        """Return the first bad row."""
        return self.problems[0] if self.problems else None


def verify(
    store: Store | str, program_id: ProgramId | None = None, on_progress: Progress | None = None
) -> Report:
    """Verify one program, or all of them; ``store`` may be a database URL.

    Raises what ``open_store`` raises. A bad row is never an exception: it is in the report.
    """
    if isinstance(store, str):
        opened = open_store(store)
        try:
            return verify(opened, program_id, on_progress)
        finally:
            opened.close()
    report = Report()
    for one in [program_id] if program_id is not None else _programs(store):
        with store.snapshot(one) as snapshot:
            _Program(one, snapshot, report, on_progress).verify()
        report.programs += 1
    return report


def _programs(store: Store) -> Iterator[ProgramId]:
    after = ""
    while page := store.programs(after=after, limit=PROGRAMS_PAGE):
        yield from (program.program_id for program in page)
        after = page[-1].program_id


# In the order of causes: what stands further right may follow from what stands further left.
_KEYS = {
    "journal": ("lane", "row"),
    "ledger": ("member", "seq"),
    "account": ("member",),
    "lot": ("member", "lot"),
    "hold": ("member", "hold"),
    "coupon_member": ("member", "coupon"),
    "coupon_hold": ("member", "hold", "coupon"),
    "coupon_count": ("coupon",),
    "coupon_code": ("token",),
    "till": ("till",),
    "inbox": ("item",),
    "transfer": ("transfer",),
    "referral": ("member",),
    "shared_sum": ("sum",),
}
_RANKS = tuple(_KEYS)


class _Findings:
    """Problems of one program, kept in the order in which the report gives them."""

    def __init__(self, program_id: ProgramId) -> None:
        self._program_id = program_id
        self._kept: list[tuple[int, tuple[tuple[bool, str | int], ...], Problem]] = []
        self.count = 0

    def add(self, table: str, key: tuple[str | int, ...], expected: object, found: object) -> None:
        self.count += 1
        named = ", ".join(f"{name} {part}" for name, part in zip(_KEYS[table], key, strict=True))
        problem = Problem(self._program_id, table, named, str(expected), str(found))
        sortable = tuple((isinstance(part, str), part) for part in key)
        self._kept.append((_RANKS.index(table), sortable, problem))
        if len(self._kept) > 4 * PROBLEMS_MAX:
            self._sort()

    def problems(self) -> list[Problem]:
        self._sort()
        return [problem for _, _, problem in self._kept]

    def _sort(self) -> None:
        self._kept.sort(key=lambda kept: kept[:2])
        del self._kept[PROBLEMS_MAX:]


class _Groups(Generic[R]):
    """Rows in the order of their members, taken member by member."""

    def __init__(self, rows: Iterable[R], member_of: Callable[[R], MemberId]) -> None:
        self._rows = iter(rows)
        self._member_of = member_of
        self._next = next(self._rows, None)

    def take(self, member_id: MemberId) -> Iterator[R]:
        """Yield the rows of a member, who must be the next one that has any."""
        while self._next is not None and self._member_of(self._next) == member_id:
            yield self._advance()

    def before(self, member_id: MemberId | None) -> Iterator[R]:
        """Yield the rows of all members before one; with None all that are left."""
        while self._next is not None and (member_id is None or self._member_of(self._next) < member_id):
            yield self._advance()

    def _advance(self) -> R:
        row = self._next
        assert row is not None
        self._next = next(self._rows, None)
        return row


class _Taker(Protocol):
    """What is verified over all members: takes each entry once."""

    def entry(self, row: LedgerRow) -> None: ...


class _Program:
    """The verification of one program."""

    def __init__(
        self, program_id: ProgramId, snapshot: Snapshot, report: Report, on_progress: Progress | None
    ) -> None:
        self._program_id = program_id
        self._snapshot = snapshot
        self._report = report
        self._on_progress = on_progress
        self._findings = _Findings(program_id)
        self._entries = 0
        self._total = snapshot.entry_count()
        self._heads: dict[int, int] = {}

    def verify(self) -> None:
        """Run the passes and put what they find into the report."""
        try:
            self._passes()
        except UnreadableRow as bad:
            self._findings.add(bad.table, bad.key, "a row that can be read", bad.why)
        self._progress()
        self._report.entries += self._entries
        room = PROBLEMS_MAX - len(self._report.problems)
        self._report.problems += self._findings.problems()[:room]
        self._report.problem_count += self._findings.count

    def _passes(self) -> None:
        pairs, totals, payments = TransferPairs(), SharedTotals(), ReferralPayments()
        with Refs() as refs, CouponUses() as uses:
            sums = self._journal(refs)
            moved = self._members(refs, uses, (pairs, totals, payments))
            self._coupons(uses)
            snapshot = self._snapshot
            for difference in pairs.differences(snapshot.transfers()):
                self._findings.add(*difference)
            for difference in payments.differences(snapshot.referrals()):
                self._findings.add(*difference)
            for difference in totals.differences(
                snapshot.shared_place(), self._heads, snapshot.shared_sums()
            ):
                self._findings.add(*difference)
            for table, key, expected, found in refs.differences():
                self._findings.add(table, key, expected, found)
        if self._findings.count == 0 and sums != moved:
            # Each row agrees with its hash: it was sealed with sums that its entries do not have.
            self._findings.add("journal", ("all", "all"), f"sums {Moves(*moved)}", Moves(*sums))
        self._tills()

    def _progress(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._program_id, self._entries, self._total)

    def _journal(self, refs: Refs) -> list[int]:
        """Verify the chain of each lane; return the sums over all."""
        sums = [0] * len(Moves._fields)
        before: JournalRow | None = None
        for row in self._snapshot.journal():
            self._report.journal_rows += 1
            if before is not None and before.lane_id != row.lane_id:
                before = None
            self._journal_row(row, before, refs)
            self._heads[row.lane_id] = row.lane_seq
            before = row
            sums = [total + one for total, one in zip(sums, row.sums, strict=True)]
        return sums

    def _journal_row(self, row: JournalRow, before: JournalRow | None, refs: Refs) -> None:
        key = (row.lane_id, row.lane_seq)
        last, head = (before.lane_seq, before.hash) if before else (0, GENESIS)
        digest = row_hash(
            self._program_id, row.lane_id, row.lane_seq, row.recorded_ms, row.sums, row.payload, row.prev_hash
        )
        if row.lane_seq != last + 1:
            self._findings.add(
                "journal", (row.lane_id, last + 1), "a row", f"none: row {row.lane_seq} is next"
            )
        elif row.prev_hash != head:
            self._findings.add("journal", key, f"previous hash {head.hex()}", row.prev_hash.hex())
        if digest != row.hash:
            self._findings.add("journal", key, f"hash {digest.hex()}", row.hash.hex())
        if sum(row.sums) != 0:
            self._findings.add("journal", key, "sums that make 0", sum(row.sums))
        try:
            split = split_refs(row.payload)
        except ValueError as error:
            self._findings.add("journal", key, "whole references", error)
            return
        if len(split) != row.count:
            self._findings.add("journal", key, f"{row.count} references", len(split))
        for member_id, seq, entry_hash in split:
            refs.from_journal(member_id, seq, entry_hash, row.lane_id, row.lane_seq)

    def _members(self, refs: Refs, uses: CouponUses, takers: Sequence[_Taker]) -> list[int]:
        """Verify each member; return the moves over all."""
        moved = [0] * len(Moves._fields)
        ledger = _Groups(self._snapshot.ledger(), lambda row: row.entry.member_id)
        lots = _Groups(self._snapshot.lots(), lambda pair: pair[0])
        holds = _Groups(self._snapshot.holds(), lambda pair: pair[0])
        counted = _Groups(self._snapshot.coupon_members(), lambda row: row[0])
        reserved = _Groups(self._snapshot.coupon_holds(), lambda row: row.member_id)
        for account in self._snapshot.accounts():
            self._report.members += 1
            self._strangers(ledger, lots, holds, before=account.member_id)
            member = _Member(account, self._findings)
            for row in ledger.take(account.member_id):
                self._entry(row, refs)
                uses.entry(row)
                for taker in takers:
                    taker.entry(row)
                member.entry(row)
                moved = [one + more for one, more in zip(moved, row.entry.moves, strict=True)]
            member.account_agrees()
            self._report.lots += member.lots_agree([lot for _, lot in lots.take(account.member_id)])
            held = [hold for _, hold in holds.take(account.member_id)]
            self._report.holds += member.holds_agree(held)
            for stranger in counted.before(account.member_id):
                self._findings.add("coupon_member", stranger[:2], "an account of the member", "none")
            for one in reserved.before(account.member_id):
                key = (one.member_id, one.hold_id, one.coupon_id)
                self._findings.add("coupon_hold", key, "an account of the member", "none")
            for difference in uses.member(
                account.member_id,
                [row[1:] for row in counted.take(account.member_id)],
                reserved.take(account.member_id),
                held,
            ):
                self._findings.add(*difference)
        self._strangers(ledger, lots, holds, before=None)
        return moved

    def _coupons(self, uses: CouponUses) -> None:
        """Verify totals and unique codes against the uses of all members."""
        self._report.coupon_uses += uses.uses
        for difference in uses.totals(self._snapshot.coupon_counts()):
            self._findings.add(*difference)
        for code in self._snapshot.coupon_codes():
            for difference in uses.code(code):
                self._findings.add(*difference)
        for difference in uses.codes():
            self._findings.add(*difference)

    def _tills(self) -> None:
        """Verify chains, of which there are few, and the inbox against them."""
        chains: dict[str, TillChain] = {}
        for chain in self._snapshot.tills():
            self._report.tills += 1
            chains[chain.till_id] = chain
            for difference in chain_differences(chain):
                self._findings.add(*difference)
        for item in self._snapshot.inbox():
            self._report.inbox_items += 1
            for difference in item_differences(item, chains.get(item.till_id)):
                self._findings.add(*difference)

    def _entry(self, row: LedgerRow, refs: Refs) -> None:
        entry = row.entry
        refs.from_ledger(entry.member_id, entry.seq, entry_digest(entry, row.fingerprint, row.detail_text))
        self._entries += 1
        if self._entries % PROGRESS_STEP == 0:
            self._progress()

    def _strangers(
        self,
        ledger: _Groups[LedgerRow],
        lots: _Groups[tuple[MemberId, Lot]],
        holds: _Groups[tuple[MemberId, Hold]],
        *,
        before: MemberId | None,
    ) -> None:
        """Report rows of members who have no account."""
        for row in ledger.before(before):
            self._entries += 1
            key = (row.entry.member_id, row.entry.seq)
            self._findings.add("ledger", key, "an account of the member", "none")
        for member_id, lot in lots.before(before):
            self._findings.add("lot", (member_id, lot.lot_seq), "an account of the member", "none")
        for member_id, hold in holds.before(before):
            self._findings.add("hold", (member_id, hold.hold_id), "an account of the member", "none")


class _Member:
    """The balances of one member as the entries make them."""

    def __init__(self, account: Account, findings: _Findings) -> None:
        self._account = account
        self._findings = findings
        self._seq = 0
        self._balances = (0, 0, 0, 0)
        self._tier = ""
        self._counts = TallyCounts()
        self._lots: frozenset[int] = frozenset()

    def entry(self, row: LedgerRow) -> None:
        """Verify an entry and take its balances as those to go on from: one bad row is one problem."""
        entry = row.entry
        self._counts.entry(row)
        key = (entry.member_id, entry.seq)
        if entry.seq != self._seq + 1:
            missing = (entry.member_id, self._seq + 1)
            self._findings.add("ledger", missing, "an entry", f"none: entry {entry.seq} is next")
        elif sum(entry.moves) != 0:
            self._findings.add("ledger", key, "moves that sum to 0", sum(entry.moves))
        active, pending, held, debt = self._balances
        moves = entry.moves
        expected = (active + moves.active, pending + moves.pending, held + moves.held, debt - moves.debt)
        found = (entry.active_after, entry.pending_after, entry.held_after, entry.debt_after)
        if entry.seq == self._seq + 1 and found != expected:
            self._findings.add("ledger", key, f"balances {_balances(expected)}", _balances(found))
        self._seq, self._balances, self._tier = entry.seq, found, entry.tier_after

    def account_agrees(self) -> None:
        """Verify that the account says what the last entry says."""
        account = self._account
        expected = (self._seq, *self._balances)
        found = (account.seq, account.active, account.pending, account.held, account.debt)
        key = (account.member_id,)
        if found != expected:
            texts = (f"seq {one[0]}, balances {_balances(one[1:])}" for one in (expected, found))
            self._findings.add("account", key, *texts)
        elif self._seq and account.tier.tier_id != self._tier:
            self._findings.add("account", key, f"tier {self._tier!r}", repr(account.tier.tier_id))
        else:
            for should, does in self._counts.differences(account):
                self._findings.add("account", key, should, does)

    def lots_agree(self, lots: list[Lot]) -> int:
        """Verify that the lots make up the balances; return how many there are."""
        account = self._account
        self._lots = frozenset(lot.lot_seq for lot in lots)
        for lot in lots:
            key = (account.member_id, lot.lot_seq)
            if not 0 <= lot.remaining <= lot.points:
                self._findings.add("lot", key, f"0 to {lot.points} points remaining", lot.remaining)
            if not 1 <= lot.lot_seq <= self._seq:
                self._findings.add("lot", key, "an entry that made it", f"{self._seq} entries")
        for name, balance, pending in (("active", account.active, False), ("pending", account.pending, True)):
            remaining = sum(lot.remaining for lot in lots if lot.pending is pending)
            if remaining != balance:
                found = f"{remaining} in {sum(lot.pending is pending for lot in lots)} lots"
                self._findings.add(
                    "lot", (account.member_id, "all"), f"{balance} {name} points in lots", found
                )
        return len(lots)

    def holds_agree(self, holds: list[Hold]) -> int:
        """Verify that the open holds make up what is held; return how many holds there are."""
        account = self._account
        held = sum(hold.left for hold in holds if hold.status is HoldStatus.OPEN)
        if held != account.held:
            found = f"{held} points"
            self._findings.add(
                "hold", (account.member_id, "all"), f"{account.held} held points in holds", found
            )
        for hold in holds:
            for expected, wrong in self._hold_differences(hold):
                self._findings.add("hold", (account.member_id, hold.hold_id), expected, wrong)
        return len(holds)

    def _hold_differences(self, hold: Hold) -> Iterator[tuple[str, str]]:
        if not 1 <= hold.seq <= self._seq:
            yield "an entry that placed it", f"{self._seq} entries"
        if not 0 <= hold.used <= hold.points:
            yield f"0 to {hold.points} points used", f"{hold.used}"
        if hold.kind is not HoldKind.CHECKOUT and not (hold.store_id and hold.ends_ms <= hold.expires_ms):
            yield "a store, and an end before it is given back", f"{hold.store_id!r}, end {hold.ends_ms}"
        if hold.status is not HoldStatus.OPEN:
            return
        behind = sum(alloc.points for alloc in hold.allocs)
        if behind != hold.left:
            yield f"{hold.left} points from lots", f"{behind}"
        for alloc in hold.allocs:
            if alloc.lot_seq not in self._lots:
                yield f"lot {alloc.lot_seq} behind it", "none"


def _balances(four: tuple[int, ...]) -> str:
    active, pending, held, debt = four
    return f"active {active}, pending {pending}, held {held}, debt {debt}"
