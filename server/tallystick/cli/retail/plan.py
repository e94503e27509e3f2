"""Turns the rows of a file into the commands of a client: sales, and returns matched against earlier sales.

Everything here follows from the file alone: the same file always makes the same commands with the same ids, so a
second replay finds every one of them decided. The plan keeps in memory what of each sale can still come back.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from tallystick.cli.retail.rows import FileKind, Rejection, Row
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.record import record

LINES_PER_SALE_MAX = 500
BURN_EVERY = 5
"""Each fifth sale of a member asks to pay with points."""
BURN_POINTS_MAX = 1_000

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "online-retail.tallystick")


@record(frozen=True, slots=True)
class PlannedLine:
    """One line of a basket; `row` is the row of the file that it comes from."""

    sku: str
    quantity: int
    amount_minor: int
    row: int


@record(frozen=True, slots=True)
class PlannedSale:
    """A sale to post; with `burns` it asks to burn up to BURN_POINTS_MAX points."""

    command_id: CommandId
    member_id: MemberId
    at_ms: Ms
    invoice: str
    lines: tuple[PlannedLine, ...]
    burns: bool

    @property
    def rows(self) -> tuple[int, ...]:
        return tuple(line.row for line in self.lines)


@record(frozen=True, slots=True)
class PlannedReturn:
    """Goods of one sale that come back; `lines` are (line_no, quantity in thousandths or amount in pence)."""

    command_id: CommandId
    member_id: MemberId
    at_ms: Ms
    invoice: str
    sale_id: CommandId
    lines: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]


Step = PlannedSale | PlannedReturn


@dataclass(slots=True)
class Plan:
    """All commands in the order of their business time, and what became of the rows that make none.

    `rejected` maps a row to its reason, `partial` holds the returns of which only a part was ever sold.
    """

    kind: FileKind
    row_count: int
    steps: list[Step] = field(default_factory=list)
    rejected: dict[int, Rejection] = field(default_factory=dict)
    partial: set[int] = field(default_factory=set)
    first_ms: Ms = Ms(0)
    last_ms: Ms = Ms(0)


@dataclass(slots=True)
class _Returnable:
    """What of one line of a posted sale can still come back: thousandths, or pence in a file of invoices."""

    sale_id: CommandId
    line_no: int
    left: int


def member_id_of(retail_id: str) -> MemberId:
    """The member's id, the same for every file."""
    return MemberId(str(uuid.uuid5(_NAMESPACE, f"member/{retail_id}")))


def make_plan(kind: FileKind, rows: Sequence[Row]) -> Plan:
    """Plan the whole file."""
    plan = Plan(kind, len(rows))
    planner = _Planner(plan)
    for group in _documents(rows, plan):
        planner.add(group)
    if plan.steps:
        plan.first_ms, plan.last_ms = plan.steps[0].at_ms, plan.steps[-1].at_ms
    return plan


def _documents(rows: Sequence[Row], plan: Plan) -> list[list[Row]]:
    """The usable rows as invoices (consecutive rows of one number and member), in the order of their time.

    Returns stand at the end of the file of invoices, so the order of the file is not the order of events.
    """
    groups: list[list[Row]] = []
    for _, run in groupby(rows, key=lambda row: (row.invoice, row.retail_id)):
        usable = []
        for row in run:
            if row.fault is None:
                usable.append(row)
            else:
                plan.rejected[row.index] = row.fault
        if usable:
            groups.append(usable)
    return sorted(groups, key=lambda group: (group[0].at_ms, group[0].index))


class _Planner:
    """Plans one invoice after the other."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parts: dict[str, int] = {}
        self._sales: dict[MemberId, int] = {}
        self._returnable: dict[tuple[MemberId, str], list[_Returnable]] = {}

    def add(self, group: list[Row]) -> None:
        if group[0].is_return:
            self._add_return(group)
        elif not any(row.amount_minor for row in group):
            self._reject(group, Rejection.NO_VALUE)
        else:
            for start in range(0, len(group), LINES_PER_SALE_MAX):
                self._add_sale(group[start : start + LINES_PER_SALE_MAX], first=start == 0)

    def _reject(self, rows: Sequence[Row], reason: Rejection) -> None:
        self._plan.rejected |= {row.index: reason for row in rows}

    def _command_id(self, invoice: str) -> CommandId:
        part = self._parts.get(invoice, 0) + 1
        self._parts[invoice] = part
        return CommandId(str(uuid.uuid5(_NAMESPACE, f"{self._plan.kind}/{invoice}/{part}")))

    def _add_sale(self, rows: Sequence[Row], *, first: bool) -> None:
        member_id = member_id_of(rows[0].retail_id)
        if first:
            self._sales[member_id] = self._sales.get(member_id, 0) + 1
        sale = PlannedSale(
            command_id=self._command_id(rows[0].invoice),
            member_id=member_id,
            at_ms=rows[0].at_ms,
            invoice=rows[0].invoice,
            lines=tuple(PlannedLine(row.sku, row.quantity, row.amount_minor, row.index) for row in rows),
            burns=first and self._sales[member_id] % BURN_EVERY == 0,
        )
        self._plan.steps.append(sale)
        for line_no, row in enumerate(rows, 1):
            known = self._returnable.setdefault((member_id, row.sku), [])
            known.append(_Returnable(sale.command_id, line_no, self._measure(row)))

    def _measure(self, row: Row) -> int:
        return row.amount_minor if self._plan.kind is FileKind.INVOICES else row.quantity * 1000

    def _add_return(self, rows: Sequence[Row]) -> None:
        """Match against the member's own earlier sales, most recent first; one command for each sale that matches."""
        member_id = member_id_of(rows[0].retail_id)
        found: dict[CommandId, dict[int, int]] = {}
        came_from: dict[CommandId, list[int]] = {}
        for row in rows:
            wanted = self._measure(row)
            if wanted == 0:
                self._reject([row], Rejection.NO_VALUE)
                continue
            left = wanted
            for lot, taken in self._matches(member_id, row.sku, wanted):
                lines = found.setdefault(lot.sale_id, {})
                lines[lot.line_no] = lines.get(lot.line_no, 0) + taken
                sources = came_from.setdefault(lot.sale_id, [])
                if row.index not in sources:
                    sources.append(row.index)
                left -= taken
            if left == wanted:
                self._reject([row], Rejection.RETURN_WITHOUT_SALE)
            elif left:
                self._plan.partial.add(row.index)
        for sale_id, lines in found.items():
            self._plan.steps.append(
                PlannedReturn(
                    command_id=self._command_id(rows[0].invoice),
                    member_id=member_id,
                    at_ms=rows[0].at_ms,
                    invoice=rows[0].invoice,
                    sale_id=sale_id,
                    lines=tuple(lines.items()),
                    rows=tuple(came_from[sale_id]),
                )
            )

    def _matches(self, member_id: MemberId, sku: str, wanted: int) -> Iterator[tuple[_Returnable, int]]:
        known = self._returnable.get((member_id, sku), [])
        for lot in reversed(known):
            if wanted == 0:
                return
            taken = min(lot.left, wanted)
            if taken:
                lot.left -= taken
                wanted -= taken
                yield lot, taken
