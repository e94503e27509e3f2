"""Whether the gateway is there, when it was last heard of, and whether it still trusts this till."""

from __future__ import annotations

from tallystick.v1 import store_pb2
from tallystick_till.clock import TillClock
from tallystick_till.db import TillDb
from tallystick_till.errors import CannotSell
from tallystick_till.rulebook import Rulebook

KEY_REVOKED = "KEY_REVOKED"
TILL_SUSPENDED = "TILL_SUSPENDED"
KEEP_EVERY_MS = 60_000
"""How often the last contact is written down: it is compared with days."""

_MEANS = {
    "DEVICE_REVOKED": KEY_REVOKED,
    KEY_REVOKED: KEY_REVOKED,
    TILL_SUSPENDED: TILL_SUSPENDED,
}


class Link:
    """The line to the gateway as the till sees it. ``since_ms`` is when it last went up or down."""

    def __init__(self, db: TillDb, clock: TillClock, rulebook: Rulebook) -> None:
        self._db = db
        self._clock = clock
        self._rulebook = rulebook
        self.online = False
        self.since_ms = int(clock.now_ms())
        self.contact_ms = db.get_int("contact_ms")
        self._kept_ms = self.contact_ms
        self._barred = (db.get("barred") or b"").decode()

    @property
    def barred(self) -> str:
        """KEY_REVOKED or TILL_SUSPENDED while the gateway does not trust this till; else empty."""
        if self._barred != KEY_REVOKED and (
            self._rulebook.news.till_status == store_pb2.TILL_STATUS_SUSPENDED
        ):
            return TILL_SUSPENDED
        return self._barred

    def answered(self) -> bool:
        """Note that the gateway answered; True when that is a change."""
        changed = not self.online or bool(self._barred)
        if not self.online:
            self.online, self.since_ms = True, int(self._clock.now_ms())
        if self._clock.trusted():
            self.contact_ms = max(self.contact_ms, int(self._clock.now_ms()))
            if self.contact_ms - self._kept_ms >= KEEP_EVERY_MS:
                self._keep("contact_ms", self.contact_ms)
                self._kept_ms = self.contact_ms
        self._bar("")
        return changed

    def away(self) -> bool:
        """Note that the gateway did not answer; True when that is a change."""
        changed = self.online
        if changed:
            self.online, self.since_ms = False, int(self._clock.now_ms())
        return changed

    def refused(self, reason: str) -> bool:
        """Note an error that the gateway answered with; True when the till is barred by it from now on."""
        barred = _MEANS.get(reason, "")
        if not barred or barred == self._barred:
            return False
        self._bar(barred)
        return True

    def _bar(self, reason: str) -> None:
        if reason != self._barred:
            self._barred = reason
            self._keep("barred", reason.encode())

    def _keep(self, key: str, value: bytes | int) -> None:
        # What the line does must not fail for a full disk: it is learned anew after a restart.
        try:
            self._db.put(key, value)
        except CannotSell:
            return
