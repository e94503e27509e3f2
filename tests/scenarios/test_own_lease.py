"""A member spends at the counter what the store itself has set aside: nobody stands there with points that are refused.

A store has a lease of part of a visitor's points, for when its line is down. While the line is up all points are to
spend there: the till gives the lease back before it asks the gateway for more than lies outside of it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.core.basket import Basket, Line
from tallystick.core.command import Spend
from tallystick.core.ids import Minor
from tallystick.v1 import store_pb2
from tallystick_till.errors import SaleRefused
from tallystick_till.types import SaleAsk
from tests.scenarios.street import Person, Street
from tests.simulation.machine import Machine

LEASE = 400


def leased(street: Street, till: Machine, points: int = 1_000) -> Person:
    """Return a member whose visit has given the store a lease."""
    ann = street.member(points)
    assert street.lease(till, ann) == LEASE
    return ann


def test_all_points_can_be_spent_at_a_store_that_has_a_lease_of_some(street: Street) -> None:
    till = street.till("s1")
    ann = leased(street, till)
    sale = street.sale(till, ann, 20_000, burn=1_000)
    assert (sale.burned_points, sale.balance_points, sale.stand_in) == (1_000, 190, False)
    street.sync(till, leases=True)
    assert street.balance(ann) == 190


def test_a_sale_that_the_rest_pays_for_leaves_the_lease_where_it_is(street: Street) -> None:
    till = street.till("s1")
    ann = leased(street, till)
    assert street.sale(till, ann, 20_000, burn=600).burned_points == 600
    assert till.leased(ann.member_id) == LEASE


def test_the_lease_that_another_till_of_the_store_keeps_is_given_back_as_well(street: Street) -> None:
    hub = street.till("s1")
    till = street.till("s1", hub=hub)
    ann = leased(street, hub)
    street.sync(till)
    assert street.sale(till, ann, 20_000, burn=1_000).burned_points == 1_000
    street.sync(hub, leases=True)
    assert hub.leased(ann.member_id) == 0


def test_what_was_burned_of_the_lease_and_not_told_yet_is_not_given_back(street: Street) -> None:
    till = street.till("s1")
    ann = leased(street, till)
    street.offline(till)
    street.sale(till, ann, burn=300)
    street.online(till)
    till.sync.watch_once()
    # 600 lie outside of the lease, and 100 points were earned by the sale that the gateway has not heard of.
    with pytest.raises(SaleRefused, match="points"):
        street.sale(till, ann, 20_000, burn=750)
    street.sync(till, leases=True)
    assert street.entries(ann)[-1].shortfall == 0


def test_a_line_that_breaks_before_the_lease_is_given_back_leaves_it_to_the_store(street: Street) -> None:
    till = street.till("s1")
    ann = leased(street, till)
    street.scan(till, ann)
    street.offline(till)
    with pytest.raises(SaleRefused):
        street.sale(till, ann, 20_000, burn=1_000)
    assert till.leased(ann.member_id) == LEASE


def test_after_a_refused_sale_the_till_shows_what_the_member_has(street: Street) -> None:
    till = street.till("s1")
    ann = leased(street, till)
    seen = street.scan(till, ann).member.points
    assert street.webshop_burns(ann, 500)
    with pytest.raises(SaleRefused):
        street.sale(till, ann, 20_000, burn=900)
    street.sync(till)
    assert (seen, street.scan(till, ann).member.points) == (1_000, 500)


def test_two_tills_that_both_take_themselves_for_the_hub_burn_a_lease_once_and_say_so(street: Street) -> None:
    one, two = street.till("s1"), street.till("s1")
    ann = street.member(1_000)
    assert street.lease(one, ann) == LEASE
    assert street.lease(two, ann) == 0
    street.sync(one, two)
    assert two.running.status().till.rivals == ("0000",)
    assert one.running.status().till.rivals == ()
    exposure = street.office("get_exposure", store_pb2.GetExposureRequest(store_id="s1"), service="store")
    assert [till.keeps_leases for till in exposure.tills] == [True, False]
    street.offline(one, two)
    street.sale(one, ann, burn=LEASE)
    with pytest.raises(SaleRefused, match="ABOVE_FLOOR"):
        street.sale(two, ann, burn=LEASE)
    street.online(one, two)
    street.sync(one, two, leases=True)
    assert street.loss("s1") == 0


def test_a_lease_that_is_wanted_back_is_given_back_by_the_till_that_asked_for_it(street: Street) -> None:
    one, two = street.till("s1"), street.till("s1")
    ann = leased(street, one)
    street.sync(two)
    street.offline(one)
    sale = street.sale(one, ann, burn=LEASE)
    assert not street.webshop_burns(ann, 900)
    street.sync(two, leases=True)
    assert not street.webshop_burns(ann, 900)
    street.online(one)
    street.sync(one, two, leases=True)
    assert (street.entry(ann, sale).shortfall, street.loss("s1")) == (0, 0)


@pytest.mark.parametrize("days", [3, 6])
def test_after_days_without_a_till_that_runs_the_store_gets_its_leases_anew(
    street: Street, days: int
) -> None:
    till = street.till("s1")
    ann = leased(street, till)
    street.offline(till)
    sale = street.sale(till, ann, burn=100)
    street.wait(days=days)
    street.online(till)
    street.sync(till, leases=True)
    assert street.lease(till, ann) > 0
    assert street.sale(till, ann, 20_000, burn=900).burned_points == 900
    assert street.entry(ann, sale).shortfall == 0


def test_after_a_no_of_the_gateway_the_next_try_has_an_id_of_its_own_as_the_guide_says(
    street: Street,
) -> None:
    till = street.till("s1")
    ann = street.member(300)
    street.scan(till, ann)
    basket = Basket("EUR", (Line("thing", 4000, Minor(20_000)),))
    ask = SaleAsk(ann.member_id, basket, spend=Spend(500), sale_id=till.new_id())
    with pytest.raises(SaleRefused) as no:
        till.running.sale(ask)
    assert no.value.reason == "INSUFFICIENT_POINTS"
    fewer = replace(ask, spend=Spend(300))
    with pytest.raises(SaleRefused) as reused:
        till.running.sale(fewer)
    assert reused.value.reason == "COMMAND_ID_REUSED"
    assert till.running.sale(replace(fewer, sale_id=till.new_id())).burned_points == 300
