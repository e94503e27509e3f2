"""How much more one group bought than another: the difference of two means with its 95 % interval, after Welch.

Welch's interval asks neither that the groups be of one size nor that they vary alike (B. L. Welch, The generalization
of Student's problem when several different population variances are involved, Biometrika 34, 1947). The quantile of
Student's distribution is taken from that of the normal one by the first three terms of its Cornish-Fisher expansion
(Abramowitz and Stegun 26.7.5), which is right to four digits from ten degrees of freedom on. What people spend is not
normal; for means of some hundred members that matters little, and `tests/service/test_lift.py` shows how little.
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
    """The difference for each member and its interval, in minor units.

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
    parts = [one.variance / one.members for one in (group, against)]
    error = math.sqrt(sum(parts))
    half = error * _quantile(parts, (group.members, against.members)) if error else 0.0
    low, high = difference - half, difference + half
    finding = LiftFinding.BETTER if low > 0 else LiftFinding.WORSE if high < 0 else LiftFinding.OPEN
    missing = 0
    if finding is LiftFinding.OPEN and difference:
        # The interval narrows with the root of the members.
        times = (half / difference) ** 2 - 1
        missing = min(MISSING_MAX, math.ceil(times * (group.members + against.members)))
    return Lift(round(difference), round(low), round(high), finding, missing)


def _quantile(parts: list[float], members: tuple[int, int]) -> float:
    """Return Student's quantile for the degrees of freedom that Welch and Satterthwaite give."""
    below = sum(part * part / (count - 1) for part, count in zip(parts, members, strict=True))
    free = sum(parts) ** 2 / below
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
