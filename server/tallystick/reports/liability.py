"""The points that a program owes, month by month and for each legal entity: what finance closes the books with.

A point is owed by the entity of the store that issued it, wherever it is burned. Entries are read member by member; the
lots behind each burn say exactly which entity's points were spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import MemberId
from tallystick.core.lots import local_day, slice_allocs
from tallystick.core.state import Alloc

NOWHERE = ""
"""The entity of entries that came from no store."""


class Cohort(NamedTuple):
    """Points issued by one entity in one year: they are expected to be burned together."""

    entity: str
    year: int


@dataclass(slots=True)
class Movement:
    """Points moved in one month, each column as it is added up: closing = opening + the others.

    ``burned``, ``expired`` and ``taken_back`` are 0 or less, ``earned`` and ``given_back`` 0 or more; ``adjusted`` is
    either.
    """

    earned: int = 0
    burned: int = 0
    expired: int = 0
    taken_back: int = 0
    given_back: int = 0
    adjusted: int = 0

    @property
    def change(self) -> int:
        """By how many points what is owed grew."""
        return self.earned + self.burned + self.expired + self.taken_back + self.given_back + self.adjusted


class RollForwardLine(NamedTuple):
    """One month of one entity."""

    entity: str
    month: date
    opening: int
    movement: Movement
    closing: int


@dataclass(slots=True)
class Liability:
    """All that finance needs of a ledger.

    ``movements`` by entity and month, ``cohorts`` by cohort and month, ``sales_minor`` what was sold to members without
    tax, by entity and month, ``settled`` points of one entity burned at another, by (issuer, where burned, month).
    """

    movements: dict[tuple[str, date], Movement] = field(default_factory=dict)
    cohorts: dict[tuple[Cohort, date], Movement] = field(default_factory=dict)
    sales_minor: dict[tuple[str, date], int] = field(default_factory=dict)
    settled: dict[tuple[str, str, date], int] = field(default_factory=dict)

    def roll_forward(self) -> list[RollForwardLine]:
        """Return every entity's months in order, without gaps from its first to the last of all."""
        if not self.movements:
            return []
        last = max(month for _, month in self.movements)
        lines: list[RollForwardLine] = []
        for entity in sorted({entity for entity, _ in self.movements}):
            opening = 0
            for month in months(min(month for name, month in self.movements if name == entity), last):
                movement = self.movements.get((entity, month), Movement())
                closing = opening + movement.change
                lines.append(RollForwardLine(entity, month, opening, movement, closing))
                opening = closing
        return lines


def months(first: date, last: date) -> Iterator[date]:
    """Yield the first days of the months from one to another, both included."""
    month = first
    while month <= last:
        yield month
        month = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def read_liability(
    members: Iterable[tuple[MemberId, Iterable[Entry]]], *, zone: ZoneInfo, entities: Mapping[str, str]
) -> Liability:
    """Read a ledger, each member's entries oldest first. ``entities`` maps stores to legal entities.

    A store that is not named is an entity of its own. Months are those of the program's time zone.
    """
    liability = Liability()
    known: dict[int, date] = {}

    def month_of(at_ms: int) -> date:
        # A local month begins at whole quarters of an hour in every time zone of today.
        quarter = at_ms // 900_000
        if quarter not in known:
            known[quarter] = local_day(at_ms, zone).replace(day=1)
        return known[quarter]

    for member_id, entries in members:
        reader = _Member(liability, member_id, month_of, lambda store: entities.get(store, store))
        for entry in entries:
            reader.read(entry)
    return liability


class _Member:
    """Follows one member's lots, so that each point is known to its issuer."""

    def __init__(
        self,
        liability: Liability,
        member_id: MemberId,
        month_of: Callable[[int], date],
        entity_of: Callable[[str], str],
    ) -> None:
        self._liability = liability
        self._member_id = member_id
        self._month_of = month_of
        self._entity_of = entity_of
        self._issued: dict[int, Cohort] = {}
        self._taken: dict[int, Entry] = {}
        self._restored: dict[int, int] = {}

    def read(self, entry: Entry) -> None:
        moves, detail = entry.moves, entry.detail
        month = self._month_of(entry.origin.occurred_ms)
        here = Cohort(self._entity_of(entry.origin.store_id), month.year)
        if detail.allocs:
            self._taken[entry.seq] = entry
        if detail.tax_totals and entry.kind in (EntryKind.SALE, EntryKind.CAPTURE):
            sold = sum(total.net_minor for total in detail.tax_totals)
            key = (here.entity, month)
            self._liability.sales_minor[key] = self._liability.sales_minor.get(key, 0) + sold
        if moves.issued < 0:
            self._issued[entry.seq] = here
            self._move(month, here, earned=-moves.issued)
        elif moves.issued > 0:
            self._move(month, self._issued.get(entry.reverses_seq, here), taken_back=-moves.issued)
        if moves.adjusted < 0:
            self._issued[entry.seq] = here
            self._move(month, here, adjusted=-moves.adjusted)
        elif moves.adjusted > 0:
            for cohort, points in self._by_cohort(entry.detail.allocs, moves.adjusted, here):
                self._move(month, cohort, adjusted=-points)
        if moves.breakage:
            for cohort, points in self._by_cohort(entry.detail.allocs, moves.breakage, here):
                self._move(month, cohort, expired=-points)
        # What a store stood in for never was the member's: neither its burn nor its return moves what is owed.
        spent = moves.burned + moves.store_loss
        if spent > 0:
            self._burn(entry, here, month, spent)
        elif spent < 0:
            self._give_back(entry, here, month, -spent)

    def _burn(self, entry: Entry, here: Cohort, month: date, points: int) -> None:
        for cohort, part in self._by_cohort(entry.detail.allocs, points, here):
            self._move(month, cohort, burned=-part)
            self._settle(cohort.entity, here.entity, month, part)

    def _give_back(self, entry: Entry, here: Cohort, month: date, points: int) -> None:
        taken = self._taken.get(entry.reverses_seq)
        before = self._restored.get(entry.reverses_seq, 0)
        self._restored[entry.reverses_seq] = before + points
        allocs: tuple[Alloc, ...] = ()
        if taken is not None and before + points <= sum(alloc.points for alloc in taken.detail.allocs):
            allocs = slice_allocs(taken.detail.allocs, before, points)
        spent_at = self._entity_of(taken.origin.store_id) if taken is not None else here.entity
        for cohort, part in self._by_cohort(allocs, points, here):
            self._move(month, cohort, given_back=part)
            self._settle(cohort.entity, spent_at, month, -part)

    def _by_cohort(self, allocs: Iterable[Alloc], points: int, here: Cohort) -> list[tuple[Cohort, int]]:
        """Return whose points these are; what no lot stands behind counts as issued here."""
        found: dict[Cohort, int] = {}
        for alloc in allocs:
            part = min(points, alloc.points)
            cohort = self._issued.get(alloc.lot_seq, here)
            found[cohort] = found.get(cohort, 0) + part
            points -= part
        if points:
            found[here] = found.get(here, 0) + points
        return list(found.items())

    def _settle(self, issuer: str, burned_at: str, month: date, points: int) -> None:
        if issuer == burned_at:
            return
        key = (issuer, burned_at, month)
        self._liability.settled[key] = self._liability.settled.get(key, 0) + points

    def _move(self, month: date, cohort: Cohort, **parts: int) -> None:
        liability = self._liability
        for movement in (
            liability.movements.setdefault((cohort.entity, month), Movement()),
            liability.cohorts.setdefault((cohort, month), Movement()),
        ):
            for name, points in parts.items():
                setattr(movement, name, getattr(movement, name) + points)
