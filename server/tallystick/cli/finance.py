"""`tallystick report ...`: what finance closes the books with."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.beside import Books, CsvOption, with_books
from tallystick.cli.export import Format, write_records
from tallystick.cli.output import EXIT_USAGE, CommandFailed, Printer, count, new_file

if TYPE_CHECKING:
    from tallystick.reports.liability import Liability
    from tallystick.reports.owed_lots import Cohort

ENTITIES_MAX = 10_000
ESTIMATES_MAX = 10_000

app = typer.Typer(no_args_is_help=True)

EntitiesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="CSV with the columns store_id,entity. Default: each store is an entity of its own.",
    ),
]
BreakageOption = Annotated[
    str,
    typer.Option(metavar="PERCENT|FILE", help="Share of points expected never to be burned; see the guide."),
]


@app.command()
@with_books
def liability(
    books: Books,
    entities: EntitiesOption = None,
    to: CsvOption = None,
) -> None:
    """The points owed, by month and entity: opening, earned, burned, expired, back by returns, adjusted, closing."""
    found = _read(books, entities)
    rows: list[dict[str, str | int]] = [
        {
            "entity": line.entity,
            "month": f"{line.month:%Y-%m}",
            "opening": line.opening,
            "earned": line.movement.earned,
            "burned": line.movement.burned,
            "expired": line.movement.expired,
            "taken_back": line.movement.taken_back,
            "given_back": line.movement.given_back,
            "adjusted": line.movement.adjusted,
            "closing": line.closing,
        }
        for line in found.roll_forward()
    ]
    tell(books.printer, rows, to)


@app.command()
@with_books
def charity(
    books: Books,
    to: CsvOption = None,
) -> None:
    """What projects were given, by month: of sales less returns, and from members in points and their worth."""
    from tallystick.reports.charity import read_charity

    rules = books.rules
    with books.store.snapshot(books.program_id) as snapshot:
        found = read_charity(snapshot.ledger(), zone=rules.zone)
    rows: list[dict[str, str | int]] = [
        {
            "month": f"{month:%Y-%m}",
            "project": project_id,
            "given_minor": given.given_minor,
            "donated_points": given.donated_points,
            "donated_minor": given.donated_minor,
        }
        for (month, project_id), given in found.items()
    ]
    tell(books.printer, rows, to, nothing="Nothing was given to a project yet.")


@app.command()
@with_books
def settlement(
    books: Books,
    to: CsvOption = None,
) -> None:
    """Points exchanged with partner programs by month: burned for them, earned from them, and what these are worth."""
    from tallystick.reports.settlement import read_settlement

    rules = books.rules
    with books.store.snapshot(books.program_id) as snapshot:
        found = read_settlement(snapshot.ledger(), zone=rules.zone)
    value = _values(books)
    rows: list[dict[str, str | int]] = []
    for (month, partner_id), under in groupby(found.items(), lambda one: one[0][:2]):
        parts = [(exchanged, value(version)) for (_, _, version), exchanged in under]
        rows.append(
            {
                "month": f"{month:%Y-%m}",
                "partner": partner_id,
                "gave_points": sum(part.gave_points for part, _ in parts),
                "gave_minor": int(sum(part.gave_points * worth for part, worth in parts)),
                "got_points": sum(part.got_points for part, _ in parts),
                "got_minor": int(sum(part.got_points * worth for part, worth in parts)),
            }
        )
    tell(books.printer, rows, to, nothing="Nothing was exchanged with a partner yet.")


@app.command()
@with_books
def revenue(
    books: Books,
    breakage: BreakageOption,
    entities: EntitiesOption = None,
    to: CsvOption = None,
) -> None:
    """Revenue that points defer and its recognition, by entity and year of issue (IFRS 15 B39-B43, B46)."""
    from tallystick.reports.deferral import revenue as lines_of

    found = _read(books, entities)
    rows: list[dict[str, str | int]] = [
        {
            "entity": line.cohort.entity,
            "points_of": str(line.cohort.year),
            "month": f"{line.month:%Y-%m}",
            "issued": line.issued,
            "burned": line.burned,
            "expired": line.expired,
            "expected_burned": line.expected_burned,
            "deferred_minor": line.deferred_minor,
            "recognised_minor": line.recognised_minor,
            "closing_minor": line.closing_minor,
        }
        for line in lines_of(found, value=_values(books), expected=expectation(breakage))
    ]
    tell(books.printer, rows, to)


@app.command()
@with_books
def journal(
    books: Books,
    breakage: BreakageOption,
    entities: EntitiesOption = None,
    to: CsvOption = None,
) -> None:
    """The months' journals: revenue deferred and recognised, and what entities owe each other for points burned."""
    from tallystick.reports.deferral import journal as lines_of
    from tallystick.reports.deferral import revenue as revenue_of

    found, value = _read(books, entities), _values(books)
    lines = lines_of(found, revenue_of(found, value=value, expected=expectation(breakage)), value=value)
    rows: list[dict[str, str | int]] = [
        {
            "month": f"{line.month:%Y-%m}",
            "entity": line.entity,
            "account": line.account,
            "debit_minor": line.debit_minor,
            "credit_minor": line.credit_minor,
            "text": line.text,
        }
        for line in lines
    ]
    tell(books.printer, rows, to)


def expectation(breakage: str) -> Callable[[Cohort, date], Fraction]:
    """Return what share of points is expected to be burned, from a percentage or a file of estimates.

    The file has the columns from_month,percent and, if wanted, points_of; the newest line up to a month counts.
    """
    if breakage.replace(".", "", 1).removesuffix("%").strip().isdecimal():
        percent = Fraction(breakage.removesuffix("%").strip())
        if percent > 100:
            raise CommandFailed(f"{breakage} is not from 0 to 100", code=EXIT_USAGE)
        return lambda _cohort, _month: 1 - percent / 100
    estimates = sorted(_estimates(Path(breakage)), key=lambda one: one[0])

    def expected(cohort: Cohort, month: date) -> Fraction:
        known = [
            (year is not None, share)
            for start, year, share in estimates
            if start <= month and year in (None, cohort.year)
        ]
        if not known:
            raise CommandFailed(
                f"{breakage} has no estimate for {month:%Y-%m}",
                mend="add a line from the first month of the ledger on",
            )
        # One for the year of issue counts before one for all years; of several the newest.
        return [share for exact, share in known if exact == max(known)[0]][-1]

    return expected


def _estimates(file: Path) -> Iterator[tuple[date, int | None, Fraction]]:
    for number, row in enumerate(_rows(file, ("from_month", "percent"), ESTIMATES_MAX), 2):
        try:
            start = date.fromisoformat(f"{row['from_month']}-01")
            percent = Fraction(row["percent"])
            year = int(row["points_of"]) if row.get("points_of") else None
        except (ValueError, ZeroDivisionError):
            raise CommandFailed(
                f"{file}:{number} is no estimate", mend="write lines such as 2026-01,12.5", code=EXIT_USAGE
            ) from None
        if not 0 <= percent <= 100:
            raise CommandFailed(f"{file}:{number}: {percent} is not from 0 to 100", code=EXIT_USAGE)
        yield start, year, 1 - percent / 100


def _rows(file: Path, needed: Sequence[str], most: int) -> Iterator[Mapping[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        if missing := [name for name in needed if name not in (reader.fieldnames or ())]:
            raise CommandFailed(
                f"{file} lacks the column {missing[0]}",
                mend=f"its first line names the columns: {','.join(needed)}",
                code=EXIT_USAGE,
            )
        for number, row in enumerate(reader):
            if number >= most:
                raise CommandFailed(f"{file} has more than {count(most)} lines", code=EXIT_USAGE)
            yield {name: text or "" for name, text in row.items() if name}


def _read(books: Books, entities: Path | None) -> Liability:
    from tallystick.reports.entries import by_member
    from tallystick.reports.liability import read_liability

    of_store = {}
    if entities is not None:
        named = _rows(entities, ("store_id", "entity"), ENTITIES_MAX)
        of_store = {row["store_id"]: row["entity"] for row in named}
    rules = books.rules
    with books.store.snapshot(books.program_id) as snapshot:
        return read_liability(by_member(snapshot.ledger()), zone=rules.zone, entities=of_store)


def _values(books: Books) -> Callable[[int], Fraction]:
    """Return what a point is worth as a discount, in minor units, under each version of the rule set."""

    def value(version: int) -> Fraction:
        rules = books.rulebook.version(books.program_id, version)
        assert rules is not None, "an entry is made under a rule set that was published"
        return Fraction(rules.burning.value_minor, rules.burning.value_points)

    return value


def tell(
    printer: Printer,
    rows: Sequence[Mapping[str, str | int]],
    to: Path | None,
    *,
    nothing: str = "There is no entry yet.",
    as_document: bool = True,
) -> None:
    """Show rows as a table, or write them as CSV; and, with ``as_document``, as JSON where that is asked for."""
    if to is not None:
        with new_file(to) as stream:
            for _ in write_records(rows, stream, Format.CSV):
                pass
        printer.line(f"{count(len(rows))} lines written to {to}")
    elif not rows:
        printer.line(nothing)
    else:
        _table(printer, rows)
    if as_document:
        printer.document(list(rows))


def _table(printer: Printer, rows: Sequence[Mapping[str, str | int]]) -> None:
    wide = {name: max(len(name), *(len(_shown(row[name])) for row in rows)) for name in rows[0]}
    numbers = {name for name in rows[0] if any(isinstance(row[name], int) for row in rows)}

    def line(cells: Mapping[str, str]) -> str:
        return "  ".join(
            text.rjust(wide[name]) if name in numbers else text.ljust(wide[name])
            for name, text in cells.items()
        ).rstrip()

    printer.line(line({name: name for name in rows[0]}))
    for row in rows:
        printer.line(line({name: _shown(value) for name, value in row.items()}))


def _shown(value: str | int) -> str:
    return count(value) if isinstance(value, int) else value
