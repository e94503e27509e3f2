"""`status`: how a till is doing, asked of the process that runs it, or read from its file when none does."""

from __future__ import annotations

import http.client
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tallystick_till.cli.options import DirOption, JsonOption, directory_of
from tallystick_till.cli.output import EXIT_ATTENTION, CommandFailed, Printer

ASK_S = 5.0
STATE_BYTES_MAX = 1 << 20


def status(directory: DirOption = None, as_json: JsonOption = False) -> None:
    """Show what waits, what needs a person, and what this till may do at the moment."""
    import typer

    printer = Printer(as_json=as_json)
    state, runs = state_of(directory_of(directory))
    printer.document({**state, "runs": runs})
    rows, concerns = rows_of(state, runs=runs)
    printer.table(
        f"{state['till']['label'] or state['till']['till_id']} of {state['till']['store_id']}", rows
    )
    for concern in concerns:
        printer.line(f"! {concern}")
    if concerns:
        raise typer.Exit(EXIT_ATTENTION)


def state_of(directory: Path) -> tuple[dict[str, Any], bool]:
    """Return the till's state as the local API tells it, and whether a process runs the till."""
    from tallystick_till.daemon.assembly import HubChoice, assembled, confirmed_config
    from tallystick_till.daemon.instance import AnotherRuns, held

    confirmed_config(directory)
    try:
        with held(directory), assembled(directory, hub=HubChoice()) as parts:
            return asdict(parts.till.status()), False
    except AnotherRuns as other:
        if not other.port:
            raise CommandFailed("the till is just starting", mend="try again in a moment") from other
        return _ask(other.port), True


def rows_of(state: dict[str, Any], *, runs: bool) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the table for people and the sentences about what needs one of them."""
    from tallystick_till.daemon.messages import sentence

    attention, floor, rules = state["attention"], state["floor"], state["rules"]
    rows = [
        (
            "line",
            f"{state['link']} since {_time(state['link_since_ms'])}" if runs else "the till does not run",
        ),
        ("last contact", _time(state["last_contact_ms"])),
        ("waiting", f"{state['queued']} advices"),
        (
            "to look at",
            ", ".join(f"{count} {name}" for name, count in attention.items() if count) or "nothing",
        ),
        ("rules", f"version {rules['version']}, valid until {_time(rules['valid_until_ms'])}"),
        (
            "leases",
            {"self": "held by this till", "none": "none"}.get(state["till"]["hub"], state["till"]["hub"]),
        ),
        ("floor limit", f"{floor['used_points']:,} of {floor['cap_points']:,} points used"),
        ("worst case", f"{state['worst_case_points']:,} points that the store can lose now"),
    ]
    concerns = [sentence(state[gate]["reason"]) for gate in ("sell", "burn") if state[gate]["reason"]]
    if state["till"]["rivals"]:
        concerns.append(f"{sentence('HUB_TWICE')} It is: {', '.join(state['till']['rivals'])}.")
    if state["server_protocol"]["newer"]:
        concerns.append(sentence("SERVER_NEWER"))
    if any(attention.values()):
        concerns.append(
            "Some sales came out differently from their receipts: the queue of the screen shows which."
        )
    return rows, list(dict.fromkeys(concerns))


def _ask(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_S)
    try:
        connection.request("GET", "/api/v1/state")
        state = json.loads(connection.getresponse().read(STATE_BYTES_MAX))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CommandFailed(
            "the process that runs this till does not answer",
            mend="wait a moment; if it stays so, restart it",
        ) from error
    finally:
        connection.close()
    assert isinstance(state, dict), "the API answers an object"
    return state


def _time(at_ms: int) -> str:
    if not at_ms:
        return "never"
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().isoformat(" ", "seconds")
