"""Commands are imported one by one, and together they are all that the help shows."""

from __future__ import annotations

from typing import Any

import pytest
from typer.main import get_command

from tallystick.cli.app import PLACES, app
from tallystick.cli.commands import Commands, command
from tests.cli.shell import Shell

LOADED = """
import sys
from tallystick.cli import main
sys.argv = ["tallystick", *sys.argv[1:]]
main()
print(*sorted(name for name in sys.modules if name.startswith("tallystick.cli.")))
"""
MODULES = {f"tallystick.cli.{module}" for place in PLACES.values() for module in place.modules}


@pytest.mark.parametrize(
    ("arguments", "own"),
    [
        (("--version",), set()),
        (("keys", "--help"), {"tallystick.cli.keys"}),
        (("coupons", "list", "--help"), {"tallystick.cli.coupons"}),
        (
            ("program", "--help"),
            {"tallystick.cli.programs", "tallystick.cli.simulating", "tallystick.cli.versions"},
        ),
    ],
    ids=["none", "a group", "a command of a group", "a group of three modules"],
)
def test_a_command_imports_its_own_module_and_no_other(
    shell: Shell, arguments: tuple[str, ...], own: set[str]
) -> None:
    told = shell.python(LOADED, *arguments)
    assert MODULES & set(told.splitlines()[-1].split()) == own


def test_each_name_has_a_command_of_that_name_and_in_its_panel() -> None:
    made: Any = get_command(app)
    assert list(made.commands) == list(PLACES)
    for name, place in PLACES.items():
        assert made.commands[name].name == name
        assert made.commands[name].rich_help_panel == place.panel


def test_a_name_that_nobody_has_is_not_found() -> None:
    commands = Commands({"sale": command("Till", "shop", "sale")})
    assert len(commands) == 1
    assert commands.get("sail") is None
    with pytest.raises(KeyError):
        commands["sail"]


def test_a_group_shows_the_commands_of_all_its_modules_in_their_order(shell: Shell) -> None:
    program: Any = get_command(app)
    names = list(program.commands["program"].commands)
    assert names[0] == "create"
    assert names[-4:] == ["simulate", "diff", "rollback", "schema"]
    assert shell.here("program", "smulate").err.count("Did you mean 'simulate'?") == 1
