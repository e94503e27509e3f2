"""One program as it is at one instant, streamed table by table: for verification and export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from tallystick.core.advice import TillChain
from tallystick.core.chain import JournalRow
from tallystick.core.entry import Entry
from tallystick.core.ids import MemberId, Ms
from tallystick.core.state import Account, Hold, Lot
from tallystick.service.coupon_ports import CouponCode, Reservation
from tallystick.service.ports import InboxItem
from tallystick.service.referral_ports import Referral
from tallystick.service.segment_ports import Purchase
from tallystick.service.shared_store import SharedPlace
from tallystick.service.transfer_store import Transfer


class LedgerRow(NamedTuple):
    """A row of the ledger; its detail is left as text, which is what the chain sealed."""

    entry: Entry
    fingerprint: bytes
    detail_text: str
    recorded_ms: Ms


class UnreadableRow(Exception):
    """A row that holds what no version of the program has written; ``table`` and ``key`` name it."""

    def __init__(self, table: str, key: tuple[str | int, ...], why: str) -> None:
        super().__init__(f"{table} {key}: {why}")
        self.table = table
        self.key = key
        self.why = why


class Snapshot(Protocol):
    """All rows of one program at one instant, in constant memory, each table in the order of its key.

    Iterating raises ``UnreadableRow``.
    """

    def entry_count(self) -> int: ...

    def journal(self) -> Iterator[JournalRow]: ...

    def ledger(self) -> Iterator[LedgerRow]: ...

    def accounts(self) -> Iterator[Account]: ...

    def lots(self) -> Iterator[tuple[MemberId, Lot]]: ...

    def holds(self) -> Iterator[tuple[MemberId, Hold]]: ...

    def tills(self) -> Iterator[TillChain]: ...

    def inbox(self) -> Iterator[InboxItem]: ...

    def coupon_codes(self) -> Iterator[CouponCode]: ...

    def coupon_counts(self) -> Iterator[tuple[str, int]]: ...

    def coupon_members(self) -> Iterator[tuple[MemberId, str, int]]: ...

    def coupon_holds(self) -> Iterator[Reservation]: ...

    def transfers(self) -> Iterator[Transfer]: ...

    def referrals(self) -> Iterator[Referral]: ...

    def purchases(self) -> Iterator[Purchase]: ...

    def shared_sums(self) -> Iterator[tuple[str, int]]: ...

    def shared_place(self) -> SharedPlace: ...
