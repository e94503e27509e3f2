"""Servers that are killed while they tell others of events: nothing is lost, and each member stays in order."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.cli.wiring import opened_gateway
from tallystick.service.event_store import DeliveryState, Signing
from tallystick.service.gateway import wall_clock_ms
from tallystick.service.webhooks import Webhooks
from tallystick.storage.open import open_store
from tests.e2e.support.calls import Till
from tests.e2e.support.server import PROGRAM, Installation
from tests.support.ledgers import new_ledger_file
from tests.support.postgres import Database
from tests.webhooks.receiver import Received, Receiver

pytestmark = pytest.mark.timeout(300)

MEMBERS = 6
EARNS = 30
FINISH_S = 120.0


def begin(installation: Installation, url: str) -> None:
    """Make an endpoint as an operator would."""
    with opened_gateway(installation.settings) as (gateway, _, keys):
        masters = lambda: keys().masters(int(time.time()))  # noqa: E731
        webhooks = Webhooks(gateway.store, masters=masters, now_ms=gateway.now_ms, private=True)
        webhooks.set(
            PROGRAM,
            "mail",
            url=url,
            event_types=("entry.posted",),
            signing=Signing.HMAC,
            paused=False,
            rotate_key=False,
        )


def claims_run_out(url: str) -> None:
    """Let what a dead process was sending be due now: nobody waits a minute, or five, in a test."""
    store = open_store(url)
    try:
        store.pause_endpoint(PROGRAM, "mail")
        endpoint = store.endpoint(PROGRAM, "mail")
        place = store.event_place(PROGRAM)
        assert endpoint is not None
        assert place is not None
        store.put_endpoint(PROGRAM, replace(endpoint, paused=False), here=place, now=wall_clock_ms())
    finally:
        store.close()


def post(installation: Installation, count: int) -> int:
    """Earn points for all members in turn; return how many of them were acknowledged."""
    with Till(installation) as till:
        return sum(till.earn(installation.members[n % MEMBERS]).code == "OK" for n in range(count))


def assert_each_in_order(receiver: Receiver, members: list[str], posted: int) -> None:
    """Every entry came, of each member in the order of the ledger; what came twice has the id it had."""
    first: dict[str, list[int]] = {member: [] for member in members}
    ids: dict[tuple[str, int], str] = {}
    for one in receiver.taken:
        seq = int(one.message["data"]["seq"])
        if ids.setdefault((one.member, seq), one.id) != one.id:
            raise AssertionError("an event has two ids")
        if seq not in first[one.member]:
            first[one.member].append(seq)
    assert sum(map(len, first.values())) == posted
    for member, seqs in first.items():
        assert seqs == list(range(1, len(seqs) + 1)), member


def kill_and_compare(place: Path, url: str) -> None:
    env = {"TALLYSTICK_WEBHOOK_PRIVATE": "yes"}
    with Receiver() as receiver, Installation(place, url, members=MEMBERS, env=env) as installation:
        begin(installation, receiver.url)
        posted = post(installation, EARNS)
        receiver.wait_for(5)
        installation.kill()
        claims_run_out(url)
        installation.start()
        posted += post(installation, EARNS)
        hang = threading.Event()

        def hangs(_: Received) -> int:
            hang.wait(30)
            return 0

        receiver.answer = hangs
        before = len(receiver.all)
        posted += post(installation, EARNS)
        while len(receiver.all) == before:
            time.sleep(0.02)
        installation.kill()
        hang.set()
        receiver.answer = lambda _: 204
        claims_run_out(url)
        installation.start()
        until = time.monotonic() + FINISH_S
        store = open_store(url)
        try:
            while store.delivery_counts(PROGRAM) or len({one.id for one in receiver.taken}) < posted:
                assert time.monotonic() < until, store.delivery_counts(PROGRAM)
                time.sleep(0.2)
            found = store.deliveries(PROGRAM, "mail", state=None, before=None, limit=1_000)
        finally:
            store.close()
        assert {one.state for one in found} == {DeliveryState.DELIVERED}
        assert len(found) == posted == 3 * EARNS
        assert_each_in_order(receiver, [str(one) for one in installation.members], posted)


def test_a_server_on_sqlite_that_is_killed_while_it_delivers_loses_no_event(place: Path) -> None:
    url = new_ledger_file(place / "tallystick.db")
    kill_and_compare(place, url)


def test_a_server_on_postgresql_that_is_killed_while_it_delivers_loses_no_event(
    place: Path, ledger_database: Database
) -> None:
    kill_and_compare(place, ledger_database.service_url)
