"""The points that a program owes, month by month and for each legal entity: what finance closes the books with.

A point is owed by the entity of the store that issued it, wherever and by whom it is burned. Entries are read member by
member; the lots behind each burn say exactly which entity's points were spent. What one member gave to another keeps
its issuer and its year: the receiver's entries wait until the giver's have been read.

Points that are taken back after they were burned are made up for by others of the member, now or when the debt is paid.
The burn then is of those: it moves to who issued them, and they are settled as if burned there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import CommandId, MemberId
from tallystick.core.lots import local_day
from tallystick.core.prize import LOT
from tallystick.reports.owed_lots import NO_LOT, Cohort, OwedLots, Part, split, taken_last

NOWHERE = ""
"""The entity of entries that came from no store."""


@dataclass(slots=True)
class Movement:
    """Points moved in one month, each column as it is added up: closing = opening + the others.

    ``expired`` and ``taken_back`` are 0 or less, ``earned`` and ``given_back`` 0 or more. ``adjusted`` is either, and
    ``burned`` too: it is above 0 when points of others made up for more than were burned.
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
    tax, by entity and month. A sale that was undone in its month is neither sold nor earned.

    ``earned_under`` are the points earned, by cohort and month and then by the version of the rule set that they were
    issued under; ``settled_under`` those of one entity burned at another, by (issuer, where burned, month) and then by
    the version that they were burned under.
    """

    movements: dict[tuple[str, date], Movement] = field(default_factory=dict)
    cohorts: dict[tuple[Cohort, date], Movement] = field(default_factory=dict)
    sales_minor: dict[tuple[str, date], int] = field(default_factory=dict)
    earned_under: dict[tuple[Cohort, date], Counter[int]] = field(default_factory=dict)
    settled_under: dict[tuple[str, str, date], Counter[int]] = field(default_factory=dict)

    @property
    def settled(self) -> dict[tuple[str, str, date], int]:
        """Points of one entity burned at another, by (issuer, where burned, month)."""
        return {key: under.total() for key, under in self.settled_under.items()}

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

    def entity_of(store: str) -> str:
        return entities.get(store, store)

    sent = _Sent()
    for _, entries in members:
        sent.read(_Member(liability, month_of, entity_of), iter(entries))
    sent.read_rest()
    return liability


class _Sent:
    """What members gave to others, and the entries that wait for it: a receiver's, from the transfer on."""

    def __init__(self) -> None:
        self._parts: dict[CommandId, list[list[Part]]] = {}
        self._waiting: dict[CommandId, tuple[_Member, list[Entry]]] = {}
        self._is_last = False

    def read(self, reader: _Member, entries: Iterator[Entry]) -> None:
        """Read a member's entries up to one that waits, and those of others that waited for these."""
        ready = [(reader, entries)]
        while ready:
            reader, entries = ready.pop()
            for entry in entries:
                transfer = entry.detail.transfer
                if transfer is None or entry.detail.partner_id or entry.reverses_seq:
                    reader.read(entry)
                elif entry.moves.adjusted > 0:
                    self._parts[transfer.transfer_id] = reader.read_sent(entry)
                    if transfer.transfer_id in self._waiting:
                        waiting, rest = self._waiting.pop(transfer.transfer_id)
                        ready.append((waiting, iter(rest)))
                elif transfer.transfer_id in self._parts or self._is_last:
                    reader.read_arrived(entry, self._arriving(transfer.transfer_id))
                else:
                    self._waiting[transfer.transfer_id] = (reader, [entry, *entries])
                    break

    def _arriving(self, transfer_id: CommandId) -> list[Part]:
        """Return what the next lot of a transfer is made of; of one that has arrived whole nothing is kept."""
        lots = self._parts.get(transfer_id)
        if not lots:
            return []
        first = lots.pop(0)
        if not lots:
            del self._parts[transfer_id]
        return first

    def read_rest(self) -> None:
        """Read what waits for a giver who is not in this ledger: such points count as issued where they arrived."""
        self._is_last = True
        while self._waiting:
            _, (reader, rest) = self._waiting.popitem()
            self.read(reader, iter(rest))


class _Sold(NamedTuple):
    """A sale: by entity and month, without tax, and the version of the rule set that it was made under."""

    key: tuple[str, date]
    net_minor: int
    rule_set: int


class _Taken(NamedTuple):
    """What an entry took out of lots: at which entity, and under which version of the rule set."""

    entity: str
    parts: list[Part]
    rule_set: int


class _Member:
    """Follows one member's lots, so that each point is known to its issuer."""

    def __init__(
        self, liability: Liability, month_of: Callable[[int], date], entity_of: Callable[[str], str]
    ) -> None:
        self._liability = liability
        self._month_of = month_of
        self._entity_of = entity_of
        self._lots = OwedLots()
        self._sold: dict[int, _Sold] = {}
        self._taken: dict[int, _Taken] = {}
        self._restored: dict[int, int] = {}

    def read(self, entry: Entry) -> None:
        """Read an entry that is no transfer between members, or undoes one."""
        moves, detail = entry.moves, entry.detail
        month, here = self._place(entry)
        if detail.tax_totals and entry.kind in (EntryKind.SALE, EntryKind.CAPTURE):
            sold = sum(total.net_minor for total in detail.tax_totals)
            key = (here.entity, month)
            self._liability.sales_minor[key] = self._liability.sales_minor.get(key, 0) + sold
            self._sold[entry.seq] = _Sold(key, sold, entry.rule_set)
        if moves.held > 0:
            self._lots.hold(entry.hold_id, detail.allocs)
        elif moves.held < 0:
            self._release(entry)
        elif entry.kind is EntryKind.MATURE:
            self._lots.mature(entry)
        never_was = self._unsell(entry.reverses_seq, month) if entry.kind is EntryKind.REVERSE else None
        if moves.issued < 0:
            points, pending = -moves.issued - moves.debt, moves.pending > 0
            before = _prize_before(entry) if pending else NO_LOT
            self._lots.earned(entry.seq, here, points, pending=pending, before=before)
            self._earn(month, here, -moves.issued, entry.rule_set)
        # What a store stood in for never was the member's: neither its burn nor its return moves what is owed.
        spent = moves.burned + moves.store_loss
        undone_by_hand = entry.kind is EntryKind.REVERSE and moves.adjusted > 0
        adjusted = 0 if undone_by_hand else max(moves.adjusted, 0)
        self._lessen(entry, adjusted=adjusted, expired=moves.breakage, spent=max(spent, 0))
        if spent < 0:
            taken, parts = self._give_back(entry, here, -spent)
            for part in parts:
                self._move(month, part.cohort, given_back=part.points)
                self._settle(part.cohort.entity, taken.entity, month, -part.points, taken.rule_set)
        if moves.adjusted < 0 and entry.reverses_seq in self._taken:
            for part in self._give_back(entry, here, -moves.adjusted)[1]:
                self._move(month, part.cohort, adjusted=part.points)
        elif moves.adjusted < 0:
            self._lots.earned(entry.seq, here, -moves.adjusted - moves.debt)
            self._move(month, here, adjusted=-moves.adjusted)
        if moves.issued > 0 or undone_by_hand:
            self._take_back(entry, never_was)
        self._repay(entry, [Part(NO_LOT, here, max(moves.debt, 0))])

    def _take_back(self, entry: Entry, never_was: _Sold | None) -> None:
        """Take back what was earned from who issued it; points of others make up for those that are gone."""
        moves = entry.moves
        month, here = self._place(entry)
        issuer = self._lots.cohort(entry.reverses_seq, here)
        points = moves.issued + moves.adjusted
        own, others = self._lots.take_back(
            entry.reverses_seq, pending=-moves.pending, matured=points + moves.pending + moves.debt
        )
        spent = points - sum(part.points for part in own)
        for part in (*own, Part(NO_LOT, issuer, spent)):
            if moves.adjusted:
                self._move(month, part.cohort, adjusted=-part.points)
            elif never_was:
                self._earn(month, part.cohort, -part.points, never_was.rule_set)
            else:
                self._move(month, part.cohort, taken_back=-part.points)
        for part in others:
            self._make_up(entry, part.cohort, issuer, part.points)
        if moves.debt:
            self._lots.owe(issuer, -moves.debt)

    def _release(self, entry: Entry) -> None:
        """Let go of what an entry has used of holds, or ended: a sale at a till can name several."""
        self._lots.release(entry.hold_id)
        for part in entry.detail.explanations:
            if part.code == "by_lease":
                self._lots.use(dict(part.args)["hold_id"], -part.points)
            elif part.code == "by_voucher":
                self._lots.release(dict(part.args)["hold_id"])

    def _repay(self, entry: Entry, parts: Iterable[Part]) -> None:
        for part in parts:
            for owed in self._lots.repay(part.points):
                self._make_up(entry, part.cohort, owed.cohort, owed.points)

    def _make_up(self, entry: Entry, payer: Cohort, paid: Cohort, points: int) -> None:
        """Let points of one cohort pay for those that were taken back from another and had been burned."""
        month, _ = self._place(entry)
        self._move(month, payer, burned=-points)
        self._move(month, paid, burned=points)
        self._settle(payer.entity, paid.entity, month, points, entry.rule_set)

    def _unsell(self, seq: int, month: date) -> _Sold | None:
        """Take a sale of this month off what was sold and return it. Earlier months may be closed."""
        sold = self._sold.get(seq)
        if sold is None or sold.key[1] != month:
            return None
        self._liability.sales_minor[sold.key] -= sold.net_minor
        return sold

    def _lessen(self, entry: Entry, *, adjusted: int, expired: int, spent: int) -> None:
        """Take what an entry takes out of the lots behind it, and note whose it was."""
        month, here = self._place(entry)
        taken = self._lots.take(entry.detail.allocs, adjusted + expired + spent, here)
        if taken:
            self._taken[entry.seq] = _Taken(here.entity, taken, entry.rule_set)
        by_hand, rest = split(taken, adjusted)
        over, burned = split(rest, expired)
        for part in by_hand:
            self._move(month, part.cohort, adjusted=-part.points)
        for part in over:
            self._move(month, part.cohort, expired=-part.points)
        for part in burned:
            self._move(month, part.cohort, burned=-part.points)
            self._settle(part.cohort.entity, here.entity, month, part.points, entry.rule_set)

    def read_sent(self, entry: Entry) -> list[list[Part]]:
        """Read an entry that gives points to another member; return what each of the receiver's lots is made of."""
        self.read(entry)
        assert entry.detail.transfer is not None
        rest: Sequence[Part] = self._taken[entry.seq].parts if entry.seq in self._taken else ()
        lots: list[list[Part]] = []
        for lot in entry.detail.transfer.lots:
            first, rest = split(rest, lot.points)
            lots.append(first)
        return lots

    def read_arrived(self, entry: Entry, parts: Sequence[Part]) -> None:
        """Read an entry by which points arrive: what the member owed is paid first, the rest is a lot."""
        month, here = self._place(entry)
        missing = -entry.moves.adjusted - sum(part.points for part in parts)
        for part in (all_parts := [*parts, *([Part(NO_LOT, here, missing)] if missing > 0 else [])]):
            self._move(month, part.cohort, adjusted=part.points)
        repaid, rest = split(all_parts, entry.moves.debt)
        self._lots.arrived(entry.seq, rest)
        self._repay(entry, repaid)

    def _place(self, entry: Entry) -> tuple[date, Cohort]:
        month = self._month_of(entry.origin.occurred_ms)
        return month, Cohort(self._entity_of(entry.origin.store_id), month.year)

    def _give_back(self, entry: Entry, here: Cohort, points: int) -> tuple[_Taken, list[Part]]:
        """Return what took the points that an entry gives back, and whose they are."""
        taken = self._taken.get(entry.reverses_seq, _Taken(here.entity, [], entry.rule_set))
        before = self._restored.get(entry.reverses_seq, 0)
        self._restored[entry.reverses_seq] = before + points
        parts = taken_last(taken.parts, before, points)
        self._lots.put_back(parts)
        missing = points - sum(part.points for part in parts)
        return taken, [*parts, Part(NO_LOT, here, missing)] if missing else parts

    def _earn(self, month: date, cohort: Cohort, points: int, rule_set: int) -> None:
        self._move(month, cohort, earned=points)
        self._liability.earned_under.setdefault((cohort, month), Counter())[rule_set] += points

    def _settle(self, issuer: str, burned_at: str, month: date, points: int, rule_set: int) -> None:
        if issuer != burned_at:
            key = (issuer, burned_at, month)
            self._liability.settled_under.setdefault(key, Counter())[rule_set] += points

    def _move(self, month: date, cohort: Cohort, **parts: int) -> None:
        liability = self._liability
        for movement in (
            liability.movements.setdefault((cohort.entity, month), Movement()),
            liability.cohorts.setdefault((cohort, month), Movement()),
        ):
            for name, points in parts.items():
                setattr(movement, name, getattr(movement, name) + points)


def _prize_before(entry: Entry) -> int:
    """Return the lot that the prize made before which an entry is about; 0 when there is none."""
    for key, _, delta in entry.detail.tallies:
        if key.startswith(LOT) and delta > 0:
            return entry.seq - delta
    return 0
