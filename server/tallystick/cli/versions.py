"""`tallystick program diff`, `rollback`, `schema`: what a rule set changes, the way back, and what may be written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.amounts import new_id
from tallystick.cli.options import ADMIN_PROFILE
from tallystick.cli.output import EXIT_OK, EXIT_UNSOUND, CommandFailed
from tallystick.cli.programs import read_rules
from tallystick.cli.remote import Remote, with_remote

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.v1 import admin_pb2

app = typer.Typer()

IN_FORCE = "in-force"
SHOWN_CHARS_MAX = 100

Change = tuple[str, Any, Any]
"""A place in a rule set, what is there before and after; None for nothing."""


def published_rules(remote: Remote, version: int) -> tuple[int, str]:
    """Ask the server for a rule set as it was published; 0 is the one in force. Return its version and its text."""

    async def work(client: Client) -> tuple[int, str]:
        from tallystick.v1 import admin_pb2

        request = admin_pb2.GetRuleSetRequest(version=version)
        found = (await client.call(client.admin.GetRuleSet, request)).rule_set
        return found.version, found.text

    return remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def diff(
    remote: Remote,
    after: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="Rule set: a file, '-', or a shipped one's name.")
    ],
    against: Annotated[
        str,
        typer.Option(metavar="PROGRAM", help="Compare with this one: a file, a shipped one, or 'in-force'."),
    ] = IN_FORCE,
) -> None:
    """Say what a rule set changes, place by place. Code 1 when there is a difference."""
    from tallystick.cli.simulating import parsed
    from tallystick.service.rule_text import read_document

    printer = remote.printer
    text = read_rules(after)
    if against == IN_FORCE:
        version, old_text = published_rules(remote, 0)
        old_name = f"rule set {version}, which is in force"
    else:
        old_text, old_name = read_rules(against), against
    parsed(after, text)
    parsed(against, old_text)
    changes = list(differences(read_document(old_text).value, read_document(text).value))
    if not changes:
        printer.line(f"{after} says the same as {old_name}.")
    for place, old, new in changes:
        if old is None:
            printer.line(f"+ {place}: {_shown(new)}")
        elif new is None:
            printer.line(f"- {place}: {_shown(old)}")
        else:
            printer.line(f"~ {place}: {_shown(old)} -> {_shown(new)}")
    printer.document(
        {"changes": [{"place": place, "before": old, "after": new} for place, old, new in changes]}
    )
    raise typer.Exit(EXIT_UNSOUND if changes else EXIT_OK)


@app.command()
@with_remote(ADMIN_PROFILE)
def rollback(
    remote: Remote,
    to: Annotated[int, typer.Option(help="The version whose text is published anew.", min=1)],
) -> None:
    """Go back to an earlier rule set: its text becomes a new version, for versions are never taken back.

    What was posted under the rules between stays as it is; each entry names the version that judged it.
    """
    printer = remote.printer
    now, text_now = published_rules(remote, 0)
    _, text = published_rules(remote, to)
    if text == text_now:
        raise CommandFailed(
            f"rule set {now}, which is in force, says what rule set {to} says",
            mend="`tallystick program show --version N` prints one",
        )

    async def work(client: Client) -> admin_pb2.PublishRuleSetResponse:
        from tallystick.v1 import admin_pb2

        request = admin_pb2.PublishRuleSetRequest(request_id=new_id(), text=text)
        return await client.call(client.admin.PublishRuleSet, request)

    made = remote.ask(work)
    printer.line(
        f"Rule set {made.version} is in force; it says what rule set {to} said. Rule set {now} was before."
    )
    printer.document({"version": made.version, "text_of": to, "before": now, "sha256": made.hash})


@app.command()
def schema() -> None:
    """Print the JSON Schema of rule sets, for an editor that completes and checks while you write."""
    text = resources.files("tallystick").joinpath("programs", "rules.schema.json").read_text(encoding="utf-8")
    print(text, end="")


def differences(before: Any, after: Any, place: str = "") -> Iterator[Change]:
    """Yield every change between two documents. Items of lists that have an ``id`` are found again by it, so that one
    that moved or a new one before it is not told as a change of all that follow; a change of their order is told last.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from differences(before.get(key), after.get(key), f"{place}.{key}" if place else str(key))
    elif _have_ids(before) and _have_ids(after):
        old, new = ({item["id"]: item for item in items} for items in (before, after))
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), f"{place}[{key}]")
        both = [key for key in old if key in new]
        if both != [key for key in new if key in old]:
            yield f"{place} (order)", both, [key for key in new if key in old]
    elif before != after:
        yield place, before, after


def _have_ids(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(item, Mapping) and "id" in item for item in value)
    )


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[: SHOWN_CHARS_MAX - 3]}..."
