"""The outbox: a chain without gaps that outlives crashes, and out of which nothing goes without a verdict."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tallystick.core.advice import digest_of, item_id_of
from tallystick.security.envelope import BATCH, body_holds
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import store_pb2
from tallystick.wire.advices import batch_message, parse_advice
from tallystick_till.db import FORMAT
from tallystick_till.errors import CannotSell, SaleRefused
from tallystick_till.outbox import Untold
from tests.till.premises import ANNA
from tests.till.world import World, basket


def sell(world: World, count: int = 1, minor: int = 5000) -> None:
    world.meet()
    for _ in range(count):
        world.till.sale(world.ask(minor))


def batch_of(world: World, **limits: int) -> store_pb2.PushAdvicesRequest:
    request = world.till.next_batch(**limits)
    assert request is not None
    return request


def edit(world: World, statement: str, *values: object) -> None:
    connection = sqlite3.connect(world.path)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def answer(
    world: World, request: store_pb2.PushAdvicesRequest, kind: pb.VerdictKind.ValueType, **more: object
) -> None:
    """Answer a batch with one verdict for all."""
    last = request.first_seq + len(request.advices) - 1
    verdicts = [
        pb.Verdict(seq=request.first_seq + at, kind=kind, **more)  # type: ignore[arg-type]
        for at in range(len(request.advices))
    ]
    response = store_pb2.PushAdvicesResponse(
        verdicts=verdicts, epoch=1, acked_seq=last, acked_hash=digest_of(request.advices[-1])
    )
    world.till.take_verdicts(request, response)


def test_each_advice_holds_the_hash_of_the_one_before(world: World) -> None:
    sell(world, 3)
    raws = list(batch_of(world).advices)
    advices = [parse_advice(raw) for raw in raws]
    assert [(advice.epoch, advice.seq) for advice in advices] == [(1, 1), (1, 2), (1, 3)]
    assert [advice.prev_hash for advice in advices] == [bytes(32), digest_of(raws[0]), digest_of(raws[1])]


def test_a_batch_is_signed_over_its_place_and_both_ends_of_the_chain(world: World) -> None:
    sell(world, 3)
    first = batch_of(world, max_count=1)
    world.gateway.away = False
    world.till.take_verdicts(first, world.gateway.push(first))
    request = batch_of(world)
    message = batch_message(
        till_id="till-1",
        epoch=1,
        first_seq=2,
        count=2,
        prev_hash=digest_of(first.advices[0]),
        head=digest_of(request.advices[-1]),
    )
    key = world.till_key.verify_key
    assert body_holds({"k": key}, BATCH, message, key_id="k", signature=request.signature)
    assert (request.first_seq, request.queued_after, request.prev_hash) == (2, 0, digest_of(first.advices[0]))


def test_a_batch_keeps_within_number_and_size(world: World) -> None:
    sell(world, 5)
    assert len(batch_of(world, max_count=2).advices) == 2
    assert batch_of(world, max_count=2).queued_after == 3
    one = len(batch_of(world).advices[0])
    assert len(batch_of(world, max_bytes=2 * one + 100).advices) == 2
    assert len(batch_of(world, max_bytes=10).advices) == 1


def test_the_bytes_of_an_advice_are_the_same_whenever_they_are_sent(world: World) -> None:
    sell(world, 2)
    first = list(batch_of(world).advices)
    world.restart()
    assert list(batch_of(world).advices) == first


def test_what_was_burned_within_the_floor_limit_is_told_until_it_is_uploaded(world: World) -> None:
    world.meet()
    world.till.sale(world.ask(burn=300))
    world.till.sale(world.ask(burn=100))
    assert batch_of(world, max_count=1).floor_points == 400
    world.gateway.away = False
    request = batch_of(world, max_count=1)
    world.till.take_verdicts(request, world.gateway.push(request))
    assert batch_of(world).floor_points == 100


def test_a_batch_whose_answer_was_lost_goes_up_again_and_gets_the_same_verdicts(world: World) -> None:
    sell(world, 2)
    world.gateway.away = False
    world.gateway.push(batch_of(world))
    world.restart()
    assert world.push_all() == 1
    assert len(world.gateway.heard) == 2
    assert world.till.status().queued == 0


def test_nothing_leaves_the_queue_without_a_verdict(world: World) -> None:
    sell(world, 2)
    request = batch_of(world)
    world.till.take_verdicts(
        request, store_pb2.PushAdvicesResponse(epoch=1, acked_seq=0, acked_hash=bytes(32))
    )
    assert world.till.status().queued == 2
    assert world.till.next_batch() is None, "the same answer would come again at once"
    world.clock.go(1)
    assert batch_of(world).first_seq == 1


def test_a_verdict_on_another_place_is_not_taken(world: World) -> None:
    sell(world, 1)
    request = batch_of(world)
    wrong = pb.Verdict(seq=7, kind=pb.VERDICT_KIND_POSTED)
    world.till.take_verdicts(request, store_pb2.PushAdvicesResponse(verdicts=[wrong], epoch=1))
    assert world.till.status().queued == 1


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (pb.VERDICT_KIND_ADJUSTED, "adjusted"),
        (pb.VERDICT_KIND_PARKED, "parked"),
        (pb.VERDICT_KIND_QUARANTINED, "quarantined"),
    ],
)
def test_what_was_not_plainly_posted_waits_for_somebody_to_read_it(
    world: World, kind: pb.VerdictKind.ValueType, state: str
) -> None:
    sell(world, 1)
    reasons = [pb.VERDICT_REASON_POINTS_DIFFER, 99]
    answer(world, batch_of(world), kind, reasons=reasons, earned_points=40)
    item = world.till.queue(10)[0]
    assert (item.state, item.reasons) == (state, ("POINTS_DIFFER", "REASON_99"))
    assert (item.told_points, item.posted_points, item.seen) == (50, 40, False)
    assert getattr(world.till.status().attention, state) == 1
    world.till.mark_seen(item.advice_id)
    assert getattr(world.till.status().attention, state) == 0
    assert world.till.queue(10) == []
    assert world.till.recent(1)[0].state == state


def test_an_adjustment_that_was_read_is_told_once(world: World) -> None:
    sell(world, 2)
    request = batch_of(world)
    answer(world, request, pb.VERDICT_KIND_ADJUSTED)
    first, second = world.till.queue(10)
    assert world.till.untold() == []
    world.till.mark_seen(second.advice_id)
    assert world.till.untold() == [Untold(second.advice_id, item_id_of(digest_of(request.advices[1])))]
    world.till.note_told(second.advice_id)
    world.till.note_told(first.advice_id)
    world.till.mark_seen(second.advice_id)
    assert world.till.untold() == []
    assert world.till.queue(10) == [first]


@pytest.mark.parametrize("kind", [pb.VERDICT_KIND_PARKED, pb.VERDICT_KIND_QUARANTINED])
def test_what_was_not_posted_stays_with_the_manager_though_the_till_has_read_it(
    world: World, kind: pb.VerdictKind.ValueType
) -> None:
    sell(world, 1)
    answer(world, batch_of(world), kind)
    world.till.mark_seen(world.till.queue(10)[0].advice_id)
    assert world.till.untold() == []


def test_what_was_read_outlives_a_restart_until_it_is_told(world: World) -> None:
    sell(world, 1)
    answer(world, batch_of(world), pb.VERDICT_KIND_ADJUSTED)
    item = world.till.queue(10)[0]
    world.till.mark_seen(item.advice_id)
    world.till.db.close()
    world.start()
    assert [one.advice_id for one in world.till.untold()] == [item.advice_id]


def test_a_gateway_that_was_restored_is_told_again(world: World) -> None:
    sell(world, 1)
    request = batch_of(world)
    answer(world, request, pb.VERDICT_KIND_ADJUSTED)
    item = world.till.queue(10)[0]
    world.till.mark_seen(item.advice_id)
    world.till.note_told(item.advice_id)
    answer(world, request, pb.VERDICT_KIND_ADJUSTED)
    assert [one.advice_id for one in world.till.untold()] == [item.advice_id]
    assert world.till.queue(10) == []


def test_a_file_of_the_format_before_telling_is_taken_over(world: World) -> None:
    sell(world, 1)
    answer(world, batch_of(world), pb.VERDICT_KIND_ADJUSTED)
    world.till.mark_seen(world.till.queue(10)[0].advice_id)
    world.till.db.close()
    with sqlite3.connect(world.path) as old:
        old.executescript(
            "DROP INDEX advice_seen; DROP INDEX lease_state; ALTER TABLE lease DROP COLUMN till_id; "
            "PRAGMA user_version = 2;"
        )
    old.close()
    world.start()
    assert world.till.db.number("PRAGMA user_version") == FORMAT
    assert len(world.till.untold()) == 1
    (plan,) = world.till.db.read(
        "EXPLAIN QUERY PLAN SELECT 1 FROM advice WHERE verdict_kind = 2 AND seen = 1 ORDER BY epoch, seq"
    )
    assert "advice_seen" in plan[3]


def test_the_queue_shows_what_needs_an_eye_before_what_waits(world: World) -> None:
    sell(world, 1)
    answer(world, batch_of(world), pb.VERDICT_KIND_ADJUSTED)
    sell(world, 2)
    assert [item.state for item in world.till.queue(10)] == ["adjusted", "queued", "queued"]


def test_the_first_request_after_a_start_asks_where_the_gateway_is(world: World) -> None:
    request = batch_of(world)
    assert (request.epoch, request.first_seq, len(request.advices), request.signature) == (1, 1, 0, b"")
    world.gateway.away = False
    world.push_all()
    assert world.till.next_batch() is None
    world.restart()
    assert world.till.next_batch() is not None


def copy_of(world: World) -> Path:
    """Copy the file as a backup does, with all that has been committed."""
    world.till.db.number("PRAGMA wal_checkpoint(TRUNCATE)")
    target = world.path.with_name("backup.db")
    shutil.copy(world.path, target)
    return target


def test_a_till_restored_from_a_backup_burns_nothing_until_it_has_a_new_epoch(world: World) -> None:
    sell(world, 1)
    backup = copy_of(world)
    sell(world, 2)
    world.line_up()
    world.push_all()
    world.till.db.close()
    world.start(path=backup)
    world.push_all()
    world.line_down()
    world.meet()
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(burn=300))
    assert refused.value.reason == "TILL_RESTORED"
    assert world.till.status().burn.reason == "TILL_RESTORED"
    world.till.sale(world.ask())
    world.line_up()
    world.push_all()
    assert world.till.status().attention.quarantined == 1
    assert world.till.status().burn.allowed
    sell(world, 1)
    world.push_all()
    assert world.gateway.heard[-1].epoch == 2
    assert world.gateway.heard[-1].seq == 1


def test_a_clone_is_noticed_by_the_hash_where_both_have_sold(world: World) -> None:
    clone = copy_of(world)
    sell(world, 1)
    world.line_up()
    world.push_all()
    world.till.db.close()
    world.start(path=clone)
    sell(world, 1, minor=700)
    request = store_pb2.PushAdvicesRequest(epoch=1, first_seq=2)
    world.till.take_verdicts(request, world.gateway.push(request))
    assert world.till.status().burn.reason == "TILL_RESTORED"


@pytest.mark.parametrize("gateway", [(1, 0), (2, 0), (2, 1)], ids=lambda at: f"epoch {at[0]}, place {at[1]}")
def test_a_gateway_that_lacks_what_this_till_has_pruned_is_told_of(
    world: World, caplog: pytest.LogCaptureFixture, gateway: tuple[int, int]
) -> None:
    request = store_pb2.PushAdvicesRequest(epoch=1, first_seq=1)
    world.till.take_verdicts(request, store_pb2.PushAdvicesResponse(epoch=2, acked_hash=bytes(32)))
    sell(world, 3)
    with world.till.db.write() as tx:
        tx.execute("DELETE FROM advice WHERE seq < 3")
    world.line_up()
    epoch, acked_seq = gateway
    asked = store_pb2.PushAdvicesRequest(epoch=2, first_seq=3)
    for _ in range(2):
        world.till.take_verdicts(asked, store_pb2.PushAdvicesResponse(epoch=epoch, acked_seq=acked_seq))
    status = world.till.status()
    assert (status.burn.allowed, status.burn.reason, status.queued) == (True, "GATEWAY_BEHIND", 1)
    assert ["older backup" in record.message for record in caplog.records] == [True]
    world.restart()
    world.line_up()
    assert world.till.status().burn.reason == "GATEWAY_BEHIND"
    world.till.take_verdicts(asked, store_pb2.PushAdvicesResponse(epoch=2, acked_seq=2))
    assert world.till.status().burn.reason == ""


def test_what_was_queued_under_an_ended_epoch_is_sent_before_the_new_one(world: World) -> None:
    sell(world, 2)
    request = batch_of(world, max_count=1)
    world.till.take_verdicts(request, store_pb2.PushAdvicesResponse(epoch=2, acked_hash=bytes(32)))
    world.clock.go(1)
    sell(world, 1)
    request = batch_of(world)
    assert (request.epoch, request.first_seq, len(request.advices)) == (1, 1, 2)
    world.till.take_verdicts(request, fenced(request))
    request = batch_of(world)
    assert (request.epoch, request.first_seq) == (2, 1)
    assert parse_advice(request.advices[0]).prev_hash == bytes(32)


def fenced(request: store_pb2.PushAdvicesRequest) -> store_pb2.PushAdvicesResponse:
    reasons = [pb.VERDICT_REASON_FENCED]
    verdicts = [pb.Verdict(kind=pb.VERDICT_KIND_QUARANTINED, reasons=reasons) for _ in request.advices]
    return store_pb2.PushAdvicesResponse(verdicts=verdicts, epoch=2, acked_hash=bytes(32))


def test_a_gateway_that_lost_its_last_days_is_given_them_again(world: World) -> None:
    sell(world, 3)
    before = world.gateway.chain
    world.line_up()
    world.push_all()
    world.gateway.chain = before
    world.gateway.verdicts.clear()
    sell(world, 1)
    world.push_all()
    assert [advice.seq for advice in world.gateway.heard] == [1, 2, 3, 1, 2, 3, 4]
    assert world.till.status().queued == 0


def test_a_queue_that_the_gateway_cannot_take_yet_is_not_sent_again_at_once(world: World) -> None:
    sell(world, 2)
    batch_of(world)
    asked = store_pb2.PushAdvicesRequest(epoch=1, first_seq=1)
    other = store_pb2.PushAdvicesResponse(epoch=1, acked_seq=0, acked_hash=bytes(32))
    world.till.take_verdicts(asked, other)
    assert world.till.next_batch() is None
    world.clock.go(1)
    assert world.till.next_batch() is not None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE advice SET raw = zeroblob(40) WHERE seq = 2",
        "UPDATE advice SET digest = zeroblob(32) WHERE seq = 2",
        "DELETE FROM advice WHERE seq = 2",
        "UPDATE advice SET raw = (SELECT raw FROM advice WHERE seq = 3) WHERE seq = 2",
        "UPDATE chain SET seq = 2",
    ],
)
def test_a_queue_whose_chain_does_not_hold_sells_nothing_and_sends_what_does(
    world: World, damage: str
) -> None:
    sell(world, 3)
    edit(world, damage)
    world.restart()
    world.meet()
    assert world.till.status().sell.reason == "OUTBOX_CORRUPT"
    with pytest.raises(CannotSell) as refused:
        world.till.sale(world.ask())
    assert refused.value.reason == "OUTBOX_CORRUPT"
    with pytest.raises(CannotSell):
        world.till.undo(world.till.recent(1)[0].sale_id)
    assert batch_of(world).first_seq == 1


def test_what_was_answered_long_ago_is_dropped_and_what_needs_an_eye_is_not(world: World) -> None:
    sell(world, 1)
    answer(world, batch_of(world), pb.VERDICT_KIND_POSTED)
    sell(world, 1)
    answer(world, batch_of(world), pb.VERDICT_KIND_QUARANTINED)
    world.clock.go(31 * 86_400)
    world.meet_gateway()
    sell(world, 1)
    answer(world, batch_of(world), pb.VERDICT_KIND_POSTED)
    kept = world.till.db.read("SELECT seq FROM advice ORDER BY seq")
    assert kept == [(2,), (3,)]
    world.restart()
    sell(world, 1)
    assert batch_of(world).first_seq == 4


def test_what_was_read_is_dropped_when_the_gateway_knows_of_it(world: World) -> None:
    sell(world, 2)
    request = batch_of(world)
    answer(world, request, pb.VERDICT_KIND_ADJUSTED)
    for item in world.till.queue(10):
        world.till.mark_seen(item.advice_id)
    world.till.note_told(world.till.untold()[0].advice_id)
    world.clock.go(31 * 86_400)
    world.meet_gateway()
    sell(world, 1)
    answer(world, batch_of(world), pb.VERDICT_KIND_POSTED)
    assert world.till.db.read("SELECT seq FROM advice ORDER BY seq") == [(2,), (3,)]


def test_a_wall_clock_years_ahead_drops_nothing(world: World) -> None:
    sell(world, 1)
    answer(world, batch_of(world), pb.VERDICT_KIND_POSTED)
    world.clock.wall += 10 * 365 * 86_400_000
    world.clock.reboot()
    world.restart()
    sell(world, 1)
    answer(world, batch_of(world), pb.VERDICT_KIND_POSTED)
    assert world.till.db.number("SELECT count(*) FROM advice") == 2


def test_two_threads_that_sell_make_one_chain(world: World) -> None:
    from concurrent.futures import ThreadPoolExecutor

    world.meet()
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(world.till.sale, world.ask(100 * at)) for at in range(1, 21)]:
            done.result()
    world.line_up()
    assert world.push_all() == 1
    assert [advice.seq for advice in world.gateway.heard] == list(range(1, 21))
    assert world.till.sale(world.ask(basket=basket(100), member_ref=ANNA)).earned_points == 1
