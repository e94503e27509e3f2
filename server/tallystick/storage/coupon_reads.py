"""What a transaction reads and writes of coupons, in SQL for PostgreSQL and SQLite; a part of ``sqlreads``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from tallystick.core.ids import MemberId, Ms
from tallystick.core.record import record
from tallystick.service.coupon_ports import CouponChanges, CouponCode, CouponCounts
from tallystick.service.errors import StoreConflict
from tallystick.storage.coupon_rows import (
    CODE_COLUMNS,
    RESERVATION_COLUMNS,
    code_from_row,
    codes_changed,
    reservation_from_row,
    reservations_gone,
    reservations_new,
)
from tallystick.storage.rows import Row
from tallystick.storage.till_reads import SqlTillReads, TillStatements

Question = tuple[str, Sequence[object]]


@record(frozen=True, slots=True)
class CouponStatements(TillStatements):
    """The statements in one dialect; ``$1`` is always the program."""

    codes: str
    codes_locked: str
    coupons_made: str
    coupons_locked: str
    coupons: str
    coupons_lapsed: str
    coupons_held: str
    coupons_of_members: str
    reservations: str
    code_changed: str
    coupon_used: str
    coupon_used_by: str
    coupon_reserved: str
    coupon_dropped: str
    scan_codes: str
    scan_coupons: str
    scan_coupon_members: str
    scan_reservations: str


_CODES = f"SELECT {CODE_COLUMNS} FROM coupon_code WHERE program_id = $1"
_COUPONS = "SELECT coupon_id, used FROM coupon_count WHERE program_id = $1"
_BY_MEMBER = "SELECT member_id, coupon_id, used FROM coupon_member WHERE program_id = $1"
_RESERVED = f"SELECT {RESERVATION_COLUMNS} FROM coupon_hold WHERE program_id = $1"

COUPON_TEMPLATES = {
    "codes": f"{_CODES} AND token @texts2",
    "codes_locked": f"{_CODES} AND token @texts2 @forcodes",
    # In the order of ids: of two who make the same rows, one waits for the other and neither for both.
    "coupons_made": (
        "INSERT INTO coupon_count (program_id, coupon_id, used) SELECT CAST($1 AS text), wanted.each_id, 0 "
        "FROM (SELECT @each2 ORDER BY 1) AS wanted WHERE true ON CONFLICT DO NOTHING RETURNING coupon_id"
    ),
    "coupons_locked": f"{_COUPONS} AND coupon_id @texts2 @forcoupons",
    "coupons": f"{_COUPONS} AND coupon_id @texts2",
    "coupons_lapsed": (
        "DELETE FROM coupon_hold WHERE program_id = $1 AND coupon_id @texts2 AND until_ms <= $3 "
        "RETURNING coupon_id"
    ),
    "coupons_held": (
        "SELECT coupon_id, count(*) FROM coupon_hold "
        "WHERE program_id = $1 AND coupon_id @texts2 AND until_ms > $3 GROUP BY coupon_id"
    ),
    "coupons_of_members": f"{_BY_MEMBER} AND coupon_id @texts2 AND member_id @any3",
    "reservations": f"{_RESERVED} AND coupon_id @texts2 AND member_id @any3 AND until_ms > $4",
    "code_changed": (
        "UPDATE coupon_code SET state = $3, used_by = $4, reserved_until_ms = $5 "
        "WHERE program_id = $1 AND token = $2"
    ),
    "coupon_used": "UPDATE coupon_count SET used = $3 WHERE program_id = $1 AND coupon_id = $2",
    "coupon_used_by": (
        "INSERT INTO coupon_member (program_id, member_id, coupon_id, used) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (member_id, program_id, coupon_id) DO UPDATE SET used = excluded.used"
    ),
    "coupon_reserved": (
        f"INSERT INTO coupon_hold (program_id, {RESERVATION_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)"
    ),
    "coupon_dropped": (
        "DELETE FROM coupon_hold WHERE program_id = $1 AND member_id = $2 AND hold_id = $3 AND coupon_id = $4 "
        "AND token = $5"
    ),
    "scan_codes": f"{_CODES} ORDER BY token",
    "scan_coupons": f"{_COUPONS} ORDER BY coupon_id",
    "scan_coupon_members": f"{_BY_MEMBER} ORDER BY member_id, coupon_id",
    "scan_reservations": f"{_RESERVED} ORDER BY member_id, hold_id, coupon_id, token",
}


class SqlCouponReads(SqlTillReads):
    """The part of a transaction that is about coupons, over a connection that is in one of one program."""

    statements: CouponStatements

    @abstractmethod
    def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        """Run a statement once for each row, with the program before its values; return how many rows it changed."""

    def _answers(self, *questions: Question) -> list[Sequence[Row]]:
        """Run statements one after the other; a store may do it in one round trip."""
        return [self._rows(statement, *values) for statement, values in questions]

    def codes(self, tokens: Iterable[str]) -> dict[str, CouponCode]:
        """Return unique codes by token, without locks."""
        return self._codes(self.statements.codes, tokens)

    def lock_codes(self, tokens: Iterable[str]) -> dict[str, CouponCode]:
        """Lock unique codes in the order of their tokens; unknown ones are absent."""
        return self._codes(self.statements.codes_locked, tokens)

    def _codes(self, statement: str, tokens: Iterable[str]) -> dict[str, CouponCode]:
        wanted = sorted(set(tokens))
        rows = self._rows(statement, self._texts(wanted)) if wanted else ()
        return {code.token: code for code in map(code_from_row, rows)}

    def coupon_counts(
        self, coupon_ids: Iterable[str], members: Iterable[MemberId], *, now_ms: Ms
    ) -> CouponCounts:
        """Return what is counted of coupons, without locks."""
        named = self._texts(sorted(set(coupon_ids)))
        found = self._answers((self.statements.coupons, (named,)), *self._counted(named, members, now_ms))
        return _counts(*found)

    def lock_coupons(
        self, coupon_ids: Iterable[str], members: Iterable[MemberId], *, now_ms: Ms
    ) -> CouponCounts:
        """Lock coupons in the order of their ids, drop reservations whose time is over, and return what is counted."""
        named = self._texts(sorted(set(coupon_ids)))
        at = str(now_ms)
        # Each a statement of its own, so that it sees what the locks before it waited for.
        _, used, _, *rest = self._answers(
            (self.statements.coupons_made, (named,)),
            (self.statements.coupons_locked, (named,)),
            (self.statements.coupons_lapsed, (named, at)),
            *self._counted(named, members, now_ms),
        )
        return _counts(used, *rest)

    def _counted(self, named: object, members: Iterable[MemberId], now_ms: Ms) -> tuple[Question, ...]:
        of_members = self._any(sorted(set(members)))
        return (
            (self.statements.coupons_held, (named, str(now_ms))),
            (self.statements.coupons_of_members, (named, of_members)),
            (self.statements.reservations, (named, of_members, str(now_ms))),
        )

    def write_coupons(self, changes: CouponChanges) -> None:
        """Write what has changed of coupons. Raises ``StoreConflict`` when a row is not there that was locked."""
        by_member = [(member_id, coupon_id, used) for member_id, coupon_id, used in changes.by_member]
        for statement, rows in (
            (self.statements.code_changed, codes_changed(changes)),
            (self.statements.coupon_used, sorted(changes.used)),
            (self.statements.coupon_used_by, by_member),
            (self.statements.coupon_reserved, reservations_new(changes)),
            (self.statements.coupon_dropped, reservations_gone(changes)),
        ):
            if rows and self._many(statement, rows) != len(rows):
                raise StoreConflict("A coupon is not as it was locked.")


def _counts(
    used: Sequence[Row], held: Sequence[Row], by_member: Sequence[Row], reservations: Sequence[Row]
) -> CouponCounts:
    return CouponCounts(
        used={coupon_id: int(count) for coupon_id, count in used},
        held={coupon_id: int(count) for coupon_id, count in held},
        by_member={(member_id, coupon_id): int(count) for member_id, coupon_id, count in by_member},
        reservations=[reservation_from_row(row) for row in reservations],
    )
