"""What a rule set would have cost, and who is better or worse off under it than under another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction

from tallystick.core.ids import MemberId
from tallystick.core.record import record
from tallystick.core.rules.model import RuleSet
from tallystick.reports.plots import nice
from tallystick.reports.replay import Flow, MemberOutcome, Replayed

SEGMENTS = (("top 10 %", 10), ("next 40 %", 50), ("other 50 %", 100))
"""Members by what they bought, largest first: the name, and up to which share of them in per cent."""

EVEN_MINOR = 1
"""Whoever gains or loses less than this is neither better nor worse off, in minor units."""

HISTOGRAM_BINS = 21


@record(frozen=True, slots=True)
class MonthLine:
    """One month: its flow, and the points outstanding at its end."""

    month: date
    flow: Flow
    outstanding: int


@record(frozen=True, slots=True)
class Projection:
    """What one rule set would have done.

    ``breakage`` is the share of points that expire, of all that came to an end within the history; None when none did.
    ``expected_breakage`` are the points that expired and, at that share, those that will of what is outstanding.
    ``cost_minor`` is what was taken off baskets and what the rest of the outstanding points will take off, at their
    value as a discount.
    """

    name: str
    version: int
    flow: Flow
    outstanding: int
    breakage: Fraction | None
    expected_breakage: int
    liability_minor: int
    cost_minor: int
    spent_minor: int
    sales: int
    tiers: Mapping[str, int]
    months: Sequence[MonthLine]
    dropped: Mapping[str, int]
    refused: Mapping[str, int]

    @property
    def cost_share(self) -> Fraction:
        """The cost as a share of what was sold."""
        return Fraction(self.cost_minor, self.spent_minor) if self.spent_minor else Fraction(0)


@record(frozen=True, slots=True)
class Group:
    """How a group of members fares: how many gain, lose, and neither, and by how much in minor units in all."""

    name: str
    members: int
    better: int
    worse: int
    even: int
    change_minor: int


@record(frozen=True, slots=True)
class Comparison:
    """Who wins and who loses. ``histogram`` are (lower bound in minor units, members) of the change per member."""

    segments: Sequence[Group]
    tiers: Sequence[Group]
    histogram: Sequence[tuple[int, int]]
    bin_minor: int


def project(rules: RuleSet, outcome: Replayed) -> Projection:
    """Sum up a replay."""
    flow = Flow()
    months: list[MonthLine] = []
    outstanding = 0
    for month in sorted(outcome.months):
        flow.add(outcome.months[month])
        outstanding += outcome.months[month].outstanding_change
        months.append(MonthLine(month, outcome.months[month], outstanding))
    burned = flow.burned - flow.given_back
    ended = burned + flow.expired
    breakage = Fraction(flow.expired, ended) if ended else None
    will_expire = int(max(0, outstanding) * (breakage or 0))
    tiers: dict[str, int] = {level.tier_id: 0 for level in rules.tiers.levels} if rules.tiers else {}
    for member in outcome.members.values():
        if member.tier_id:
            tiers[member.tier_id] = tiers.get(member.tier_id, 0) + 1
    liability = _worth(rules, max(0, outstanding) - will_expire)
    return Projection(
        name=rules.name,
        version=rules.version,
        flow=flow,
        outstanding=outstanding,
        breakage=breakage,
        expected_breakage=flow.expired + will_expire,
        liability_minor=liability,
        cost_minor=flow.discount_minor + liability,
        spent_minor=sum(member.spent_minor for member in outcome.members.values()),
        sales=sum(member.sales for member in outcome.members.values()),
        tiers=tiers,
        months=months,
        dropped=dict(sorted(outcome.dropped.items())),
        refused=dict(sorted(outcome.refused.items())),
    )


def compare(
    old: tuple[RuleSet, Replayed, Projection], new: tuple[RuleSet, Replayed, Projection]
) -> Comparison:
    """Compare what members get under two rule sets: discounts, and what the points left are expected to be worth."""
    before, after = _benefits(*old), _benefits(*new)
    changes = {member_id: after[member_id] - benefit for member_id, benefit in before.items()}
    by_spend = sorted(
        old[1].members, key=lambda member_id: (-old[1].members[member_id].spent_minor, member_id)
    )
    tier_of = {member_id: member.tier_id for member_id, member in old[1].members.items()}
    ranks = [level.tier_id for level in old[0].tiers.levels] if old[0].tiers else []
    histogram, bin_minor = _histogram(list(changes.values()))
    return Comparison(
        segments=[_group(name, ids, changes) for name, ids in _by_share(by_spend)],
        tiers=[
            _group(tier_id, [member_id for member_id in by_spend if tier_of[member_id] == tier_id], changes)
            for tier_id in ranks
        ],
        histogram=histogram,
        bin_minor=bin_minor,
    )


def _worth(rules: RuleSet, points: int) -> int:
    return points * rules.burning.value_minor // rules.burning.value_points


def _benefits(rules: RuleSet, outcome: Replayed, projection: Projection) -> dict[MemberId, int]:
    kept = 1 - (projection.breakage or Fraction(0))

    def benefit(member: MemberOutcome) -> int:
        return member.flow.discount_minor + _worth(rules, int(member.outstanding * kept))

    return {member_id: benefit(member) for member_id, member in outcome.members.items()}


def _by_share(ids: Sequence[MemberId]) -> Iterator[tuple[str, Sequence[MemberId]]]:
    start = 0
    for name, percent in SEGMENTS:
        end = -(-len(ids) * percent // 100)
        yield name, ids[start:end]
        start = end


def _group(name: str, ids: Sequence[MemberId], changes: Mapping[MemberId, int]) -> Group:
    of_group = [changes[member_id] for member_id in ids]
    better = _count(of_group, lambda change: change >= EVEN_MINOR)
    worse = _count(of_group, lambda change: change <= -EVEN_MINOR)
    return Group(name, len(of_group), better, worse, len(of_group) - better - worse, sum(of_group))


def _count(changes: Sequence[int], wanted: Callable[[int], bool]) -> int:
    return sum(1 for change in changes if wanted(change))


def _histogram(changes: Sequence[int]) -> tuple[list[tuple[int, int]], int]:
    """Return an odd number of equal bins around 0; the outermost ones also hold all that lies further out.

    The 2 % at either end do not decide how wide the bins are.
    """
    if not changes:
        return [], 1
    ordered = sorted(abs(change) for change in changes)
    reach = max(1, ordered[min(len(ordered) - 1, len(ordered) * 98 // 100)])
    half = HISTOGRAM_BINS // 2
    width = nice(-(-2 * reach // (2 * half + 1)))
    counts = [0] * HISTOGRAM_BINS
    for change in changes:
        at = (change + width // 2) // width
        counts[max(-half, min(half, at)) + half] += 1
    return [((at - half) * width - width // 2, number) for at, number in enumerate(counts)], width
