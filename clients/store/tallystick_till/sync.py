"""How a till and its gateway keep each other up to date: advices go up, news come down, leases are looked after.

Each of the three is a step that can be taken by itself, which is what a simulation does; ``run`` takes them for ever
in two threads. A step never raises for a line that is down: it tells the till, and says how long to wait.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from random import Random
from typing import Protocol

from tallystick.v1 import store_pb2
from tallystick_till.backoff import MOST_S, Backoff, GatewayBusy
from tallystick_till.errors import CannotSell
from tallystick_till.hub import RETURNS_MAX, LocalHub, own_of
from tallystick_till.news import News, NewsTaker
from tallystick_till.outbox import Untold
from tallystick_till.ports import Clock, Gateway, GatewayAway, GatewayRefused, Hub, Return
from tallystick_till.snapshot import SnapshotIncomplete, SnapshotStore

LEASES_EVERY_MS = 30_000
UNFINISHED_EVERY_MS = 30_000
TIDY_EVERY_MS = 86_400_000
IDLE_S = 30.0
WATCH_MOST_S = 10.0
"""How long to wait at most before the stream is tried again: it is what shows a cashier that the line is back."""
STOP_S = 2.0
BATCH_MAX = 500
SIGNATURE_INVALID = "ADVICE_SIGNATURE_INVALID"
SEQUENCE_GAP = "ADVICE_SEQUENCE_GAP"
NOTHING_TO_TELL = frozenset({"INBOX_ITEM_NOT_FOUND", "INBOX_ITEM_CLOSED", "INVALID_INPUT"})
"""Refusals after which an item needs no telling: it is gone, has ended, or is not an adjustment any more."""


_log = logging.getLogger(__name__)


class SyncTill(NewsTaker, Protocol):
    """The till as its sync sees it."""

    def next_batch(self, max_count: int = BATCH_MAX) -> store_pb2.PushAdvicesRequest | None: ...

    def take_verdicts(
        self, request: store_pb2.PushAdvicesRequest, response: store_pb2.PushAdvicesResponse
    ) -> None: ...

    def gateway_answered(self) -> None: ...

    def gateway_away(self) -> None: ...

    def gateway_refused(self, reason: str) -> None: ...

    def settle_unfinished(self) -> int: ...

    def untold(self) -> list[Untold]: ...

    def note_told(self, advice_id: str) -> None: ...


class SyncLoop:
    """The sync of one till.

    ``push_wait_s`` is how long the next push should wait, as the last one found; ``asked_wait_s`` is the part of it
    that the gateway asked for, which nothing shortens. The rest ends early in ``run`` when something was appended or
    the line has come back. ``sleep`` takes the place of all waiting.
    """

    def __init__(
        self,
        till: SyncTill,
        gateway: Gateway,
        snapshot: SnapshotStore,
        hub: Hub,
        *,
        clock: Clock,
        rng: Random,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._till = till
        self._gateway = gateway
        self._news = News(till, snapshot, hub)
        self._hub = hub
        self._clock = clock
        self._sleep = sleep
        self._push_backoff = Backoff(rng)
        self._watch_backoff = Backoff(rng, most_s=WATCH_MOST_S)
        self._awake = threading.Event()
        self._stop = threading.Event()
        self._leases_at_ms: int | None = None
        self._tidied_at_ms: int | None = None
        self._time_told = False
        self._settled_at_ms: int | None = None
        self._one_by_one = 0
        self.push_wait_s = 0.0
        self.asked_wait_s = 0.0

    def wake(self) -> None:
        """Say that something was appended: it goes up at once."""
        self._awake.set()

    def push_once(self) -> bool:
        """Send one batch and keep its verdicts. True when there may be more to send at once."""
        self.asked_wait_s = 0.0
        self._settle_unfinished()
        request = self._till.next_batch(1 if self._one_by_one else BATCH_MAX)
        if request is None:
            self.push_wait_s = IDLE_S
            return False
        try:
            response = self._exchange(request)
        except GatewayAway as error:
            self._till.gateway_away()
            asked_s = error.retry_after_s if isinstance(error, GatewayBusy) else 0.0
            self.asked_wait_s = min(asked_s, MOST_S)
            self.push_wait_s = self._push_backoff.next_s(at_least_s=asked_s)
            return False
        except GatewayRefused as error:
            return self._push_refused(request, error)
        except CannotSell:
            # The verdicts could not be kept; the same batch gets the same ones later.
            self.push_wait_s = MOST_S
            return False
        self._till.gateway_answered()
        self._push_backoff.reset()
        self._one_by_one = max(0, self._one_by_one - 1)
        self.push_wait_s = self.asked_wait_s = min(response.retry_after_ms / 1000, MOST_S)
        return True

    def watch_once(self) -> bool:
        """Take the gateway's news until it ends the stream or the line breaks. True when anything was heard."""
        heard = False
        try:
            for piece in self._gateway.watch(self._news.request()):
                if not heard:
                    heard = True
                    self._line_is_back()
                self._news.take(piece)
                self._till.gateway_answered()
                self._hurry_leases()
                if self._stop.is_set():
                    break
        except GatewayAway:
            self._till.gateway_away()
        except GatewayRefused as error:
            self._refused("watch", error)
        except SnapshotIncomplete:
            _log.warning("a snapshot came without its beginning; asking again")
        except CannotSell as error:
            _log.warning("news could not be kept: %s", error)
            heard = False
        return heard

    def leases_once(self) -> bool:
        """Give back the leases that are wanted back or worn, and ask for those that are missing.

        One that stands by only gives back, what it asked for itself. True when something was done, so that there may
        be more.
        """
        hub = own_of(self._hub)
        if hub is None:
            return False
        try:
            done = self._hand_over(hub) if hub.stands_by else self._return_leases(hub) + self._ask_leases(hub)
            now_ms = self._clock.monotonic_ms()
            due = self._tidied_at_ms is None or now_ms - self._tidied_at_ms >= TIDY_EVERY_MS
            if due and self._time_told:
                hub.tidy()
                self._tidied_at_ms = now_ms
        except GatewayAway:
            return False
        except GatewayRefused as error:
            self._refused("leases", error)
            return False
        except CannotSell:
            return False
        return done > 0

    def seen_once(self) -> bool:
        """Tell the gateway which adjustments were read here, so that nobody reads them again. True when all is told."""
        try:
            for one in self._till.untold():
                self._tell_seen(one)
        except GatewayAway:
            return False
        except GatewayRefused as error:
            self._refused("seen", error)
            return False
        except CannotSell:
            return False
        return True

    def run(self, stop: threading.Event) -> None:
        """Keep in touch until ``stop`` is set; returns within a few seconds of it."""
        self._stop = stop
        threads = [
            threading.Thread(target=self._forever, args=(step,), name=f"till-{name}", daemon=True)
            for name, step in (("push", self._push_round), ("watch", self._watch_round))
        ]
        for thread in threads:
            thread.start()
        stop.wait()
        self._awake.set()
        for thread in threads:
            # The stream may be silent for a heartbeat; the thread ends with its connection.
            thread.join(STOP_S)

    def _forever(self, step: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                step()
            except Exception:  # noqa: BLE001  whatever it is, the till must hear of its gateway again
                if self._stop.is_set():
                    return
                _log.exception("a step of the sync failed; it is tried again")
                self._pause(self._stop, MOST_S)

    def _push_round(self) -> None:
        self._awake.clear()
        if not self.push_once():
            self._leases_when_due()
            self.seen_once()
        if self.asked_wait_s:
            self._pause(self._stop, self.asked_wait_s)
        if self.push_wait_s > self.asked_wait_s:
            self._pause(self._awake, self.push_wait_s - self.asked_wait_s)

    def _watch_round(self) -> None:
        if self.watch_once():
            self._watch_backoff.reset()
        self._pause(self._stop, self._watch_backoff.next_s())

    def _leases_when_due(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if self._leases_at_ms is None or now_ms - self._leases_at_ms >= LEASES_EVERY_MS:
            self._leases_at_ms = now_ms
            self.leases_once()

    def _hurry_leases(self) -> None:
        """Let a lease that a member needs elsewhere be given back at once, and not when leases are looked at anyway."""
        if isinstance(self._hub, LocalHub) and self._hub.wanted_back():
            self._leases_at_ms = None
            self._awake.set()

    def _exchange(self, request: store_pb2.PushAdvicesRequest) -> store_pb2.PushAdvicesResponse:
        """Send a batch; keep what the gateway answers."""
        try:
            response = self._gateway.push(request)
        except GatewayRefused as error:
            if error.reason != SEQUENCE_GAP:
                raise
            # The gateway has less than it had acknowledged: an empty batch asks from where it goes on.
            request = store_pb2.PushAdvicesRequest(epoch=request.epoch, first_seq=request.first_seq)
            response = self._gateway.push(request)
        if response.HasField("anchor"):
            self._time_told |= self._till.take_anchor(response.anchor)
        self._till.take_verdicts(request, response)
        return response

    def _push_refused(self, request: store_pb2.PushAdvicesRequest, error: GatewayRefused) -> bool:
        self._refused("push", error)
        if error.reason == SIGNATURE_INVALID and len(request.advices) > 1:
            # One of them is damaged: sent alone, the others get through up to it.
            self._one_by_one = len(request.advices)
            self.push_wait_s = 0.0
            return True
        self.push_wait_s = MOST_S
        return False

    def _tell_seen(self, one: Untold) -> None:
        request = store_pb2.ResolveInboxItemRequest(item_id=one.item_id, action=store_pb2.INBOX_ACTION_SEEN)
        try:
            self._gateway.resolve_inbox_item(request)
        except GatewayRefused as error:
            if error.reason not in NOTHING_TO_TELL:
                raise
        self._till.note_told(one.advice_id)

    def _settle_unfinished(self) -> None:
        """Now and then ask what became of requests that got no answer: their members must not pay for nothing."""
        now_ms = self._clock.monotonic_ms()
        if self._settled_at_ms is None or now_ms - self._settled_at_ms >= UNFINISHED_EVERY_MS:
            self._settled_at_ms = now_ms
            try:
                self._till.settle_unfinished()
            except CannotSell:
                _log.warning("a request without an answer cannot be settled: the disk takes nothing")

    def _return_leases(self, hub: LocalHub) -> int:
        if not hub.returns_due():
            return 0
        # A lease that is closed is lost to the shop while the line is down: so the line is tried first.
        self._gateway.exposure(store_pb2.GetExposureRequest())
        count = 0
        while count < RETURNS_MAX and (one := hub.next_return()) is not None:
            count += 1
            self._return_lease(hub, one)
        return count

    def _hand_over(self, hub: LocalHub) -> int:
        leases = hub.asked_for()
        for one in leases:
            self._return_lease(hub, one)
        return len(leases)

    def _return_lease(self, hub: LocalHub, one: Return) -> None:
        request = store_pb2.ReturnLeaseRequest(
            command_id=one.command_id, member_id=one.member_id, lease_id=one.lease_id
        )
        try:
            self._gateway.return_lease(request)
        except GatewayRefused as error:
            # The gateway knows better what became of it; here it is closed in any case.
            self._refused("return of a lease", error)
        hub.returned(one.lease_id)

    def _ask_leases(self, hub: LocalHub) -> int:
        asks = hub.asks()
        if asks:
            request = store_pb2.RequestLeasesRequest(asks=asks)
            hub.answered(asks, self._gateway.request_leases(request))
        return len(asks)

    def _line_is_back(self) -> None:
        self._push_backoff.reset()
        self._awake.set()

    def _refused(self, what: str, error: GatewayRefused) -> None:
        _log.warning("the gateway refused (%s): %s %s", what, error.reason, error)
        self._till.gateway_refused(error.reason)

    def _pause(self, event: threading.Event, seconds: float) -> None:
        if self._sleep is not None:
            self._sleep(seconds)
        else:
            event.wait(seconds)
