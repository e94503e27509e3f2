"""Leases that a hub asks for and gives back in its sync."""

from __future__ import annotations

import pytest

from tallystick.v1 import advice_pb2, store_pb2
from tallystick_till.db import TillDb
from tallystick_till.hub import LocalHub, NoHub
from tallystick_till.ports import GatewayAway, GatewayRefused
from tests.till_sync.sync_loop import loop
from tests.till_sync.world import (
    HOUR_MS,
    NOW_MS,
    NotingTill,
    ScriptedGateway,
    Time,
    lease_state,
    local_hub,
    member_id,
    state,
)

EXPOSURE = store_pb2.GetExposureResponse()


@pytest.fixture
def hub() -> LocalHub:
    return local_hub(TillDb.in_memory(), Time())


def test_leases_are_asked_for_and_learned(hub: LocalHub) -> None:
    hub.visited(member_id(1))

    class Granting(ScriptedGateway):
        def request_leases(self, request: store_pb2.RequestLeasesRequest) -> store_pb2.RequestLeasesResponse:
            answers = [
                store_pb2.LeaseAnswer(lease_id=ask.lease_id, lease=lease_state(ask.lease_id))
                for ask in request.asks
            ]
            return store_pb2.RequestLeasesResponse(answers=answers)

    sync = loop(NotingTill(), Granting(), hub=hub)
    assert sync.leases_once()
    assert hub.limit(member_id(1)) == 100
    assert not sync.leases_once()


def test_an_ask_whose_answer_was_lost_is_made_again_with_the_same_id(hub: LocalHub) -> None:
    hub.visited(member_id(1))
    gateway = ScriptedGateway(request_leases=[GatewayAway(), GatewayAway()])
    sync = loop(NotingTill(), gateway, hub=hub)
    assert not sync.leases_once()
    assert not sync.leases_once()
    first, again = (request for _, request in gateway.asked)
    assert first == again


def test_a_lease_wanted_back_is_given_back_once(hub: LocalHub) -> None:
    hub.take_members([state(1, leases=[lease_state("lease-1", recalled=True)])])
    gateway = ScriptedGateway(
        exposure=[EXPOSURE, EXPOSURE],
        return_lease=[GatewayAway(), store_pb2.ReturnLeaseResponse(returned_points=100)],
    )
    sync = loop(NotingTill(), gateway, hub=hub)
    assert not sync.leases_once()
    assert sync.leases_once()
    assert not sync.leases_once()
    lost, done = [request for name, request in gateway.asked if name == "return_lease"]
    assert lost == done
    assert (done.lease_id, done.member_id) == ("lease-1", member_id(1))


def test_a_worn_lease_stays_usable_while_the_line_is_down() -> None:
    time = Time()
    hub = local_hub(TillDb.in_memory(), time)
    hub.visited(member_id(1))
    hub.take_members([state(1, leases=[lease_state("lease-1", ends_ms=time.ms + HOUR_MS)])])
    sync = loop(NotingTill(), ScriptedGateway(exposure=[GatewayAway()]), hub=hub)
    assert not sync.leases_once()
    assert hub.limit(member_id(1)) == 100


def test_a_lease_that_the_gateway_knows_no_more_is_not_offered_for_ever(hub: LocalHub) -> None:
    hub.take_members([state(1, leases=[lease_state("lease-1", recalled=True)])])
    till = NotingTill()
    gone = GatewayRefused("LEASE_NOT_FOUND", "gone")
    sync = loop(till, ScriptedGateway(exposure=[EXPOSURE], return_lease=[gone]), hub=hub)
    assert sync.leases_once()
    assert not sync.leases_once()


def test_a_till_that_is_not_the_hub_leaves_leases_alone() -> None:
    gateway = ScriptedGateway()
    assert not loop(NotingTill(), gateway, hub=NoHub()).leases_once()
    assert gateway.asked == []


def test_nothing_is_forgotten_before_the_gateway_has_said_what_time_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time = Time(NOW_MS + 3_650 * 24 * HOUR_MS)
    hub = local_hub(TillDb.in_memory(), time)
    hub.take_members([state(1, leases=[lease_state("lease-1")])])
    told = store_pb2.PushAdvicesResponse(anchor=advice_pb2.Signed(body=b"now"))
    till = NotingTill(batches=[store_pb2.PushAdvicesRequest()])
    sync = loop(till, ScriptedGateway(push=[told]), hub=hub)
    sync.leases_once()
    time.ms = NOW_MS
    assert hub.limit(member_id(1)) == 100
    tidied: list[int] = []
    monkeypatch.setattr(hub, "tidy", lambda: tidied.append(time.ms))
    sync.push_once()
    sync.leases_once()
    sync.leases_once()
    assert tidied == [NOW_MS]
