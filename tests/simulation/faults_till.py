"""Mistakes that could be made in the till and in its store's hub."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tallystick.core.command import AuthorityKind
from tallystick.core.ids import CommandId
from tallystick_till import authority, hub, selling
from tallystick_till.authority import Burns, Limits
from tallystick_till.clock import TillClock
from tallystick_till.facts import Facts, sale_points
from tallystick_till.hub import LocalHub
from tallystick_till.outbox import Outbox
from tallystick_till.ports import Granted
from tallystick_till.sales import SaleBook
from tallystick_till.selling import Seller
from tallystick_till.unfinished import Unfinished
from tests.simulation.faults import fault, instead


@fault("a sale counts as told as soon as it was sent", seed=0)
def removed_before_the_verdict() -> Iterator[None]:
    next_batch = Outbox.next_batch

    def sent_is_done(self: Any, *limits: int) -> Any:
        request = next_batch(self, *limits)
        if request is not None:
            with self._db.write() as tx:
                tx.executemany(
                    "UPDATE advice SET verdict_kind = 1 WHERE epoch = ? AND seq = ?",
                    [(request.epoch, request.first_seq + at) for at in range(len(request.advices))],
                )
        return request

    with instead(Outbox, "next_batch", sent_is_done):
        yield


@fault("the gateway's verdicts are not written down", seed=0)
def verdict_not_stored() -> Iterator[None]:
    with instead(Outbox, "_keep_verdict", lambda self, tx, epoch, seq, verdict, now_ms: None):
        yield


class _NotYet(Exception):
    """Takes a transaction back."""


@fault("the receipt is printed first and the sale written down a little later", seed=0)
def outbox_after_the_receipt() -> Iterator[None]:
    keep, next_batch = Seller._keep_stand_in, Outbox.next_batch
    later: dict[int, list[Callable[[], object]]] = {}

    def keep_later(self: Any, *sale: Any) -> Any:
        done = None
        try:
            with self._db.write():
                done = keep(self, *sale)
                raise _NotYet  # noqa: TRY301  that is the fault: it was never written
        except _NotYet:
            later.setdefault(id(self._db), []).append(lambda: keep(self, *sale))
        return done

    def write_now(self: Any, *limits: int) -> Any:
        for write in later.pop(id(self._db), []):
            write()
        return next_batch(self, *limits)

    with instead(Seller, "_keep_stand_in", keep_later), instead(Outbox, "next_batch", write_now):
        yield


@fault("what was sold is forgotten on the screen as soon as the gateway knows of it", seed=0)
def facts_dropped_on_ack() -> Iterator[None]:
    def forgotten(self: Any, tx: Any, advice_id: str, kind: int, member_seq: int) -> None:
        tx.execute("DELETE FROM fact WHERE advice_id = ?", (advice_id,))

    with instead(Facts, "answered", forgotten):
        yield


@fault("what was sold is counted on the screen for ever", seed=0)
def facts_never_dropped() -> Iterator[None]:
    active = Facts._active

    def all_facts(self: Any, member_id: Any, told: Any) -> int:
        if told is not None:
            return active(self, member_id, told)
        known = self._snapshot.member(member_id)
        points: int = self._db.number("SELECT sum(points) FROM fact WHERE member_id = ?", str(member_id))
        return (known.active if known else 0) + points

    with instead(Facts, "forget", lambda self, tx, reached: None), instead(Facts, "_active", all_facts):
        yield


@fault("burned points are not taken off the screen until the gateway answers", seed=0)
def burns_not_counted() -> Iterator[None]:
    with instead(
        selling,
        "sale_points",
        lambda rules, *, earned, by_floor, voucher_spare: sale_points(
            rules, earned=earned, by_floor=0, voucher_spare=voucher_spare
        ),
    ):
        yield


@fault("a voucher counts at every till of the store", seed=2)
def voucher_counts_twice() -> Iterator[None]:
    with instead(LocalHub, "use_voucher", lambda self, voucher_id, advice_id: True):
        yield


@fault("the floor limit of one sale is not kept", seed=0)
def floor_of_a_sale_ignored() -> Iterator[None]:
    with instead(Burns, "floor_room", _room_without("floor_sale_points")):
        yield


@fault("the floor limit of one member is not kept", seed=4)
def floor_of_a_member_ignored() -> Iterator[None]:
    with instead(Burns, "floor_room", _room_without("floor_member_points")):
        yield


@fault("the floor limit of a till is not kept", seed=1)
def floor_of_a_till_ignored() -> Iterator[None]:
    with instead(Burns, "floor_room", _room_without("floor_till_points")):
        yield


def _room_without(cap: str) -> Any:
    room = Burns.floor_room

    def wider(self: Any, rules: Any, member_id: Any) -> int:
        return room(self, replace(rules, offline=replace(rules.offline, **{cap: 1 << 40})), member_id)

    return wider


@fault("a till burns more points than the member has on its screen", seed=5)
def more_than_is_shown() -> Iterator[None]:
    with instead(Limits, "available", property(lambda limits: limits.voucher + limits.lease + limits.floor)):
        yield


@fault("a till that does not know what time it is burns points", seed=0)
def burns_with_an_untrusted_clock() -> Iterator[None]:
    stop = Burns.stop

    def whatever_time_it_is(self: Any) -> str:
        found = stop(self)
        return "" if found == authority.CLOCK_UNTRUSTED else found

    with instead(Burns, "stop", whatever_time_it_is):
        yield


@fault("the clock of the last boot is believed after a restart of the machine", seed=0)
def anchor_of_another_boot() -> Iterator[None]:
    with instead(TillClock, "trusted", lambda self: self._anchor is not None):
        yield


@fault("a till burns points however long it was away", seed=2)
def away_too_long_ignored() -> Iterator[None]:
    stop = Burns.stop

    def however_long(self: Any) -> str:
        found = stop(self)
        # Rule sets last as long as a till may be away, so the two say the same, and either alone would do.
        return "" if found in (authority.AWAY_TOO_LONG, authority.RULES_PAST_DATE) else found

    with instead(Burns, "stop", however_long):
        yield


@fault("the till does not begin anew when the gateway has ended its chain", seed=0, hostile=True)
def till_ignores_a_new_epoch() -> Iterator[None]:
    follow = Outbox._follow

    def stay(self: Any, tx: Any, response: Any) -> None:
        if response.epoch <= tx.execute("SELECT epoch FROM chain").fetchone()[0]:
            follow(self, tx, response)

    with instead(Outbox, "_follow", stay):
        yield


@fault("a sale that got no answer is rung up anew under another number", seed=0)
def new_id_for_a_retry() -> Iterator[None]:
    stand_in = Seller._stand_in

    def renamed(self: Any, plan: Any, sale_id: Any) -> Any:
        if self._sales.row(sale_id) is None:
            return stand_in(self, plan, sale_id)
        self._sales.drop_asking(sale_id)
        return stand_in(self, plan, CommandId(self._new_id()))

    with instead(Seller, "_stand_in", renamed):
        yield


@fault("a request is sent before it is written down", seed=0)
def request_not_stored_first() -> Iterator[None]:
    with instead(SaleBook, "note_asking", lambda self, sale_id, ask, request, now_ms: None):
        yield


@fault("nobody asks what became of a sale that got no answer", seed=0)
def unfinished_forgotten() -> Iterator[None]:
    with instead(Unfinished, "settle", lambda self, undo: 0):
        yield


@fault("the till asks for more points than it then sells for", seed=0)
def other_points_than_asked_for() -> Iterator[None]:
    with instead(Seller, "_exact", lambda self, plan, request: plan):
        yield


@fault("what the hub gave of a lease is forgotten when it restarts", seed=1)
def hub_take_not_durable() -> Iterator[None]:
    start = LocalHub.__init__

    def without_memory(self: Any, db: Any, **more: Any) -> None:
        start(self, db, **more)
        with db.write() as tx:
            tx.execute("DELETE FROM lease_use WHERE advice_id != ?", (hub.ELSEWHERE,))

    with instead(LocalHub, "__init__", without_memory):
        yield


@fault("the hub gives points twice to one sale that asks again", seed=358)
def hub_take_not_idempotent() -> Iterator[None]:
    take = LocalHub.take

    def again(self: Any, member_id: Any, advice_id: CommandId, points: int) -> list[Granted]:
        count = self._db.number("SELECT count(*) FROM lease_use")
        fresh = CommandId(str(uuid.uuid5(uuid.NAMESPACE_OID, f"{advice_id} {count}")))
        granted = take(self, member_id, fresh, points)
        with self._db.write() as tx:
            for one in granted:
                tx.execute(
                    "INSERT INTO lease_use SELECT lease_id, ?, points, at_ms FROM lease_use"
                    " WHERE lease_id = ? AND advice_id = ?"
                    " ON CONFLICT (lease_id, advice_id) DO UPDATE SET points = lease_use.points + excluded.points",
                    (advice_id, one.hold_id, fresh),
                )
            tx.execute("DELETE FROM lease_use WHERE advice_id = ?", (fresh,))
        return granted

    with instead(LocalHub, "take", again):
        yield


@fault("the hub gives more points of a lease than there are", seed=1)
def hub_gives_what_is_gone() -> Iterator[None]:
    with (
        instead(hub, "_TAKE_FROM", hub._TAKE_FROM.replace(hub._LEFT, "points")),
        instead(hub, "_LIMIT", hub._LIMIT.replace(hub._LEFT, "points")),
    ):
        yield


@fault("a lease is burned after its end", seed=3)
def ended_lease_burned() -> Iterator[None]:
    with (
        instead(hub, "_TAKE_FROM", hub._TAKE_FROM.replace("ends_ms > ?", "? > 0")),
        instead(hub, "_LIMIT", hub._LIMIT.replace("ends_ms > ?", "? > 0")),
    ):
        yield


@fault("a lease that is wanted back is returned before its sales were told of", seed=38)
def lease_returned_before_the_upload() -> Iterator[None]:
    with (
        instead(hub, "_CLOSED", hub._CLOSED.replace(hub._ALL_SEEN, "TRUE")),
        instead(hub, "_DUE", hub._DUE.replace(hub._ALL_SEEN, "TRUE")),
    ):
        yield


@fault("a lease goes on being burned while it is given back", seed=2, hostile=True)
def burned_while_returned() -> Iterator[None]:
    with (
        instead(
            hub, "_TAKE_FROM", hub._TAKE_FROM.replace("state = ?", "state IN (?, 'closing', 'returned')")
        ),
        instead(hub, "_LIMIT", hub._LIMIT.replace("state = ?", "state IN (?, 'closing', 'returned')")),
    ):
        yield


@fault("a lease is burned without saying which one", seed=1)
def lease_not_named() -> Iterator[None]:
    take = Burns.take

    def nameless(self: Any, *ask: Any) -> Any:
        rights = take(self, *ask)
        return tuple(
            replace(right, hold_id=CommandId("")) if right.kind is AuthorityKind.LEASE else right
            for right in rights
        )

    with instead(Burns, "take", nameless):
        yield


@fault("a return is not reported when the sale was another till's", seed=2)
def return_of_others_not_reported() -> Iterator[None]:
    append = Outbox.append

    def unless_foreign(self: Any, tx: Any, advice: Any, **told: int) -> Any:
        foreign = (
            advice.WhichOneof("fact") == "goods_return"
            and not tx.execute(
                "SELECT 1 FROM advice WHERE advice_id = ?",
                (str(uuid.UUID(bytes=advice.goods_return.sale_id)),),
            ).fetchone()
        )
        if not foreign:
            return append(self, tx, advice, **told)
        advice.clock.CopyFrom(self._clock.reading())
        return None

    with instead(Outbox, "append", unless_foreign):
        yield
