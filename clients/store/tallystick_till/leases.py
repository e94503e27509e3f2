"""The store's hub as this till meets it: asked when needed, and left alone for a moment after it did not answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from tallystick.core.ids import CommandId, MemberId
from tallystick.v1 import store_pb2
from tallystick_till.ports import Clock, Granted, Hub, HubAway, Return

T = TypeVar("T")

RETRY_MS = 3_000
"""So long a hub that did not answer is taken for away: a cashier must not wait for it again at every step."""


@runtime_checkable
class LeaseKeeper(Protocol):
    """The hub in this till's own file: it is told what the gateway says of members, and who comes to the store."""

    def visited(self, member_id: MemberId) -> None: ...

    def rivals(self) -> list[str]: ...

    def take_members(self, members: Sequence[store_pb2.MemberState]) -> None: ...


class Leases:
    """Asks the hub. Each call raises ``HubAway``."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._own = getattr(hub, "own", hub)
        self._clock = clock
        self._away_since: int | None = None

    @property
    def state(self) -> str:
        """Return self, reachable, away or none."""
        if self._away():
            return "away"
        return str(getattr(self._hub, "state", "none"))

    def rivals(self) -> list[str]:
        """Return the other tills of the store that keep leases as this one does."""
        return self._hub.rivals() if isinstance(self._hub, LeaseKeeper) else []

    def limit(self, member_id: MemberId) -> int:
        """Return how many points the leases of a member still give."""
        return self._asked(lambda: self._hub.limit(member_id))

    def left(self, member_id: MemberId) -> int:
        """Return the same, 0 when nobody answers."""
        try:
            return self.limit(member_id)
        except HubAway:
            return 0

    def take(self, member_id: MemberId, advice_id: CommandId, points: int) -> list[Granted]:
        """Take points for good; all of them or none."""
        return self._asked(lambda: self._hub.take(member_id, advice_id, points))

    def use_voucher(self, voucher_id: CommandId, advice_id: CommandId) -> bool:
        """Mark a voucher as used; False when another sale used it."""
        return self._asked(lambda: self._hub.use_voucher(voucher_id, advice_id))

    def release(self, member_id: MemberId) -> list[Return]:
        """Close the leases of a member, as far as they can be given back; return how."""
        return self._asked(lambda: self._hub.release(member_id))

    def tell_members(self, members: Sequence[store_pb2.MemberState]) -> None:
        """Hand the gateway's news to the hub in this till, also while it stands by."""
        if isinstance(self._own, LeaseKeeper):
            self._own.take_members(members)

    def tell_visit(self, member_id: MemberId) -> None:
        """Say that a member is here, when the hub is in this till; another till's hub sees it by what it is asked."""
        if isinstance(self._hub, LeaseKeeper):
            self._hub.visited(member_id)

    def _away(self) -> bool:
        since = self._away_since
        return since is not None and 0 <= self._clock.monotonic_ms() - since < RETRY_MS

    def _asked(self, ask: Callable[[], T]) -> T:
        """Ask, unless the hub did not answer a moment ago."""
        if self._away():
            raise HubAway
        self._away_since = None
        try:
            return ask()
        except HubAway:
            self._away_since = self._clock.monotonic_ms()
            raise
