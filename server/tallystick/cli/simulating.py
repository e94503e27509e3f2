"""`tallystick program simulate`: what a rule set would have cost on past sales, and who wins and loses by it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.options import ADMIN_PROFILE, DatabaseOption, settings_from
from tallystick.cli.output import EXIT_USAGE, CommandFailed, Printer, count
from tallystick.cli.programs import read_rules
from tallystick.cli.remote import Remote, with_remote
from tallystick.cli.versions import IN_FORCE, published_rules

if TYPE_CHECKING:
    from tallystick.config.settings import Settings
    from tallystick.core.rules.model import RuleSet
    from tallystick.reports.comparison import Comparison, Group, Projection
    from tallystick.reports.history import History

app = typer.Typer()

LEDGER = "ledger"


@app.command()
@with_remote(ADMIN_PROFILE)
def simulate(
    remote: Remote,
    rules: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="Rule set to try: a file, '-', or a shipped one's name.")
    ],
    sales: Annotated[
        str,
        typer.Option(
            "--sales",
            metavar="FILE",
            help="Sales of the UCI Online Retail form, or 'ledger' for those posted.",
        ),
    ],
    against: Annotated[
        str,
        typer.Option(
            metavar="PROGRAM",
            help="Compare with this rule set: a file, a shipped one, or 'in-force' (asks the server).",
        ),
    ] = "",
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with plots here.")] = None,
    program: Annotated[
        str, typer.Option(help="With --sales ledger: the program; default: the only one.")
    ] = "",
    workers: Annotated[int, typer.Option(help="Processes; 0 takes what fits.", min=0, max=8)] = 0,
    database: DatabaseOption = None,
) -> None:
    """Try a rule set on past sales before it is published. Nothing is written to any ledger.

    Says what would have been issued, burned and expired, what that costs, and, with --against, who is better and who is
    worse off, by what they buy and by tier.
    """
    from tallystick.reports.comparison import compare, project
    from tallystick.reports.replay import replay

    printer = remote.printer
    if html is not None and not _can_write(html):
        raise CommandFailed(
            f"{html} cannot be written",
            mend="name a file in a folder of yours that is there",
            code=EXIT_USAGE,
        )
    candidate = parsed(rules, read_rules(rules))
    other = None
    if against:
        text = published_rules(remote, 0)[1] if against == IN_FORCE else read_rules(against)
        other = parsed(against, text, published=against == IN_FORCE)
        _check_currency(rules, candidate, against, other)
    if sales == LEDGER:
        settings = settings_from(remote.config, data_dir=remote.data_dir, database=database)
        history = _of_ledger(program, rules, candidate, settings)
    else:
        history = _of_file(Path(sales), candidate.currency)
    if not history.members:
        raise CommandFailed(f"{sales} holds no sale of a member", mend="there is nothing to simulate")
    started = time.perf_counter()
    outcome = replay(history, candidate, workers=workers)
    new = project(candidate, outcome)
    old, comparison = None, None
    if other is not None:
        before = replay(history, other, workers=workers)
        old = project(other, before)
        comparison = compare((other, before, old), (candidate, outcome, new))
    elapsed_s = time.perf_counter() - started
    rows = figures(new, old, candidate.currency)
    if html is not None:
        from tallystick.reports.page import page

        html.write_text(page(history, candidate.currency, new, old, comparison, rows), encoding="utf-8")
    _print(printer, history, candidate, new, old, comparison, rows, elapsed_s)
    if html is not None:
        printer.line(f"\nThe page with plots: {html}")
    printer.document(_as_json(history, candidate, new, old, comparison, elapsed_s))


def _can_write(path: Path) -> bool:
    # Seen before the sales are simulated, which may take a minute.
    return not path.is_dir() and os.access(path if path.exists() else path.parent, os.W_OK)


def parsed(name: str, text: str, *, published: bool = False) -> RuleSet:
    """Return a rule set's frozen form. Raises ``CommandFailed`` with the first finding."""
    from tallystick.core.rules.parse import parse_rules
    from tallystick.service.programs import check_text
    from tallystick.service.rule_text import read_document

    checked = check_text(text, published=published)
    if isinstance(checked, list):
        first = checked[0]
        raise CommandFailed(
            f"{name}:{first.place.line}:{first.place.column}: {first.finding.path}: {first.finding.message}",
            mend="`tallystick program validate` lists everything that is wrong",
        )
    document = read_document(text).value
    rules = parse_rules(document, version=0, sha256=checked.sha256, published=published)
    assert not isinstance(rules, list), "what was checked parses"
    return rules


def _check_currency(name: str, candidate: RuleSet, against: str, other: RuleSet) -> None:
    if other.currency != candidate.currency:
        raise CommandFailed(
            f"{name} is in {candidate.currency}, {against} in {other.currency}",
            mend="compare rule sets of one currency",
            code=EXIT_USAGE,
        )


def _of_file(file: Path, currency: str) -> History:
    from tallystick.cli.retail.past import history_of_plan
    from tallystick.cli.retail.plan import make_plan
    from tallystick.cli.retail.rows import read_rows

    kind, rows = read_rows(file)
    return history_of_plan(make_plan(kind, rows), source=file.name, currency=currency)


def _of_ledger(program: str, name: str, candidate: RuleSet, settings: Settings) -> History:
    from tallystick.cli.books import the_program
    from tallystick.reports.entries import by_member
    from tallystick.reports.history import LEDGER_NOTES, History, add_entries
    from tallystick.service.rulebook import RuleBook
    from tallystick.storage.open import open_store

    store = open_store(settings.database_url)
    try:
        program_id = the_program(store, program)
        history = History(f"the ledger of {program_id}", LEDGER_NOTES)
        in_force = RuleBook(store).current(program_id)
        if in_force is not None:
            _check_currency(name, candidate, history.source, in_force)
        with store.snapshot(program_id) as snapshot:
            for member_id, entries in by_member(snapshot.ledger()):
                add_entries(history, member_id, entries, currency=candidate.currency)
    finally:
        store.close()
    return history


def figures(new: Projection, old: Projection | None, currency: str) -> list[tuple[str, str, str]]:
    """The figures for people: what, under the rule set, under the one it is compared with."""
    from tallystick.reports.page import money

    def per_cent(share: Any) -> str:
        return "none came to an end" if share is None else f"{float(share) * 100:.1f} %"

    def column(one: Projection) -> list[str]:
        return [
            money(one.spent_minor, currency),
            count(one.flow.issued - one.flow.taken_back),
            count(one.flow.burned - one.flow.given_back),
            count(one.flow.expired),
            count(one.outstanding),
            per_cent(one.breakage),
            count(one.expected_breakage),
            money(one.flow.discount_minor, currency),
            money(one.liability_minor, currency),
            money(one.cost_minor, currency),
            f"{float(one.cost_share) * 100:.2f} %",
        ]

    names = (
        "sold to members",
        "points issued",
        "points burned",
        "points expired",
        "points outstanding",
        "breakage",
        "points expected to expire in all",
        "taken off baskets",
        "expected of outstanding points",
        "cost",
        "cost of what was sold",
    )
    others = column(old) if old is not None else [""] * len(names)
    rows = list(zip(names, column(new), others, strict=True))
    before = old.tiers if old is not None else {}
    tier_ids = [*new.tiers, *(tier_id for tier_id in before if tier_id not in new.tiers)]
    return rows + [
        (
            f"members in {tier_id}",
            _or_none(new.tiers.get(tier_id)),
            _or_none(before.get(tier_id)) if old else "",
        )
        for tier_id in tier_ids
    ]


def _or_none(number: int | None) -> str:
    return "no such tier" if number is None else count(number)


def _print(
    printer: Printer,
    history: History,
    rules: RuleSet,
    new: Projection,
    old: Projection | None,
    comparison: Comparison | None,
    rows: Sequence[tuple[str, str, str]],
    elapsed_s: float,
) -> None:
    printer.line(
        f"{rules.name} on {history.source}: {count(history.sales)} sales, {count(history.returns)} returns, "
        f"{count(history.lines)} lines, {count(len(history.members))} members, in {elapsed_s:.1f} s"
    )
    wide = max(len(mine) for _, mine, _ in rows)
    printer.table([(name, f"{mine.ljust(wide)}  was {other}" if old else mine) for name, mine, other in rows])
    for reason, number in new.dropped.items():
        printer.line(f"  {count(number)} times points or rewards asked for were not given: {reason}")
    for reason, number in new.refused.items():
        printer.line(f"  {count(number)} sales or returns were not posted: {reason}")
    if comparison is not None:
        _print_groups(printer, comparison, rules.currency)
    for note in history.notes:
        printer.line(f"  {note}")


def _print_groups(printer: Printer, comparison: Comparison, currency: str) -> None:
    from tallystick.reports.page import money

    printer.line("\n  who wins and who loses            members   better    worse  change in all")
    for group in (*comparison.segments, *comparison.tiers):
        printer.line(
            f"  {group.name.ljust(30)} {group.members:>10,} {group.better:>8,} {group.worse:>8,}  "
            f"{money(group.change_minor, currency)}"
        )


def _as_json(
    history: History,
    rules: RuleSet,
    new: Projection,
    old: Projection | None,
    comparison: Comparison | None,
    elapsed_s: float,
) -> dict[str, Any]:
    def projection(one: Projection) -> dict[str, Any]:
        return {
            "name": one.name,
            "sales": one.sales,
            "spent_minor": one.spent_minor,
            "issued": one.flow.issued - one.flow.taken_back,
            "burned": one.flow.burned - one.flow.given_back,
            "expired": one.flow.expired,
            "outstanding": one.outstanding,
            "breakage": None if one.breakage is None else round(float(one.breakage), 6),
            "expected_breakage": one.expected_breakage,
            "discount_minor": one.flow.discount_minor,
            "liability_minor": one.liability_minor,
            "cost_minor": one.cost_minor,
            "tiers": dict(one.tiers),
            "dropped": dict(one.dropped),
            "refused": dict(one.refused),
            "months": [
                {
                    "month": line.month.strftime("%Y-%m"),
                    "issued": line.flow.issued - line.flow.taken_back,
                    "burned": line.flow.burned - line.flow.given_back,
                    "expired": line.flow.expired,
                    "outstanding": line.outstanding,
                }
                for line in one.months
            ],
        }

    def groups(found: Sequence[Group]) -> list[dict[str, Any]]:
        return [
            {
                "name": group.name,
                "members": group.members,
                "better": group.better,
                "worse": group.worse,
                "even": group.even,
                "change_minor": group.change_minor,
            }
            for group in found
        ]

    return {
        "source": history.source,
        "currency": rules.currency,
        "members": len(history.members),
        "lines": history.lines,
        "elapsed_s": round(elapsed_s, 3),
        "lines_s": round(history.lines * (2 if old is not None else 1) / elapsed_s),
        "rules": projection(new),
        "against": projection(old) if old is not None else None,
        "segments": groups(comparison.segments) if comparison is not None else [],
        "tiers": groups(comparison.tiers) if comparison is not None else [],
        "notes": list(history.notes),
    }
