"""The shown balance: snapshot and own facts, each counted once, whatever arrives first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import store_pb2
from tallystick.wire.advices import id_bytes
from tallystick_till.errors import SaleRefused
from tallystick_till.ports import GatewayAway, Known
from tests.till.premises import ANNA, START_MS
from tests.till.test_outbox import answer, batch_of
from tests.till.world import World


def tell(world: World, *, seq: int, active: int) -> None:
    """Bring a change of Anna's to the snapshot and to the till, as the sync does."""
    world.snapshot.put(Known(ANNA, seq, active, "", 0))
    state = store_pb2.MemberState(member_id=id_bytes(ANNA), seq=seq, active_points=active)
    world.till.take_members([state])


def facts(world: World) -> int:
    return world.till.db.number("SELECT count(*) FROM fact")


def test_own_sales_count_before_the_snapshot_has_them(world: World) -> None:
    world.meet()
    world.till.sale(world.ask(burn=300))
    assert world.points() == 1000 - 300 + 47


def test_a_fact_is_kept_until_the_snapshot_holds_its_entry(world: World) -> None:
    world.meet()
    world.till.sale(world.ask())
    answer(world, batch_of(world), pb.VERDICT_KIND_POSTED, member_seq=12)
    assert world.points() == 1050
    tell(world, seq=11, active=1200)
    assert world.points() == 1250
    tell(world, seq=12, active=1250)
    assert world.points() == 1250
    assert facts(world) == 0


def test_news_that_come_before_the_verdict_are_not_counted_twice(world: World) -> None:
    world.meet()
    world.till.sale(world.ask())
    request = batch_of(world)
    tell(world, seq=12, active=1050)
    answer(world, request, pb.VERDICT_KIND_POSTED, member_seq=12)
    assert world.points() == 1050


def test_an_unanswered_fact_outlives_any_news(world: World) -> None:
    world.meet()
    world.till.sale(world.ask(burn=300))
    tell(world, seq=99, active=1000)
    assert world.points() == 1000 - 300 + 47


def test_what_was_quarantined_did_nothing_to_the_balance(world: World) -> None:
    world.meet()
    world.till.sale(world.ask())
    answer(world, batch_of(world), pb.VERDICT_KIND_QUARANTINED)
    assert world.points() == 1000


def test_what_was_parked_counts_until_the_members_next_entry(world: World) -> None:
    world.meet()
    world.till.sale(world.ask())
    answer(world, batch_of(world), pb.VERDICT_KIND_PARKED)
    assert world.points() == 1050
    tell(world, seq=11, active=1050)
    assert world.points() == 1050


@pytest.fixture
def burned(world: World) -> None:
    """A till that has burned 900 of 1000 points at the gateway, whose news do not say so yet."""
    world.line_up()
    world.meet()
    world.till.sale(world.ask(9000, burn=900))


@pytest.mark.usefixtures("burned")
def test_a_burn_that_the_gateway_posted_counts_until_the_snapshot_has_it(world: World) -> None:
    world.line_down()
    assert world.points() == 1000 - 900 + 81
    tell(world, seq=11, active=181)
    assert world.points() == 181


@pytest.mark.usefixtures("burned")
def test_who_asks_while_news_come_is_not_shown_burned_points_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, shown = world.till.db.write, []

    @contextmanager
    def looked_into() -> Iterator[sqlite3.Connection]:
        with write() as tx:
            yield tx
        shown.append(world.till.member(ANNA).points)

    monkeypatch.setattr(world.till.db, "write", looked_into)
    tell(world, seq=11, active=181)
    assert shown == [181]


@pytest.mark.usefixtures("burned")
def test_a_till_that_stands_in_goes_by_the_news_that_came_while_it_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(_request: object) -> NoReturn:
        tell(world, seq=11, active=181)
        raise GatewayAway("too slow")

    monkeypatch.setattr(world.gateway, "post_sale", slow)
    with pytest.raises(SaleRefused) as no:
        world.till.sale(world.ask(burn=400))
    assert no.value.reason == "INSUFFICIENT_POINTS"
    world.line_up()
    assert world.till.sale(world.ask(burn=100)).balance_points == 181 - 100 + 49


def test_what_the_gateway_tells_of_a_balance_includes_what_it_has_answered(world: World) -> None:
    world.meet()
    world.till.sale(world.ask())
    world.till.sale(world.ask())
    request = batch_of(world, max_count=1)
    answer(world, request, pb.VERDICT_KIND_POSTED, member_seq=11)
    world.gateway.balances[ANNA] = 1050
    world.line_up()
    assert world.points() == 1050 + 50
    assert world.till.sale(world.ask()).balance_points == 1050 + 50 + 50


@pytest.mark.parametrize("burn", [0, 300])
def test_a_receipt_of_what_the_gateway_decided_counts_what_still_waits_to_go_up(
    world: World, burn: int
) -> None:
    world.meet()
    waits = world.till.sale(world.ask(burn=burn))
    world.line_up()
    world.meet()
    asked = world.till.sale(world.ask(9000, burn=600))
    assert asked.stand_in is False
    assert asked.balance_points == waits.balance_points - 600 + 84
    assert world.points() == asked.balance_points


def test_leased_points_are_shown_though_the_balance_does_not_hold_them(world: World) -> None:
    world.hub.leases[ANNA] = 250
    assert world.points() == 1250
    world.till.sale(world.ask(burn=200))
    assert world.points() == 1250 - 200 + 48


@pytest.mark.parametrize(("days", "shown"), [(0, 1050), (14, 1000)])
def test_points_that_are_still_pending_are_not_shown_as_spendable(
    world: World, days: int, shown: int
) -> None:
    earning = {
        "rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}],
        "pending_days": days,
    }
    other = World(world.path.parent / ".." / world.path.parent.name, earning=earning)
    other.meet()
    assert other.till.sale(other.ask()).balance_points == shown
    assert other.points() == shown


def test_a_member_who_was_erased_is_not_found_any_more(world: World) -> None:
    world.meet()
    world.snapshot.put(Known(ANNA, 20, 0, "", 2))
    state = store_pb2.MemberState(member_id=id_bytes(ANNA), seq=20, status=2)
    world.till.take_members([state])
    from tallystick_till.errors import SaleRefused

    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask())
    assert refused.value.reason == "MEMBER_UNKNOWN"


def test_facts_outlive_a_restart(world: World) -> None:
    world.meet()
    world.till.sale(world.ask(burn=300))
    world.restart()
    assert world.points() == 1000 - 300 + 47
    assert world.till.now_ms() == START_MS
