"""Looks at transfers for what friends and families hardly do, and lists it for a person. It holds nothing back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.errors import TallystickError
from tallystick.service.household_store import HouseholdStore
from tallystick.service.review_ports import Review
from tallystick.service.reviews import Reviews
from tallystick.service.transfer_store import Transfer, TransferState, TransferStore

MANY_GIVERS, RING = "many_givers", "transfer_ring"
"""Kinds of reviews: one who is given to by many, and points that come back to where they came from."""

DAY_MS = 86_400_000
GIVERS_PER_DAY = 5
RING_DAYS = 7
RING_HOPS = 4
LOOKED_AT_MAX = 500
"""Most transfers that are looked at because of one; whoever has more in a week has been listed before."""

log = logging.getLogger(__name__)


class Store(TransferStore, HouseholdStore, Protocol):
    """What looking at transfers needs of a store."""


class TransferWatch:
    """Looks at what a transfer that has arrived belongs to. Safe in several processes at once: findings have ids."""

    def __init__(self, store: Store, reviews: Reviews, *, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._reviews = reviews
        self._now_ms = now_ms

    def look(self, program_id: ProgramId, transfer: Transfer) -> list[Review]:
        """List what is odd about a transfer, and return it. A fault costs the finding, never the transfer."""
        try:
            found = [self._givers(program_id, transfer), self._ring(program_id, transfer)]
        except TallystickError as error:
            log.warning("a transfer could not be looked at", extra={"reason": error.reason})
            return []
        return [one for one in found if one is not None]

    def _givers(self, program_id: ProgramId, transfer: Transfer) -> Review | None:
        """More than ``GIVERS_PER_DAY`` members gave points to one within 24 hours."""
        receiver = transfer.to_member_id
        since = Ms(self._now_ms() - DAY_MS)
        recent = self._touching(program_id, [receiver], since)
        gifts = [one for one in recent if one.to_member_id == receiver]
        givers = {one.from_member_id for one in gifts}
        if len(givers) <= GIVERS_PER_DAY:
            return None
        facts = {
            "givers": len(givers),
            "givers_per_day": GIVERS_PER_DAY,
            "points": sum(g.points for g in gifts),
        }
        return self._reviews.add(program_id, MANY_GIVERS, receiver, facts, str(transfer.made_ms // DAY_MS))

    def _ring(self, program_id: ProgramId, transfer: Transfer) -> Review | None:
        """Points that a member gave came back to that member over others within ``RING_DAYS``."""
        giver = transfer.from_member_id
        since = Ms(self._now_ms() - RING_DAYS * DAY_MS)
        reached, front = {transfer.to_member_id}, [transfer.to_member_id]
        for hops in range(2, RING_HOPS + 1):
            onwards = self._touching(program_id, front, since)
            ends = {one.to_member_id for one in onwards if one.from_member_id in front}
            if giver in ends:
                facts = {"members": hops, "days": RING_DAYS, "points": transfer.points}
                key = str(transfer.made_ms // DAY_MS)
                return self._reviews.add(program_id, RING, giver, facts, key, other_id=transfer.to_member_id)
            front = sorted(ends - reached)
            reached |= ends
            if not front or len(reached) > LOOKED_AT_MAX:
                return None
        return None

    def _touching(self, program_id: ProgramId, members: list[MemberId], since: Ms) -> list[Transfer]:
        """Return transfers of members, but for those that went to a pool or a partner or came back."""
        rows = self._store.transfers_of(program_id, members, since=since, limit=LOOKED_AT_MAX)
        ends = sorted({end for one in rows for end in (one.from_member_id, one.to_member_id)})
        shared = self._store.household_accounts(program_id, ends)
        return [
            one
            for one in rows
            if one.state is TransferState.ARRIVED
            and not one.to_program_id
            and shared.get(one.from_member_id, one.from_member_id)
            != shared.get(one.to_member_id, one.to_member_id)
        ]
