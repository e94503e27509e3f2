"""Options that several commands take alike: written once, and handed to each command as one thing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

Command = Callable[..., None]


class Shared(NamedTuple):
    """An option of several commands: what typer reads of it, and its default."""

    kind: Any
    default: Any


def with_shared(
    options: Mapping[str, Shared], opened: Callable[..., AbstractContextManager[object]]
) -> Callable[[Command], Command]:
    """Give a command's first parameter what ``opened`` makes of ``options``, and the command these behind its own.

    What was opened is closed when the command is done.
    """

    def decorate(work: Command) -> Command:
        signature = inspect.signature(work, eval_str=True)
        own = list(signature.parameters.values())[1:]
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=one.kind, default=one.default)
            for name, one in options.items()
        ]

        @functools.wraps(work)
        def command(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in options}
            with opened(**chosen) as first:
                work(first, **given)

        # What reads the command line reads this, and nothing of the function below.
        command.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
        return command

    return decorate
