"""`tallystick segment ...`: who is in which segment, read from and written to the database beside the server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.beside import Books, CsvOption, with_books
from tallystick.cli.finance import tell
from tallystick.cli.output import EXIT_USAGE, CommandFailed

if TYPE_CHECKING:
    from tallystick.service.segments import Segments

MEMBERS_PAGE = 1_000

app = typer.Typer(no_args_is_help=True)


@app.command("list")
@with_books
def list_(
    books: Books,
) -> None:
    """The segments of the rule set in force, and how many members each had when that was last worked out."""
    _show(books, _segments(books))


@app.command()
@with_books
def refresh(
    books: Books,
) -> None:
    """Work out now who is in which segment; a server does it by itself every night."""
    found = _segments(books)
    found.refresh(books.program_id)
    _show(books, found)


@app.command()
@with_books
def export(
    books: Books,
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="A segment of the rule set in force.")],
    to: CsvOption = None,
) -> None:
    """Who is in a segment, and since when. Ids only: who a member is, another command with other rights tells."""
    from tallystick.service.errors import NotFound

    rows: list[dict[str, str | int]] = []
    found = _segments(books)
    after = ""
    try:
        while page := found.members(books.program_id, segment, after=after, limit=MEMBERS_PAGE):
            rows += [{"member_id": member_id, "since": _instant(since_ms)} for member_id, since_ms in page]
            after = page[-1][0]
    except NotFound as error:
        names = ", ".join(one.segment_id for one, _ in found.of_program(books.program_id)) or "none"
        raise CommandFailed(
            f"the rule set has no segment '{segment}'", mend=f"there are: {names}", code=EXIT_USAGE
        ) from error
    tell(books.printer, rows, to, nothing="Nobody is in it.")


def _show(books: Books, segments: Segments) -> None:
    rows: list[dict[str, str | int]] = [
        {
            "segment": segment.segment_id,
            "name": segment.name,
            "members": count.members if count else 0,
            "worked_out": _instant(count.refreshed_ms) if count else "never",
        }
        for segment, count in segments.of_program(books.program_id)
    ]
    tell(books.printer, rows, None, nothing="The rule set has no segments.")


def _segments(books: Books) -> Segments:
    from tallystick.cli.wiring import now_ms
    from tallystick.service.segments import Segments

    return Segments(books.store, books.rulebook, now_ms=now_ms)


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
