from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from tallystick.v1 import advice_pb2, store_pb2
from tallystick_till.backoff import FIRST_S, MOST_S, Backoff, GatewayBusy
from tallystick_till.db import TillDb
from tallystick_till.errors import DISK_FULL, CannotSell
from tallystick_till.hub import LocalHub, NoHub
from tallystick_till.outbox import Untold
from tallystick_till.ports import GatewayAway, GatewayRefused
from tallystick_till.snapshot import MemorySnapshot
from tallystick_till.sync import UNFINISHED_EVERY_MS, WATCH_MOST_S, SyncLoop
from tests.till_sync.world import (
    HOUR_MS,
    NotingTill,
    ScriptedGateway,
    Time,
    lease_state,
    local_hub,
    member_id,
    state,
)

Piece = store_pb2.WatchResponse
Part = store_pb2.SnapshotPart
STORE = Piece(protocol=1, store=store_pb2.StoreNews(tiers=["bas"]))
MEMBERS = Piece(cursor=b"2", members=store_pb2.MemberNews(members=[state(1, seq=8), state(2, seq=9)]))
EXPOSURE = store_pb2.GetExposureResponse()
BEAT = Piece(cursor=b"2", heartbeat=store_pb2.Heartbeat(anchor=advice_pb2.Signed(body=b"now")))


def loop(
    till: NotingTill,
    gateway: Any,
    *,
    snapshot: MemorySnapshot | None = None,
    hub: Any = None,
    time: Time | None = None,
    sleep: Callable[[float], None] | None = None,
) -> SyncLoop:
    return SyncLoop(
        till,
        gateway,
        snapshot or MemorySnapshot(),
        hub or NoHub(),
        clock=time or Time(),
        rng=Random(1),
        sleep=sleep,
    )


def batch(first_seq: int = 1) -> store_pb2.PushAdvicesRequest:
    return store_pb2.PushAdvicesRequest(epoch=1, first_seq=first_seq, advices=[b"a"])


def verdicts(**values: Any) -> store_pb2.PushAdvicesResponse:
    return store_pb2.PushAdvicesResponse(
        verdicts=[advice_pb2.Verdict(seq=1)], anchor=advice_pb2.Signed(body=b"now"), **values
    )


def test_a_batch_goes_up_and_its_verdicts_are_kept() -> None:
    till, gateway = NotingTill(batches=[batch()]), ScriptedGateway(push=[verdicts()])
    sync = loop(till, gateway)
    assert sync.push_once()
    assert till.notes == [("anchor", b"now"), ("verdicts", 1), "answered"]
    assert sync.push_wait_s == 0


def test_with_nothing_to_say_nothing_is_sent() -> None:
    gateway = ScriptedGateway()
    assert not loop(NotingTill(), gateway).push_once()
    assert gateway.asked == []


def test_a_gateway_that_asks_for_time_gets_it() -> None:
    till = NotingTill(batches=[batch()])
    sync = loop(till, ScriptedGateway(push=[verdicts(retry_after_ms=1500)]))
    assert sync.push_once()
    assert sync.push_wait_s == 1.5


def test_a_line_that_is_down_keeps_the_batch_and_waits_longer_each_time() -> None:
    till = NotingTill(batches=[batch()])
    sync = loop(till, ScriptedGateway(push=[GatewayAway()] * 12 + [verdicts()]))
    waits = []
    for _ in range(12):
        assert not sync.push_once()
        waits.append(sync.push_wait_s)
    assert till.notes == ["away"] * 12
    assert len(till.batches) == 1
    assert max(waits[:2]) <= 2 * FIRST_S < max(waits)
    assert max(waits) <= MOST_S
    assert sync.push_once()


def test_a_busy_gateway_says_how_long_to_wait_at_least() -> None:
    sync = loop(
        NotingTill(batches=[batch()]),
        ScriptedGateway(push=[GatewayBusy("busy", retry_after_s=7), GatewayAway()]),
    )
    sync.push_once()
    assert sync.push_wait_s == 7


def test_a_refused_till_hears_why_and_does_not_storm_the_gateway() -> None:
    till = NotingTill(batches=[batch()])
    sync = loop(till, ScriptedGateway(push=[GatewayRefused("DEVICE_REVOKED", "revoked")]))
    assert not sync.push_once()
    assert till.notes == [("refused", "DEVICE_REVOKED")]
    assert sync.push_wait_s == MOST_S


def test_verdicts_that_cannot_be_kept_are_asked_for_again() -> None:
    def full(_what: str) -> None:
        raise CannotSell(DISK_FULL)

    till = NotingTill(batches=[batch()], fail=full)
    sync = loop(till, ScriptedGateway(push=[verdicts()]))
    assert not sync.push_once()
    assert len(till.batches) == 1
    assert sync.push_wait_s == MOST_S


def test_a_batch_with_a_damaged_advice_is_sent_one_by_one_up_to_it() -> None:
    no = GatewayRefused("ADVICE_SIGNATURE_INVALID", "not what the key signed")
    till = NotingTill(
        batches=[store_pb2.PushAdvicesRequest(epoch=1, first_seq=1, advices=[b"a", b"b", b"c"]), batch(4)]
    )
    gateway = ScriptedGateway(push=[no, verdicts(), no, verdicts(), verdicts(), verdicts()])
    sync = loop(till, gateway)
    assert [sync.push_once(), sync.push_once(), sync.push_once()] == [True, True, False]
    assert sync.push_wait_s == MOST_S
    assert [list(request.advices) for _, request in gateway.asked] == [[b"a", b"b", b"c"], [b"a"], [b"b"]]
    assert [sync.push_once(), sync.push_once(), sync.push_once()] == [True, True, True]
    assert till.batches == []


def test_a_gateway_that_has_less_than_it_said_is_asked_from_where_it_goes_on() -> None:
    till = NotingTill(batches=[batch(first_seq=9)])
    gap = GatewayRefused("ADVICE_SEQUENCE_GAP", "gap", {"expected_seq": "4"})
    gateway = ScriptedGateway(push=[gap, store_pb2.PushAdvicesResponse(epoch=1, acked_seq=3)])
    assert loop(till, gateway).push_once()
    assert (gateway.asked[1][1].first_seq, list(gateway.asked[1][1].advices)) == (9, [])
    assert ("verdicts", 0) in till.notes


def test_requests_without_an_answer_are_settled_now_and_then() -> None:
    till, time = NotingTill(), Time()
    sync = loop(till, ScriptedGateway(), time=time)
    sync.push_once()
    sync.push_once()
    assert till.settled == 1
    time.ms += UNFINISHED_EVERY_MS
    sync.push_once()
    assert till.settled == 2


READ = Untold("advice-1", "item-1"), Untold("advice-2", "item-2")
SEEN = store_pb2.ResolveInboxItemResponse()


def test_the_gateway_is_told_which_adjustments_were_read() -> None:
    till, gateway = NotingTill(read=list(READ)), ScriptedGateway(resolve_inbox_item=[SEEN, SEEN])
    sync = loop(till, gateway)
    assert sync.seen_once()
    assert [(request.item_id, request.action) for _, request in gateway.asked] == [
        ("item-1", store_pb2.INBOX_ACTION_SEEN),
        ("item-2", store_pb2.INBOX_ACTION_SEEN),
    ]
    assert till.notes == [("told", "advice-1"), ("told", "advice-2")]
    assert sync.seen_once()
    assert len(gateway.asked) == 2


def test_while_the_line_is_down_what_was_read_waits_to_be_told() -> None:
    till = NotingTill(read=list(READ))
    gateway = ScriptedGateway(resolve_inbox_item=[SEEN, GatewayAway("down"), SEEN])
    sync = loop(till, gateway)
    assert not sync.seen_once()
    assert till.read == [READ[1]]
    assert sync.seen_once()
    assert till.read == []


@pytest.mark.parametrize("reason", ["INBOX_ITEM_NOT_FOUND", "INBOX_ITEM_CLOSED", "INVALID_INPUT"])
def test_an_item_that_has_ended_needs_no_telling(reason: str) -> None:
    till = NotingTill(read=list(READ))
    assert loop(till, ScriptedGateway(resolve_inbox_item=[GatewayRefused(reason, ""), SEEN])).seen_once()
    assert till.read == []


def test_a_till_that_may_not_tell_keeps_what_was_read() -> None:
    till = NotingTill(read=list(READ))
    gateway = ScriptedGateway(resolve_inbox_item=[GatewayRefused("DEVICE_REVOKED", "")])
    assert not loop(till, gateway).seen_once()
    assert (till.read, till.notes) == (list(READ), [("refused", "DEVICE_REVOKED")])


def test_what_cannot_be_noted_as_told_is_told_again() -> None:
    def full(what: str) -> None:
        if what == "told":
            raise CannotSell(DISK_FULL)

    till = NotingTill(read=list(READ), fail=full)
    assert not loop(till, ScriptedGateway(resolve_inbox_item=[SEEN])).seen_once()
    assert till.read == list(READ)


def test_what_the_till_left_out_of_the_news_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    news = store_pb2.StoreNews(rule_sets=[advice_pb2.Signed(key_id="a forged rule set")])
    loop(NotingTill(), ScriptedGateway(watch=[[Piece(store=news)]])).watch_once()
    assert "a forged rule set" in caplog.text


def test_waits_are_spread_over_the_whole_span() -> None:
    waits = [Backoff(Random(seed)).next_s() for seed in range(200)]
    assert min(waits) < 0.1 * FIRST_S
    assert 0.9 * FIRST_S < max(waits) <= FIRST_S


def test_a_line_that_was_down_for_long_is_looked_for_every_ten_seconds() -> None:
    waited: list[float] = []
    gateway = ScriptedGateway(watch=[[GatewayAway()] for _ in range(200)])
    sync = loop(NotingTill(), gateway, sleep=waited.append)
    for _ in range(200):
        sync._watch_round()
    assert WATCH_MOST_S / 2 < max(waited) <= WATCH_MOST_S == 10


def test_news_are_stored_before_the_till_acts_on_them_and_the_cursor_comes_last() -> None:
    snapshot = MemorySnapshot()
    seen: list[tuple[int, bytes]] = []
    till = NotingTill(fail=lambda _what: seen.append((snapshot.count(), snapshot.cursor())))
    gateway = ScriptedGateway(watch=[[STORE, MEMBERS, BEAT]])
    assert loop(till, gateway, snapshot=snapshot).watch_once()
    assert seen == [(2, b"")]
    assert snapshot.cursor() == b"2"
    assert till.notes == [
        ("store", ["bas"]),
        "answered",
        ("members", [8, 9]),
        "answered",
        ("anchor", b"now"),
        "answered",
    ]


def test_a_till_that_fails_to_act_on_news_is_told_them_again() -> None:
    def full(_what: str) -> None:
        raise CannotSell(DISK_FULL)

    snapshot, till = MemorySnapshot(), NotingTill(fail=full)
    gateway = ScriptedGateway(watch=[[MEMBERS, BEAT], [MEMBERS]])
    sync = loop(till, gateway, snapshot=snapshot)
    assert not sync.watch_once()
    till.fail = lambda _what: None
    assert sync.watch_once()
    assert [request.cursor for _, request in gateway.asked] == [b"", b""]
    assert ("members", [8, 9]) in till.notes


def test_the_stream_is_taken_up_where_it_broke() -> None:
    gateway = ScriptedGateway(watch=[[MEMBERS, GatewayAway()], [BEAT]])
    till = NotingTill()
    sync = loop(till, gateway)
    sync.watch_once()
    assert till.notes[-1] == "away"
    sync.watch_once()
    assert [request.cursor for _, request in gateway.asked] == [b"", b"2"]


def test_a_snapshot_that_breaks_off_is_begun_again_and_nothing_is_half_known() -> None:
    snapshot = MemorySnapshot()
    first = Piece(snapshot=Part(first=True, members=[state(1)]))
    last = Piece(snapshot=Part(last=True, members=[state(2)]), cursor=b"3")
    gateway = ScriptedGateway(watch=[[first, GatewayAway()], [last], [first, last]])
    sync = loop(NotingTill(), gateway, snapshot=snapshot)
    sync.watch_once()
    assert snapshot.count() == 0
    snapshot.stage(Part(first=True))
    snapshot = MemorySnapshot()
    sync = loop(NotingTill(), gateway, snapshot=snapshot)
    sync.watch_once()
    assert (snapshot.count(), snapshot.cursor()) == (0, b"")
    sync.watch_once()
    assert (snapshot.count(), snapshot.cursor()) == (2, b"3")


def test_a_newer_gateway_is_noticed_and_the_till_goes_on() -> None:
    snapshot = MemorySnapshot()
    unknown = Piece(protocol=2, cursor=b"7")
    till = NotingTill()
    loop(till, ScriptedGateway(watch=[[STORE, unknown, MEMBERS]]), snapshot=snapshot).watch_once()
    assert till.newer
    assert snapshot.count() == 2


@pytest.fixture
def hub() -> LocalHub:
    return local_hub(TillDb.in_memory(), Time())


def test_leases_are_asked_for_and_learned(hub: LocalHub) -> None:
    hub.visited(member_id(1))

    class Granting(ScriptedGateway):
        def request_leases(self, request: store_pb2.RequestLeasesRequest) -> store_pb2.RequestLeasesResponse:
            answers = [
                store_pb2.LeaseAnswer(lease_id=ask.lease_id, lease=lease_state(ask.lease_id))
                for ask in request.asks
            ]
            return store_pb2.RequestLeasesResponse(answers=answers)

    sync = loop(NotingTill(), Granting(), hub=hub)
    assert sync.leases_once()
    assert hub.limit(member_id(1)) == 100
    assert not sync.leases_once()


def test_an_ask_whose_answer_was_lost_is_made_again_with_the_same_id(hub: LocalHub) -> None:
    hub.visited(member_id(1))
    gateway = ScriptedGateway(request_leases=[GatewayAway(), GatewayAway()])
    sync = loop(NotingTill(), gateway, hub=hub)
    assert not sync.leases_once()
    assert not sync.leases_once()
    first, again = (request for _, request in gateway.asked)
    assert first == again


def test_a_lease_wanted_back_is_given_back_once(hub: LocalHub) -> None:
    hub.take_members([state(1, leases=[lease_state("lease-1", recalled=True)])])
    gateway = ScriptedGateway(
        exposure=[EXPOSURE, EXPOSURE],
        return_lease=[GatewayAway(), store_pb2.ReturnLeaseResponse(returned_points=100)],
    )
    sync = loop(NotingTill(), gateway, hub=hub)
    assert not sync.leases_once()
    assert sync.leases_once()
    assert not sync.leases_once()
    lost, done = [request for name, request in gateway.asked if name == "return_lease"]
    assert lost == done
    assert (done.lease_id, done.member_id) == ("lease-1", member_id(1))


def test_a_worn_lease_stays_usable_while_the_line_is_down() -> None:
    time = Time()
    hub = local_hub(TillDb.in_memory(), time)
    hub.visited(member_id(1))
    hub.take_members([state(1, leases=[lease_state("lease-1", ends_ms=time.ms + HOUR_MS)])])
    sync = loop(NotingTill(), ScriptedGateway(exposure=[GatewayAway()]), hub=hub)
    assert not sync.leases_once()
    assert hub.limit(member_id(1)) == 100


def test_a_lease_that_the_gateway_knows_no_more_is_not_offered_for_ever(hub: LocalHub) -> None:
    hub.take_members([state(1, leases=[lease_state("lease-1", recalled=True)])])
    till = NotingTill()
    gone = GatewayRefused("LEASE_NOT_FOUND", "gone")
    sync = loop(till, ScriptedGateway(exposure=[EXPOSURE], return_lease=[gone]), hub=hub)
    assert sync.leases_once()
    assert not sync.leases_once()


def test_a_till_that_is_not_the_hub_leaves_leases_alone() -> None:
    gateway = ScriptedGateway()
    assert not loop(NotingTill(), gateway, hub=NoHub()).leases_once()
    assert gateway.asked == []


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


def test_what_was_read_is_told_at_once() -> None:
    till, stop = NotingTill(), threading.Event()
    line = Line()
    line.up.set()
    sync = loop(till, line)
    thread = threading.Thread(target=sync.run, args=(stop,), daemon=True)
    thread.start()
    assert not line.told.wait(0.1)
    till.read.append(READ[0])
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
