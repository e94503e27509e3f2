"""Commands that are imported when they are asked for: whoever calls one does not wait for the other twenty modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
from typer.main import get_group

if TYPE_CHECKING:
    from typer.core import TyperGroup


class Place(NamedTuple):
    """Where a command lies: a function of a module in ``tallystick.cli``, or a group of commands.

    A group is the ``app`` of its modules together, and has a help text of its own.
    """

    panel: str
    modules: tuple[str, ...]
    function: str = ""
    help: str = ""


def command(panel: str, module: str, function: str) -> Place:
    """Return the place of one command."""
    return Place(panel, (module,), function=function)


def group(panel: str, text: str, *modules: str) -> Place:
    """Return the place of a group with this help text; its commands are shown in the order of the modules."""
    return Place(panel, modules, help=text)


class Commands(Mapping[str, Any]):
    """Commands by name, each made when it is first looked at."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Any:
        """Import and return a command; ``KeyError`` when there is none of this name."""
        return _made(name, self._places[name])

    def __iter__(self) -> Iterator[str]:
        """Names in the order in which the help shows them; nothing is imported."""
        return iter(self._places)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._places)


@cache
def _made(name: str, place: Place) -> Any:
    modules = [import_module(f"tallystick.cli.{module}") for module in place.modules]
    holder = typer.Typer()
    if place.function:
        holder.command(name, rich_help_panel=place.panel)(getattr(modules[0], place.function))
    else:
        first, *others = (module.app for module in modules)
        for other in others:
            first.add_typer(other)
        holder.add_typer(first, name=name, help=place.help, rich_help_panel=place.panel)
    made: TyperGroup = get_group(holder)
    return made.commands[name]
