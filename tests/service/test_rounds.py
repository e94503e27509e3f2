"""Work that comes round by itself: in every program, whatever goes wrong in one, and never in replayed time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tallystick.core.ids import Ms, ProgramId
from tallystick.service.directory import Clock, Program
from tallystick.service.errors import Overloaded
from tallystick.service.reads import ReadPool
from tallystick.service.rounds import Round, come_round, expiry_round, keep_rounds
from tallystick.storage.memory import MemoryStore
from tallystick.storage.verify import verify
from tests.core.world import at
from tests.service.desk import ANN, BEN, CLUB, Desk

YEARS_ON = at("2029-01-15T12:00")


@pytest.fixture
def pool() -> Iterator[ReadPool]:
    made = ReadPool()
    yield made
    made.close()


def programs_of(store: MemoryStore, *names: str, clock: Clock = Clock.LIVE) -> None:
    for name in names:
        store.create_program(Program(ProgramId(name), name, clock, 0, Ms(0)))


def test_a_program_in_which_a_round_fails_keeps_no_other_one_waiting(pool: ReadPool) -> None:
    store = MemoryStore()
    programs_of(store, "a", "b", "c")
    came: list[str] = []

    async def work(program: Program) -> int:
        came.append(program.program_id)
        if program.program_id == "a":
            raise Overloaded("The lane is full.")
        if program.program_id == "b":
            raise ValueError("a fault of ours")
        return 7

    assert asyncio.run(come_round(Round("test", 1.0, work), store, pool)) == 7
    assert came == ["a", "b", "c"]


def test_rounds_come_again_until_they_are_cancelled(pool: ReadPool) -> None:
    store = MemoryStore()
    programs_of(store, "a")

    async def run() -> int:
        came = asyncio.Semaphore(0)
        count = 0

        async def work(_: Program) -> int:
            nonlocal count
            count += 1
            came.release()
            return 0

        task = asyncio.create_task(keep_rounds([Round("test", 0.01, work)], store, pool))
        for _ in range(3):
            await asyncio.wait_for(came.acquire(), 10)
        task.cancel()
        await asyncio.wait([task])
        ended = count
        await asyncio.sleep(0.05)
        return count - ended

    assert asyncio.run(run()) == 0


def test_rounds_come_again_after_a_fault_that_nobody_foresaw(
    pool: ReadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    programs_of(store, "a")
    programs, faults = store.programs, [ValueError("a fault of ours")]

    def broken_once(*, after: str, limit: int) -> list[Program]:
        if faults:
            raise faults.pop()
        return programs(after=after, limit=limit)

    monkeypatch.setattr(store, "programs", broken_once)

    async def work(_: Program) -> int:
        return 7

    one = Round("test", 1.0, work)
    assert asyncio.run(come_round(one, store, pool)) == 0
    assert asyncio.run(come_round(one, store, pool)) == 7


@pytest.mark.parametrize(("clock", "expires"), [(Clock.LIVE, True), (Clock.REPLAY, False)])
def test_points_expire_by_themselves_unless_the_program_lives_in_replayed_time(
    pool: ReadPool, clock: Clock, expires: bool
) -> None:
    store = MemoryStore()
    if clock is Clock.REPLAY:
        programs_of(store, "club", clock=clock)
    desk = Desk(store)
    desk.publish(expiry={"kind": "months", "months": 12})
    if clock is Clock.REPLAY:
        desk.enrol(ANN)
    desk.posted(desk.earn(50))
    assert desk.lane is not None
    round_ = expiry_round(store, pool, desk.lane, now_ms=lambda: YEARS_ON)

    done = asyncio.run(come_round(round_, store, pool))
    again = asyncio.run(come_round(round_, store, pool))
    desk.lane.close()

    assert (done, again) == ((1, 0) if expires else (0, 0))
    assert desk.account().active == (0 if expires else 50)


@pytest.mark.parametrize("levels", [[{"id": "base", "from": 0}, {"id": "guld", "from": 10_000}], []])
def test_a_member_whose_tier_is_gone_keeps_nobodys_points_from_expiring(
    pool: ReadPool, levels: list[dict[str, object]]
) -> None:
    months, store = {"kind": "months", "months": 12}, MemoryStore()
    tiers = {"basis": "spend", "period": "calendar_year"}
    gold = [{"id": "base", "from": 0}, {"id": "gold", "from": 10_000}]
    with Desk(store, tiers={**tiers, "levels": gold}, expiry=months) as desk:
        desk.posted(desk.sale(20_000))
        desk.posted(desk.sale(5_000, member=BEN))
        desk.publish(expiry=months, **({"tiers": {**tiers, "levels": levels}} if levels else {}))
        desk.book.forget(CLUB)
        assert desk.lane is not None
        round_ = expiry_round(store, pool, desk.lane, now_ms=lambda: YEARS_ON)

        assert asyncio.run(come_round(round_, store, pool)) == 3
        assert (desk.account(ANN).active, desk.account(BEN).active) == (0, 0)
        assert verify(store).ok
        desk.now = YEARS_ON
        assert desk.posted(desk.sale(100)).tier_after == ("base" if levels else "")
