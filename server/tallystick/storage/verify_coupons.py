"""Verification of coupons: every use counted anew from the entries, every reservation held against its hold.

Counts of coupons and members are compared as they stream; unique codes, of which there may be millions, are laid beside
the sales that used them bucket by bucket, on disk once they are many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Self

from tallystick.core.budget import is_budget, times_of
from tallystick.core.codec import detail_from_text
from tallystick.core.entry import AppliedCoupon, EntryKind
from tallystick.core.ids import MemberId
from tallystick.core.state import HeldCoupon, Hold, HoldStatus
from tallystick.service.coupon_ports import CodeState, CouponCode, Reservation
from tallystick.storage.refs import Difference
from tallystick.storage.snapshot import LedgerRow, UnreadableRow

BUCKETS = 32
BUCKET_MEMORY_BYTES = 256 * 1024

_MARK = '"coupons":'
"""Only a detail with this in it is parsed: nearly all sales are without coupons and rewards that are counted."""

_USING = (EntryKind.SALE, EntryKind.CAPTURE, EntryKind.BURN)


class CouponUses:
    """Takes entries member by member, then says what does not agree with them. A context manager, for its files."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._totals: Counter[str] = Counter()
        self._live: dict[int, tuple[str, tuple[AppliedCoupon, ...]]] = {}
        self._sales = self._buckets()
        self._codes = self._buckets()
        self.uses = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def entry(self, row: LedgerRow) -> None:
        """Take the next entry of a member. Raises ``UnreadableRow``."""
        if _MARK not in row.detail_text:
            return
        entry = row.entry
        try:
            coupons = detail_from_text(row.detail_text).coupons
        except (ValueError, TypeError, LookupError) as error:
            raise UnreadableRow("ledger", (entry.member_id, entry.seq), str(error)) from error
        if entry.kind in _USING:
            self.uses += len(coupons)
            self._live[entry.seq] = (entry.command_id, coupons)
        elif entry.kind is EntryKind.REVERSE:
            self._live.pop(entry.reverses_seq, None)

    def member(
        self,
        member_id: MemberId,
        counted: Iterable[tuple[str, int]],
        reserved: Iterable[Reservation],
        holds: Iterable[Hold],
    ) -> Iterator[Difference]:
        """Yield what does not agree with the entries of a member, all of which were taken; the next member follows."""
        expected: Counter[str] = Counter()
        for command_id, coupons in self._live.values():
            for coupon in coupons:
                if is_budget(coupon.coupon_id):
                    self._totals[coupon.coupon_id] += times_of(coupon)
                    continue
                expected[coupon.coupon_id] += 1
                if coupon.token:
                    self._write(self._sales, coupon.token, command_id)
        self._live.clear()
        self._totals += expected
        found = dict(counted)
        for coupon_id in sorted(expected.keys() | found.keys()):
            if expected[coupon_id] != found.get(coupon_id, 0):
                yield (
                    "coupon_member",
                    (member_id, coupon_id),
                    f"{expected[coupon_id]} uses",
                    f"{found.get(coupon_id, 0)}",
                )
        keeping = {
            (hold.hold_id, coupon)
            for hold in holds
            if hold.status is HoldStatus.OPEN
            for coupon in hold.coupons
        }
        for one in reserved:
            if (one.hold_id, HeldCoupon(one.coupon_id, one.token)) not in keeping:
                yield (
                    "coupon_hold",
                    (member_id, one.hold_id, one.coupon_id),
                    "an open hold that has it",
                    "none",
                )

    def code(self, code: CouponCode) -> Iterator[Difference]:
        """Take a unique code."""
        if code.state is CodeState.USED:
            self._write(self._codes, code.token, code.used_by)
        elif code.state is CodeState.OPEN and code.used_by:
            yield "coupon_code", (code.token,), "no sale or hold that has it", code.used_by

    def totals(self, counted: Iterable[tuple[str, int]]) -> Iterator[Difference]:
        """Yield the coupons of which more or fewer uses are counted than there are."""
        found = dict(counted)
        for coupon_id in sorted(self._totals.keys() | found.keys()):
            uses = self._totals[coupon_id]
            if uses != found.get(coupon_id, 0):
                yield "coupon_count", (coupon_id,), f"{uses} uses", f"{found.get(coupon_id, 0)}"

    def codes(self) -> Iterator[Difference]:
        """Yield the codes that were used by no sale, by another, or by several."""
        for sales, codes in zip(self._sales, self._codes, strict=True):
            used, marked = _pairs(sales), dict(_pairs(codes))
            by_token: dict[str, list[str]] = {}
            for token, command_id in used:
                by_token.setdefault(token, []).append(command_id)
            for token in sorted(by_token.keys() | marked.keys()):
                sold = by_token.get(token, [])
                if sold != ([marked[token]] if token in marked else []):
                    what = f"used by {marked[token]}" if token in marked else "not used"
                    yield "coupon_code", (token,), f"used by {' and '.join(sold) or 'no sale'}", what

    def _write(self, buckets: list[IO[bytes]], token: str, command_id: str) -> None:
        buckets[sum(token.encode()) % BUCKETS].write(f"{token} {command_id}\n".encode())

    def _buckets(self) -> list[IO[bytes]]:
        return [
            self._stack.enter_context(SpooledTemporaryFile(max_size=BUCKET_MEMORY_BYTES))
            for _ in range(BUCKETS)
        ]


def _pairs(bucket: IO[bytes]) -> list[tuple[str, str]]:
    bucket.seek(0)
    return [
        (token, rest)
        for token, _, rest in (line.partition(" ") for line in bucket.read().decode().splitlines())
    ]
