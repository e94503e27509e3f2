"""Revenue that points defer, and when it is recognised (IFRS 15 B39-B43, Example 52).

Points give members a material right (B40). Part of each month's sales is deferred, in the ratio of stand-alone selling
prices: that of the goods, and that of the points, which is their value as a discount times the share expected to be
burned (B42). The value is that of the rule set under which they were issued: what was allocated is not reallocated when
points become worth more or less (paragraph 88). Points that a return takes back take with them what was deferred for
them. The rest is recognised as points are burned, in the ratio of those burned to those expected to be burned in all,
with a cumulative catch-up when that expectation changes; what is never burned is breakage and follows the same pattern
(B46).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction

from tallystick.core.record import record
from tallystick.reports.liability import Liability, Movement, months
from tallystick.reports.owed_lots import Cohort

Expectation = Callable[[Cohort, date], Fraction]
"""The share of a cohort's points that is expected to be burned, as it is estimated at the end of a month; 0 to 1."""

Value = Fraction | Callable[[int], Fraction]
"""A point's value as a discount in minor units: one for all points, or that under each version of the rule set."""

REVENUE, LIABILITY = "revenue", "contract-liability"
PAYABLE, RECEIVABLE = "settlement-payable", "settlement-receivable"


class ExpectationWrong(Exception):
    """An expectation is not a share; the message names the cohort and the month."""


def allocate(sales_minor: int, points: int, value: Fraction, expected: Fraction) -> int:
    """Return how much of a period's sales is deferred for the points issued with them, in minor units.

    ``value`` is a point's value as a discount in minor units. Rounded half up. 0 when nothing was sold.
    """
    return _deferred(sales_minor, points * value * expected)


def _deferred(sales_minor: int, price: Fraction) -> int:
    if sales_minor <= 0 or price <= 0:
        return 0
    return _half_up(sales_minor * price / (sales_minor + price))


def recognise(deferred_minor: int, burned: int, expected_burned: Fraction) -> int:
    """Return how much of what was deferred is recognised in all once ``burned`` points are, in minor units.

    The denominator is what is expected to be burned in all, at least what has been. Rounded half up.
    """
    if burned <= 0:
        return 0
    return _half_up(deferred_minor * Fraction(burned) / max(Fraction(burned), expected_burned))


def _half_up(amount: Fraction) -> int:
    return (2 * amount.numerator + amount.denominator) // (2 * amount.denominator)


@record(frozen=True, slots=True)
class RevenueLine:
    """One month of one cohort: what was deferred and recognised, and what is deferred still, in minor units.

    ``issued``, ``burned``, ``expired`` count points since the cohort began, net of returns. ``deferred_minor`` is
    below 0 when returns took back more than was deferred.
    """

    cohort: Cohort
    month: date
    issued: int
    burned: int
    expired: int
    expected_burned: int
    deferred_minor: int
    recognised_minor: int
    closing_minor: int


def revenue(liability: Liability, *, value: Value, expected: Expectation) -> list[RevenueLine]:
    """Return every cohort's months.

    Sales of a month are divided between the goods and the points issued in it, at their value when they were issued. A
    cohort of which nothing is left has recognised all. Raises ``ExpectationWrong``.
    """
    lines: list[RevenueLine] = []
    last = max((month for _, month in liability.cohorts), default=date.min)
    for cohort in sorted({cohort for cohort, _ in liability.cohorts}):
        total = Movement()
        deferred = recognised = 0
        # Every month, also one in which nothing moved: what is expected may have changed.
        for month in months(min(month for of, month in liability.cohorts if of == cohort), last):
            moved = liability.cohorts.get((cohort, month), Movement())
            share = expected(cohort, month)
            if not 0 <= share <= 1:
                raise ExpectationWrong(
                    f"{share} of {cohort.entity or 'no store'} {cohort.year} in {month:%Y-%m}: 0 to 1"
                )
            sold = liability.sales_minor.get((cohort.entity, month), 0) if month.year == cohort.year else 0
            # Sales of a month are not less what came back of them, and so neither are their points.
            worth = _worth(moved.earned, liability.earned_under.get((cohort, month), {}), value)
            newly = _deferred(sold, worth * share)
            earned = total.earned + total.taken_back + moved.earned
            newly -= _of_returns(deferred + newly, -moved.taken_back, earned)
            deferred += newly
            _add(total, moved)
            issued = total.earned + total.taken_back + total.adjusted
            burned, expired = -(total.burned + total.given_back), -total.expired
            still_open = issued - burned - expired
            # What has expired can no longer be burned, however many points were expected to be.
            expects = max(Fraction(burned), min(issued * share, Fraction(burned + still_open)))
            so_far = deferred if still_open <= 0 else recognise(deferred, burned, expects)
            lines.append(
                RevenueLine(
                    cohort,
                    month,
                    issued,
                    burned,
                    expired,
                    int(expects),
                    newly,
                    so_far - recognised,
                    deferred - so_far,
                )
            )
            recognised = so_far
    return lines


def _worth(points: int, under: Mapping[int, int], value: Value) -> Fraction:
    """Return what points are worth in minor units; ``under`` are the same by the version of the rule set."""
    if isinstance(value, Fraction):
        return points * value
    return sum((part * value(version) for version, part in under.items()), Fraction(0))


def _of_returns(deferred_minor: int, taken_back: int, earned: int) -> int:
    """Return how much of what was deferred goes back with points that were taken back, of those that were earned."""
    if earned <= 0:
        return 0
    return _half_up(deferred_minor * Fraction(min(taken_back, earned), earned))


def _add(total: Movement, moved: Movement) -> None:
    total.earned += moved.earned
    total.burned += moved.burned
    total.expired += moved.expired
    total.taken_back += moved.taken_back
    total.given_back += moved.given_back
    total.adjusted += moved.adjusted


@record(frozen=True, slots=True)
class JournalLine:
    """One line of a journal; the lines of one entity and month balance. Amounts in minor units, 0 or more."""

    month: date
    entity: str
    account: str
    debit_minor: int
    credit_minor: int
    text: str


def journal(liability: Liability, lines: list[RevenueLine], *, value: Value) -> list[JournalLine]:
    """Return the month's journals: sales deferred, revenue recognised, and what entities owe each other.

    An entity whose points were burned elsewhere owes the other their value as a discount when they were.
    """
    found: list[JournalLine] = []
    for line in lines:
        name = f"points of {line.cohort.year}"
        found += _pair(
            line.month, line.cohort.entity, REVENUE, LIABILITY, line.deferred_minor, f"{name} deferred"
        )
        found += _pair(
            line.month, line.cohort.entity, LIABILITY, REVENUE, line.recognised_minor, f"{name} recognised"
        )
    for (issuer, burned_at, month), under in sorted(liability.settled_under.items()):
        amount = _half_up(_worth(under.total(), under, value))
        there, back = burned_at or "no store", issuer or "no store"
        found += _pair(month, issuer, REVENUE, PAYABLE, amount, f"points burned at {there}")
        found += _pair(month, burned_at, RECEIVABLE, REVENUE, amount, f"points of {back} burned here")
    return sorted(found, key=lambda line: (line.month, line.entity))


def _pair(month: date, entity: str, debit: str, credit: str, amount: int, text: str) -> list[JournalLine]:
    if amount < 0:
        debit, credit, amount = credit, debit, -amount
    if not amount:
        return []
    return [
        JournalLine(month, entity, debit, amount, 0, text),
        JournalLine(month, entity, credit, 0, amount, text),
    ]
