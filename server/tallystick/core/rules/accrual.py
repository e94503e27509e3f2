"""How many points a basket earns, on which line, by which rule: one rounding per sale, shares that sum exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tallystick.core.basket import Line
from tallystick.core.entry import Explanation
from tallystick.core.money import spread
from tallystick.core.rules.match import ANY_LINE, Moment, fits, holds_at
from tallystick.core.rules.model import AccrualRule, Combine, Earning, Rounding


class Accrual(NamedTuple):
    """Points of a sale: the total, each line's share (they sum to it), and why (they sum to it too)."""

    points: int
    line_points: tuple[int, ...]
    explanations: tuple[Explanation, ...]


class _Cells:
    """Parts of a sale's points before rounding: ``weight / denominator`` by one rule on one line (0: the sale).

    Three lists side by side rather than a list of records: every sale makes dozens, and throws them away.
    """

    __slots__ = ("line_nos", "rules", "weights")

    def __init__(self) -> None:
        self.rules: list[AccrualRule] = []
        self.line_nos: list[int] = []
        self.weights: list[int] = []

    def add(self, rule: AccrualRule, line_no: int, weight: int) -> None:
        """Add one part."""
        self.rules.append(rule)
        self.line_nos.append(line_no)
        self.weights.append(weight)


# Every sale makes dozens of explanations: making them as plain tuples are made takes half the time.
_new = tuple.__new__


def excluded(earning: Earning, line: Line) -> bool:
    """Return whether a line earns nothing and counts for nothing."""
    return any(fits(selector, line) for selector in earning.exclude)


def accrue(
    earning: Earning, lines: Sequence[Line], eligible_minor: Sequence[int], total_minor: int, moment: Moment
) -> Accrual:
    """Return what a basket earns.

    ``eligible_minor`` is what counts of each line: after discounts, without what points paid, 0 where excluded.
    ``total_minor`` is the basket before benefits, for the minimum. Fractions of all rules are added before the one
    rounding; every rule has its whole points on a line, and those of the fractions go to the largest of them.
    """
    if total_minor < earning.minimum_minor:
        shown = (("minimum_minor", str(earning.minimum_minor)),)
        return _nothing(lines, Explanation("minimum", 0, 0, "below_minimum", shown))
    cells = _cells(earning, lines, eligible_minor, moment)
    points = _round(sum(cells.weights), earning.denominator, earning.rounding)
    if points == 0:
        return _nothing(lines)
    parts = _whole_parts(points, cells.weights, earning.denominator)
    explanations = [
        _new(Explanation, (rule.rule_id, line_no, part, rule.kind, ()))
        for rule, line_no, part in zip(cells.rules, cells.line_nos, parts, strict=True)
        if part
    ]
    line_points = _by_line(cells, parts, eligible_minor)
    if earning.points_max and points > earning.points_max:
        cut = earning.points_max - points
        shown = (("points_max", str(earning.points_max)),)
        explanations.append(Explanation("maximum", 0, cut, "capped", shown))
        points = earning.points_max
        line_points = spread(points, line_points)
    return Accrual(points, tuple(line_points), tuple(explanations))


def _nothing(lines: Sequence[Line], *why: Explanation) -> Accrual:
    return Accrual(0, (0,) * len(lines), why)


def _cells(earning: Earning, lines: Sequence[Line], eligible_minor: Sequence[int], moment: Moment) -> _Cells:
    holds = [holds_at(when, moment) for when in earning.conditions]
    basic, basic_index = earning.basic, earning.basic_index
    multiplied = any(holds[factor.condition] for factor in earning.factors)
    cells = _Cells()
    add = cells.add
    for at, (line, eligible) in enumerate(zip(lines, eligible_minor, strict=True), 1):
        if eligible <= 0:
            continue
        line_weight = 0
        for place in basic_index.candidates(line):
            rule, part, by_amount, condition, rest = basic[place]
            if holds[condition] and (rest is None or fits(rest, line)):
                weight = part * (eligible if by_amount else line.quantity_milli)
                line_weight += weight
                add(rule, at, weight)
        if multiplied and line_weight:
            _add_bonuses(cells, earning.combine, _multipliers(earning, line, holds), at, line_weight)
    if any(holds[once.condition] for once in earning.once):
        _add_once(cells, earning, lines, eligible_minor, holds)
    return cells


def _multipliers(earning: Earning, line: Line, holds: Sequence[bool]) -> list[AccrualRule]:
    """Return the multipliers that hold now and fit a line, in the order of the rule set."""
    found = [earning.factors[place] for place in earning.factor_index.candidates(line)]
    return [
        rule
        for rule, _, _, condition, rest in found
        if holds[condition] and (rest is None or fits(rest, line))
    ]


def _add_bonuses(
    cells: _Cells, combine: Combine, rules: list[AccrualRule], line_no: int, weight: int
) -> None:
    """Add what multipliers give on a line. A factor below 1 would take points away: the parser refuses it."""
    if combine is Combine.HIGHEST and len(rules) > 1:
        rules = [max(rules, key=lambda rule: rule.num * 1_000_000 // rule.den)]
    running = weight
    for rule in rules:
        base = running if combine is Combine.PRODUCT else weight
        bonus = base * (rule.num - rule.den) // rule.den
        running += bonus
        cells.add(rule, line_no, bonus)


def _add_once(
    cells: _Cells,
    earning: Earning,
    lines: Sequence[Line],
    eligible_minor: Sequence[int],
    holds: Sequence[bool],
) -> None:
    """Add what rules give once for a sale in which a line fits that counts."""
    counted = [line for line, amount in zip(lines, eligible_minor, strict=True) if amount > 0]
    for rule, weight, _, condition, _ in earning.once:
        if not holds[condition]:
            continue
        if counted if rule.lines is ANY_LINE else any(fits(rule.lines, line) for line in counted):
            cells.add(rule, 0, weight)


def _round(raw: int, denominator: int, rounding: Rounding) -> int:
    if rounding is Rounding.DOWN:
        return raw // denominator
    if rounding is Rounding.HALF_UP:
        return (2 * raw + denominator) // (2 * denominator)
    return -(-raw // denominator)


def _whole_parts(points: int, weights: Sequence[int], unit: int) -> list[int]:
    """Return the whole points of each weight / unit; those of the fractions go to the largest of them, ties first.

    So a rule is never said to have given less than the whole points that it gives alone.
    """
    parts = [weight // unit for weight in weights]
    left = points - sum(parts)
    if left:
        fractions = [weight % unit for weight in weights]
        for at in sorted(range(len(weights)), key=fractions.__getitem__, reverse=True)[:left]:
            parts[at] += 1
    return parts


def _by_line(cells: _Cells, parts: Sequence[int], eligible_minor: Sequence[int]) -> list[int]:
    """Sum the cells of each line; what belongs to the whole sale is spread over the lines by amount."""
    shares = [0] * len(eligible_minor)
    of_sale: dict[int, int] = {}
    for line_no, part in zip(cells.line_nos, parts, strict=True):
        if line_no:
            shares[line_no - 1] += part
        elif part:
            of_sale[part] = of_sale.get(part, 0) + 1
    if of_sale:
        amounts = [max(0, amount) for amount in eligible_minor]
        # Each rule's points are spread by themselves; rules that give the same are spread alike.
        for part, times in of_sale.items():
            for at, extra in enumerate(spread(part, amounts)):
                shares[at] += extra * times
    return shares
