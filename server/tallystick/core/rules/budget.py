"""Budgets of accrual rules, as a rule set writes them: most that a rule gives in a period."""

from __future__ import annotations

from tallystick.core.ids import AMOUNT_MINOR_MAX, POINTS_MAX
from tallystick.core.record import record
from tallystick.core.rules.period import Per
from tallystick.core.rules.reader import Node

PERIODS = (Per.DAY, Per.MONTH, Per.EVER)


@record(frozen=True, slots=True)
class Budget:
    """Most that a rule gives in a period: ``points``, or points worth ``minor``; the other one is 0.

    With ``by_store`` every store has its own.
    """

    points: int = 0
    minor: int = 0
    per: Per = Per.EVER
    by_store: bool = False


def parse_budget(node: Node | None) -> Budget | None:
    """Return the budget written as ``{points: 50000, per: month}``, None where there is none."""
    if node is None:
        return None
    budget = Budget(
        points=node.integer("points", 0, high=POINTS_MAX),
        minor=node.integer("minor", 0, high=AMOUNT_MINOR_MAX),
        per=Per(node.choice("per", [per.value for per in PERIODS])),
        by_store=node.flag("store"),
    )
    if bool(budget.points) == bool(budget.minor):
        node.wrong("", "needs points or minor", "write one of them, for example points: 50000")
    node.done()
    return budget
