"""`tallystick segment ...`: who is in which segment, read from and written to the database beside the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.books import the_program
from tallystick.cli.finance import ProgramOption, tell
from tallystick.cli.options import (
    ConfigOption,
    DatabaseOption,
    DataDirOption,
    JsonOption,
    printer_for,
    settings_from,
)
from tallystick.cli.output import EXIT_USAGE, CommandFailed, Printer

if TYPE_CHECKING:
    from tallystick.config import Settings
    from tallystick.core.ids import ProgramId
    from tallystick.service.segments import Segments

MEMBERS_PAGE = 1_000

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    program: ProgramOption = "",
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The segments of the rule set in force, and how many members each had when that was last worked out."""
    printer = printer_for(as_json=as_json)
    with _opened(settings_from(config, data_dir=data_dir, database=database), program) as (found, program_id):
        _show(printer, found, program_id)


@app.command()
def refresh(
    program: ProgramOption = "",
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Work out now who is in which segment; a server does it by itself every night."""
    printer = printer_for(as_json=as_json)
    with _opened(settings_from(config, data_dir=data_dir, database=database), program) as (found, program_id):
        found.refresh(program_id)
        _show(printer, found, program_id)


@app.command()
def export(
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="A segment of the rule set in force.")],
    to: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write it as CSV here.")] = None,
    program: ProgramOption = "",
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who is in a segment, and since when. Ids only: who a member is, another command with other rights tells."""
    from tallystick.service.errors import NotFound

    printer = printer_for(as_json=as_json)
    rows: list[dict[str, str | int]] = []
    with _opened(settings_from(config, data_dir=data_dir, database=database), program) as (found, program_id):
        after = ""
        try:
            while page := found.members(program_id, segment, after=after, limit=MEMBERS_PAGE):
                rows += [
                    {"member_id": member_id, "since": _instant(since_ms)} for member_id, since_ms in page
                ]
                after = page[-1][0]
        except NotFound as error:
            names = ", ".join(one.segment_id for one, _ in found.of_program(program_id)) or "none"
            raise CommandFailed(
                f"the rule set has no segment '{segment}'", mend=f"there are: {names}", code=EXIT_USAGE
            ) from error
    tell(printer, rows, to, nothing="Nobody is in it.")


def _show(printer: Printer, segments: Segments, program_id: ProgramId) -> None:
    rows: list[dict[str, str | int]] = [
        {
            "segment": segment.segment_id,
            "name": segment.name,
            "members": count.members if count else 0,
            "worked_out": _instant(count.refreshed_ms) if count else "never",
        }
        for segment, count in segments.of_program(program_id)
    ]
    tell(printer, rows, None, nothing="The rule set has no segments.")


@contextmanager
def _opened(settings: Settings, program: str) -> Iterator[tuple[Segments, ProgramId]]:
    from tallystick.cli.wiring import now_ms
    from tallystick.service.rulebook import RuleBook
    from tallystick.service.segments import Segments
    from tallystick.storage.open import open_store

    store = open_store(settings.database_url)
    try:
        yield Segments(store, RuleBook(store), now_ms=now_ms), the_program(store, program)
    finally:
        store.close()


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
