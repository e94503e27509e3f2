"""The till put together from its parts, over one directory that this process holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Final

from tallystick.core.record import record
from tallystick.security.keys import SigningKey
from tallystick_till.config import (
    CA_FILE,
    DB_FILE,
    SNAPSHOT_DIR,
    ConfigRefused,
    TillConfig,
    load_config,
    load_key,
    split_address,
)
from tallystick_till.daemon.machine import MachineClock, new_id
from tallystick_till.daemon.server import CannotListen
from tallystick_till.db import TillDb
from tallystick_till.engine import Till
from tallystick_till.hub import LocalHub, NoHub
from tallystick_till.hub_http import HttpHub, HubServer
from tallystick_till.snapshot import FileSnapshot
from tallystick_till.sync import SyncLoop
from tallystick_till.transport import GrpcGateway, Tls

HUB_SELF: Final = "self"
HUB_NONE: Final = "none"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@record(frozen=True, slots=True)
class HubChoice:
    """Who holds the store's leases: this till (``self``), nobody (``none``), or a till at ``TILL_ID@HOST:PORT``."""

    text: str = HUB_SELF

    def __post_init__(self) -> None:
        if self.text in (HUB_SELF, HUB_NONE):
            return
        till_id, _, address = self.text.partition("@")
        if not _UUID.fullmatch(till_id):
            raise ConfigRefused(
                f"'{self.text}' names no hub",
                mend="write self, none, or what the hub's own `tallystick-till run` shows: TILL_ID@HOST:PORT",
            )
        split_address(address)

    @property
    def till_id(self) -> str:
        return self.text.partition("@")[0]

    @property
    def address(self) -> str:
        return self.text.partition("@")[2]


@record(frozen=True, slots=True)
class Parts:
    """A till that is put together. ``hub_port`` is where it serves its leases to the store's other tills, 0 for not."""

    config: TillConfig
    till: Till
    gateway: GrpcGateway
    hub: LocalHub | HttpHub | NoHub
    sync: SyncLoop
    hub_port: int


@contextmanager
def assembled(directory: Path, *, hub: HubChoice, hub_listen: str = "") -> Iterator[Parts]:
    """Put the till of a directory together and take it apart again at the end of the block.

    The caller holds the directory. Raises ``ConfigRefused`` for one that no confirmed till is enrolled in.
    """
    config = confirmed_config(directory)
    if hub_listen and hub.text != HUB_SELF:
        raise ConfigRefused(
            "only the till that holds the leases can serve them", mend="leave out --hub or --hub-listen"
        )
    key = load_key(directory)
    clock = MachineClock()
    with ExitStack() as stack:
        db = TillDb.open(directory / DB_FILE)
        stack.callback(db.close)
        snapshot = FileSnapshot(directory / SNAPSHOT_DIR)
        stack.callback(snapshot.close)
        gateway = GrpcGateway(
            config.identity,
            key,
            now_s=lambda: till.now_ms() // 1000,
            tls=Tls(directory / CA_FILE) if config.encrypted else None,
        )
        stack.callback(gateway.close)
        # The hub and the gateway ask the till for time and keys, and the till is made of them.
        leases = _hub(hub, config, key, db, lambda: till)
        till = Till(
            identity=config.identity,
            key=key,
            db=db,
            snapshot=snapshot,
            hub=leases,
            gateway=gateway,
            clock=clock,
            new_id=new_id,
        )
        port = 0
        if hub_listen and isinstance(leases, LocalHub):
            port = stack.enter_context(_hub_served(leases, hub_listen, config, key, till))
        sync = SyncLoop(till, gateway, snapshot, leases, clock=clock, rng=Random())  # noqa: S311 spreads calls
        yield Parts(config, till, gateway, leases, sync, port)


def confirmed_config(directory: Path) -> TillConfig:
    """Read the configuration of a till that may sell. Raises ``ConfigRefused``."""
    config = load_config(directory)
    if not config.confirmed:
        raise ConfigRefused(
            "no manager has confirmed this till yet",
            mend="run `tallystick-till enrol` again and compare the fingerprint; it goes on without a code",
        )
    return config


def _hub(
    choice: HubChoice, config: TillConfig, key: SigningKey, db: TillDb, till: Callable[[], Till]
) -> LocalHub | HttpHub | NoHub:
    own = LocalHub(
        db,
        program_id=config.program_id,
        store_id=config.store_id,
        now_ms=lambda: till().now_ms(),
        new_id=new_id,
        server_keys=lambda: till().server_keys(),
        till_id=config.till_id,
        till_ids=lambda: till().till_keys(),
        stands_by=choice.text != HUB_SELF,
    )
    if choice.text == HUB_SELF:
        return own
    if choice.text == HUB_NONE:
        return NoHub(own)
    return HttpHub(
        choice.address,
        hub_till_id=choice.till_id,
        till_id=config.till_id,
        key=key,
        till_keys=lambda: till().till_keys(),
        now_ms=lambda: till().now_ms(),
        own=own,
    )


@contextmanager
def _hub_served(
    hub: LocalHub, address: str, config: TillConfig, key: SigningKey, till: Till
) -> Iterator[int]:
    split_address(address)
    try:
        server = HubServer(
            hub, address, till_id=config.till_id, key=key, till_keys=till.till_keys, now_ms=till.now_ms
        )
    except OSError as error:
        raise CannotListen(f"the hub cannot listen at {address}: {error.strerror}") from error
    server.start()
    try:
        yield server.port
    finally:
        server.stop()
