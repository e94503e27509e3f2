"""`tallystick report kpis|campaigns|experiment`: what the program brings, read from the database beside the server."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.beside import Books, CsvOption, with_books
from tallystick.cli.finance import tell
from tallystick.cli.output import EXIT_USAGE, CommandFailed

if TYPE_CHECKING:
    from tallystick.service.insight import Kpis

FromOption = Annotated[
    datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day, in the program's time zone.")
]
ToOption = Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")]

app = typer.Typer()


@app.command()
@with_books
def kpis(
    books: Books,
    first: FromOption,
    last: ToOption,
    total_sales: Annotated[
        int,
        typer.Option(
            min=0, metavar="MINOR", help="All sales of the period in minor units, for the members' share."
        ),
    ] = 0,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with plots here.")] = None,
) -> None:
    """Key figures of a period: retention, repeat rate, lifetime value, redemption, breakage, what campaigns cost."""
    from tallystick.reports.kpi_page import as_json as document_of
    from tallystick.reports.kpi_page import campaign_rows, figures, page

    rules = books.rules
    found = _kpis(books, first.date(), last.date())
    if html is not None:
        html.write_text(page(rules.name, found, total_sales), encoding="utf-8")
    rows = figures(found, total_sales)
    width = max(len(value) for _, value, _ in rows)
    books.printer.table([(name, f"{value.ljust(width)}  {how}") for name, value, how in rows])
    if found.campaigns:
        books.printer.line()
        tell(books.printer, campaign_rows(found.campaigns), None, as_document=False)
    if html is not None:
        books.printer.line(f"\nThe page with plots: {html}")
    books.printer.document(document_of(found, total_sales))


@app.command()
@with_books
def campaigns(
    books: Books,
    first: FromOption,
    last: ToOption,
    to: CsvOption = None,
) -> None:
    """What each rule, reward, coupon and action has given in a period, the dearest first."""
    from tallystick.reports.kpi_page import campaign_rows

    found = _kpis(books, first.date(), last.date())
    tell(
        books.printer, campaign_rows(found.campaigns), to, nothing="No campaign gave anything in the period."
    )


@app.command()
@with_books
def budgets(
    books: Books,
    to: CsvOption = None,
) -> None:
    """What rules with a budget have given in the period that runs now, and what they may."""
    from tallystick.cli.wiring import now_ms
    from tallystick.core.budget import given_of
    from tallystick.core.lots import local_day
    from tallystick.service.insight import worth_minor

    rows: list[dict[str, str | int]] = []
    rules = books.rules
    with books.store.snapshot(books.program_id) as snapshot:
        counted = list(snapshot.coupon_counts())
    today = local_day(now_ms(), rules.zone)
    for rule in rules.budgets:
        budget = rule.budget
        assert budget is not None, "these have one"
        given = given_of(rule, counted, today) or {"": 0}
        rows += [
            {
                "campaign": rule.rule_id,
                "store": place,
                "per": budget.per.value,
                "given_points": points,
                "given_minor": worth_minor(rules, points),
                "budget_points": budget.points or "",
                "budget_minor": budget.minor or "",
            }
            for place, points in sorted(given.items())
        ]
    tell(books.printer, rows, to, nothing="No rule has a budget.")


@app.command()
@with_books
def experiment(
    books: Books,
    experiment_id: Annotated[
        str, typer.Argument(metavar="ID", help="An experiment of the rule set in force.")
    ],
    to: CsvOption = None,
) -> None:
    """What an experiment has shown: each variant's members, revenue and cost, and how much more they bought."""
    from tallystick.service.errors import NotFound
    from tallystick.service.histories import histories
    from tallystick.service.insight import experiment_of, find_experiment
    from tallystick.service.lift import in_words

    rules = books.rules
    try:
        wanted = find_experiment(rules, experiment_id)
    except NotFound as error:
        names = ", ".join(one.experiment_id for one in rules.experiments) or "none"
        raise CommandFailed(
            f"the rule set has no experiment '{experiment_id}'",
            mend=f"there are: {names}",
            code=EXIT_USAGE,
        ) from error
    with books.store.snapshot(books.program_id) as snapshot:
        found = experiment_of(histories(snapshot), rules, wanted)
    rows: list[dict[str, str | int]] = []
    for one in found.groups:
        lift, measured = one.lift, one.variant == found.against
        rows.append(
            {
                "variant": one.variant,
                "members": one.spent.members,
                "buyers": one.buyers,
                "sales": one.sales,
                "revenue_minor": one.spent.total,
                "per_member_minor": one.spent.total // one.spent.members if one.spent.members else 0,
                "points": one.points,
                "cost_minor": one.cost_minor,
                "lift_minor": lift.difference_minor if lift else "",
                "low_minor": lift.low_minor if lift else "",
                "high_minor": lift.high_minor if lift else "",
                "finding": "measured against" if measured else in_words(lift),
            }
        )
    tell(books.printer, rows, to)


def _kpis(books: Books, first: date, last: date) -> Kpis:
    from tallystick.service.errors import InvalidInput
    from tallystick.service.histories import histories
    from tallystick.service.insight import kpis_of, period_of

    rules = books.rules
    try:
        period = period_of(rules, first, last)
    except InvalidInput as error:
        field, text = error.violations[0]
        option = {"first_on": "--from", "last_on": "--to"}[field]
        raise CommandFailed(
            f"{first} to {last} is no period", mend=f"{option} {text}", code=EXIT_USAGE
        ) from error
    with books.store.snapshot(books.program_id) as snapshot:
        return kpis_of(histories(snapshot), rules, period)
