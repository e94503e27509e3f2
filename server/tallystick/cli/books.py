"""`verify` and `export` read the books straight from the database, while the server may go on; `expire` asks it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from tallystick.cli.export import Format, What, records, write_records
from tallystick.cli.options import (
    ADMIN_PROFILE,
    ConfigOption,
    DatabaseOption,
    DataDirOption,
    JsonOption,
    printer_for,
    settings_from,
)
from tallystick.cli.output import EXIT_OK, EXIT_UNSOUND, EXIT_USAGE, CommandFailed, count, new_file
from tallystick.cli.remote import Remote, with_remote
from tallystick.core.ids import ProgramId

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from tallystick.cli.client import Client
    from tallystick.storage.open import Store

PROGRAMS_PAGE = 500
EXPIRE_PAGE_SIZE = 500
REPORT_EVERY = 500
"""Records between two moves of a progress bar."""


def verify(
    program: Annotated[str, typer.Option(help="One program; default: all of them.")] = "",
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute every balance, lot and hash from the entries, and name the first bad row. Code 1 when there is one."""
    from tallystick.storage.open import open_store
    from tallystick.storage.verify import verify as verify_store

    settings = settings_from(config, data_dir=data_dir, database=database)
    printer = printer_for(as_json=as_json)
    store = open_store(settings.database_url)
    try:
        program_id = the_program(store, program) if program else None
        with printer.progress("Verifying") as advance:
            report = verify_store(store, program_id, lambda _program, done, total: advance(done, total))
    finally:
        store.close()
    looked_at = (
        f"{count(report.entries)} entries, {count(report.members)} members, {count(report.lots)} lots, "
        f"{count(report.holds)} holds, {count(report.journal_rows)} journal rows, {count(report.tills)} tills, "
        f"{count(report.inbox_items)} items in the inbox, {count(report.programs)} programs"
    )
    if report.first is None:
        printer.line(f"Verified {looked_at}: every balance, lot and hash agrees.")
    else:
        printer.line(f"{count(report.problem_count)} problems in {looked_at}.")
        printer.line(f"First bad row: {report.first}")
    printer.document(
        {
            "ok": report.ok,
            "programs": report.programs,
            "members": report.members,
            "entries": report.entries,
            "lots": report.lots,
            "holds": report.holds,
            "tills": report.tills,
            "inbox_items": report.inbox_items,
            "coupon_uses": report.coupon_uses,
            "journal_rows": report.journal_rows,
            "problem_count": report.problem_count,
            "problems": [asdict(problem) for problem in report.problems],
        }
    )
    raise typer.Exit(EXIT_OK if report.ok else EXIT_UNSOUND)


@with_remote(ADMIN_PROFILE)
def expire(
    remote: Remote,
    as_of: Annotated[str, typer.Option(metavar="TIME", help="ISO 8601; default: the server's time.")] = "",
) -> None:
    """Run the nightly work: points mature and expire, holds end, tiers are reviewed. A rerun finds nothing to do."""
    printer = remote.printer

    async def work(client: Client) -> tuple[int, int]:
        from tallystick.v1 import admin_pb2

        members = entries = 0
        request = admin_pb2.ExpirePointsRequest(page_size=EXPIRE_PAGE_SIZE)
        # One instant for all pages, also when the night's work takes a while.
        info = await client.call(client.admin.GetServerInfo, admin_pb2.GetServerInfoRequest())
        request.as_of.CopyFrom(_instant(as_of) if as_of else info.server_time)
        with printer.progress("Members") as advance:
            while True:
                page = await client.call(client.admin.ExpirePoints, request)
                members, entries = members + page.members, entries + page.entries
                advance(members)
                request.page_token = page.next_page_token
                if not request.page_token:
                    return members, entries

    members, entries = remote.ask(work)
    printer.line(f"{count(members)} members had something due: {count(entries)} entries posted.")
    printer.document({"members": members, "entries": entries})


def _instant(text: str) -> Timestamp:
    from google.protobuf.timestamp_pb2 import Timestamp

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandFailed(
            f"'{text}' is no instant",
            mend="write it with its offset: 2026-01-31T23:00:00+00:00",
            code=EXIT_USAGE,
        )
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def export(
    what: Annotated[What, typer.Argument(help="What to export.")],
    program: Annotated[str, typer.Option(help="The program; needed when there are several.")] = "",
    form: Annotated[Format, typer.Option("--format", help="csv or jsonl.")] = Format.CSV,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A new file; default: standard output.")
    ] = None,
    database: DatabaseOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Write accounts or entries as CSV or JSON lines, as they are at one instant.

    In CSV, text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    from tallystick.storage.open import open_store

    settings = settings_from(config, data_dir=data_dir, database=database)
    printer = printer_for(as_json=out is None)
    store = open_store(settings.database_url)
    try:
        program_id = the_program(store, program)
        with (
            store.snapshot(program_id) as snapshot,
            # Closed before the snapshot is, whatever ends the writing.
            closing(records(snapshot, what)) as found,
            _stream(out) as stream,
            printer.progress(f"Exporting {what}") as advance,
        ):
            written = 0
            for written in write_records(found, stream, form):
                if written % REPORT_EVERY == 0:
                    advance(written)
    finally:
        store.close()
    printer.line(f"{count(written)} {what} of {program_id} written to {out}")


def the_program(store: Store, named: str) -> ProgramId:
    """The program that was named, or the only one there is."""
    found = [program.program_id for program in store.programs(after="", limit=PROGRAMS_PAGE)]
    if named:
        if store.program(ProgramId(named)) is None:
            raise CommandFailed(
                f"there is no program '{named}'", mend=f"there are: {', '.join(found) or 'none'}"
            )
        return ProgramId(named)
    if len(found) != 1:
        raise CommandFailed(
            f"the database has {len(found)} programs",
            mend=f"name one with --program: {', '.join(found)}"
            if found
            else "make one, see `tallystick program`",
            code=EXIT_USAGE,
        )
    return found[0]


@contextmanager
def _stream(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    with new_file(out) as stream:
        yield stream
