"""Tills as real processes on lines that lose; server, database and tills are killed: nothing is lost or doubled.

Every line goes through a proxy that delays, cuts and drops its connections. Where this machine permits network
namespaces, one till has a network of its own, whose cable is pulled; elsewhere the test's id says that it was not so.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tallystick.core.entry import EntryKind
from tallystick.service.ports import InboxState
from tallystick.storage.open import open_store
from tallystick.storage.schema import migrate
from tests.e2e.support.cable import Cable, permitted
from tests.e2e.support.ledger import assert_verified
from tests.e2e.support.lossy import LossyLine
from tests.e2e.support.server import PROGRAM, Installation
from tests.e2e.support.shops import TillShop, Told, enrol_members
from tests.support.ledgers import new_ledger_file
from tests.support.postgres import Database, PostgresCluster, PostgresServer

pytestmark = pytest.mark.timeout(180)

CARDS = 8
BETWEEN_S = 1.5
UNPLUGGED_S = 2.0
DRAIN_S = 30.0
SALES_MIN = 20
SELL_S = 25.0

Act = Callable[[], None]


@contextmanager
def chaos(place: Path, url: str, *, tills: int = 2) -> Iterator[tuple[Installation, list[TillShop]]]:
    """A server and tills that sell through lossy lines; all killed at the end."""
    installation = Installation(place, url, members=0)
    cards = enrol_members(installation, CARDS)
    with ExitStack() as stack:
        shops = []
        for number in range(1, tills + 1):
            line = stack.enter_context(LossyLine(installation.address, seed=number))
            shops.append(TillShop(installation, place, line, cards, number=number))
        stack.enter_context(installation)
        for shop in shops:
            stack.enter_context(shop)
        for shop in shops:
            shop.wait_until_open()
        yield installation, shops


def let_go_wrong(acts: list[Act]) -> None:
    """Do one thing after the other, with time to sell in between."""
    for act in acts:
        time.sleep(BETWEEN_S)
        act()
    time.sleep(BETWEEN_S)


def unplug(*shops: TillShop) -> None:
    """Take lines away for a while; the tills go on selling."""
    for shop in shops:
        shop.line.unplug()
    time.sleep(UNPLUGGED_S)
    for shop in shops:
        shop.line.plug_in()


def kill_till(shop: TillShop) -> None:
    """Kill a till and start it again; it opens without asking anybody."""
    shop.kill()
    shop.start()
    shop.wait_until_open()


def kill_till_while_unplugged(shop: TillShop) -> None:
    """Kill a till whose sales nobody else has heard of; it opens and sells again before its line is back."""
    shop.line.unplug()
    time.sleep(UNPLUGGED_S)
    kill_till(shop)
    shop.line.plug_in()


def heal(shops: list[TillShop]) -> list[Told]:
    """Mend the lines, let every till upload all it has, and return what customers were told."""
    for shop in shops:
        shop.line.plug_in()
        shop.line.calm = True
        shop.drain()
    for shop in shops:
        shop.wait_until_drained(DRAIN_S)
    return [told for shop in shops for told in shop.told()]


def assert_every_sale_is_there_once(told: list[Told], url: str) -> None:
    """What was told is in the books as it was told, nothing else is, and nobody needs to look at anything."""
    assert len(told) >= SALES_MIN
    store = open_store(url)
    try:
        with store.snapshot(PROGRAM) as snapshot:
            entries = [row.entry for row in snapshot.ledger()]
        lying = [
            item.verdict
            for state in InboxState
            for item in store.read_inbox(PROGRAM, store_id="", state=state, before=None, limit=1_000)
        ]
    finally:
        store.close()
    undone = {(entry.member_id, entry.reverses_seq) for entry in entries if entry.kind is EntryKind.REVERSE}
    sold = [entry for entry in entries if entry.kind is EntryKind.SALE]
    # A request whose answer was lost, and whose till refused to sell it alone, was told to nobody and is undone.
    sales = [entry for entry in sold if (entry.member_id, entry.seq) not in undone]
    assert Counter(entry.command_id for entry in sales) == Counter(one.sale_id for one in told)
    burned = {entry.command_id: entry.moves.burned for entry in sales}
    assert burned == {one.sale_id: one.burned for one in told}
    earned = {entry.command_id: -entry.moves.issued for entry in sales}
    assert earned == {one.sale_id: one.earned for one in told}
    # A store pays for what two tills burned of one member within their floor limits; nothing else is worth a look.
    assert {verdict.kind.name for verdict in lying} <= {"ADJUSTED"}
    assert {reason.name for verdict in lying for reason in verdict.reasons} <= {"SHORTFALL"}
    assert_verified(url)


def assert_it_was_rough(told: list[Told], shops: list[TillShop]) -> None:
    """The test has seen what it is about: burns, sales that tills decided alone, and lines that broke."""
    assert any(one.burned for one in told)
    assert any(one.stand_in for one in told)
    assert all(shop.line.cut > 2 for shop in shops)


@pytest.fixture
def sqlite_url(place: Path) -> str:
    """A SQLite database with the schema."""
    return new_ledger_file(place / "tallystick.db")


def test_tills_and_a_server_on_sqlite_that_are_killed_again_and_again_lose_no_sale_and_double_none(
    place: Path, sqlite_url: str
) -> None:
    with chaos(place, sqlite_url) as (installation, shops):
        first, second = shops
        let_go_wrong(
            [
                installation.restart_after_kill,
                lambda: unplug(first),
                lambda: kill_till_while_unplugged(second),
                installation.restart_after_kill,
                lambda: unplug(first, second),
                lambda: kill_till(first),
            ]
        )
        told = heal(shops)
    assert_every_sale_is_there_once(told, sqlite_url)
    assert_it_was_rough(told, shops)


@contextmanager
def own_postgres() -> Iterator[tuple[PostgresServer, Database]]:
    """A durable PostgreSQL that a test may kill, with a migrated database."""
    with PostgresServer(durable=True) as server:
        database = PostgresCluster(server.conninfo).create_database()
        migrate(database.owner_url)
        yield server, database


def test_tills_whose_server_and_postgresql_are_killed_again_and_again_lose_no_sale_and_double_none(
    place: Path,
) -> None:
    with own_postgres() as (postgres, database):

        def kill_postgres() -> None:
            postgres.kill()
            postgres.start()

        with chaos(place, database.service_url) as (installation, shops):
            first, second = shops
            let_go_wrong(
                [
                    kill_postgres,
                    installation.restart_after_kill,
                    lambda: unplug(second),
                    lambda: kill_till(first),
                    kill_postgres,
                    lambda: kill_till_while_unplugged(second),
                ]
            )
            told = heal(shops)
        assert_every_sale_is_there_once(told, database.admin_url)
        assert_it_was_rough(told, shops)


@contextmanager
def till_on_a_cable(
    installation: Installation, place: Path, cards: list[str]
) -> Iterator[tuple[TillShop, Cable]]:
    """One till in a network of its own."""
    with (
        Cable() as cable,
        LossyLine(installation.address, host=cable.address) as line,
        TillShop(installation, place, line, cards, number=1, around=cable.around) as shop,
    ):
        cable.lead_to(shop.process.pid)
        shop.wait_until_open()
        yield shop, cable


def sell_through_a_cut(shop: TillShop, pull: Act, plug_in: Act) -> list[Told]:
    """Let a till sell before, while and after its line is cut; return what it told while it was."""
    shop.line.calm = True
    wait_for_sales(shop, SALES_MIN)
    pull()
    before = len(shop.told())
    # Long enough for every deadline that a cashier waits for.
    wait_for_sales(shop, before + SALES_MIN)
    told = shop.told()[before:]
    plug_in()
    return told


def wait_for_sales(shop: TillShop, count: int) -> None:
    until = time.monotonic() + SELL_S
    while len(shop.told()) < count:
        assert time.monotonic() < until, f"the till sold {len(shop.told())} times, not {count}"
        time.sleep(0.1)


CUTS = ["cable"] if permitted() else ["proxy-as-network-namespaces-are-not-permitted-here"]


@pytest.mark.parametrize("cut", CUTS)
def test_a_till_whose_cable_is_pulled_goes_on_selling_and_uploads_all_when_it_is_back(
    place: Path, sqlite_url: str, cut: str
) -> None:
    with ExitStack() as stack:
        installation = Installation(place, sqlite_url, members=0)
        cards = enrol_members(installation, CARDS)
        stack.enter_context(installation)
        if cut == "cable":
            shop, cable = stack.enter_context(till_on_a_cable(installation, place, cards))
            meanwhile = sell_through_a_cut(shop, cable.pull, cable.plug_in)
        else:
            line = stack.enter_context(LossyLine(installation.address))
            shop = stack.enter_context(TillShop(installation, place, line, cards, number=1))
            shop.wait_until_open()
            meanwhile = sell_through_a_cut(shop, line.unplug, line.plug_in)
        told = heal([shop])
    assert_every_sale_is_there_once(told, sqlite_url)
    # One sale may have been on its way when the cable was pulled.
    assert sum(one.stand_in for one in meanwhile) >= len(meanwhile) - 1
    assert any(one.burned for one in meanwhile)
