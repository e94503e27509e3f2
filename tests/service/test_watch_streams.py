"""Open streams: news reach every till soon, once and in order; nobody waits for a slow one; nothing is missed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.advice import TillStatus
from tallystick.core.state import MemberStatus
from tallystick.security.key_dir import KeyDir
from tallystick.service import follower as follower_module
from tallystick.service import store_news, watch
from tallystick.service.errors import Overloaded, StoreUnavailable
from tallystick.service.follower import Feed, Follower
from tallystick.service.ports import WriteSet
from tallystick.service.watch_session import Session
from tallystick.v1 import store_pb2 as pb
from tests.service.desk import ANN, BEN, CLUB
from tests.service.watcher import (
    OTHER_STORE,
    OTHER_TILL,
    STORE,
    TILL,
    Picture,
    Shop,
    eventually,
    in_thread,
    memory_shop,
    run,
)

SOON_S = 1.5
"""Generous for one look at the journal on a machine that does other things as well."""


@pytest.fixture
def shop(keys: KeyDir) -> Iterator[Shop]:
    yield from memory_shop(keys)


def count_calls(shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """Note the keyword arguments of each call of a store's method."""
    calls: list[Any] = []
    method = getattr(shop.store, name)

    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(named)
        return method(*arguments, **named)

    monkeypatch.setattr(shop.store, name, counted)
    return calls


def test_a_sale_reaches_every_till_that_watches(shop: Shop) -> None:
    async def work() -> None:
        async with (
            shop.watching() as one,
            shop.watching(till_id=OTHER_TILL, store_id=OTHER_STORE) as two,
        ):
            began = time.monotonic()
            await in_thread(shop.posted, shop.earn(70))
            await eventually(lambda: one.state(ANN).active_points == two.state(ANN).active_points == 70)
            assert time.monotonic() - began < SOON_S
            assert one.kinds == ["store", "heartbeat", "snapshot", "members"]
            assert one.states() == shop.truth()
            assert two.states() == shop.truth(OTHER_STORE)

    run(work())


def test_an_own_commit_is_told_without_waiting_for_the_next_look(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FOLLOW_EVERY_S", 3_600.0)

    async def work() -> None:
        async with shop.watching() as till:
            await in_thread(shop.posted, shop.earn(70))
            await eventually(lambda: till.state(ANN).active_points == 70)

    run(work())


def test_changes_of_members_themselves_are_told_once(shop: Shop) -> None:
    async def work() -> None:
        async with shop.watching() as till:
            # Members who joined just now are still told of, for the stream has only begun.
            await asyncio.sleep(0.8)
            before = till.kinds.count("members")
            shop.pass_time(1_000)
            await in_thread(shop.store.set_status, CLUB, ANN, MemberStatus.BLOCKED)
            await eventually(lambda: till.state(ANN).status == 1)
            # It lies within the overlap of the next looks.
            await asyncio.sleep(0.8)
            assert till.kinds.count("members") == before + 1
            await in_thread(shop.store.erase, CLUB, BEN)
            await eventually(lambda: till.state(BEN).status == 2)

    run(work())


def test_a_till_that_comes_back_gets_what_it_missed_and_no_snapshot(shop: Shop) -> None:
    async def work() -> None:
        async with shop.watching() as till:
            pass
        await in_thread(shop.posted, shop.earn(30))
        async with shop.watching(till):
            await eventually(lambda: till.state(ANN).active_points == 30)
            await in_thread(shop.posted, shop.earn(5))
            await eventually(lambda: till.state(ANN).active_points == 35)
        assert till.snapshots == 1

    run(work())


def test_published_rules_and_a_suspended_till_are_told_while_the_stream_is_open(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_news, "NEWS_EVERY_S", 0.2)

    def suspend() -> None:
        with shop.store.transaction(CLUB) as transaction:
            chain = transaction.lock_tills([TILL])[TILL]
            changes = WriteSet(shop.now)
            changes.tills.append(replace(chain, store_id=STORE, status=TillStatus.SUSPENDED))
            transaction.write(changes)

    async def work() -> None:
        async with shop.watching() as till, shop.watching(till_id=OTHER_TILL) as other:
            await in_thread(lambda: shop.publish(name="New"))
            await eventually(lambda: len(till.store.rule_sets) == len(other.store.rule_sets) == 2)
            await in_thread(suspend)
            await eventually(lambda: till.store.till_status == pb.TILL_STATUS_SUSPENDED)
            assert other.store.till_status == pb.TILL_STATUS_TRUSTED
            assert till.cursor

    run(work())


def test_a_heartbeat_comes_while_nothing_happens(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT_S", 0.1)

    async def work() -> None:
        async with shop.watching() as till:
            cursor = till.cursor
            await eventually(lambda: till.kinds.count("heartbeat") >= 4)
            assert till.cursor == cursor

    run(work())


def test_heartbeats_come_also_while_news_do(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT_S", 0.1)

    async def work() -> None:
        async with shop.watching() as till:
            for _ in range(20):
                await in_thread(shop.posted, shop.earn(1))
                await asyncio.sleep(0.03)
            assert till.kinds.count("heartbeat") >= 4

    run(work())


def test_members_are_read_once_for_all_tills_of_a_store(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with (
            shop.watching() as one,
            shop.watching(till_id=OTHER_TILL) as two,
            shop.watching(till_id="t3", store_id=OTHER_STORE) as three,
        ):
            tills = (one, two, three)
            # The follower's first look reads once more what changed shortly before it began.
            await in_thread(shop.posted, shop.earn(1))
            await eventually(lambda: all("members" in till.kinds for till in tills))
            told = [till.kinds.count("members") for till in tills]
            reads = count_calls(shop, monkeypatch, "read_till_members")
            await in_thread(shop.posted, shop.earn(70))
            await eventually(
                lambda: all(till.kinds.count("members") > n for till, n in zip(tills, told, strict=True))
            )
            assert sorted(call["store_id"] for call in reads) == [STORE, OTHER_STORE]

    run(work())


def test_nothing_runs_while_nobody_watches(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        reads = count_calls(shop, monkeypatch, "read_journal")
        async with shop.watching():
            await eventually(lambda: len(reads) > 2)
        before = len(reads)
        await in_thread(shop.posted, shop.earn(70))
        await asyncio.sleep(0.6)
        assert len(reads) <= before + 1
        assert "watch" not in {task.get_name() for task in asyncio.all_tasks()}

    run(work())


def test_the_store_may_be_away_for_a_while(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    away = threading.Event()
    for name in ("read_journal", "read_till_members"):
        method = getattr(shop.store, name)

        def read(*arguments: Any, _method: Any = method, **named: Any) -> Any:
            if away.is_set():
                raise StoreUnavailable
            return _method(*arguments, **named)

        monkeypatch.setattr(shop.store, name, read)

    async def work() -> None:
        async with shop.watching() as till:
            # Before it has joined, a stream would end for a store that is away, and the till come back.
            await eventually(lambda: any(one.feeds for one in shop.gateway.watch._followers.values()))
            away.set()
            await in_thread(shop.posted, shop.earn(70))
            await asyncio.sleep(0.6)
            assert till.state(ANN).active_points != 70
            away.clear()
            await eventually(lambda: till.state(ANN).active_points == 70)

    run(work())


def test_a_fault_of_the_gateway_ends_the_streams_instead_of_leaving_them_stale(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = Picture()

    async def broken() -> None:
        async with shop.watching(till):
            await eventually(lambda: any(one.feeds for one in shop.gateway.watch._followers.values()))
            follower = shop.gateway.watch._followers[CLUB]
            monkeypatch.setattr(shop.store, "read_journal", lambda *_, **__: 1 // 0)
            await eventually(lambda: not follower.feeds)
            await asyncio.sleep(0.05)

    async def work() -> None:
        with pytest.raises(ZeroDivisionError):
            await broken()
        monkeypatch.undo()
        async with shop.watching(till):
            await in_thread(shop.posted, shop.earn(70))
            await eventually(lambda: till.state(ANN).active_points == 70)

    run(work())


def test_a_stream_that_ends_while_it_joins_is_not_followed_for_ever(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    joining, ended, joined = threading.Event(), threading.Event(), threading.Event()
    join = Follower.join

    def slow(follower: Follower, feed: Feed) -> list[pb.WatchResponse]:
        if feed.session.till_id == OTHER_TILL:
            joining.set()
            ended.wait(10)
        try:
            return join(follower, feed)
        finally:
            if feed.session.till_id == OTHER_TILL:
                joined.set()

    async def work() -> None:
        async with shop.watching():
            await eventually(lambda: any(one.feeds for one in shop.gateway.watch._followers.values()))
            monkeypatch.setattr(Follower, "join", slow)
            async with shop.watching(till_id=OTHER_TILL):
                await eventually(joining.is_set)
            ended.set()
            await eventually(joined.is_set)
            follower = shop.gateway.watch._followers[CLUB]
            assert [feed.session.till_id for feed in follower.feeds] == [TILL]

    run(work())


def test_a_till_that_reads_too_slowly_is_let_go_and_the_others_go_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "WAITING_MAX", 3)

    async def work() -> None:
        request = pb.WatchRequest(protocol=1)
        slow = shop.gateway.watch.stream(CLUB, STORE, OTHER_TILL, request)
        slow_till = Picture()
        async with shop.watching() as quick:
            while "snapshot" not in slow_till.kinds:
                slow_till.take(await anext(slow))
            for _ in ("still catching up", "joined"):
                await in_thread(shop.posted, shop.earn(1))
                slow_till.take(await anext(slow))
            for _ in range(8):
                before = quick.cursor
                await in_thread(shop.posted, shop.earn(1))
                await eventually(lambda before=before: quick.cursor != before)  # type: ignore[misc]
            with pytest.raises(Overloaded):
                await anext(slow)
            assert slow_till.state(ANN).active_points == 2
            async with shop.watching(slow_till):
                await eventually(lambda: slow_till.state(ANN).active_points == 10)
            assert slow_till.snapshots == 1

    run(work())


def test_what_waits_for_one_till_is_bounded_in_bytes(shop: Shop) -> None:
    async def work() -> None:
        feed = Feed(Session(shop.gateway.watch._view(CLUB, STORE), TILL))
        large = pb.WatchResponse(cursor=b"x" * 4_096)
        feed.put([pb.WatchResponse(cursor=b"x" * follower_module.WAITING_BYTES_MAX)])
        assert await feed.get(1) is not None
        feed.put([large] * (follower_module.WAITING_BYTES_MAX // 4_200))
        assert await feed.get(1) == large
        feed.put([large] * 10)
        with pytest.raises(Overloaded):
            await feed.get(1)

    run(work())


def test_a_stream_joins_only_when_it_has_seen_what_the_follower_has(shop: Shop) -> None:
    async def work() -> None:
        first = Feed(_caught_up(shop))
        follower = Follower(first.session.view.log)
        follower.join(first)
        late = Feed(_caught_up(shop))
        shop.posted(shop.earn(10))
        follower.step()
        responses = follower.join(late)
        assert [one.active_points for response in responses for one in response.members.members] == [10]
        assert follower.step() == ([], False)
        shop.posted(shop.earn(1))
        deliveries, more = follower.step()
        assert {feed for feed, _ in deliveries} == {first, late}
        assert not more

    run(work())


def _caught_up(shop: Shop) -> Session:
    session = Session(shop.gateway.watch._view(CLUB, STORE), TILL)
    for _ in session.begin(pb.WatchRequest(protocol=1)):
        pass
    return session
