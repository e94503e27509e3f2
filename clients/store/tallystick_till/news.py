"""What the gateway tells, put where it belongs: the store's rules to the till, its members to the snapshot.

The order makes a crash harmless: members are stored, then the till acts on them, then the cursor moves. What was
stored without its cursor is told again, and every state replaces the one before.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from tallystick.v1 import advice_pb2, store_pb2
from tallystick_till.hub import own_of
from tallystick_till.ports import Hub
from tallystick_till.snapshot import SnapshotStore
from tallystick_till.snapshot_file import member_id_of

PROTOCOL = 1
"""The newest version of the exchange that this till knows."""
MEMBERS_MAX = 5_000

_log = logging.getLogger(__name__)


class NewsTaker(Protocol):
    """The till as the one who brings it news sees it."""

    def take_store_news(self, news: store_pb2.StoreNews) -> Sequence[str]: ...

    def take_members(self, members: list[store_pb2.MemberState]) -> None: ...

    def take_anchor(self, anchor: advice_pb2.Signed) -> bool: ...

    def take_protocol(self, *, newer: bool) -> None: ...


class News:
    """Takes one piece after the other. ``hub`` is the till's: the one in its own file must hear what is no more."""

    def __init__(self, till: NewsTaker, snapshot: SnapshotStore, hub: Hub) -> None:
        self._till = till
        self._snapshot = snapshot
        self._own = own_of(hub)

    def request(self) -> store_pb2.WatchRequest:
        """Return the request that goes on from what is stored."""
        return store_pb2.WatchRequest(cursor=self._snapshot.cursor(), protocol=PROTOCOL)

    def take(self, piece: store_pb2.WatchResponse) -> None:
        """Store a piece and act on it. A kind of news that this version does not know is passed over."""
        if piece.protocol:
            self._till.take_protocol(newer=piece.protocol > PROTOCOL)
        match piece.WhichOneof("news"):
            case "store":
                # Keys that come here count: the channel has proved who the gateway is, as at the enrolment.
                self._snapshot.set_tiers(piece.store.tiers)
                for what in self._till.take_store_news(piece.store):
                    _log.warning("left out of the store's news: %s", what)
            case "snapshot":
                leased = self._snapshot.stage(piece.snapshot)
                self._act_on(leased)
                if piece.snapshot.last and self._own is not None:
                    self._own.take_whole(member_id_of(one.member_id) for one in leased)
            case "members":
                self._snapshot.apply(piece.members.members)
                self._act_on(piece.members.members)
            case "heartbeat":
                self._till.take_anchor(piece.heartbeat.anchor)
            case _:
                pass
        if piece.cursor:
            self._snapshot.set_cursor(piece.cursor)

    def _act_on(self, members: Sequence[store_pb2.MemberState]) -> None:
        for first in range(0, len(members), MEMBERS_MAX):
            self._till.take_members(list(members[first : first + MEMBERS_MAX]))
