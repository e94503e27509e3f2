"""The options that all commands take which call a server."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from tallystick.cli.app import app
from tallystick.cli.output import CommandFailed
from tallystick.cli.remote import Remote, with_remote

SHARED = {"--profile", "--server", "--data-dir", "--config"}
CALLING = (
    "sale",
    "balance",
    "enrol-member",
    "expire",
    "store inbox",
    "store resolve",
    "store exposure",
    "store reinstate",
    "store cashier",
    "store voucher",
    "device code",
    "device confirm",
    "device revoke",
    "device list",
    "program create",
    "program publish",
    "program show",
    "cards print",
    "cards lost",
    "cards replace",
    "cards batch create",
    "cards batch list",
    "cards batch export",
)


def options_of(path: str) -> set[str]:
    command: Any = get_command(app)
    for name in path.split():
        command = command.commands[name]
    return {option for param in command.params for option in param.opts}


@pytest.mark.parametrize("path", CALLING)
def test_a_command_that_calls_a_server_lets_one_say_which_and_as_whom(path: str) -> None:
    assert options_of(path) >= SHARED
    assert ("--json" in options_of(path)) is (path != "cards batch export")


def run(*arguments: str) -> list[Remote]:
    given: list[Remote] = []
    program = typer.Typer()

    @program.command()
    @with_remote("till")
    def look(remote: Remote, member: Annotated[str, typer.Argument()], count: int = 1) -> None:
        """Look."""
        assert (member, count) == ("ann", 2)
        given.append(remote)

    result = CliRunner().invoke(program, ["ann", "--count", "2", *arguments])
    assert result.exit_code == 0, result.output
    return given


def test_a_command_gets_what_was_given_and_else_its_own_profile() -> None:
    (bare,) = run()
    assert (bare.profile, bare.server, bare.data_dir, bare.config) == ("till", "", None, None)
    assert not bare.printer.as_json
    (named,) = run("--profile", "two", "--server", "there:1", "--data-dir", "d", "--json")
    assert (named.profile, named.server, named.data_dir, named.printer.as_json) == (
        "two",
        "there:1",
        "d",
        True,
    )


def test_a_profile_that_is_missing_is_named_before_anything_is_asked(tmp_path: object) -> None:
    (remote,) = run("--data-dir", str(tmp_path), "--profile", "nobody")

    async def work(_client: object) -> None:
        raise AssertionError("nothing is asked")

    with pytest.raises(CommandFailed, match="nobody"):
        remote.ask(work)
