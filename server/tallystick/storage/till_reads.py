"""What the gateway reads for and about tills, in SQL for PostgreSQL and SQLite; a part of ``sqlreads``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tallystick.core.advice import TillChain, VerdictKind
from tallystick.core.ids import MemberId, Ms
from tallystick.core.record import record
from tallystick.core.rules.membership import last_days
from tallystick.core.state import Account, Hold, HoldKind, HoldStatus, MemberStatus
from tallystick.service.household_store import Part
from tallystick.service.ports import Exposure, InboxItem, InboxState, TillMember
from tallystick.storage.rows import ACCOUNT_COLUMNS, HOLD_COLUMNS, Row, account_from_row, hold_from_row
from tallystick.storage.till_rows import INBOX_COLUMNS, TILL_COLUMNS, item_from_row, till_from_row

NIL_UUID = "00000000-0000-0000-0000-000000000000"
LAST_UUID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
LAST_MS = Ms(2**63 - 1)

_OPEN = f"status = {HoldStatus.OPEN:d}"
_ITEMS = f"SELECT {INBOX_COLUMNS} FROM inbox_item WHERE program_id = $1"
_TILLS = f"SELECT {TILL_COLUMNS} FROM till_chain WHERE program_id = $1"
PERSON = (
    "FROM household_member h JOIN member m ON m.program_id = h.program_id AND m.member_id = h.member_id "
    f"AND h.part < {Part.ASKING:d} AND m.status = {MemberStatus.OPEN:d}"
)


@record(frozen=True, slots=True)
class TillStatements:
    """The statements in one dialect; ``$1`` is always the program."""

    accounts: str
    tills_made: str
    tills_locked: str
    tills: str
    tills_of_store: str
    items: str
    inbox: str
    inbox_of_store: str
    parked: str
    escrowed: str
    lease_tills: str
    lost: str
    journal_heads: str
    journal_hash: str
    journal_behind: str
    members_changed: str
    accounts_page: str
    scan_tags: str
    holds_of_store: str
    scan_tills: str
    scan_inbox: str


TILL_TEMPLATES = {
    # In the order of ids: of two who make the same rows, one waits for the other and neither for both. The store is
    # where the till was enrolled.
    "tills_made": (
        f"INSERT INTO till_chain (program_id, {TILL_COLUMNS}) "
        "SELECT CAST($1 AS text), wanted.each_id, coalesce((SELECT store_id FROM device "
        "WHERE device_id = wanted.each_id AND program_id = $1), ''), 1, 0, @genesis, 1, '[]', 0, 0, 0, 0, 0 "
        "FROM (SELECT @each2 ORDER BY 1) AS wanted WHERE true ON CONFLICT DO NOTHING RETURNING till_id"
    ),
    "tills_locked": f"{_TILLS} AND till_id @texts2 @lockedtills",
    "tills": f"{_TILLS} ORDER BY till_id LIMIT $2",
    "tills_of_store": f"{_TILLS} AND store_id = $2 AND store_id <> '' ORDER BY till_id LIMIT $3",
    "items": f"{_ITEMS} AND item_id @any2",
    "inbox": (
        f"{_ITEMS} AND state = $2 AND state > 0 AND (received_ms, item_id) < ($3, $4) "
        "ORDER BY received_ms DESC, item_id DESC LIMIT $5"
    ),
    "inbox_of_store": (
        f"{_ITEMS} AND state = $2 AND state > 0 AND (received_ms, item_id) < ($3, $4) AND store_id = $6 "
        "ORDER BY received_ms DESC, item_id DESC LIMIT $5"
    ),
    "parked": (
        f"{_ITEMS} AND state = {InboxState.OPEN:d} AND verdict = {VerdictKind.PARKED:d} AND item_id > $2 "
        "ORDER BY item_id LIMIT $3"
    ),
    "escrowed": (
        "SELECT kind, sum(points - used) FROM hold WHERE program_id = $1 AND store_id = $2 "
        f"AND {_OPEN} AND kind <> {HoldKind.CHECKOUT:d} GROUP BY kind"
    ),
    "lease_tills": (
        "SELECT DISTINCT l.till_id FROM hold h JOIN ledger l "
        "ON l.member_id = h.member_id AND l.program_id = h.program_id AND l.seq = h.seq "
        f"WHERE h.program_id = $1 AND h.store_id = $2 AND h.{_OPEN} AND h.kind = {HoldKind.LEASE:d} ORDER BY 1"
    ),
    "lost": (
        "SELECT -sum(m_store_loss) FROM ledger WHERE program_id = $1 AND store_id = $2 AND m_store_loss IS NOT NULL"
    ),
    # From one lane to the next by the key: a list of lanes out of all rows would walk the whole journal.
    "journal_heads": (
        "WITH RECURSIVE lane(lane_id) AS (SELECT min(lane_id) FROM journal WHERE program_id = $1 UNION ALL "
        "SELECT (SELECT min(j.lane_id) FROM journal j WHERE j.program_id = $1 AND j.lane_id > lane.lane_id) "
        "FROM lane WHERE lane.lane_id IS NOT NULL) "
        "SELECT lane_id, (SELECT max(j.lane_seq) FROM journal j "
        "WHERE j.program_id = $1 AND j.lane_id = lane.lane_id) FROM lane WHERE lane_id IS NOT NULL"
    ),
    "journal_hash": "SELECT hash FROM journal WHERE program_id = $1 AND lane_id = $2 AND lane_seq = $3",
    "journal_behind": (
        "SELECT lane_id, lane_seq, payload FROM journal WHERE program_id = $1 AND lane_id = $2 AND lane_seq > $3 "
        "ORDER BY lane_seq LIMIT $4"
    ),
    "members_changed": (
        "SELECT changed_ms, member_id FROM member WHERE program_id = $1 AND status > 0 "
        "AND (changed_ms, member_id) > ($2, $3) ORDER BY changed_ms, member_id LIMIT $4"
    ),
    "accounts_page": (
        f"SELECT {ACCOUNT_COLUMNS} FROM account WHERE program_id = $1 AND member_id > $2 "
        f"AND status <> {MemberStatus.ERASED:d} ORDER BY member_id LIMIT $3"
    ),
    # What a person in a household shows leads to the household's account.
    "scan_tags": (
        "SELECT i.member_id, i.scan_tag FROM identifier i WHERE i.program_id = $1 AND i.member_id @any2 "
        f"AND i.scan_tag IS NOT NULL AND NOT EXISTS (SELECT 1 {PERSON} "
        "WHERE h.program_id = i.program_id AND h.member_id = i.member_id) "
        f"UNION ALL SELECT h.household_id, i.scan_tag {PERSON} "
        "JOIN identifier i ON i.program_id = h.program_id AND i.member_id = h.member_id "
        "WHERE h.program_id = $1 AND h.household_id @any2 AND i.scan_tag IS NOT NULL"
    ),
    "holds_of_store": (
        f"SELECT {HOLD_COLUMNS}, coalesce((SELECT l.till_id FROM ledger l WHERE l.member_id = hold.member_id "
        "AND l.program_id = hold.program_id AND l.seq = hold.seq), '') "
        "FROM hold WHERE program_id = $1 AND member_id @any2 AND store_id = $3 "
        f"AND kind <> {HoldKind.CHECKOUT:d} AND ({_OPEN} OR ends_ms >= $4)"
    ),
    "scan_tills": f"{_TILLS} ORDER BY till_id",
    "scan_inbox": f"{_ITEMS} ORDER BY item_id",
}


class SqlTillReads(ABC):
    """The part of ``Reads`` that is about tills, over a connection that is in a transaction of one program."""

    statements: TillStatements

    @abstractmethod
    def _rows(self, statement: str, *values: object) -> Sequence[Row]:
        """Run a statement with the program and these values."""

    @abstractmethod
    def _any(self, ids: Iterable[str]) -> object:
        """Return the value that stands for a set of ids."""

    @abstractmethod
    def _texts(self, values: Sequence[str]) -> object:
        """Return the value that stands for a set of texts, which is not empty."""

    def lock_tills(self, till_ids: Iterable[str]) -> dict[str, TillChain]:
        """Make the chains that are not there, and lock all in sorted order until the end of the transaction."""
        wanted = sorted(set(till_ids))
        if not wanted:
            return {}
        self._rows(self.statements.tills_made, self._texts(wanted))
        return tills_from_rows(self._rows(self.statements.tills_locked, self._texts(wanted)))

    def inbox(self, item_ids: Iterable[str]) -> dict[str, InboxItem]:
        """Return the items that are there."""
        wanted = sorted(set(item_ids))
        if not wanted:
            return {}
        return {row[0]: item_from_row(row) for row in self._rows(self.statements.items, self._any(wanted))}

    def tills(self, *, store_id: str, limit: int) -> list[TillChain]:
        """Return the chains of a store's tills, or of all when ``store_id`` is empty, by id."""
        if store_id:
            rows = self._rows(self.statements.tills_of_store, store_id, limit)
        else:
            rows = self._rows(self.statements.tills, limit)
        return [till_from_row(row) for row in rows]

    def inbox_page(
        self, *, store_id: str, state: InboxState, before: tuple[Ms, str] | None, limit: int
    ) -> list[InboxItem]:
        """Return items of a state, newest first, of a store or of all."""
        values: tuple[object, ...] = (int(state), *(before or (LAST_MS, LAST_UUID)), limit)
        if store_id:
            rows = self._rows(self.statements.inbox_of_store, *values, store_id)
        else:
            rows = self._rows(self.statements.inbox, *values)
        return [item_from_row(row) for row in rows]

    def parked(self, *, after: str, limit: int) -> list[InboxItem]:
        """Return open items whose verdict is PARKED, by id, after one."""
        return [item_from_row(row) for row in self._rows(self.statements.parked, after or NIL_UUID, limit)]

    def exposure(self, store_id: str) -> Exposure:
        """Return what is escrowed to a store and what it has paid for."""
        escrowed = {kind: int(points) for kind, points in self._rows(self.statements.escrowed, store_id)}
        ((lost,),) = self._rows(self.statements.lost, store_id)
        leased, vouchers = escrowed.get(HoldKind.LEASE, 0), escrowed.get(HoldKind.VOUCHER, 0)
        tills = tuple(till_id for (till_id,) in self._rows(self.statements.lease_tills, store_id))
        return Exposure(leased, vouchers, int(lost or 0), tills)

    def journal_heads(self) -> dict[int, int]:
        """Return each lane's last position."""
        return dict(map(tuple, self._rows(self.statements.journal_heads)))

    def journal_hashes(self, at: Mapping[int, int]) -> dict[int, bytes]:
        """Return the hash of the row at one position of each lane, where there is one."""
        return {
            lane_id: bytes(row_hash)
            for lane_id, lane_seq in at.items()
            for (row_hash,) in self._rows(self.statements.journal_hash, lane_id, lane_seq)
        }

    def journal_behind(self, after: Mapping[int, int], *, limit: int) -> list[tuple[int, int, bytes]]:
        """Return (lane_id, lane_seq, payload) of the rows behind each lane's position; lanes share the page."""
        found = []
        for lane_id, position, most in shares(self.journal_heads(), after, limit=limit):
            rows = self._rows(self.statements.journal_behind, lane_id, position, most)
            found += [(lane_id, lane_seq, bytes(payload)) for _, lane_seq, payload in rows]
        return found

    def changed_members(self, *, after: tuple[Ms, str], limit: int) -> list[tuple[Ms, MemberId]]:
        """Return (changed_ms, member_id) behind one of them."""
        return [(at, member) for at, member in self._rows(self.statements.members_changed, *after, limit)]

    def till_members(
        self, member_ids: Sequence[MemberId], *, store_id: str, ended_since: Ms
    ) -> list[TillMember]:
        """Return what a till may know of members, by id."""
        wanted = self._any(sorted(set(member_ids)))
        return self._till_members(
            self._rows(self.statements.accounts, wanted) if member_ids else [], store_id, ended_since
        )

    def till_member_page(self, *, after: str, limit: int, store_id: str, ended_since: Ms) -> list[TillMember]:
        """Return the same of living members by id, after one."""
        rows = self._rows(self.statements.accounts_page, after or NIL_UUID, limit)
        return self._till_members(rows, store_id, ended_since)

    def _till_members(self, rows: Sequence[Row], store_id: str, ended_since: Ms) -> list[TillMember]:
        if not rows:
            return []
        accounts = sorted(map(account_from_row, rows), key=lambda account: account.member_id)
        wanted = self._any([account.member_id for account in accounts])
        tags, holds = defaultdict(list), defaultdict(list)
        for member_id, tag in self._rows(self.statements.scan_tags, wanted):
            tags[member_id].append(bytes(tag))
        for row in self._rows(self.statements.holds_of_store, wanted, store_id, ended_since):
            member_id, hold = hold_from_row(row[:-1])
            holds[member_id].append((hold, row[-1]))
        return [till_member(one, tags[one.member_id], holds[one.member_id]) for one in accounts]


def tills_from_rows(rows: Iterable[Row]) -> dict[str, TillChain]:
    """Return the chains of rows."""
    return {row[0]: till_from_row(row) for row in rows}


def till_member(account: Account, tags: Iterable[bytes], holds: Iterable[tuple[Hold, str]]) -> TillMember:
    """Return what a till may know of a member. ``holds`` come with the till that asked for each."""
    held = sorted(holds, key=lambda one: one[0].seq)
    return TillMember(
        account.member_id,
        account.seq,
        account.active,
        account.tier.tier_id,
        account.status,
        tuple(sorted(tags)),
        tuple([hold for hold, _ in held]),
        last_days(account.tallies) if account.tallies else (),
        tuple([till_id for _, till_id in held]),
    )


def shares(heads: Mapping[int, int], after: Mapping[int, int], *, limit: int) -> list[tuple[int, int, int]]:
    """Return (lane_id, position, rows to read) for lanes that have news: a busy one does not keep others waiting.

    Together they make ``limit`` when there is so much.
    """
    behind = sorted((head - after.get(lane, 0), lane) for lane, head in heads.items())
    news = [(count, lane) for count, lane in behind if count > 0]
    found = []
    for place, (count, lane) in enumerate(news):
        most = min(count, limit // (len(news) - place))
        limit -= most
        if most:
            found.append((lane, after.get(lane, 0), most))
    return found
