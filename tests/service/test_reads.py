"""Reads beside the lane: many at a time, bounded, and of one moment."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.basket import Basket, Line, Origin
from tallystick.core.command import ReturnLine, Sale, Spend
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Minor, Ms, ProgramId
from tallystick.core.state import Account, Lot, MemberStatus
from tallystick.service.balances import LOOKS_MAX, Balances, Preview
from tallystick.service.directory import Clock, IdentifierRow, Member
from tallystick.service.errors import Overloaded, StoreConflict, StoreUnavailable
from tallystick.service.programs import Programs
from tallystick.service.reads import AccountReader, ReadPool, ScanRead, ScanReader
from tallystick.service.rulebook import RuleBook
from tallystick.service.scan_ports import Key, Scanned
from tallystick.storage.memory import MemoryStore
from tests.core.world import at
from tests.service.desk import ANN, Desk

SHOP, OTHER = ProgramId("shop"), ProgramId("other")
MEMBER = MemberId("0190a000-0000-7000-8000-000000000001")
NOW = Ms(1_772_366_400_000)
RULES = """\
format: tallystick/1
name: Shop
currency: EUR
time_zone: Europe/Stockholm
earning: {rules: [{id: base, kind: per_amount, points: 1, per_minor: 100}]}
burning: {assurance_caps: {typed: unlimited}}
"""


def store_with_rules() -> tuple[MemoryStore, RuleBook]:
    store = MemoryStore()
    rulebook = RuleBook(store)
    programs = Programs(store, rulebook, now_ms=lambda: NOW)
    for program_id in (SHOP, OTHER):
        programs.create(program_id, "A program", Clock.LIVE)
        programs.publish(program_id, RULES, request_id=str(program_id), published_by="test")
    return store, rulebook


class Recorder:
    """A reader that notes what it is asked, and can be held up."""

    def __init__(self, accounts: dict[MemberId, Account] | None = None) -> None:
        self.asked: list[tuple[str, int]] = []
        self.gate = threading.Event()
        self.accounts = accounts or {}

    def read_accounts(self, program_id: ProgramId, member_ids: list[MemberId]) -> dict[MemberId, Account]:
        self.gate.wait(10)
        if program_id == "away":
            raise StoreUnavailable
        self.asked.append((program_id, len(member_ids)))
        return {one: self.accounts[one] for one in member_ids if one in self.accounts}


def member_of(number: int) -> MemberId:
    return MemberId(f"0190a000-0000-7000-8000-{number:012d}")


def test_look_ups_that_wait_are_answered_by_one_query_for_each_program() -> None:
    _, rulebook = store_with_rules()
    account = Account(MEMBER, MemberStatus.OPEN, NOW)
    recorder = Recorder({MEMBER: account})
    reader = AccountReader(recorder, rulebook)  # type: ignore[arg-type]

    async def ask() -> list[Any]:
        first = asyncio.create_task(reader.account(SHOP, MEMBER))
        await asyncio.sleep(0.1)
        others = [reader.account(SHOP, member_of(number)) for number in range(100, 200)]
        same = [reader.account(SHOP, MEMBER) for _ in range(50)]
        elsewhere = [reader.account(OTHER, MEMBER)]
        waiting = asyncio.gather(first, *others, *same, *elsewhere)
        await asyncio.sleep(0.1)
        recorder.gate.set()
        return list(await waiting)

    reads = asyncio.run(ask())
    reader.close()
    assert recorder.asked == [(SHOP, 1), (SHOP, 101), (OTHER, 1)]
    assert reads[0].account == account
    assert reads[2].account is None
    assert reads[150].account == account
    assert reads[0].rules is not None


def test_when_the_store_is_away_every_waiting_caller_is_told() -> None:
    _, rulebook = store_with_rules()
    recorder = Recorder()
    recorder.gate.set()
    reader = AccountReader(recorder, rulebook)  # type: ignore[arg-type]

    async def ask() -> list[Any]:
        tasks = [reader.account(ProgramId("away"), member_of(number)) for number in range(5)]
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    answers = asyncio.run(ask())
    reader.close()
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 5


class Counted:
    """A store that notes which keys were looked up together."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.asked: list[list[Key]] = []

    def read_scanned(self, program_id: ProgramId, keys: Sequence[Key], *, nobody: MemberId) -> Scanned:
        self.asked.append(list(keys))
        return self._store.read_scanned(program_id, keys, nobody=nobody)


def test_scans_that_come_together_share_one_look_up() -> None:
    store, rulebook = store_with_rules()
    for number in range(60):
        member = Member(member_of(number), str(number), MemberStatus.OPEN, NOW, 1, "")
        row = IdentifierRow("phone", bytes([number]) * 16, member.member_id, "", NOW)
        store.enrol(SHOP, member, [row])
        store.put_person(SHOP, member.member_id, bytes([number]))
    counted = Counted(store)
    reader = ScanReader(counted, rulebook)

    async def ask() -> list[ScanRead]:
        return await asyncio.gather(*(reader.scan(SHOP, "phone", bytes([n % 70]) * 16) for n in range(80)))

    reads = asyncio.run(ask())
    reader.close()
    assert [read.sealed for read in reads[:70]] == [bytes([n]) for n in range(60)] + [None] * 10
    assert reads[70:] == reads[:10]
    assert [len(keys) for keys in counted.asked] == [70]


def test_blocking_work_beyond_the_room_is_turned_away_and_the_rest_is_done() -> None:
    pool = ReadPool(threads=1, queue_max=2)
    gate = threading.Event()

    async def ask() -> list[Any]:
        tasks = [asyncio.create_task(pool.run(gate.wait, 10)) for _ in range(3)]
        await asyncio.sleep(0.05)
        gate.set()
        answers = list(await asyncio.gather(*tasks, return_exceptions=True))
        return [*answers, await pool.run(gate.wait, 10)]

    answers = asyncio.run(ask())
    pool.close()
    assert [answer if isinstance(answer, bool) else type(answer) for answer in answers] == [
        True,
        True,
        Overloaded,
        True,
    ]


def test_a_caller_that_gives_up_leaves_its_work_in_the_room_until_it_is_done() -> None:
    pool = ReadPool(threads=1, queue_max=1)
    gate = threading.Event()

    async def ask() -> None:
        task = asyncio.create_task(pool.run(gate.wait, 10))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(Overloaded):
            await pool.run(gate.wait, 10)
        gate.set()

    asyncio.run(ask())
    pool.close()


class Moving:
    """A reader whose member is changed by others while it is being read."""

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.reads = 0

    def read_accounts(self, program_id: ProgramId, member_ids: list[MemberId]) -> dict[MemberId, Account]:
        self.reads += 1
        points = 10 * min(self.reads, self.changes + 1)
        return {MEMBER: Account(MEMBER, MemberStatus.OPEN, NOW, active=points, seq=points)}

    def read_lots(
        self, program_id: ProgramId, member_id: MemberId, *, also: Collection[int] = ()
    ) -> list[Lot]:
        points = 10 * min(self.reads, self.changes + 1)
        return [Lot(1, points, points, NOW, Ms(NOW + 10**10))]

    def read_standing(
        self, program_id: ProgramId, member_id: MemberId, *, also: Collection[int] = ()
    ) -> tuple[Account | None, list[Lot], Account | None]:
        before = self.read_accounts(program_id, [member_id]).get(member_id)
        lots = self.read_lots(program_id, member_id, also=also)
        return before, lots, self.read_accounts(program_id, [member_id]).get(member_id)

    def read_holds(self, program_id: ProgramId, member_id: MemberId) -> list[Any]:
        return []


def quote(reader: Moving) -> Any:
    _, rulebook = store_with_rules()
    basket = Basket("EUR", (Line("a", 1000, Minor(1000)),))
    sale = Sale(CommandId("q"), MEMBER, Origin(NOW), basket, Spend(10))
    return Balances(reader, rulebook).quote(SHOP, sale, earliest_ms=0, latest_ms=NOW)  # type: ignore[arg-type]


def test_a_state_that_changes_while_it_is_read_is_read_again() -> None:
    reader = Moving(changes=3)
    preview = quote(reader)
    assert (preview.before.active, preview.after.active) == (40, 39)
    assert reader.reads > 3


def test_a_member_that_never_holds_still_is_not_looked_at_for_ever() -> None:
    reader = Moving(changes=10**6)
    with pytest.raises(StoreConflict):
        quote(reader)
    assert reader.reads == 2 * LOOKS_MAX


TWO_PARTS = (
    Line("points", 1000, Minor(10_000)),
    Line("credits", 1000, Minor(50_000)),
)
TIERED: dict[str, Any] = {
    "earning": {
        "pending_days": 14,
        "rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100, "sku": "points"}],
    },
    "tiers": {
        "basis": "spend",
        "period": "calendar_year",
        "levels": [
            {"id": "bas", "from": 0},
            {"id": "guld", "from": 50_000},
            {"id": "platina", "from": 100_000},
        ],
    },
}


@pytest.fixture
def emptied() -> Iterator[tuple[Desk, str]]:
    """A guld member: a return took all points of a pending lot and left it the credits of the other line."""
    with Desk(MemoryStore(), **TIERED) as desk:
        desk.posted(desk.sale(TWO_PARTS[1]))
        desk.wait_until("2026-02-01T12:00")
        sale = desk.posted(desk.sale(*TWO_PARTS))
        desk.posted(desk.give_back(sale.command_id, ReturnLine(1, 1000)))
        assert (desk.account().pending, desk.account().tier.tier_id) == (0, "guld")
        yield desk, sale.command_id


def test_credits_of_an_emptied_pending_lot_count_when_a_balance_looks_ahead(
    emptied: tuple[Desk, str],
) -> None:
    desk, _ = emptied
    ahead = Balances(desk.store, desk.book).caught_up(desk.program_id, ANN, at("2026-03-01T12:00")).account
    assert ahead.tier.tier_id == "platina"
    desk.wait_until("2026-03-01T12:00")
    assert desk.account().tier == ahead.tier


def test_a_preview_takes_the_credits_of_a_second_return_from_the_emptied_pending_lot(
    emptied: tuple[Desk, str],
) -> None:
    desk, sale_id = emptied
    command = desk.give_back(sale_id, ReturnLine(2, 1000))
    balances = Balances(desk.store, desk.book)
    preview = balances.preview_return(desk.program_id, command, earliest_ms=0, latest_ms=NEVER_MS)
    assert isinstance(preview, Preview)
    assert (preview.after.tier_id, preview.after.qualifying_credits) == ("guld", 50_000)
    assert preview.entry.detail == desk.posted(command).detail


def test_quotes_write_nothing() -> None:
    reader = Moving(changes=0)
    account = reader.read_accounts(SHOP, [MEMBER])[MEMBER]
    assert quote(reader).entry.active_after == 9
    assert replace(account, seq=10) == account


def test_a_balance_can_be_read_when_a_hold_of_all_points_has_run_out() -> None:
    with Desk(MemoryStore()) as desk:
        desk.posted(desk.adjust(100))
        desk.posted(desk.hold(100, ttl_s=60))
        later = Ms(desk.now + 61_000)
        account = Balances(desk.store, desk.book).caught_up(desk.program_id, ANN, later).account
        assert (account.active, account.held) == (100, 0)
