"""The steps of the sync: advices go up, news come down, and what a line that is down does to either."""

from __future__ import annotations

from random import Random

import pytest

from tallystick.v1 import advice_pb2, store_pb2
from tallystick_till.backoff import FIRST_S, MOST_S, Backoff, GatewayBusy
from tallystick_till.errors import DISK_FULL, CannotSell
from tallystick_till.outbox import Untold
from tallystick_till.ports import GatewayAway, GatewayRefused
from tallystick_till.snapshot import MemorySnapshot
from tallystick_till.sync import UNFINISHED_EVERY_MS, WATCH_MOST_S
from tests.till_sync.sync_loop import BEAT, SEEN, batch, loop, verdicts
from tests.till_sync.world import (
    NotingTill,
    ScriptedGateway,
    Time,
    state,
)

Piece = store_pb2.WatchResponse
Part = store_pb2.SnapshotPart
STORE = Piece(protocol=1, store=store_pb2.StoreNews(tiers=["bas"]))
MEMBERS = Piece(cursor=b"2", members=store_pb2.MemberNews(members=[state(1, seq=8), state(2, seq=9)]))


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
