"""Commands that call a server: the options that all of them take, and the one way in which they use them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
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
from tallystick.cli.sharing import Shared, with_shared
from tallystick.core.record import record

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.cli.output import Printer

Answer = TypeVar("Answer")

_OPTIONS = {
    "profile": Shared(ProfileOption, ""),
    "server": Shared(ServerOption, ""),
    "data_dir": Shared(DataDirOption, None),
    "config": Shared(ConfigOption, None),
    "as_json": Shared(JsonOption, False),
}


@record(frozen=True, slots=True)
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
    options = {name: one for name, one in _OPTIONS.items() if prints_json or name != "as_json"}
    options["profile"] = Shared(ProfileOption, profile)

    @contextmanager
    def remote(*, as_json: bool = False, **chosen: Any) -> Iterator[Remote]:
        yield Remote(printer_for(as_json=as_json), **chosen)

    return with_shared(options, remote)
