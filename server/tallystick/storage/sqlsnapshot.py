"""A snapshot out of SQL: the transaction is the snapshot, cursors stream the rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TypeVar

from tallystick.core.advice import TillChain
from tallystick.core.chain import JournalRow
from tallystick.core.ids import MemberId
from tallystick.core.state import Account, Hold, Lot
from tallystick.service.coupon_ports import CouponCode, Reservation
from tallystick.service.ports import InboxItem
from tallystick.service.referral_ports import Referral
from tallystick.service.segment_ports import Purchase
from tallystick.service.shared_store import SharedPlace
from tallystick.service.transfer_store import Transfer
from tallystick.storage.coupon_rows import code_from_row, reservation_from_row
from tallystick.storage.referrals import referral_from_row
from tallystick.storage.rows import (
    Row,
    account_from_row,
    entry_from_row,
    hold_from_row,
    journal_from_row,
    lot_from_row,
)
from tallystick.storage.shared_sums import place_from_row
from tallystick.storage.snapshot import LedgerRow, UnreadableRow
from tallystick.storage.sqlreads import Statements
from tallystick.storage.till_rows import item_from_row, till_from_row
from tallystick.storage.transfers import transfer_from_row

T = TypeVar("T")

STREAM_ROWS = 2_000
"""Rows that are fetched at a time."""


class SqlSnapshot(ABC):
    """``Snapshot`` over a connection whose transaction sees one instant."""

    statements: Statements

    @abstractmethod
    def _stream(self, statement: str) -> Iterator[Row]:
        """Return the rows of a statement of one program as they are asked for."""

    def entry_count(self) -> int:
        """Return the number of ledger rows."""
        (row,) = self._stream(self.statements.count_entries)
        return int(row[0])

    def journal(self) -> Iterator[JournalRow]:
        """Yield journal rows by lane and number."""
        return self._records("journal", self.statements.scan_journal, journal_from_row, slice(0, 2))

    def ledger(self) -> Iterator[LedgerRow]:
        """Yield entries by member and number."""
        return self._records("ledger", self.statements.scan_ledger, _ledger_row, slice(1, 3))

    def accounts(self) -> Iterator[Account]:
        """Yield accounts by member."""
        return self._records("account", self.statements.scan_accounts, account_from_row, slice(0, 1))

    def lots(self) -> Iterator[tuple[MemberId, Lot]]:
        """Yield lots by member and number."""
        return self._records("lot", self.statements.scan_lots, lot_from_row, slice(0, 2))

    def holds(self) -> Iterator[tuple[MemberId, Hold]]:
        """Yield holds by member."""
        return self._records("hold", self.statements.scan_holds, hold_from_row, slice(0, 2))

    def tills(self) -> Iterator[TillChain]:
        """Yield chains by till."""
        return self._records("till", self.statements.scan_tills, till_from_row, slice(0, 1))

    def inbox(self) -> Iterator[InboxItem]:
        """Yield inbox items by id."""
        return self._records("inbox", self.statements.scan_inbox, item_from_row, slice(0, 1))

    def coupon_codes(self) -> Iterator[CouponCode]:
        """Yield unique codes by token."""
        return self._records("coupon_code", self.statements.scan_codes, code_from_row, slice(0, 1))

    def coupon_counts(self) -> Iterator[tuple[str, int]]:
        """Yield (coupon_id, used) by coupon."""
        return ((row[0], row[1]) for row in self._stream(self.statements.scan_coupons))

    def coupon_members(self) -> Iterator[tuple[MemberId, str, int]]:
        """Yield (member_id, coupon_id, used) by member and coupon."""
        return ((row[0], row[1], row[2]) for row in self._stream(self.statements.scan_coupon_members))

    def coupon_holds(self) -> Iterator[Reservation]:
        """Yield reservations by member, hold and coupon."""
        return map(reservation_from_row, self._stream(self.statements.scan_reservations))

    def transfers(self) -> Iterator[Transfer]:
        """Yield transfers by id."""
        return self._records("transfer", self.statements.scan_transfers, transfer_from_row, slice(0, 1))

    def referrals(self) -> Iterator[Referral]:
        """Yield recommendations by the member who joined."""
        return self._records("referral", self.statements.scan_referrals, referral_from_row, slice(0, 1))

    def purchases(self) -> Iterator[Purchase]:
        """Yield goods of sales by member and number."""
        return (Purchase(*row) for row in self._stream(self.statements.scan_purchases))

    def shared_sums(self) -> Iterator[tuple[str, int]]:
        """Yield (key, total) by key."""
        return ((row[0], row[1]) for row in self._stream(self.statements.scan_shared_sums))

    def shared_place(self) -> SharedPlace:
        """Return how far the journal has been summed."""
        places = list(
            self._records("shared_sum", self.statements.scan_shared_place, place_from_row, slice(0))
        )
        return places[0] if places else SharedPlace({})

    def _records(self, table: str, statement: str, record: Callable[[Row], T], key: slice) -> Iterator[T]:
        for row in self._stream(statement):
            try:
                yield record(row)
            except (ValueError, TypeError, LookupError) as error:
                raise UnreadableRow(table, tuple(row[key]), str(error)) from error


def _ledger_row(row: Row) -> LedgerRow:
    return LedgerRow(entry_from_row(row, with_detail=False), bytes(row[29]), row[30], row[31])
