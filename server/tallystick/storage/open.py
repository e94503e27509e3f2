"""The store behind a URL."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from tallystick.core.ids import ProgramId
from tallystick.service.claim_store import ClaimStore
from tallystick.service.directory import Directory
from tallystick.service.event_store import EventStore
from tallystick.service.household_store import HouseholdStore
from tallystick.service.notification_ports import NotificationStore
from tallystick.service.ports import LedgerReader, LedgerStore
from tallystick.service.review_ports import ReviewStore
from tallystick.service.scan_ports import ScanStore
from tallystick.service.shared_store import SharedStore
from tallystick.service.sign_in_ports import SignInStore
from tallystick.service.transfer_store import TransferStore
from tallystick.service.wallet_store import WalletStore
from tallystick.storage.clock import Now, wall_ms
from tallystick.storage.snapshot import Snapshot
from tallystick.storage.url import MEMORY, SQLITE, parse_url


class Store(
    LedgerStore,
    LedgerReader,
    ScanStore,
    Directory,
    WalletStore,
    SignInStore,
    ClaimStore,
    EventStore,
    ReviewStore,
    TransferStore,
    HouseholdStore,
    NotificationStore,
    SharedStore,
    Protocol,
):
    """All that the use cases need of a store, and the snapshots that verification and export read."""

    def snapshot(self, program_id: ProgramId) -> AbstractContextManager[Snapshot]:
        """Open all rows of one program as they are at one instant."""
        ...


def open_store(url: str, *, lanes: int = 1, read_pool: int = 4, now_ms: Now = wall_ms) -> Store:
    """Open the store that a URL names: ``sqlite:///path``, ``postgresql://...`` or ``memory:``.

    ``lanes`` and ``read_pool`` are how many threads write and read at a time; they matter on PostgreSQL. ``now_ms``
    stamps changes of members and says which leases have ended lately.
    Raises ``InvalidInput`` for a URL that means nothing, ``StoreUnavailable`` when the database is away, and
    ``FailedPrecondition`` when its schema is not this program's: run ``tallystick migrate``.
    """
    parsed = parse_url(url)
    # Drivers are imported when one is needed: starting is quicker, and the others need not be installed.
    if parsed.backend == MEMORY:
        from tallystick.storage.memory import MemoryStore

        return MemoryStore(now_ms=now_ms)
    if parsed.backend == SQLITE:
        from tallystick.storage.sqlite import SqliteStore

        return SqliteStore(parsed.path, now_ms=now_ms)
    from tallystick.storage.postgres import PostgresStore

    return PostgresStore(url, lanes=lanes, read_pool=read_pool, now_ms=now_ms)
