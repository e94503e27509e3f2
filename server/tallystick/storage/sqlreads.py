"""The reads of a transaction in SQL: one set of statements, written for PostgreSQL or for SQLite."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import fields

from tallystick.core.chain import GENESIS
from tallystick.core.entry import Entry, Moves
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.state import Account, Hold, HoldStatus, Lot
from tallystick.service.ports import Known
from tallystick.storage.coupon_reads import COUPON_TEMPLATES
from tallystick.storage.referrals import REFERRAL_COLUMNS
from tallystick.storage.rows import (
    ACCOUNT_COLUMNS,
    HOLD_COLUMNS,
    JOURNAL_COLUMNS,
    LEDGER_COLUMNS,
    LOT_COLUMNS,
    REFUSAL_AS_LEDGER,
    Row,
    account_from_row,
    burning_order,
    entry_from_row,
    hold_from_row,
    known_from_row,
    lot_from_row,
)
from tallystick.storage.scan_reads import SCAN_TEMPLATES, ScanStatements, SqlScanReads
from tallystick.storage.segment_reads import SEGMENT_TEMPLATES
from tallystick.storage.tables import SUM_COLUMNS
from tallystick.storage.till_reads import NIL_UUID, TILL_TEMPLATES
from tallystick.storage.transfers import TRANSFER_COLUMNS

SEQ_MAX = 2**31 - 1
"""Largest number of an entry: what the ledger's 32-bit column holds."""


@record(frozen=True, slots=True)
class Statements(ScanStatements):
    """The statements in one dialect; ``$1`` is always the program."""

    accounts_locked: str
    known: str
    holds_open: str
    holds_named: str
    lots: str
    lots_named: str
    reversals: str
    entries_named: str
    tail: str
    entries: str
    due: str
    sums: str
    scan_journal: str
    scan_ledger: str
    scan_accounts: str
    scan_lots: str
    scan_holds: str
    scan_transfers: str
    scan_referrals: str
    scan_shared_sums: str
    scan_shared_place: str
    count_entries: str


def _prefixed(columns: str, table: str) -> str:
    return ", ".join(f"{table}.{name.strip()}" for name in columns.split(","))


_OF_PROGRAM = "WHERE program_id = $1"
_TEMPLATES = {
    "accounts": f"SELECT {ACCOUNT_COLUMNS} FROM account {_OF_PROGRAM} AND member_id @any2",
    "accounts_locked": f"SELECT {ACCOUNT_COLUMNS} FROM account {_OF_PROGRAM} AND member_id @any2 @locked",
    "known": (
        f"SELECT {REFUSAL_AS_LEDGER} FROM refusal {_OF_PROGRAM} AND command_id @any2 "
        f"UNION ALL SELECT {LEDGER_COLUMNS} FROM ledger {_OF_PROGRAM} AND command_id @any2"
    ),
    "holds_open": (
        f"SELECT {HOLD_COLUMNS} FROM hold {_OF_PROGRAM} AND member_id @any2 AND status = {HoldStatus.OPEN:d}"
    ),
    "holds_named": f"SELECT {HOLD_COLUMNS} FROM hold {_OF_PROGRAM} AND hold_id @any2",
    "lots": (
        f"SELECT {LOT_COLUMNS} FROM lot {_OF_PROGRAM} AND member_id @any2 AND (remaining > 0 OR pending = 1)"
    ),
    "lots_named": (
        f"SELECT {_prefixed(LOT_COLUMNS, 'lot')} FROM @pairs2 CROSS JOIN lot "
        f"{_OF_PROGRAM} AND lot.member_id = wanted.member_id AND lot.lot_seq = wanted.seq"
    ),
    "reversals": (
        f"SELECT {_prefixed(LEDGER_COLUMNS, 'ledger')} FROM @pairs2 CROSS JOIN ledger "
        f"{_OF_PROGRAM} AND ledger.member_id = wanted.member_id AND ledger.reverses_seq = wanted.seq "
        "ORDER BY ledger.member_id, ledger.seq"
    ),
    "entries_named": (
        f"SELECT {_prefixed(LEDGER_COLUMNS, 'ledger')} FROM @pairs2 CROSS JOIN ledger "
        f"{_OF_PROGRAM} AND ledger.member_id = wanted.member_id AND ledger.seq = wanted.seq "
        "ORDER BY ledger.member_id, ledger.seq"
    ),
    "tail": (
        f"SELECT lane_seq, hash FROM journal {_OF_PROGRAM} AND lane_id = $2 ORDER BY lane_seq DESC LIMIT 1"
    ),
    "entries": (
        f"SELECT {LEDGER_COLUMNS} FROM ledger {_OF_PROGRAM} AND member_id = $2 AND seq < $3 "
        "ORDER BY seq DESC LIMIT $4"
    ),
    # Written so that no plan can take the order of members instead of the index of those that are due.
    "due": (
        f"WITH due AS MATERIALIZED (SELECT member_id FROM account {_OF_PROGRAM} "
        f"AND due_ms <= $2 AND due_ms < {NEVER_MS}) "
        "SELECT member_id FROM due WHERE member_id > $3 ORDER BY member_id LIMIT $4"
    ),
    "sums": f"SELECT {', '.join(f'sum({name})' for name in SUM_COLUMNS)} FROM journal {_OF_PROGRAM}",
    "scan_journal": f"SELECT {JOURNAL_COLUMNS} FROM journal {_OF_PROGRAM} ORDER BY lane_id, lane_seq",
    "scan_ledger": f"SELECT {LEDGER_COLUMNS} FROM ledger {_OF_PROGRAM} ORDER BY member_id, seq",
    "scan_accounts": f"SELECT {ACCOUNT_COLUMNS} FROM account {_OF_PROGRAM} ORDER BY member_id",
    "scan_lots": f"SELECT {LOT_COLUMNS} FROM lot {_OF_PROGRAM} ORDER BY member_id, lot_seq",
    "scan_holds": f"SELECT {HOLD_COLUMNS} FROM hold {_OF_PROGRAM} ORDER BY member_id, hold_id",
    "scan_transfers": f"SELECT {TRANSFER_COLUMNS} FROM transfer {_OF_PROGRAM} ORDER BY transfer_id",
    "scan_referrals": f"SELECT {REFERRAL_COLUMNS} FROM referral {_OF_PROGRAM} ORDER BY member_id",
    "scan_shared_sums": f"SELECT key, total FROM shared_sum {_OF_PROGRAM} ORDER BY key",
    "scan_shared_place": f"SELECT lanes, as_of_ms, moves FROM shared_place {_OF_PROGRAM}",
    "count_entries": f"SELECT count(*) FROM ledger {_OF_PROGRAM}",
    **TILL_TEMPLATES,
    **COUPON_TEMPLATES,
    **SEGMENT_TEMPLATES,
    **SCAN_TEMPLATES,
}


def statements(write: Callable[[str], str]) -> Statements:
    """Return all statements, each turned into a dialect by ``write``."""
    return Statements(**{field.name: write(_TEMPLATES[field.name]) for field in fields(Statements)})


def accounts_from_rows(rows: Iterable[Row]) -> dict[MemberId, Account]:
    """Return the accounts of rows."""
    return {row[0]: account_from_row(row) for row in rows}


def known_from_rows(rows: Iterable[Row]) -> dict[CommandId, Known]:
    """Return the stored answers of rows; an entry wins over a refusal under the same id, whichever comes first."""
    found: dict[CommandId, Known] = {}
    for row in rows:
        command_id, known = known_from_row(row)
        if isinstance(known.answer, Entry) or command_id not in found:
            found[command_id] = known
    return found


class SqlReads(SqlScanReads):
    """``Reads`` over a connection that is in a transaction of one program."""

    statements: Statements

    def __init__(self, program_id: ProgramId) -> None:
        self._program_id = program_id

    @abstractmethod
    def _pairs(self, pairs: Iterable[tuple[str, int]]) -> tuple[object, ...]:
        """Return the values that stand for a set of (id, number)."""

    def accounts(self, member_ids: Iterable[MemberId]) -> dict[MemberId, Account]:
        """Return accounts, without locks; unknown members are absent."""
        return self._accounts(self.statements.accounts, member_ids)

    def lock_accounts(self, member_ids: Iterable[MemberId]) -> dict[MemberId, Account]:
        """Lock the accounts in sorted order until the end of the transaction; unknown members are absent."""
        return self._accounts(self.statements.accounts_locked, member_ids)

    def locked(
        self, member_ids: Iterable[MemberId], command_ids: Iterable[CommandId]
    ) -> tuple[dict[MemberId, Account], dict[CommandId, Known]]:
        """Lock accounts, then look up command ids in a statement of its own."""
        return self.lock_accounts(member_ids), self.known(command_ids)

    def _accounts(self, statement: str, member_ids: Iterable[MemberId]) -> dict[MemberId, Account]:
        wanted = sorted(set(member_ids))
        if not wanted:
            return {}
        return accounts_from_rows(self._rows(statement, self._any(wanted)))

    def known(self, command_ids: Iterable[CommandId]) -> dict[CommandId, Known]:
        """Return the stored answers. An entry wins over a refusal under its id: a fact may follow a refused request."""
        wanted = set(command_ids)
        if not wanted:
            return {}
        return known_from_rows(self._rows(self.statements.known, self._any(wanted)))

    def holds(self, *, open_of: Iterable[MemberId], ids: Iterable[CommandId]) -> dict[MemberId, list[Hold]]:
        """Return the open holds of members, and the named holds whatever their status; no hold twice."""
        rows: list[Row] = []
        for statement, wanted in (
            (self.statements.holds_open, set(open_of)),
            (self.statements.holds_named, set(ids)),
        ):
            if wanted:
                rows += self._rows(statement, self._any(wanted))
        found: dict[MemberId, dict[str, Hold]] = defaultdict(dict)
        for member_id, hold in map(hold_from_row, rows):
            found[member_id][hold.hold_id] = hold
        return {member: sorted(holds.values(), key=lambda hold: hold.seq) for member, holds in found.items()}

    def lots(
        self, *, of: Iterable[MemberId], also: Iterable[tuple[MemberId, int]]
    ) -> dict[MemberId, list[Lot]]:
        """Return lots with points remaining or pending, and the named ones, no lot twice, in burning order."""
        rows: list[Row] = []
        members, named = set(of), set(also)
        if members:
            rows += self._rows(self.statements.lots, self._any(members))
        if named:
            rows += self._rows(self.statements.lots_named, *self._pairs(named))
        found: dict[MemberId, dict[int, Lot]] = defaultdict(dict)
        for member_id, lot in map(lot_from_row, rows):
            found[member_id][lot.lot_seq] = lot
        return {member: sorted(lots.values(), key=burning_order) for member, lots in found.items()}

    def standing(
        self, member_id: MemberId, also: Iterable[int]
    ) -> tuple[Account | None, list[Lot], Account | None]:
        """Return the account, its lots, and the account again, in one round trip where that is possible."""
        one, named = self._any([member_id]), [(member_id, lot_seq) for lot_seq in also]
        account = (self.statements.accounts, (one,))
        more = [(self.statements.lots_named, self._pairs(named))] if named else []
        before, *lots, after = self._answers(account, (self.statements.lots, (one,)), *more, account)
        found = {lot.lot_seq: lot for rows in lots for _, lot in map(lot_from_row, rows)}
        return (
            accounts_from_rows(before).get(member_id),
            sorted(found.values(), key=burning_order),
            accounts_from_rows(after).get(member_id),
        )

    def reversals(self, of: Iterable[tuple[MemberId, int]]) -> list[Entry]:
        """Return the entries whose ``reverses_seq`` is one of the (member, seq), by member and seq."""
        wanted = set(of)
        if not wanted:
            return []
        return [entry_from_row(row) for row in self._rows(self.statements.reversals, *self._pairs(wanted))]

    def entries_named(self, refs: Iterable[tuple[MemberId, int]]) -> list[tuple[Entry, Ms]]:
        """Return the entries (member, seq) with their recorded instants, by member and seq."""
        wanted = set(refs)
        if not wanted:
            return []
        rows = self._rows(self.statements.entries_named, *self._pairs(wanted))
        return [(entry_from_row(row), row[31]) for row in rows]

    def tail(self, lane_id: int) -> tuple[int, bytes]:
        """Return the lane's last (lane_seq, hash) in this program; (0, GENESIS) when it has none."""
        for lane_seq, digest in self._rows(self.statements.tail, lane_id):
            return lane_seq, bytes(digest)
        return 0, GENESIS

    def entries(self, member_id: MemberId, *, before_seq: int | None, limit: int) -> list[tuple[Entry, Ms]]:
        """Return a member's entries with their recorded instants, newest first."""
        before = SEQ_MAX if before_seq is None else min(before_seq, SEQ_MAX)
        rows = self._rows(self.statements.entries, member_id, before, limit)
        return [(entry_from_row(row), row[31]) for row in rows]

    def due(self, *, due_ms: Ms, after: MemberId | None, limit: int) -> list[MemberId]:
        """Return members whose time has come, ordered by id, after a member."""
        rows = self._rows(self.statements.due, due_ms, after or NIL_UUID, limit)
        return [row[0] for row in rows]

    def sums(self) -> dict[str, int]:
        """Return each of ``Moves``' fields summed over the journal."""
        (row,) = self._rows(self.statements.sums)
        return {name: int(total or 0) for name, total in zip(Moves._fields, row, strict=True)}
