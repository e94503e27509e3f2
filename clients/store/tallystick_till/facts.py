"""What this till did to members' points that its snapshot does not hold yet, and the one balance that is shown.

A fact is dropped only when the snapshot's number of the member's last entry has reached the entry that the verdict
named. Dropped earlier, a burn could be made twice; dropped later, points would be counted twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from tallystick.core.advice import VerdictKind
from tallystick.core.ids import CommandId, MemberId
from tallystick.core.record import record
from tallystick.core.rules.model import DAY_MS, RuleSet, SpentPolicy
from tallystick_till.db import TillDb
from tallystick_till.leases import Leases
from tallystick_till.ports import Known, Snapshot


@record(frozen=True, slots=True)
class Told:
    """A balance that the gateway told while a member was identified. ``included`` are the facts that it holds."""

    active: int
    included: frozenset[str]


class Facts:
    """The facts of this till, and the balances that follow from them."""

    def __init__(self, db: TillDb, snapshot: Snapshot, leases: Leases) -> None:
        self._db = db
        self._snapshot = snapshot
        self._leases = leases

    def add(
        self,
        tx: sqlite3.Connection,
        advice_id: CommandId,
        member_id: MemberId,
        points: int,
        *,
        member_seq: int = 0,
    ) -> None:
        """Keep what an advice does to the spendable points; ``member_seq`` > 0 when its entry is known already."""
        tx.execute("INSERT INTO fact VALUES (?, ?, ?, ?)", (advice_id, member_id, points, member_seq))

    def answered(self, tx: sqlite3.Connection, advice_id: str, kind: int, member_seq: int) -> None:
        """Go by a verdict: what was posted waits for the snapshot, what was set aside did nothing.

        What was parked counts until the member's next entry, which may be the parked one.
        """
        if kind == VerdictKind.QUARANTINED:
            tx.execute("DELETE FROM fact WHERE advice_id = ?", (advice_id,))
            return
        if kind == VerdictKind.PARKED:
            row = tx.execute("SELECT member_id FROM fact WHERE advice_id = ?", (advice_id,)).fetchone()
            known = self._snapshot.member(MemberId(row[0])) if row else None
            member_seq = known.seq + 1 if known else 0
        if member_seq:
            tx.execute("UPDATE fact SET member_seq = ? WHERE advice_id = ?", (member_seq, advice_id))
            row = tx.execute("SELECT member_id FROM fact WHERE advice_id = ?", (advice_id,)).fetchone()
            known = self._snapshot.member(MemberId(row[0])) if row else None
            if known is not None and row:
                # The news may have come before the verdict, when the answer to an earlier upload was lost.
                self.forget(tx, [(row[0], known.seq)])

    def forget(self, tx: sqlite3.Connection, reached: Iterable[tuple[str, int]]) -> None:
        """Drop the facts that the snapshot now holds; ``reached`` are members and their last entry's number."""
        tx.executemany(
            "DELETE FROM fact WHERE member_id = ? AND member_seq > 0 AND member_seq <= ?", list(reached)
        )

    def lease_left(self, member_id: MemberId) -> int:
        """Return what the store's leases of a member still give; 0 when their holder is away."""
        return self._leases.left(member_id)

    def answered_ids(self, member_id: MemberId) -> frozenset[str]:
        """Return the facts of a member that the gateway has answered: a balance it tells now includes them."""
        rows = self._db.read(
            "SELECT advice_id FROM fact WHERE member_id = ? AND member_seq > 0", str(member_id)
        )
        return frozenset(str(row[0]) for row in rows)

    def waiting(self, member_id: MemberId) -> bool:
        """Return whether the gateway has not answered everything yet that this till reported of a member."""
        row = self._db.one("SELECT 1 FROM fact WHERE member_id = ? AND member_seq = 0", str(member_id))
        return row is not None

    def shown(self, member_id: MemberId, told: Told | None = None, *, leased: int | None = None) -> int:
        """Return the balance to show: what is known, what this till did since, and the leases of this store.

        The only place that computes it. ``told`` is what the gateway said in this identification, if it did;
        ``leased`` what the leases give, where that was asked before a transaction began.
        """
        leased = self.lease_left(member_id) if leased is None else leased
        return max(0, self._active(member_id, told) + leased)

    def _active(self, member_id: MemberId, told: Told | None) -> int:
        if told is not None:
            rows = self._db.read("SELECT advice_id, points FROM fact WHERE member_id = ?", str(member_id))
            return told.active + sum(int(row[1]) for row in rows if row[0] not in told.included)
        known = self._snapshot.member(member_id)
        active, seq = (known.active, known.seq) if known else (0, 0)
        return active + self._db.number(
            "SELECT sum(points) FROM fact WHERE member_id = ? AND (member_seq = 0 OR member_seq > ?)",
            str(member_id),
            seq,
        )

    def known(self, member_id: MemberId) -> Known | None:
        """Return the member of the snapshot, or one who joined at this till and is not in it yet."""
        known = self._snapshot.member(member_id)
        if known is not None:
            return known
        row = self._db.one("SELECT 1 FROM enrolled WHERE member_id = ? AND state != 'asking'", str(member_id))
        return Known(member_id, 0, 0, "", 0) if row else None


def sale_points(rules: RuleSet, *, earned: int, by_floor: int, voucher_spare: int) -> int:
    """Return what a stand-in sale does to the spendable points.

    What leases and vouchers paid for was not spendable before; what a voucher was worth beyond the sale becomes so.
    """
    spendable = 0 if rules.earning.pending_days else earned
    return spendable - by_floor + voucher_spare


def taken_now(rules: RuleSet, taken: int, *, sold_ms: int, now_ms: int) -> int:
    """Return how much of the earned points that a return takes comes out of spendable ones."""
    if now_ms < sold_ms + rules.earning.pending_days * DAY_MS:
        return 0
    return 0 if rules.returns.spent is SpentPolicy.ONLY_PENDING else taken
