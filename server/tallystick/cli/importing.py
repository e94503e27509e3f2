"""`tallystick import online-retail FILE`: replay a year of real sales through gRPC, in historical time."""

from __future__ import annotations

import hashlib
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.options import (
    IMPORTER_PROFILE,
    ConfigOption,
    DatabaseOption,
    DataDirOption,
    JsonOption,
    KeyDirOption,
    printer_for,
    settings_from,
)
from tallystick.cli.output import EXIT_OK, EXIT_UNSOUND, EXIT_USAGE, CommandFailed, Printer
from tallystick.cli.profile import Profile, load_profile
from tallystick.cli.programs import shipped_rules
from tallystick.cli.retail.plan import Plan, make_plan
from tallystick.cli.retail.rows import read_rows
from tallystick.config.settings import Settings
from tallystick.core.ids import Ms, ProgramId

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.cli.retail.post import Tally
    from tallystick.cli.retail.summary import Summary, Totals
    from tallystick.security.keys import SigningKey

RULES = "online_retail"

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Replay sales of a file as real clients do."""


@app.command("online-retail")
def online_retail(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Invoices or lines of the UCI Online Retail data set.")
    ],
    server: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Use this running server, with --profile.")
    ] = "",
    profile: Annotated[str, typer.Option(metavar="NAME", help="An importer's profile, for --server.")] = "",
    program: Annotated[
        str, typer.Option(help="The program to replay into, when no --server is named.")
    ] = RULES.replace("_", "-"),
    in_flight: Annotated[
        int, typer.Option(help="Members whose sales are on their way at once.", min=1, max=1000)
    ] = 128,
    database: DatabaseOption = None,
    key_dir: KeyDirOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay the sales and returns of FILE through gRPC, in their own time.

    Without --server it migrates the database, makes the program, starts a server of its own, and verifies the ledger
    at the end. With --server the profile's program must run on the replay clock. The same file replayed again changes
    nothing and says so. Ends with code 1 when a row, a point or a hash does not add up.
    """
    settings = settings_from(config, data_dir=data_dir, database=database, key_dir=key_dir)
    if (server or profile) and database is not None:
        raise CommandFailed(
            "--database is for an import with a server of its own",
            mend="use it alone, or --server and --profile",
            code=EXIT_USAGE,
        )
    printer = printer_for(as_json=as_json)
    kind, rows = read_rows(file)
    plan = make_plan(kind, rows)
    replay = _Run(settings, file, plan, printer, in_flight)
    if server or profile:
        import uvloop

        found, key = load_profile(settings.data_dir, profile or IMPORTER_PROFILE)
        summary = uvloop.run(replay.against(found, key, server=server))
    else:
        summary = replay.with_own_server(program)
    from tallystick.cli.retail.summary import print_summary, summary_to_json

    print_summary(summary, printer)
    printer.document(summary_to_json(summary))
    raise typer.Exit(EXIT_OK if summary.sound else EXIT_UNSOUND)


class _Run:
    """One replay of one file."""

    def __init__(self, settings: Settings, file: Path, plan: Plan, printer: Printer, in_flight: int) -> None:
        self._settings = settings
        self._file = file
        self._plan = plan
        self._printer = printer
        self._in_flight = in_flight

    def with_own_server(self, program: str) -> Summary:
        """Replay into the database of the settings with a server of our own, then verify it."""
        from dataclasses import replace

        import uvloop

        from tallystick.cli.child import ServerProcess
        from tallystick.storage.verify import verify

        settings = replace(self._settings, in_flight_max=max(256, 2 * self._in_flight))
        found, key = self._own_profile(program)
        with ServerProcess(settings) as server:
            summary = uvloop.run(self.against(found, key, server=server.address))
        with self._printer.progress("Verifying") as advance:
            report = verify(
                settings.database_url, ProgramId(program), lambda _program, done, total: advance(done, total)
            )
        if report.first is not None:
            self._printer.line(f"First bad row: {report.first}")
        return replace(summary, verified=report.ok)

    async def against(self, found: Profile, key: SigningKey, *, server: str) -> Summary:
        """Replay through a running server."""
        from tallystick.cli.client import Client
        from tallystick.cli.retail.post import Replay
        from tallystick.cli.retail.summary import Summary, count_rows
        from tallystick.v1 import admin_pb2

        async with Client(found, key, server=server) as client:
            await _require_replay_clock(client)
            info = await client.call(client.admin.GetServerInfo, admin_pb2.GetServerInfoRequest())
            before = await _totals(client)
            began = time.monotonic()
            replay = Replay(
                client,
                self._plan,
                started_ms=Ms(info.server_time.ToMilliseconds()),
                in_flight=self._in_flight,
            )
            with self._printer.progress(f"Replaying {self._plan.kind}", len(self._plan.steps)) as advance:
                tally: Tally = await replay.run(advance)
            elapsed_s = time.monotonic() - began
            totals = await _totals(client)
        return Summary(
            file=self._file.name,
            kind=self._plan.kind.value,
            rows=count_rows(self._plan, tally),
            tally=tally,
            totals_before=before,
            totals=totals,
            elapsed_s=elapsed_s,
            retries=client.retries,
            verified=None,
        )

    def _own_profile(self, program: str) -> tuple[Profile, SigningKey]:
        """Prepare database, keys, program and rules; an importer for them."""
        from tallystick.cli.prepare import ensure_device, migrate_if_needed
        from tallystick.cli.register import ensure_program
        from tallystick.cli.wiring import opened_gateway

        settings = self._settings
        migrate_if_needed(settings.database_url)
        # One profile for each database, so that an import into a second one leaves the first one's device alone.
        name = "import-" + hashlib.sha256(f"{settings.database_url} {program}".encode()).hexdigest()[:12]
        with opened_gateway(settings) as (gateway, store, _):
            made = ensure_program(store, program, clock="replay", display_name="Online retail")
            if made.rule_set == 0:
                request_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{program}.first-rules.tallystick"))
                gateway.programs.publish(
                    made.program_id, shipped_rules(RULES), request_id=request_id, published_by="import"
                )
            ensure_device(
                store,
                settings,
                program=program,
                role="importer",
                store_id="",
                name=name,
                server=settings.listen,
            )
        return load_profile(settings.data_dir, name)


async def _require_replay_clock(client: Client) -> None:
    from tallystick.v1 import admin_pb2

    program = (await client.call(client.admin.GetProgram, admin_pb2.GetProgramRequest())).program
    if program.clock != admin_pb2.PROGRAM_CLOCK_REPLAY:
        raise CommandFailed(
            f"the program {program.program_id} runs on the live clock: the past cannot be posted into it",
            mend="make one with `tallystick program create NAME --clock replay`, and an importer's profile for it",
        )
    if program.rule_set_version == 0:
        raise CommandFailed(
            f"the program {program.program_id} has no rule set yet",
            mend=f"publish one: `tallystick program publish {RULES} --profile ADMIN`",
        )


async def _totals(client: Client) -> Totals:
    from tallystick.v1 import admin_pb2

    answer = await client.call(client.admin.GetTotals, admin_pb2.GetTotalsRequest())
    return {total.kind: total.points for total in answer.accounts}
