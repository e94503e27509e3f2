"""Whose the points of a member's lots are, also those that another member gave: the reports' view of lots.

A lot that the member earned belongs to one cohort. A lot that came by a transfer holds what the giver's lots held, in
the order in which it was taken from them; it is spent in that order, and what is given back is spent again first. Below
zero the member has no lots and owes points instead, which belong to whoever took them back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tallystick.core.entry import Entry
from tallystick.core.ids import derived_id
from tallystick.core.lots import split_allocs
from tallystick.core.state import Alloc

NO_LOT = 0
"""In the place of a lot where points have none behind them."""


class Cohort(NamedTuple):
    """Points issued by one entity in one year: they are expected to be burned together."""

    entity: str
    year: int


class Part(NamedTuple):
    """Points of one cohort that were taken from one lot."""

    lot_seq: int
    cohort: Cohort
    points: int


class OwedLots:
    """The lots of one member, each with its cohort or cohorts, and what the member owes."""

    def __init__(self) -> None:
        self._issuer: dict[int, Cohort] = {}
        self._left: dict[int, list[Part]] = {}
        self._before: dict[int, int] = {}
        self._pending: set[int] = set()
        self._held: dict[str, tuple[Alloc, ...]] = {}
        self._debt: list[Part] = []

    def earned(
        self, lot_seq: int, cohort: Cohort, points: int, *, pending: bool = False, before: int = 0
    ) -> None:
        """Note a lot of one cohort; of 0 points when all of them paid a debt. ``before`` is the lot that the same prize
        made before (0: none).
        """
        self._issuer[lot_seq] = cohort
        self._set(lot_seq, [Part(lot_seq, cohort, points)] if points else [])
        if pending:
            self._pending.add(lot_seq)
        if before:
            self._before[lot_seq] = before

    def arrived(self, lot_seq: int, parts: Iterable[Part]) -> None:
        """Note a lot of what another member gave."""
        for part in parts:
            self._left.setdefault(lot_seq, []).append(part._replace(lot_seq=lot_seq))
            self._issuer[lot_seq] = part.cohort

    def cohort(self, lot_seq: int, otherwise: Cohort) -> Cohort:
        """Return the cohort of a lot that the member earned."""
        return self._issuer.get(lot_seq, otherwise)

    def take(self, allocs: Sequence[Alloc], points: int, otherwise: Cohort) -> list[Part]:
        """Take points from lots, in order; what no lot stands behind is of the cohort ``otherwise``."""
        parts: list[Part] = []
        for alloc in allocs:
            found = self._take(alloc.lot_seq, min(points, alloc.points))
            points -= sum(part.points for part in found)
            parts += found
        if points:
            parts.append(Part(NO_LOT, otherwise, points))
        return parts

    def take_back(self, lot_seq: int, *, pending: int, matured: int) -> tuple[list[Part], list[Part]]:
        """Take back points that were earned; return those of the lot that they made, or of the others of the same
        prize, and those of others, the oldest first.

        The ledger does not say from which others. Points that are held or pending stay there. Fewer are returned when
        the lots, as far as they are known, have fewer.
        """
        own: list[int] = []
        while lot_seq in self._left or lot_seq in self._pending:
            own.append(lot_seq)
            lot_seq = self._before.get(lot_seq, NO_LOT)
        waiting = self._take_from([seq for seq in own if seq in self._pending], pending)
        ready = self._take_from([seq for seq in sorted(own) if seq not in self._pending], matured)
        matured -= sum(part.points for part in ready)
        others = self._take_from([seq for seq in sorted(self._left) if seq not in self._pending], matured)
        return waiting + ready, others

    def put_back(self, parts: Iterable[Part]) -> None:
        """Put back what was taken."""
        for part in parts:
            if part.lot_seq != NO_LOT:
                self._left.setdefault(part.lot_seq, []).insert(0, part)

    def hold(self, hold_id: str, allocs: tuple[Alloc, ...]) -> None:
        """Note what a hold keeps from being taken back."""
        self._held[hold_id] = allocs

    def use(self, hold_id: str, points: int) -> None:
        """Note that so many points of a hold were burned, and that the rest stays held."""
        if hold_id in self._held:
            self._held[hold_id] = split_allocs(self._held[hold_id], points)[1]

    def release(self, hold_id: str) -> None:
        """Note that a hold is over."""
        self._held.pop(hold_id, None)

    def mature(self, entry: Entry) -> None:
        """Note that the lot is pending no more which an entry is about: its id is made of the lot's."""
        for lot_seq in sorted(self._pending):
            if entry.command_id == derived_id(entry.member_id, "mature", lot_seq):
                self._pending.discard(lot_seq)
                return

    def owe(self, cohort: Cohort, points: int) -> None:
        """Note points that were taken back and were not there any more."""
        self._debt.append(Part(NO_LOT, cohort, points))

    def repay(self, points: int) -> list[Part]:
        """Return whose the points are that a debt is paid with, the oldest first."""
        paid, self._debt = split(self._debt, points)
        return paid

    def _take_from(self, lot_seqs: Sequence[int], points: int) -> list[Part]:
        """Take what is there and not held, up to so many points."""
        held = Counter[int]()
        for allocs in self._held.values():
            for alloc in allocs:
                held[alloc.lot_seq] += alloc.points
        parts: list[Part] = []
        for seq in lot_seqs:
            if not points:
                break
            left = self._left.get(seq, [])
            spare = max(0, sum(part.points for part in left) - held[seq])
            found, rest = split(left, min(points, spare))
            self._set(seq, rest)
            points -= sum(part.points for part in found)
            parts += found
        return parts

    def _take(self, lot_seq: int, points: int) -> list[Part]:
        taken, rest = split(self._left.get(lot_seq, ()), points)
        self._set(lot_seq, rest)
        missing = points - sum(part.points for part in taken)
        if missing and lot_seq in self._issuer:
            # What was taken back was of another lot than it was taken for.
            taken.append(Part(lot_seq, self._issuer[lot_seq], missing))
        return taken

    def _set(self, lot_seq: int, parts: list[Part]) -> None:
        if parts:
            self._left[lot_seq] = parts
        else:
            self._left.pop(lot_seq, None)


def split(parts: Sequence[Part], points: int) -> tuple[list[Part], list[Part]]:
    """Split parts into the first ``points`` of them and the rest."""
    first: list[Part] = []
    rest: list[Part] = []
    for part in parts:
        here = min(points, part.points)
        points -= here
        if here:
            first.append(part._replace(points=here))
        if part.points > here:
            rest.append(part._replace(points=part.points - here))
    return first, rest


def taken_last(parts: Sequence[Part], skip: int, points: int) -> list[Part]:
    """Return the parts that go back when ``skip`` points went back already: what was taken last, first."""
    backwards = list(reversed(parts))
    _, left = split(backwards, skip)
    return split(left, points)[0]
