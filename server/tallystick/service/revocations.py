"""Which devices are shut out: a set in memory that every call asks, kept in step with the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tallystick.core.ids import Ms, ProgramId
from tallystick.service.directory import Directory
from tallystick.service.sign_in_ports import SignInStore

REFRESH_S = 2.0
"""How long a device that another replica revoked may still get in here."""

TOKEN_LIFE_MS = 600_000
"""Longer than any access token lives: what was revoked before that has no token left."""


class RevocationStore(Directory, SignInStore, Protocol):
    """What revocations need of a store."""


def card_device_key(program_id: ProgramId, kid: str) -> str:
    """Return by what a member's device is known here: the same key in another program is another device."""
    return f"{program_id}/{kid}"


class Revocations:
    """The devices revoked within the life of a token. ``is_revoked`` is quick; ``refresh`` reads the store."""

    def __init__(self, store: RevocationStore, *, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._stored: frozenset[str] = frozenset()
        self._own: dict[str, Ms] = {}

    def is_revoked(self, device_id: str) -> bool:
        """Return whether a device is shut out; a member's device by its ``card_device_key``."""
        return device_id in self._stored or device_id in self._own

    def add(self, device_id: str) -> None:
        """Shut a device out at once: this replica has just revoked it."""
        self._own[device_id] = self._now_ms()

    def add_card_device(self, program_id: ProgramId, kid: str) -> None:
        """Shut a member's device out at once."""
        self.add(card_device_key(program_id, kid))

    def refresh(self) -> None:
        """Read what was revoked, here and by other replicas. Raises ``StoreUnavailable``."""
        since = Ms(self._now_ms() - TOKEN_LIFE_MS)
        cards = self._store.revoked_card_devices(since=since)
        self._stored = frozenset(
            [*self._store.revoked_devices(since=since), *(card_device_key(*one) for one in cards)]
        )
        for device_id in [one for one, at_ms in self._own.items() if at_ms < since]:
            self._own.pop(device_id, None)
