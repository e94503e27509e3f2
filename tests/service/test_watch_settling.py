"""Open streams while all changes at random and tills come and go: in the end each till knows what the store knows."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.core.ids import MemberId
from tallystick.core.state import MemberStatus
from tallystick.security.key_dir import KeyDir
from tallystick.service import watch_session
from tallystick.storage.open import open_store
from tallystick.v1 import store_pb2 as pb
from tests.service.desk import ANN, BEN, CLUB
from tests.service.watcher import STORE, Picture, SetClock, Shop, eventually, in_thread, memory_shop, run
from tests.support.postgres import Database


@pytest.fixture
def shop(keys: KeyDir) -> Iterator[Shop]:
    yield from memory_shop(keys)


def busy(shop: Shop, seed: int, seconds: float, members: list[MemberId]) -> None:
    """Sell, block, open and enrol at random for a while."""
    dice = random.Random(seed)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        chance = dice.random()
        if chance < 0.8:
            chosen = [
                shop.earn(dice.randint(1, 9), member=dice.choice(members)) for _ in range(dice.randint(1, 5))
            ]
            shop.send(*chosen)
        elif chance < 0.93:
            status = dice.choice([MemberStatus.OPEN, MemberStatus.BLOCKED])
            shop.store.set_status(CLUB, dice.choice(members), status)
        else:
            members.append(shop.join(f"{dice.random()}@example.org"))


async def _come_and_go(shop: Shop, till: Picture, seed: int, done: asyncio.Event) -> None:
    """Watch, go away at a random moment, also in the middle of a snapshot, and come back, until all is done."""
    dice = random.Random(seed)
    while not done.is_set():
        request = pb.WatchRequest(cursor=till.cursor, protocol=1)
        stream = shop.gateway.watch.stream(CLUB, STORE, f"t{seed}", request)
        try:
            async with asyncio.timeout(dice.uniform(0.02, 0.5)):
                async for response in stream:
                    till.take(response)
        except TimeoutError:
            await stream.aclose()
    async with shop.watching(till):
        await asyncio.sleep(1.0)


def quiescence(shops: list[Shop], monkeypatch: pytest.MonkeyPatch, seed: int, *, members_count: int) -> None:
    """Whatever happens, and whenever tills come and go: in the end each has the picture that the store has.

    With many members most change once only: then no later change makes up for one that was missed.
    """
    monkeypatch.setattr(watch_session, "MEMBERS_MAX", members_count // 5)
    members = [ANN, BEN, *(shops[0].join() for _ in range(members_count))]
    for shop in shops:
        # Beyond the overlap, in which all who have just joined would be told again.
        shop.pass_time(60_000)

    async def work() -> None:
        done = asyncio.Event()
        tills = [Picture() for _ in range(4)]
        watching = [
            asyncio.create_task(_come_and_go(shops[number % len(shops)], till, number, done))
            for number, till in enumerate(tills)
        ]
        writers = [in_thread(busy, shop, seed + number, 2.0, members) for number, shop in enumerate(shops)]
        await asyncio.gather(*writers)
        done.set()
        await asyncio.gather(*watching)
        truth = shops[0].truth()
        assert len(truth) == len(set(members))
        for till in tills:
            assert till.states() == truth
            assert till.kinds.count("members") > 0

    run(work())


@pytest.mark.parametrize("seed", [1, 2])
def test_after_all_is_quiet_every_tills_picture_is_the_stores(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    quiescence([shop], monkeypatch, seed, members_count=2_000)


def _two_gateways(url: str, keys: KeyDir) -> Iterator[list[Shop]]:
    clock = SetClock()
    stores = [open_store(url, now_ms=clock) for _ in range(2)]
    shops = [Shop(store, keys, clock) for store in stores]
    yield shops
    for shop in shops:
        shop.close()
    for store in stores:
        store.close()


@pytest.fixture
def on_sqlite(ledger_file: Path, keys: KeyDir) -> Iterator[list[Shop]]:
    yield from _two_gateways(f"sqlite:///{ledger_file}", keys)


@pytest.fixture
def on_postgres(ledger_database: Database, keys: KeyDir) -> Iterator[list[Shop]]:
    yield from _two_gateways(ledger_database.service_url, keys)


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_what_another_process_changes_reaches_the_till(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    here, there = request.getfixturevalue(f"on_{backend}")

    async def work() -> None:
        async with here.watching() as till:
            await in_thread(there.posted, there.earn(70))
            await eventually(lambda: till.state(ANN).active_points == 70)
            await in_thread(there.store.set_status, CLUB, BEN, MemberStatus.BLOCKED)
            await eventually(lambda: till.state(BEN).status == 1)
            assert till.states() == there.truth()

    run(work())
    quiescence([here, there], monkeypatch, 3, members_count=40)
