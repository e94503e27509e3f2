"""The store's leases and used vouchers, kept by one till of the store for itself and the others.

What is taken from a lease is on the disk before anybody may burn it. A crash after that wastes points of the lease; it
never lets them be burned twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from tallystick.core.ids import CommandId, MemberId
from tallystick.security.envelope import LEASE, body_holds
from tallystick.security.keys import VerifyKey
from tallystick.v1 import advice_pb2, store_pb2
from tallystick_till.db import TillDb
from tallystick_till.ports import Granted, Hub, Return
from tallystick_till.snapshot_file import ID_BYTES, member_id_of

VISITORS_MAX = 2_000
"""So many members at most does a store hold leases of: those who came last."""
VISIT_DAYS = 30
VISIT_NOTED_EVERY_MS = 3_600_000
ASKS_MAX = 200
ASK_AGAIN_MS = 6 * 3_600_000
"""A member whose lease was refused is asked for again after that long: perhaps there are points by then."""
RENEW_LEFT_MS = 12 * 3_600_000
RETURNS_MAX = 50
"""So many leases are given back in one step at most."""
KEEP_DAYS = 120
"""Ended leases and what was taken of them are kept that long: longer than any till stays away and comes back."""
DAY_MS = 86_400_000

ELSEWHERE = "elsewhere"
"""In place of an advice id: points of a lease that the gateway saw burned and this hub did not give."""

_OPEN, _CLOSING, _GONE, _RETURNED = "open", "closing", "gone", "returned"

_USED = "(SELECT coalesce(sum(points), 0) FROM lease_use WHERE lease_use.lease_id = lease.lease_id)"
_LEFT = f"max(0, points - {_USED})"
# The gateway has seen everything that was taken: nothing on its way could still need the lease.
_ALL_SEEN = f"points - remaining >= {_USED}"

# Put together from constants of our own; values are always parameters.
_OWN = "till_id NOT IN (SELECT value FROM json_each(?))"
_IS_OURS = f"member_id = ? AND state = ? AND ends_ms > ? AND {_OWN}"
_LIMIT = f"SELECT sum({_LEFT}) FROM lease WHERE {_IS_OURS}"  # noqa: S608
_TAKE_FROM = f"SELECT lease_id, {_LEFT} FROM lease WHERE {_IS_OURS} ORDER BY ends_ms, lease_id"  # noqa: S608
_KEEPERS = "SELECT DISTINCT till_id FROM lease WHERE state IN (?, ?) AND ends_ms > ?"
_RECENT = "(SELECT member_id FROM visit WHERE at_ms > ? AND at_ms <= ? ORDER BY at_ms DESC LIMIT ?)"
_IS_WORN = (
    f"state = ? AND {_ALL_SEEN} AND (ends_ms - ? < ? OR {_LEFT} * 2 < points) "
    f"AND member_id IN {_RECENT} AND {_OWN}"
)
_RETURN = "SELECT lease_id, member_id, return_id FROM lease WHERE "
_IS_WANTED = f"state = ? AND recalled AND {_OWN}"
_CLOSED = f"{_RETURN} state = ? AND {_ALL_SEEN} LIMIT 1"
_WORN = f"{_RETURN} {_IS_WORN} LIMIT 1"
_RELEASED = (
    f"{_RETURN} member_id = ? AND ((state = ? AND ends_ms > ? AND {_OWN}) OR state = ?) AND {_ALL_SEEN} "
    "ORDER BY lease_id"
)
_ASKED_FOR = f"{_RETURN} till_id = ? AND state IN (?, ?) AND {_ALL_SEEN} ORDER BY lease_id LIMIT ?"
_DUE = f"SELECT 1 FROM lease WHERE (state = ? AND {_ALL_SEEN}) OR ({_IS_WANTED}) OR ({_IS_WORN}) LIMIT 1"  # noqa: S608
_MISSING = (
    f"SELECT v.member_id FROM {_RECENT} AS v LEFT JOIN lease_ask USING (member_id) "  # noqa: S608
    "WHERE (lease_ask.at_ms IS NULL OR (lease_ask.lease_id = '' AND lease_ask.at_ms <= ?)) "
    "AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.member_id = v.member_id AND "
    "((lease.state = ? AND lease.ends_ms > ?) OR lease.state = ?)) LIMIT ?"
)


_log = logging.getLogger(__name__)


class NoHub:
    """For a till whose store has no hub: there are no leases, and nobody knows which vouchers were used.

    ``own`` is the hub in this till's file, which stands by.
    """

    state = "none"

    def __init__(self, own: LocalHub | None = None) -> None:
        self.own = own

    def limit(self, _member_id: MemberId) -> int:
        return 0

    def take(self, _member_id: MemberId, _advice_id: CommandId, _points: int) -> list[Granted]:
        return []

    def use_voucher(self, _voucher_id: CommandId, _advice_id: CommandId) -> bool:
        return False

    def release(self, _member_id: MemberId) -> list[Return]:
        return []


class LocalHub:
    """The hub in this till's own file.

    ``now_ms`` is the till's best time, ``new_id`` mints ids, ``server_keys`` are the gateway's keys that count now.
    ``till_id`` is this till and ``till_ids`` are all of the store at present: what one of the others asked for is
    neither burned nor given back here, because that one may burn it, or has and the gateway does not know it yet.

    It is the store's hub, or ``stands_by`` while the store has another one or none: then it burns nothing, gives back
    what this till asked for, and hears the gateway's news, so that it knows them when it becomes the hub.
    """

    state = "self"

    def __init__(
        self,
        db: TillDb,
        *,
        program_id: str,
        store_id: str,
        now_ms: Callable[[], int],
        new_id: Callable[[], str],
        server_keys: Callable[[], Mapping[str, VerifyKey]],
        till_id: str,
        till_ids: Callable[[], Collection[str]],
        stands_by: bool = False,
    ) -> None:
        self._db = db
        self._program_id = program_id
        self._store_id = store_id
        self._now_ms = now_ms
        self._new_id = new_id
        self._server_keys = server_keys
        self._till_id = till_id
        self._till_ids = till_ids
        self.stands_by = stands_by
        self._warned_of: list[str] = []

    def limit(self, member_id: MemberId) -> int:
        """Return what the open leases of a member still give at this moment."""
        return self._db.number(_LIMIT, member_id, _OPEN, self._now_ms(), self._others())

    def take(self, member_id: MemberId, advice_id: CommandId, points: int) -> list[Granted]:
        """Take points from the leases that end first. All of them, or none; the same for the same advice."""
        with self._db.write() as tx:
            before = _granted(
                tx.execute(
                    "SELECT lease_id, lease_use.points FROM lease_use JOIN lease USING (lease_id) "
                    "WHERE advice_id = ? AND member_id = ? ORDER BY ends_ms, lease_id",
                    (advice_id, member_id),
                )
            )
            if before:
                return before if sum(one.points for one in before) == points else []
            now_ms = self._now_ms()
            granted, missing = [], points
            for lease_id, left in tx.execute(
                _TAKE_FROM,
                (member_id, _OPEN, now_ms, self._others()),
            ).fetchall():
                part = min(left, missing)
                if part > 0:
                    granted.append(Granted(CommandId(lease_id), part))
                    missing -= part
            if missing or points <= 0:
                return []
            tx.executemany(
                "INSERT INTO lease_use VALUES (?, ?, ?, ?)",
                [(one.hold_id, advice_id, one.points, now_ms) for one in granted],
            )
        return granted

    def use_voucher(self, voucher_id: CommandId, advice_id: CommandId) -> bool:
        """Mark a voucher as used by an advice; False when another one, here or elsewhere, used it."""
        with self._db.write() as tx:
            tx.execute(
                "INSERT OR IGNORE INTO voucher_use VALUES (?, ?, ?)", (voucher_id, advice_id, self._now_ms())
            )
            row = tx.execute(
                "SELECT advice_id FROM voucher_use WHERE voucher_id = ?", (voucher_id,)
            ).fetchone()
        return bool(row[0] == advice_id)

    def release(self, member_id: MemberId) -> list[Return]:
        """Close the leases of a member of which the gateway has seen all that was taken; return how to give them back.

        They count as wanted back: the member is here and spends, so no other lease is asked for until much later.
        """
        with self._db.write() as tx:
            rows = tx.execute(
                _RELEASED, (member_id, _OPEN, self._now_ms(), self._others(), _CLOSING)
            ).fetchall()
            found = [self._close(tx, *row) for row in rows]
            tx.executemany(
                "UPDATE lease SET recalled = 1 WHERE lease_id = ?", [(one.lease_id,) for one in found]
            )
        return found

    def asked_for(self) -> list[Return]:
        """Close leases that this till asked for and the gateway has seen all of, at most 50; return how to return them.

        For one that stands by: nobody burns them any more, and the store's hub gets none of those members before.
        """
        with self._db.write() as tx:
            rows = tx.execute(_ASKED_FOR, (self._till_id, _OPEN, _CLOSING, RETURNS_MAX)).fetchall()
            return [self._close(tx, *row) for row in rows]

    def rivals(self) -> list[str]:
        """Return the other tills of the store that have asked for open leases: a store has one hub, and they are too.

        One that was the hub until lately is among them as long as its leases last, or until it is revoked.
        """
        others = set(self._till_ids()) - {self._till_id}
        return sorted(
            row[0] for row in self._db.read(_KEEPERS, _OPEN, _CLOSING, self._now_ms()) if row[0] in others
        )

    def wanted_back(self) -> bool:
        """Return whether the gateway wants a lease back that is not closed yet."""
        wanted = f"SELECT 1 FROM lease WHERE {_IS_WANTED} LIMIT 1"  # noqa: S608
        return self._db.one(wanted, _OPEN, self._others()) is not None

    def visited(self, member_id: MemberId) -> None:
        """Note that a member was at a till of the store, so that a lease is worth asking for."""
        now_ms = self._now_ms()
        noted = self._db.number("SELECT at_ms FROM visit WHERE member_id = ?", member_id)
        # One noted for a time to come was noted before the till knew the time.
        if noted > now_ms or now_ms - noted >= VISIT_NOTED_EVERY_MS:
            with self._db.write() as tx:
                tx.execute("INSERT OR REPLACE INTO visit VALUES (?, ?)", (member_id, now_ms))

    def take_members(self, members: Iterable[store_pb2.MemberState]) -> None:
        """Learn the leases and used vouchers of members from the gateway's news, but no grant that does not hold."""
        with self._db.write() as tx:
            for member in members:
                raw = member.vouchers_used
                used = [member_id_of(raw[at : at + ID_BYTES]) for at in range(0, len(raw), ID_BYTES)]
                tx.executemany(
                    "INSERT OR IGNORE INTO voucher_use VALUES (?, ?, ?)",
                    [(voucher_id, ELSEWHERE, self._now_ms()) for voucher_id in used],
                )
                member_id = member_id_of(member.member_id)
                held = {self._learn(tx, lease, member_id) for lease in member.leases}
                for (lease_id,) in tx.execute(
                    "SELECT lease_id FROM lease WHERE member_id = ? AND state IN (?, ?)",
                    (member_id, _OPEN, _CLOSING),
                ).fetchall():
                    if lease_id not in held:
                        # Ended at the gateway. Should this state be older than the lease, the next one brings it back.
                        tx.execute("UPDATE lease SET state = ? WHERE lease_id = ?", (_GONE, lease_id))
        rivals = [] if self.stands_by else self.rivals()
        if rivals and rivals != self._warned_of:
            _log.warning(
                "another till keeps leases of this store too; a store has one hub: %s", ", ".join(rivals)
            )
        self._warned_of = rivals

    def take_whole(self, leased: Iterable[MemberId]) -> None:
        """Go by a whole snapshot: members who are not among ``leased``, those whom it names leases of, have none.

        A gateway that was restored knows nothing of leases that it granted after its backup.
        """
        named = set(leased)
        with self._db.write() as tx:
            held = tx.execute(
                "SELECT lease_id, member_id FROM lease WHERE state IN (?, ?)", (_OPEN, _CLOSING)
            ).fetchall()
            # One that was granted while the snapshot was read is told after it, and comes back by that.
            tx.executemany(
                "UPDATE lease SET state = ? WHERE lease_id = ?",
                [(_GONE, lease_id) for lease_id, member_id in held if member_id not in named],
            )

    def asks(self) -> list[store_pb2.LeaseAsk]:
        """Return which leases to ask for, at most 200; their ids are stored, so that asking again is the same ask."""
        now_ms = self._now_ms()
        with self._db.write() as tx:
            for (member_id,) in tx.execute(
                _MISSING,
                (
                    *_recently(now_ms),
                    now_ms - ASK_AGAIN_MS,
                    _OPEN,
                    now_ms,
                    _CLOSING,
                    ASKS_MAX,
                ),
            ).fetchall():
                tx.execute(
                    "INSERT OR REPLACE INTO lease_ask VALUES (?, ?, ?)", (member_id, self._new_id(), now_ms)
                )
        rows = self._db.read(
            "SELECT lease_id, member_id FROM lease_ask WHERE lease_id != '' ORDER BY at_ms LIMIT ?", ASKS_MAX
        )
        return [store_pb2.LeaseAsk(lease_id=lease_id, member_id=member_id) for lease_id, member_id in rows]

    def answered(self, asks: Iterable[store_pb2.LeaseAsk], response: store_pb2.RequestLeasesResponse) -> None:
        """Take the answers to asks."""
        now_ms = self._now_ms()
        members = {ask.lease_id: MemberId(ask.member_id) for ask in asks}
        with self._db.write() as tx:
            for answer in response.answers:
                member_id = members.get(answer.lease_id)
                if member_id is None:
                    continue
                if answer.HasField("lease"):
                    self._learn(tx, answer.lease, member_id)
                tx.execute(
                    "UPDATE lease_ask SET lease_id = '', at_ms = ? WHERE member_id = ?", (now_ms, member_id)
                )

    def returns_due(self) -> bool:
        """Return whether there may be leases to give back: ask when the line is up, then call ``next_return``."""
        now_ms = self._now_ms()
        worn = (_OPEN, now_ms, RENEW_LEFT_MS, *_recently(now_ms), self._others())
        return self._db.one(_DUE, _CLOSING, _OPEN, self._others(), *worn) is not None

    def next_return(self) -> Return | None:
        """Return the next lease to give back: one that is wanted back, or one that is worn and to be renewed.

        It is closed, durably, before this returns: nothing can be taken from it while it is given back. Worn ones are
        closed one at a time, so that a line that breaks now costs the store one lease and not all of them.
        """
        now_ms = self._now_ms()
        with self._db.write() as tx:
            tx.execute(f"UPDATE lease SET state = ? WHERE {_IS_WANTED}", (_CLOSING, _OPEN, self._others()))  # noqa: S608
            row = tx.execute(_CLOSED, (_CLOSING,)).fetchone()
            if row is None:
                worn = (_OPEN, now_ms, RENEW_LEFT_MS, *_recently(now_ms), self._others())
                row = tx.execute(_WORN, worn).fetchone()
            if row is None:
                return None
            return self._close(tx, *row)

    def returned(self, lease_id: CommandId) -> None:
        """Note that a lease was given back, or that the gateway knows it no longer.

        A worn one is asked for anew at once; one that was wanted back not for a while, since the member needs it.
        """
        with self._db.write() as tx:
            tx.execute("UPDATE lease SET state = ? WHERE lease_id = ?", (_RETURNED, lease_id))
            tx.execute(
                "INSERT OR REPLACE INTO lease_ask "
                "SELECT member_id, '', iif(recalled, ?, 0) FROM lease WHERE lease_id = ?",
                (self._now_ms(), lease_id),
            )

    def tidy(self) -> None:
        """Forget what nobody can ask for any more. Only while the gateway has said what time it is."""
        now_ms = self._now_ms()
        old_ms = now_ms - KEEP_DAYS * DAY_MS
        with self._db.write() as tx:
            tx.execute(
                "DELETE FROM lease_use WHERE lease_id IN (SELECT lease_id FROM lease WHERE ends_ms < ?)",
                (old_ms,),
            )
            tx.execute("DELETE FROM lease WHERE ends_ms < ?", (old_ms,))
            tx.execute("DELETE FROM lease_ask WHERE at_ms < ?", (old_ms,))
            tx.execute("DELETE FROM visit WHERE at_ms < ? OR at_ms > ?", (old_ms, now_ms + DAY_MS))

    def _close(self, tx: Any, lease_id: str, member_id: str, command_id: str) -> Return:
        """Let nothing more be taken from a lease; return how to give it back, the same way every time."""
        one = Return(CommandId(command_id or self._new_id()), MemberId(member_id), CommandId(lease_id))
        tx.execute(
            "UPDATE lease SET state = ?, return_id = ? WHERE lease_id = ?",
            (_CLOSING, one.command_id, one.lease_id),
        )
        return one

    def _others(self) -> str:
        return json.dumps([till_id for till_id in self._till_ids() if till_id != self._till_id])

    def _learn(self, tx: Any, state: store_pb2.LeaseState, member_id: MemberId) -> str:
        """Store a lease as the gateway sees it; return its id, empty when the grant does not hold for this store."""
        signed = state.grant
        if not body_holds(
            self._server_keys(), LEASE, signed.body, key_id=signed.key_id, signature=signed.signature
        ):
            return ""
        try:
            grant = advice_pb2.LeaseGrant.FromString(signed.body)
        except DecodeError:
            return ""
        ours = (grant.program_id, grant.store_id, grant.member_id)
        if ours != (self._program_id, self._store_id, member_id) or grant.points <= 0:
            return ""
        remaining = min(max(0, state.remaining_points), grant.points)
        tx.execute(
            "INSERT INTO lease (lease_id, member_id, points, granted_ms, ends_ms, remaining, recalled, till_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lease_id) DO UPDATE SET remaining = excluded.remaining, "
            "till_id = excluded.till_id, "
            # One whose return was begun must not be burned from, however late its return gets through.
            "recalled = excluded.recalled, state = CASE WHEN state != 'gone' THEN state "
            "WHEN return_id != '' THEN 'closing' ELSE 'open' END",
            (
                grant.lease_id,
                member_id,
                grant.points,
                self._now_ms(),
                grant.ends_at.ToMilliseconds(),
                remaining,
                int(state.recalled),
                state.till_id,
            ),
        )
        (given,) = tx.execute(
            "SELECT coalesce(sum(points), 0) FROM lease_use WHERE lease_id = ? AND advice_id != ?",
            (grant.lease_id, ELSEWHERE),
        ).fetchone()
        if grant.points - remaining > given:
            tx.execute(
                "INSERT INTO lease_use VALUES (?, ?, ?, ?) "
                "ON CONFLICT (lease_id, advice_id) DO UPDATE SET points = max(points, excluded.points)",
                (grant.lease_id, ELSEWHERE, grant.points - remaining - given, self._now_ms()),
            )
        return grant.lease_id


def own_of(hub: Hub) -> LocalHub | None:
    """Return the hub in a till's own file: the store's, or the one that stands by while the store has another."""
    own = getattr(hub, "own", hub)
    return own if isinstance(own, LocalHub) else None


def _recently(now_ms: int) -> tuple[int, int, int]:
    return now_ms - VISIT_DAYS * DAY_MS, now_ms, VISITORS_MAX


def _granted(rows: Iterable[tuple[str, int]]) -> list[Granted]:
    return [Granted(CommandId(lease_id), points) for lease_id, points in rows]
