"""Which devices are shut out: a set in memory that every call asks, kept in step with the store."""

from __future__ import annotations

from collections.abc import Callable

from tallystick.core.ids import Ms
from tallystick.service.directory import Directory

REFRESH_S = 2.0
"""How long a device that another replica revoked may still get in here."""

TOKEN_LIFE_MS = 600_000
"""Longer than any access token lives: what was revoked before that has no token left."""


class Revocations:
    """The devices revoked within the life of a token. ``is_revoked`` is quick; ``refresh`` reads the store."""

    def __init__(self, directory: Directory, *, now_ms: Callable[[], Ms]) -> None:
        self._directory = directory
        self._now_ms = now_ms
        self._stored: frozenset[str] = frozenset()
        self._own: dict[str, Ms] = {}

    def is_revoked(self, device_id: str) -> bool:
        """Return whether a device is shut out."""
        return device_id in self._stored or device_id in self._own

    def add(self, device_id: str) -> None:
        """Shut a device out at once: this replica has just revoked it."""
        self._own[device_id] = self._now_ms()

    def refresh(self) -> None:
        """Read what was revoked, here and by other replicas. Raises ``StoreUnavailable``."""
        since = Ms(self._now_ms() - TOKEN_LIFE_MS)
        self._stored = frozenset(self._directory.revoked_devices(since=since))
        for device_id in [one for one, at_ms in self._own.items() if at_ms < since]:
            self._own.pop(device_id, None)
