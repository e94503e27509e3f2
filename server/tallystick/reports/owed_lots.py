"""Whose the points of a member's lots are, also those that another member gave: the reports' view of lots.

A lot that the member earned belongs to one cohort. A lot that came by a transfer holds what the giver's lots held, in
the order in which it was taken from them; it is spent in that order, and what is given back is spent again first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

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
    """The lots of one member, each with its cohort or cohorts."""

    def __init__(self) -> None:
        self._whole: dict[int, Cohort] = {}
        self._mixed: dict[int, list[Part]] = {}

    def earned(self, lot_seq: int, cohort: Cohort) -> None:
        """Note a lot of one cohort."""
        self._whole[lot_seq] = cohort

    def arrived(self, lot_seq: int, parts: Iterable[Part]) -> None:
        """Note a lot of what another member gave."""
        self._mixed[lot_seq] = [Part(lot_seq, part.cohort, part.points) for part in parts]

    def cohort(self, lot_seq: int, otherwise: Cohort) -> Cohort:
        """Return the cohort of a lot that the member earned."""
        return self._whole.get(lot_seq, otherwise)

    def take(self, allocs: Sequence[Alloc], points: int, otherwise: Cohort) -> list[Part]:
        """Take points from lots, in order; what no lot stands behind is of the cohort ``otherwise``."""
        parts: list[Part] = []
        for alloc in allocs:
            found = self._take(alloc.lot_seq, min(points, alloc.points), otherwise)
            points -= sum(part.points for part in found)
            parts += found
        if points:
            parts.append(Part(NO_LOT, otherwise, points))
        return parts

    def put_back(self, parts: Iterable[Part]) -> None:
        """Put back what was taken."""
        for part in parts:
            if part.lot_seq in self._mixed:
                self._mixed[part.lot_seq].insert(0, part)

    def _take(self, lot_seq: int, points: int, otherwise: Cohort) -> list[Part]:
        if lot_seq not in self._mixed:
            return [Part(lot_seq, self.cohort(lot_seq, otherwise), points)] if points else []
        taken, self._mixed[lot_seq] = split(self._mixed[lot_seq], points)
        return taken


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
