"""What a transaction reads of segments, in SQL for PostgreSQL and SQLite; a part of ``sqlreads``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tallystick.core.ids import MemberId, Ms
from tallystick.core.record import record
from tallystick.service.segment_ports import Purchase
from tallystick.storage.coupon_reads import CouponStatements, SqlCouponReads

PURCHASE_COLUMNS = "member_id, seq, at_ms, goods"


@record(frozen=True, slots=True)
class SegmentStatements(CouponStatements):
    """The statements in one dialect; ``$1`` is always the program."""

    memberships: str
    scan_purchases: str


SEGMENT_TEMPLATES = {
    "memberships": (
        "SELECT member_id, segment_id, since_ms FROM segment_member "
        "WHERE program_id = $1 AND segment_id @texts2 AND member_id @any3"
    ),
    "scan_purchases": (
        f"SELECT {PURCHASE_COLUMNS} FROM purchase WHERE program_id = $1 ORDER BY member_id, seq"
    ),
}


def purchase_to_row(one: Purchase) -> tuple[Any, ...]:
    """Return the row of ``PURCHASE_COLUMNS``."""
    return one.member_id, one.seq, one.at_ms, one.goods


class SqlSegmentReads(SqlCouponReads):
    """The part of a transaction that is about segments."""

    statements: SegmentStatements

    def memberships(
        self, members: Iterable[MemberId], segment_ids: Iterable[str]
    ) -> dict[tuple[MemberId, str], Ms]:
        """Return when members came into those of the segments that they are in."""
        named, of = self._texts(sorted(set(segment_ids))), self._any(sorted(set(members)))
        rows = self._rows(self.statements.memberships, named, of)
        return {(row[0], row[1]): row[2] for row in rows}
