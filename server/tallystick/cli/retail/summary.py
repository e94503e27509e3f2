"""The end of a replay: every row accounted for once, the totals against the answers, and whether it all adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tallystick.cli.output import Printer, count
from tallystick.cli.retail.plan import Plan, PlannedReturn, PlannedSale
from tallystick.cli.retail.post import Tally
from tallystick.core.record import record
from tallystick.v1 import ledger_pb2

Totals = Mapping[int, int]
"""The program's accounts by AccountKind, as GetTotals answers them."""


@record(frozen=True, slots=True)
class RowCount:
    """The rows of the file by what became of them; each is in exactly one of sales, returns and `rejected`.

    `returned_in_part` are those of `returns` of which only a part had been sold before.
    """

    read: int
    sales: int
    returns: int
    returned_in_part: int
    rejected: Mapping[str, int]

    @property
    def add_up(self) -> bool:
        """Whether every row is accounted for."""
        return self.read == self.sales + self.returns + sum(self.rejected.values())


@record(frozen=True, slots=True)
class Summary:
    """All that the command reports. `verified` is None when the database was not at hand to be verified."""

    file: str
    kind: str
    rows: RowCount
    tally: Tally
    totals_before: Totals
    totals: Totals
    elapsed_s: float
    retries: int
    verified: bool | None

    @property
    def checks(self) -> dict[str, bool]:
        """Each check by name; all of them must hold."""
        new = self.tally.new_points
        moved = {
            kind: self.totals.get(kind, 0) - self.totals_before.get(kind, 0)
            for kind in (ledger_pb2.ACCOUNT_KIND_ISSUED, ledger_pb2.ACCOUNT_KIND_BURNED)
        }
        checks = {
            "rows_accounted_for": self.rows.add_up,
            "accounts_sum_to_zero": sum(self.totals.values()) == 0,
            "issued_matches_answers": moved[ledger_pb2.ACCOUNT_KIND_ISSUED] == new.taken_back - new.issued,
            "burned_matches_answers": moved[ledger_pb2.ACCOUNT_KIND_BURNED] == new.burned - new.given_back,
        }
        if self.verified is not None:
            checks["ledger_verified"] = self.verified
        return checks

    @property
    def sound(self) -> bool:
        """Whether everything adds up."""
        return all(self.checks.values())

    @property
    def changed(self) -> bool:
        """Whether this run changed anything in the ledger."""
        return dict(self.totals) != dict(self.totals_before) or self.tally.replayed < self.tally.commands


def count_rows(plan: Plan, tally: Tally) -> RowCount:
    """Account for every row: posted as a sale, posted as a return, or rejected for one reason.

    A row with a return against several sales counts as posted when one of them was.
    """
    sale_rows = {row for step in plan.steps if isinstance(step, PlannedSale) for row in step.rows}
    return_rows = {row for step in plan.steps if isinstance(step, PlannedReturn) for row in step.rows}
    rejected = Counter(reason.value for reason in plan.rejected.values())
    for row, reason in tally.refused_rows.items():
        if row not in tally.posted_rows:
            rejected[f"REFUSED_{reason}"] += 1
    in_part = (plan.partial | tally.refused_rows.keys()) & return_rows & tally.posted_rows
    return RowCount(
        read=plan.row_count,
        sales=len(sale_rows & tally.posted_rows),
        returns=len(return_rows & tally.posted_rows),
        returned_in_part=len(in_part),
        rejected=dict(sorted(rejected.items())),
    )


def summary_to_json(summary: Summary) -> dict[str, Any]:
    """The summary as plain values, for `--json`."""
    tally, points = summary.tally, summary.tally.all_points
    return {
        "file": summary.file,
        "kind": summary.kind,
        "rows": {
            "read": summary.rows.read,
            "sales": summary.rows.sales,
            "returns": summary.rows.returns,
            "returned_in_part": summary.rows.returned_in_part,
            "rejected": dict(summary.rows.rejected),
        },
        "commands": {
            "sales": tally.sales,
            "returns": tally.returns,
            "refused": dict(tally.refused),
            "replayed": tally.replayed,
        },
        "members": tally.members,
        "points": {
            "issued": points.issued,
            "taken_back": points.taken_back,
            "burned": points.burned,
            "given_back": points.given_back,
        },
        "program": dict(_program(summary.totals)),
        "tiers": dict(sorted(tally.tiers.items())),
        "changed": summary.changed,
        "checks": summary.checks,
        "elapsed_s": round(summary.elapsed_s, 2),
        "ops_s": _rate(summary),
        "retries": summary.retries,
    }


def print_summary(summary: Summary, printer: Printer) -> None:
    """The summary for people."""
    rows, tally, points = summary.rows, summary.tally, summary.tally.all_points
    printer.line(f"{summary.file}: {summary.kind}, {count(rows.read)} rows")
    table = [
        ("rows posted as sales", count(rows.sales)),
        ("rows posted as returns", f"{count(rows.returns)}, {count(rows.returned_in_part)} of them in part"),
        ("rows rejected", count(sum(rows.rejected.values()))),
        *((f"  {reason}", count(number)) for reason, number in rows.rejected.items()),
        ("sales", count(tally.sales)),
        ("returns", count(tally.returns)),
        ("members", count(tally.members)),
        ("points issued", f"{count(points.issued)}, {count(points.taken_back)} taken back by returns"),
        ("points burned", f"{count(points.burned)}, {count(points.given_back)} given back by returns"),
        *((f"program: {name}", count(number)) for name, number in _program(summary.totals)),
        (
            "members by tier",
            ", ".join(f"{tier} {count(n)}" for tier, n in sorted(tally.tiers.items())) or "none",
        ),
        ("replayed", f"{count(tally.replayed)} of {count(tally.commands)} commands had been posted before"),
        ("time", f"{summary.elapsed_s:.1f} s, {count(_rate(summary))} commands a second"),
    ]
    printer.table(table)
    for name, holds in summary.checks.items():
        printer.line(f"  {'ok  ' if holds else 'FAIL'}  {name.replace('_', ' ')}")
    if not summary.changed:
        printer.line("Nothing changed: this file had been replayed before.")


def _program(totals: Totals) -> list[tuple[str, int]]:
    """The accounts of the program as people name them; debt and expired as positive numbers."""
    return [
        ("active", totals.get(ledger_pb2.ACCOUNT_KIND_MEMBER_ACTIVE, 0)),
        ("pending", totals.get(ledger_pb2.ACCOUNT_KIND_MEMBER_PENDING, 0)),
        ("held", totals.get(ledger_pb2.ACCOUNT_KIND_MEMBER_HELD, 0)),
        ("debt", -totals.get(ledger_pb2.ACCOUNT_KIND_MEMBER_DEBT, 0)),
        ("expired", totals.get(ledger_pb2.ACCOUNT_KIND_BREAKAGE, 0)),
    ]


def _rate(summary: Summary) -> int:
    return int(summary.tally.commands / summary.elapsed_s) if summary.elapsed_s else 0
