"""What time it is, as far as a till can know: the gateway's last signed anchor, and the monotonic clock since.

The wall clock is evidence, nothing more: once there is an anchor, however wrong it is changes nothing. Without an
anchor since the machine started, the till sells and earns by the wall clock, and burns nothing.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from google.protobuf.message import DecodeError

from tallystick.core.ids import Ms
from tallystick.security.envelope import ANCHOR, body_holds
from tallystick.v1 import advice_pb2 as pb
from tallystick_till.db import TillDb
from tallystick_till.ports import Clock
from tallystick_till.rulebook import Rulebook

_KEY = "anchor"
KEEP_EVERY_MS = 60_000
"""How often an anchor of the same boot is written down: each write costs a sync of the disk."""


class _Anchor(NamedTuple):
    server_ms: int
    monotonic_ms: int
    boot_id: str


class TillClock:
    """The time of the gateway, carried on by the monotonic clock of one boot."""

    def __init__(self, clock: Clock, db: TillDb, rulebook: Rulebook, *, till_id: str) -> None:
        self._clock = clock
        self._db = db
        self._rulebook = rulebook
        self._till_id = till_id
        self._anchor = _kept(db)
        self._kept_at = self._anchor.monotonic_ms if self._anchor else 0

    def trusted(self) -> bool:
        """Return whether the gateway has said what time it is since this machine started."""
        anchor = self._anchor
        return (
            anchor is not None
            and anchor.boot_id == self._clock.boot_id()
            and self._clock.monotonic_ms() >= anchor.monotonic_ms
        )

    def now_ms(self) -> Ms:
        """Return the best estimate of the time: by the anchor, or by the wall clock when there is none."""
        if self._anchor is not None and self.trusted():
            return Ms(self._anchor.server_ms + self._clock.monotonic_ms() - self._anchor.monotonic_ms)
        return Ms(max(0, self._clock.wall_ms()))

    def monotonic_ms(self) -> int:
        """Return the machine's monotonic clock, for what lasts a moment."""
        return self._clock.monotonic_ms()

    def reading(self) -> pb.ClockReading:
        """Return the evidence that goes into an advice."""
        anchor = self._anchor if self.trusted() else None
        return pb.ClockReading(
            occurred_ms=self.now_ms(),
            anchor_ms=anchor.server_ms if anchor else 0,
            since_anchor_ms=self._clock.monotonic_ms() - anchor.monotonic_ms if anchor else 0,
            boot_id=self._clock.boot_id(),
            wall_ms=self._clock.wall_ms(),
        )

    def take(self, signed: pb.Signed) -> bool:
        """Take an anchor; False when it is not the gateway's, not for this till, or older than the one before."""
        if not body_holds(
            self._rulebook.server_keys,
            ANCHOR,
            signed.body,
            key_id=signed.key_id,
            signature=signed.signature,
        ):
            return False
        try:
            told = pb.Anchor.FromString(signed.body)
        except DecodeError:
            return False
        before = self._anchor
        boot_id = self._clock.boot_id()
        same_boot = before is not None and before.boot_id == boot_id
        if told.till_id != self._till_id or (before and same_boot and told.server_ms < before.server_ms):
            return False
        self._anchor = _Anchor(told.server_ms, self._clock.monotonic_ms(), boot_id)
        if not same_boot or self._anchor.monotonic_ms - self._kept_at >= KEEP_EVERY_MS:
            self._db.put(_KEY, json.dumps(self._anchor).encode())
            self._kept_at = self._anchor.monotonic_ms
        return True


def _kept(db: TillDb) -> _Anchor | None:
    raw = db.get(_KEY)
    return _Anchor(*json.loads(raw)) if raw else None
