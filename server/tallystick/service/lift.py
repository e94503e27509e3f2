"""How much more one group bought than another: the difference of two means with its 95 % interval, after Welch.

Welch's interval asks neither that the groups be of one size nor that they vary alike (B. L. Welch, The generalization
of Student's problem when several different population variances are involved, Biometrika 34, 1947). The quantile of
Student's distribution is taken from that of the normal one by the first three terms of its Cornish-Fisher expansion
(Abramowitz and Stegun 26.7.5), which is right to four digits from ten degrees of freedom on. What people spend is not
normal; for means of some hundred members that matters little, and `tests/service/test_lift.py` shows how little.

Where a few buy most, it matters: a small holdout seldom has one of them, so that it buys less and varies less than the
rest, though nothing is different, and Welch's interval is too narrow. A finding therefore has to hold as well when both
groups are taken to vary alike, after Student: they do when offers bring nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from statistics import NormalDist

from tallystick.core.record import record

CONFIDENCE = 0.95
MEMBERS_MIN = 2
MISSING_MAX = 10**9

_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


class LiftFinding(IntEnum):
    """What a comparison says. The numbers are those of the contract."""

    BETTER = 1
    WORSE = 2
    OPEN = 3


@dataclass(slots=True)
class Sample:
    """What the members of a group have spent, in minor units, as sums: exact, however many there are."""

    members: int = 0
    total: int = 0
    squares: int = 0

    def add(self, minor: int) -> None:
        """Add a member."""
        self.members += 1
        self.total += minor
        self.squares += minor * minor

    @property
    def variance(self) -> float:
        """The unbiased variance; two members at least."""
        return (self.squares * self.members - self.total * self.total) / (self.members * (self.members - 1))


@record(frozen=True, slots=True)
class Lift:
    """The difference for each member and its interval after Welch, in minor units; the finding is after Student too.

    ``members_missing`` is about how many more members it takes, in both groups together, until a difference of this
    size would show; 0 when it shows, and when there is none.
    """

    difference_minor: int
    low_minor: int
    high_minor: int
    finding: LiftFinding
    members_missing: int


def lift_of(group: Sample, against: Sample) -> Lift | None:
    """Return how much more the members of a group bought, None when one of the two is too small to say."""
    if min(group.members, against.members) < MEMBERS_MIN:
        return None
    difference = group.total / group.members - against.total / against.members
    half = _welch(group, against)
    low, high = difference - half, difference + half
    needed = max(half, _student(group, against))
    finding = LiftFinding.OPEN
    if abs(difference) > needed:
        finding = LiftFinding.BETTER if difference > 0 else LiftFinding.WORSE
    missing = 0
    if finding is LiftFinding.OPEN and difference:
        # The interval narrows with the root of the members.
        times = (needed / difference) ** 2 - 1
        missing = min(MISSING_MAX, math.ceil(times * (group.members + against.members)))
    return Lift(round(difference), round(low), round(high), finding, missing)


def _welch(group: Sample, against: Sample) -> float:
    """Return half the interval of groups that vary each for itself, with the degrees of freedom of Satterthwaite."""
    parts = [(one.variance / one.members, one.members - 1) for one in (group, against)]
    squared = sum(part for part, _ in parts)
    if not squared:
        return 0.0
    return math.sqrt(squared) * _quantile(squared**2 / sum(part * part / free for part, free in parts))


def _student(group: Sample, against: Sample) -> float:
    """Return half the interval of groups that vary alike."""
    free = group.members + against.members - 2
    alike = sum(one.variance * (one.members - 1) for one in (group, against)) / free
    return math.sqrt(alike / group.members + alike / against.members) * _quantile(free)


def _quantile(free: float) -> float:
    """Return Student's quantile for degrees of freedom."""
    z = _Z
    return (
        z
        + (z**3 + z) / (4 * free)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    )


def in_words(lift: Lift | None) -> str:
    """Return what a comparison says, for people."""
    if lift is None:
        return "too few members to say"
    if lift.finding is LiftFinding.BETTER:
        return "better"
    if lift.finding is LiftFinding.WORSE:
        return "worse"
    if not lift.members_missing:
        return "not yet known"
    return f"not yet known: a difference of this size would take about {lift.members_missing:,} more members"
