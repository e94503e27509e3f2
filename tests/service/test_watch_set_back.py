"""Open streams while PostgreSQL loses commits that tills have been told of: they learn what is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tallystick.security.key_dir import KeyDir
from tallystick.service import store_news, watch
from tallystick.service.errors import StoreUnavailable
from tallystick.storage.open import open_store
from tallystick.storage.schema import migrate
from tallystick.v1 import advice_pb2
from tallystick.v1 import store_pb2 as pb
from tests.service.desk import ANN, BEN, CLUB
from tests.service.watcher import Picture, SetClock, Shop, eventually, in_thread, run
from tests.support.postgres import Database, PostgresCluster
from tests.support.set_back import Copy


@contextmanager
def shop_on(postgres: PostgresCluster, keys: KeyDir, **rules: str) -> Iterator[tuple[Shop, Database]]:
    """A shop with a database of its own, which a test may set back."""
    clock = SetClock()
    with postgres.database() as database:
        migrate(database.owner_url)
        with closing(open_store(database.service_url, now_ms=clock)) as store:
            shop = Shop(store, keys, clock, **rules)
            yield shop, database
            shop.close()


def test_a_database_that_was_set_back_ends_the_streams_and_the_tills_learn_what_is_left(
    postgres: PostgresCluster, keys: KeyDir
) -> None:
    till = Picture()

    async def lost(shop: Shop, database: Database) -> None:
        async with shop.watching(till):
            standby = await in_thread(Copy, database)
            await in_thread(shop.posted, shop.earn(70))
            await in_thread(shop.posted, shop.earn(5))
            await eventually(lambda: till.state(ANN).active_points == 75)
            await in_thread(standby.take_over)
            await eventually(lambda: not any(one.feeds for one in shop.gateway.watch._followers.values()))
            await asyncio.sleep(0.05)

    async def work(shop: Shop, database: Database) -> None:
        with pytest.raises(StoreUnavailable):
            await lost(shop, database)
        async with shop.watching(till):
            await eventually(lambda: till.state(ANN).active_points == 0)
            await in_thread(shop.posted, shop.earn(30, member=BEN))
            await eventually(lambda: till.state(BEN).active_points == 30)
            assert till.states() == shop.truth()

    with shop_on(postgres, keys) as (shop, database):
        run(work(shop, database))


def test_a_database_that_was_set_back_and_has_grown_again_ends_the_streams_as_well(
    postgres: PostgresCluster, keys: KeyDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have taken the lane, and sold as much as was lost, before this one looks again."""
    monkeypatch.setattr(watch, "FOLLOW_EVERY_S", 3_600.0)
    till = Picture()

    async def lost(shop: Shop, database: Database) -> None:
        async with shop.watching(till):
            standby = await in_thread(Copy, database)
            await in_thread(shop.posted, shop.earn(70))
            await eventually(lambda: till.state(ANN).active_points == 70)
            heads = shop.store.read_journal_heads(CLUB)
            await in_thread(standby.take_over)
            with closing(open_store(database.service_url, now_ms=shop.clock)) as store:
                other = Shop(store, keys, shop.clock)
                await in_thread(other.posted, other.earn(30, member=BEN))
                other.close()
            assert shop.store.read_journal_heads(CLUB) == heads
            await in_thread(shop.posted, shop.earn(1, member=BEN))
            await eventually(lambda: not any(one.feeds for one in shop.gateway.watch._followers.values()))
            await asyncio.sleep(0.05)

    async def work(shop: Shop, database: Database) -> None:
        with pytest.raises(StoreUnavailable):
            await lost(shop, database)
        async with shop.watching(till):
            await eventually(lambda: till.states() == shop.truth())
        assert (till.state(ANN).active_points, till.state(BEN).active_points) == (0, 31)

    with shop_on(postgres, keys) as (shop, database):
        run(work(shop, database))


def rules_in_force(news: pb.StoreNews) -> list[str]:
    """Return the names of the rule sets that a till is to go by; there is one."""
    grants = [advice_pb2.RuleSetGrant.FromString(signed.body) for signed in news.rule_sets]
    return [json.loads(grant.canonical)["name"] for grant in grants if grant.current]


def test_tills_go_by_the_rules_that_got_the_number_of_others_which_a_database_has_lost(
    postgres: PostgresCluster, keys: KeyDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_news, "NEWS_EVERY_S", 0.2)

    async def work(shop: Shop, database: Database) -> None:
        async with shop.watching() as till:
            standby = await in_thread(Copy, database)
            await in_thread(lambda: shop.publish(name="Lost"))
            await eventually(lambda: rules_in_force(till.store) == ["Lost"])
            await in_thread(standby.take_over)
            await eventually(lambda: rules_in_force(till.store) == ["First"])
            number = await in_thread(lambda: shop.publish(name="Anew"))
            await eventually(lambda: rules_in_force(till.store) != ["First"])
            assert (number, rules_in_force(till.store)) == (2, ["Anew"])

    with shop_on(postgres, keys, name="First") as (shop, database):
        run(work(shop, database))
