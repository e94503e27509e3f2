"""`tallystick program ...`: make programs, check rule sets, publish them, show them."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.amounts import new_id
from tallystick.cli.options import (
    ADMIN_PROFILE,
    JsonOption,
    printer_for,
)
from tallystick.cli.output import EXIT_UNSOUND, EXIT_USAGE, CommandFailed
from tallystick.cli.remote import Remote, with_remote

if TYPE_CHECKING:
    from tallystick.cli.client import Client

RULES_BYTES_MAX = 49_152
CLOCKS = ("live", "replay")

app = typer.Typer(no_args_is_help=True)

FileArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="Rule set in YAML or TOML, '-' for standard input, or a shipped one's name."
    ),
]


@app.command()
@with_remote(ADMIN_PROFILE)
def create(
    remote: Remote,
    program_id: Annotated[str, typer.Argument(help="A letter and 1 to 31 more of a-z, 0-9 and '-'.")],
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    clock: Annotated[
        str, typer.Option(help="live, or replay for a program that sales are replayed into.")
    ] = "live",
) -> None:
    """Make a program through the server. Devices for it come from `tallystick keys device --program`."""
    if clock not in CLOCKS:
        raise CommandFailed(
            f"'{clock}' is no clock", mend="use --clock live or --clock replay", code=EXIT_USAGE
        )
    printer = remote.printer

    async def work(client: Client) -> None:
        from tallystick.v1 import admin_pb2

        request = admin_pb2.CreateProgramRequest(
            program_id=program_id,
            display_name=name or program_id,
            clock=admin_pb2.ProgramClock.Value(f"PROGRAM_CLOCK_{clock.upper()}"),
        )
        made = (await client.call(client.admin.CreateProgram, request)).program
        printer.line(f"Program {made.program_id} ({clock} clock) is there.")
        printer.document({"program_id": made.program_id, "rule_set_version": made.rule_set_version})

    remote.ask(work)


@app.command()
def validate(file: FileArgument, as_json: JsonOption = False) -> None:
    """Check a rule set without a server; each finding comes with its place and its mend. Code 1 with findings."""
    from tallystick.service.programs import check_text, text_sha256

    printer = printer_for(as_json=as_json)
    text = read_rules(file)
    checked = check_text(text)
    if not isinstance(checked, list):
        # The same hash as `publish` shows: that of the text, byte for byte.
        printer.line(f"{file}: good, sha256 {text_sha256(text)}")
        printer.document({"findings": [], "sha256": text_sha256(text)})
        return
    for found in checked:
        place = f"{file}:{found.place.line}:{found.place.column}" if found.place.line else file
        mend = f"; {found.finding.mend}" if found.finding.mend else ""
        printer.line(f"{place}: {found.finding.path}: {found.finding.message}{mend}")
    findings = [
        {
            "line": found.place.line,
            "column": found.place.column,
            "path": found.finding.path,
            "message": found.finding.message,
            "mend": found.finding.mend,
        }
        for found in checked
    ]
    printer.document({"findings": findings})
    raise typer.Exit(EXIT_UNSOUND)


@app.command()
@with_remote(ADMIN_PROFILE)
def publish(
    remote: Remote,
    file: FileArgument,
    request_id: Annotated[str, typer.Option(help="Publish again under the same id; it counts once.")] = "",
) -> None:
    """Make a rule set the one in force for the profile's program."""
    printer = remote.printer
    text = read_rules(file)

    async def work(client: Client) -> None:
        from tallystick.v1 import admin_pb2

        request = admin_pb2.PublishRuleSetRequest(request_id=request_id or new_id(), text=text)
        made = await client.call(client.admin.PublishRuleSet, request)
        program_id = client.profile.program_id
        printer.line(f"Rule set {made.version} of {program_id} is in force, sha256 {made.hash}")
        printer.document({"program_id": program_id, "version": made.version, "sha256": made.hash})

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def show(
    remote: Remote,
    version: Annotated[int, typer.Option(help="Which rule set; 0 is the one in force.", min=0)] = 0,
    shipped: Annotated[str, typer.Option(help="Show a rule set that comes with Tallystick instead.")] = "",
) -> None:
    """Print a rule set as it was published."""
    printer = remote.printer
    if shipped:
        text = shipped_rules(shipped)
        printer.line(text.rstrip())
        printer.document({"name": shipped, "text": text})
        return

    async def work(client: Client) -> None:
        from tallystick.v1 import admin_pb2

        request = admin_pb2.GetRuleSetRequest(version=version)
        found = (await client.call(client.admin.GetRuleSet, request)).rule_set
        printer.line(found.text.rstrip())
        printer.document({"version": found.version, "sha256": found.hash, "text": found.text})

    remote.ask(work)


@app.command(name="list")
def list_shipped(as_json: JsonOption = False) -> None:
    """List the ready programs: what each is, and the name that the other commands take."""
    printer = printer_for(as_json=as_json)
    shipped = [(name, about_shipped(name)) for name in shipped_names()]
    width = max(len(name) for name, _ in shipped)
    for name, about in shipped:
        printer.line(f"{name.ljust(width)}  {about}")
    printer.document({"programs": [{"name": name, "about": about} for name, about in shipped]})


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A ready program; `program list` has them.")],
    file: Annotated[str, typer.Option(help="Where to write it; default: NAME.yaml here.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Copy a ready program into a file of your own, to change it and publish it."""
    printer = printer_for(as_json=as_json)
    text = shipped_rules(name)
    path = Path(file or f"{name}.yaml")
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise CommandFailed(f"{path} is there already", mend="give another --file", code=EXIT_USAGE) from None
    except OSError as error:
        raise CommandFailed(
            f"{path} cannot be written: {error.strerror}", mend="give another --file"
        ) from error
    printer.line(f"{path} is there. Change it, then: tallystick program validate {path}")
    printer.document({"file": str(path), "program": name})


def about_shipped(name: str) -> str:
    """The first sentence of a shipped rule set: its comment says what it is."""
    first = shipped_rules(name).partition("\n")[0].removeprefix("#").strip()
    return first.partition(". ")[0].removesuffix(".")


def read_rules(file: str) -> str:
    """The text of a rule set from a file, standard input, or those that are shipped; at most RULES_BYTES_MAX bytes."""
    if file == "-":
        data = sys.stdin.buffer.read(RULES_BYTES_MAX + 1)
    elif not Path(file).exists() and file in shipped_names():
        return shipped_rules(file)
    else:
        with Path(file).open("rb") as stream:
            data = stream.read(RULES_BYTES_MAX + 1)
    if len(data) > RULES_BYTES_MAX:
        raise CommandFailed(
            f"{file} is larger than {RULES_BYTES_MAX} bytes", mend="a rule set is a page of text"
        )
    try:
        # Some editors put a mark in front, which TOML does not know.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Its object is what stands behind the mark.
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CommandFailed(
            f"{file}:{line}: is not UTF-8 text: {error.reason}", mend="save it as UTF-8 in your editor"
        ) from error


def shipped_names() -> list[str]:
    """The names of the rule sets that come with Tallystick."""
    files = resources.files("tallystick").joinpath("programs").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def shipped_rules(name: str) -> str:
    """The text of a rule set that comes with Tallystick."""
    if name not in shipped_names():
        raise CommandFailed(
            f"no rule set '{name}' is shipped",
            mend=f"there are: {', '.join(shipped_names())}",
            code=EXIT_USAGE,
        )
    return resources.files("tallystick").joinpath("programs", f"{name}.yaml").read_text(encoding="utf-8")
