"""Commands that call a server: the options that all of them take, and the one way in which they use them."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tallystick.cli.options import (
    ConfigOption,
    DataDirOption,
    JsonOption,
    ProfileOption,
    ServerOption,
    client_for,
    printer_for,
)

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.cli.output import Printer

Answer = TypeVar("Answer")

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "profile": (ProfileOption, ""),
    "server": (ServerOption, ""),
    "data_dir": (DataDirOption, None),
    "config": (ConfigOption, None),
    "as_json": (JsonOption, False),
}


@dataclass(frozen=True, slots=True)
class Remote:
    """Which server a command calls and as whom, and where its output goes."""

    printer: Printer
    profile: str
    server: str
    data_dir: str | None
    config: Path | None

    def ask(self, work: Callable[[Client], Awaitable[Answer]]) -> Answer:
        """Run ``work`` with a client and return its answer. Raises CommandFailed when there is no such profile."""

        async def run() -> Answer:
            client = client_for(self.profile, data_dir=self.data_dir, config=self.config, server=self.server)
            async with client:
                return await work(client)

        return asyncio.run(run())


def with_remote(
    profile: str, *, prints_json: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command's first parameter its `Remote`, and the command the options --profile, --server, --data-dir,
    --config and, where it prints documents, --json. ``profile`` is which device calls unless one is named.
    """

    def decorate(work: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(work, eval_str=True)
        own = list(signature.parameters.values())[1:]
        names = [name for name in _OPTIONS if prints_json or name != "as_json"]
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for name in names
            for kind, default in [_OPTIONS[name]]
        ]
        shared[0] = shared[0].replace(default=profile)

        @functools.wraps(work)
        def command(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in names}
            printer = printer_for(as_json=chosen.pop("as_json", False))
            work(Remote(printer, **chosen), **given)

        # What reads the command line reads this, and nothing of the function below.
        command.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
        return command

    return decorate
