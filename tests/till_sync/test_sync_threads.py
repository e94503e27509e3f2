"""The sync as it runs: two threads, what wakes them, and what ends them."""

from __future__ import annotations

import threading
from random import Random
from typing import Any

import pytest

from tallystick.v1 import store_pb2
from tallystick_till.backoff import MOST_S, Backoff, GatewayBusy
from tallystick_till.db import TillDb
from tallystick_till.hub import NoHub
from tallystick_till.outbox import Untold
from tallystick_till.ports import GatewayAway
from tallystick_till.snapshot import MemorySnapshot
from tallystick_till.sync import SyncLoop
from tests.till_sync.sync_loop import BEAT, SEEN, batch, loop, verdicts
from tests.till_sync.world import NotingTill, Time, lease_state, local_hub, state


class Line:
    """A gateway that is up or down; it says when it took something."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.pushed = threading.Event()
        self.told = threading.Event()
        self.over = threading.Event()

    def resolve_inbox_item(
        self, _request: store_pb2.ResolveInboxItemRequest
    ) -> store_pb2.ResolveInboxItemResponse:
        self.told.set()
        return SEEN

    def push(self, _request: store_pb2.PushAdvicesRequest) -> store_pb2.PushAdvicesResponse:
        if not self.up.is_set():
            raise GatewayAway
        self.pushed.set()
        return verdicts()

    def watch(self, _request: store_pb2.WatchRequest) -> Any:
        if not self.up.is_set():
            raise GatewayAway
        yield BEAT
        self.over.wait(5)


def test_what_is_appended_goes_up_at_once_and_the_threads_end_when_they_are_told() -> None:
    till, line, stop = NotingTill(), Line(), threading.Event()
    line.up.set()
    sync = loop(till, line)
    thread = threading.Thread(target=sync.run, args=(stop,), daemon=True)
    thread.start()
    assert not line.pushed.wait(0.1)
    till.batches.append(batch())
    sync.wake()
    assert line.pushed.wait(2)
    stop.set()
    line.over.set()
    thread.join(5)
    assert not thread.is_alive()


def test_a_lease_that_is_wanted_back_is_given_back_at_once() -> None:
    hub = local_hub(TillDb.in_memory(), Time())
    hub.take_members([state(1, leases=[lease_state("lease-1")])])
    wanted, returned, stop = threading.Event(), threading.Event(), threading.Event()

    class Recalling(Line):
        def watch(self, _request: store_pb2.WatchRequest) -> Any:
            yield BEAT
            wanted.wait(5)
            hub.take_members([state(1, leases=[lease_state("lease-1", recalled=True)])])
            yield BEAT
            self.over.wait(5)

        def exposure(self, _request: store_pb2.GetExposureRequest) -> store_pb2.GetExposureResponse:
            return store_pb2.GetExposureResponse()

        def return_lease(self, _request: store_pb2.ReturnLeaseRequest) -> store_pb2.ReturnLeaseResponse:
            returned.set()
            return store_pb2.ReturnLeaseResponse()

    line = Recalling()
    line.up.set()
    sync = loop(NotingTill(), line, hub=hub)
    thread = threading.Thread(target=sync.run, args=(stop,), daemon=True)
    thread.start()
    assert not returned.wait(0.2)
    wanted.set()
    assert returned.wait(5)
    stop.set()
    line.over.set()
    sync.wake()
    thread.join(5)
    assert not thread.is_alive()


def test_what_was_read_is_told_at_once() -> None:
    till, stop = NotingTill(), threading.Event()
    line = Line()
    line.up.set()
    sync = loop(till, line)
    thread = threading.Thread(target=sync.run, args=(stop,), daemon=True)
    thread.start()
    assert not line.told.wait(0.1)
    till.read.append(Untold("advice-1", "item-1"))
    sync.wake()
    assert line.told.wait(2)
    stop.set()
    line.over.set()
    thread.join(5)
    assert not thread.is_alive()


def test_a_gateway_that_asked_for_time_gets_it_whatever_is_sold_meanwhile() -> None:
    class Busy(Line):
        def push(self, request: store_pb2.PushAdvicesRequest) -> store_pb2.PushAdvicesResponse:
            if not self.up.is_set():
                self.up.set()
                raise GatewayBusy("busy", retry_after_s=0.4)
            return super().push(request)

    till, line, stop = NotingTill(batches=[batch()]), Busy(), threading.Event()
    sync = loop(till, line)
    thread = threading.Thread(target=sync.run, args=(stop,), daemon=True)
    thread.start()
    assert line.up.wait(2)
    sync.wake()
    assert not line.pushed.wait(0.3)
    assert line.pushed.wait(2)
    stop.set()
    line.over.set()
    thread.join(5)
    assert not thread.is_alive()


def test_what_waits_goes_up_as_soon_as_the_stream_shows_that_the_line_is_back() -> None:
    class Patient(Backoff):
        def next_s(self, *, at_least_s: float = 0.0) -> float:
            return MOST_S

    till, line, stop = NotingTill(batches=[batch()]), Line(), threading.Event()
    sync = loop(till, line)
    sync._push_backoff = Patient(Random(1))
    thread = threading.Thread(target=sync.run, args=(stop,), daemon=True)
    thread.start()
    assert not line.pushed.wait(0.5)
    line.up.set()
    assert line.pushed.wait(5)
    stop.set()
    line.over.set()
    thread.join(5)
    assert not thread.is_alive()


def test_a_fault_in_one_step_does_not_end_the_sync(caplog: pytest.LogCaptureFixture) -> None:
    waited: list[float] = []
    failed = threading.Event()

    def fault(_what: str) -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("a bug")

    till, line, stop = NotingTill(batches=[batch(), batch(2)], fail=fault), Line(), threading.Event()
    line.up.set()

    def wait(seconds: float) -> None:
        waited.append(seconds)
        stop.wait(0.01)

    sync = SyncLoop(till, line, MemorySnapshot(), NoHub(), clock=Time(), rng=Random(1), sleep=wait)  # type: ignore[arg-type]
    thread = threading.Thread(target=sync.run, args=(stop,), daemon=True)
    thread.start()
    for _ in range(200):
        if not till.batches:
            break
        stop.wait(0.01)
    stop.set()
    line.over.set()
    thread.join(5)
    assert (till.batches, MOST_S in waited) == ([], True)
    assert "a bug" in caplog.text
