"""`tallystick-till run`: one process that sells, serves the screen, and keeps in touch with the gateway."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import tallystick_till
from tallystick.core.record import record
from tallystick_till.config import LISTEN_DEFAULT, TillConfig, prepare_directory
from tallystick_till.daemon.assembly import HubChoice, Parts, assembled, confirmed_config
from tallystick_till.daemon.desk import Desk
from tallystick_till.daemon.instance import held
from tallystick_till.daemon.machine import new_id
from tallystick_till.daemon.screen import Screen
from tallystick_till.daemon.server import listen, port_of, serve
from tallystick_till.daemon.shelf import Shelf
from tallystick_till.training import training_till

SYNC_STOP_S: Final = 6.0
SCREEN_DIR: Final = Path(tallystick_till.__file__).parent / "screen"


@record(frozen=True, slots=True)
class Running:
    """A till that serves. ``hub_port`` is 0 when it serves no leases to others."""

    config: TillConfig
    directory: Path
    port: int
    hub_port: int
    screen_built: bool


def run(
    directory: Path,
    *,
    address: str = LISTEN_DEFAULT,
    hub: HubChoice | None = None,
    hub_listen: str = "",
    started: Callable[[Running], None],
) -> None:
    """Sell until SIGTERM or SIGINT. ``started`` is called once the screen and the API answer.

    Raises ``ConfigRefused``, ``AnotherRuns`` and ``CannotListen``.
    """
    confirmed_config(directory)
    prepare_directory(directory)
    with held(directory) as instance, listen(address) as listener:
        screen = Screen(SCREEN_DIR)
        with assembled(directory, hub=hub or HubChoice(), hub_listen=hub_listen) as parts, _in_touch(parts):
            desk = Desk(
                parts.till,
                Shelf(parts.till.db, new_id),
                lambda: training_till(parts.till, parts.hub),
                wake=parts.sync.wake,
            )
            port = port_of(listener)

            def ready() -> None:
                instance.tell(port=port)
                started(Running(parts.config, directory, port, parts.hub_port, screen.built))

            asyncio.run(_until_told(lambda stop: serve(desk, screen, listener, stop, ready=ready)))


@contextmanager
def _in_touch(parts: Parts) -> Iterator[None]:
    """Keep in touch with the gateway while the block runs."""
    stop = threading.Event()
    sync = threading.Thread(target=parts.sync.run, args=(stop,), name="till-sync", daemon=True)
    sync.start()
    try:
        yield
    finally:
        stop.set()
        # The stream of news is silent for a while at times; without its connection it ends at once.
        parts.gateway.close()
        sync.join(SYNC_STOP_S)


async def _until_told(serving: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serving(stop)
