"""A plan of past sales as a history on which rule sets are tried: the same baskets as the import posts."""

from __future__ import annotations

from tallystick.cli.retail.plan import BURN_POINTS_MAX, Plan, PlannedReturn, PlannedSale
from tallystick.cli.retail.rows import FileKind
from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.ids import Minor
from tallystick.reports.history import History, PastReturn, PastSale

BURN_NOTE = (
    f"The file does not say who paid with points: every fifth sale asks for {BURN_POINTS_MAX:,} at most."
)


def history_of_plan(plan: Plan, *, source: str, currency: str) -> History:
    """Return the history. Amounts are taken as being in ``currency``, whatever they were in."""
    history = History(source, (BURN_NOTE,))
    for step in plan.steps:
        origin = Origin(step.at_ms, Channel.WEBSHOP, reference=step.invoice)
        if isinstance(step, PlannedSale):
            history.add(step.member_id, _sale(step, origin, currency))
        else:
            history.add(step.member_id, _return(step, origin, plan.kind))
    return history


def _sale(step: PlannedSale, origin: Origin, currency: str) -> PastSale:
    lines = tuple(Line(line.sku, line.quantity * 1000, Minor(line.amount_minor)) for line in step.lines)
    return PastSale(
        step.command_id,
        origin,
        Basket(currency, lines),
        Spend(BURN_POINTS_MAX, up_to=True) if step.burns else None,
        assurance=Assurance.STATIC_CARD if step.burns else Assurance.TYPED,
    )


def _return(step: PlannedReturn, origin: Origin, kind: FileKind) -> PastReturn:
    by_quantity = kind is FileKind.LINES
    lines = tuple(
        ReturnLine(
            number,
            quantity_milli=measure if by_quantity else 0,
            amount_minor=Minor(0 if by_quantity else measure),
        )
        for number, measure in step.lines
    )
    return PastReturn(step.command_id, origin, step.sale_id, lines)
