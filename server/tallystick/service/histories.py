"""Whole ledgers read member by member: what each has bought, less what came back of it until now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

from tallystick.core.codec import detail_from_text
from tallystick.core.entry import AppliedCoupon, AppliedReward, Entry, EntryKind, Explanation
from tallystick.core.ids import MemberId
from tallystick.core.record import record
from tallystick.core.state import Account
from tallystick.service.segment_ports import Books, LedgerText, Purchase

Row = TypeVar("Row")

_SOLD = (EntryKind.SALE, EntryKind.CAPTURE)
_ASKED = (*_SOLD, EntryKind.RETURN)


class Sold(NamedTuple):
    """A sale that was not undone. It counts at its own time, whatever came back later.

    ``paid_minor`` is what was paid for the goods, with what points paid taken off, less what came back. ``points`` is
    what it earned at first, ``why`` by which rules.
    """

    seq: int
    at_ms: int
    paid_minor: int
    points: int
    why: tuple[Explanation, ...]
    rewards: tuple[AppliedReward, ...]
    coupons: tuple[AppliedCoupon, ...]


@record(frozen=True, slots=True)
class MemberHistory:
    """One member's account, entries (oldest first) and kept goods."""

    account: Account
    entries: tuple[Entry, ...]
    purchases: tuple[Purchase, ...]


def histories(books: Books) -> Iterator[MemberHistory]:
    """Yield the members of a program in the order of their ids, the erased too: what they bought was sold."""
    ledger = Groups(books.ledger(), lambda row: row.entry.member_id)
    purchases = Groups(books.purchases(), lambda one: one.member_id)
    for account in books.accounts():
        member_id = account.member_id
        entries = tuple(_whole(row) for row in ledger.take(member_id))
        yield MemberHistory(account, entries, tuple(purchases.take(member_id)))


def sold(entries: Iterable[Entry]) -> list[Sold]:
    """Return a member's sales, in the order of the ledger; those undone, or brought back whole, are none."""
    sales: dict[int, Sold] = {}
    left: dict[int, int] = {}
    for entry in entries:
        detail = entry.detail
        if entry.kind in _SOLD and detail.lines:
            paid = sum(line.amount_minor - line.discount_minor for line in detail.lines)
            sales[entry.seq] = Sold(
                entry.seq,
                entry.origin.occurred_ms,
                paid,
                sum(line.earned_points for line in detail.lines),
                detail.explanations,
                detail.rewards,
                detail.coupons,
            )
            left[entry.seq] = sum(line.quantity_milli for line in detail.lines)
        elif entry.kind is EntryKind.REVERSE:
            sales.pop(entry.reverses_seq, None)
        elif entry.kind is EntryKind.RETURN and (before := sales.get(entry.reverses_seq)) is not None:
            left[before.seq] -= sum(line.quantity_milli for line in detail.returned)
            paid = before.paid_minor - detail.refund_minor
            sales[before.seq] = before._replace(paid_minor=paid)
            if left[before.seq] <= 0:
                del sales[before.seq]
    return list(sales.values())


class Groups(Generic[Row]):
    """Rows in the order of a key, taken key by key; keys that nobody asks for are passed over."""

    def __init__(self, rows: Iterable[Row], key_of: Callable[[Row], MemberId]) -> None:
        self._rows = iter(rows)
        self._key_of = key_of
        self._next = next(self._rows, None)

    def take(self, key: MemberId) -> Sequence[Row]:
        """Return the rows of a key; keys are asked for in their order."""
        found: list[Row] = []
        while self._next is not None and self._key_of(self._next) <= key:
            if self._key_of(self._next) == key:
                found.append(self._next)
            self._next = next(self._rows, None)
        return found


def _whole(row: LedgerText) -> Entry:
    """Return an entry with what it kept, if anybody here asks about that: reading it is most of the work."""
    asked = row.entry.kind in _ASKED or row.entry.moves.issued < 0
    return replace(row.entry, detail=detail_from_text(row.detail_text)) if asked else row.entry
