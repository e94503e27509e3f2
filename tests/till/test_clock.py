"""Time: the gateway's, carried on by the monotonic clock; the wall clock changes nothing once there is an anchor."""

from __future__ import annotations

import pytest

from tallystick.v1 import advice_pb2 as pb
from tallystick_till.types import Identified, NotIdentified
from tests.till.premises import ANNA_CARD, START_MS
from tests.till.world import World

HOUR_MS = 3_600_000


def readings(world: World) -> pb.ClockReading:
    world.meet()
    world.till.sale(world.ask())
    request = world.till.next_batch()
    assert request is not None
    return pb.Advice.FromString(request.advices[-1]).clock


@pytest.mark.parametrize("years", [-20, 5])
def test_a_wall_clock_years_off_changes_nothing_while_there_is_an_anchor(world: World, years: int) -> None:
    world.clock.wall += years * 365 * 24 * HOUR_MS
    world.clock.go(60)
    reading = readings(world)
    assert reading.occurred_ms == START_MS + 60_000
    assert (reading.anchor_ms, reading.since_anchor_ms) == (START_MS, 60_000)
    assert reading.wall_ms == world.clock.wall
    assert world.till.sale(world.ask(burn=300)).burned_points == 300


def test_without_an_anchor_since_the_machine_started_a_sale_says_so(world: World) -> None:
    world.clock.reboot()
    world.clock.wall += 77_000
    reading = readings(world)
    assert (reading.anchor_ms, reading.since_anchor_ms) == (0, 0)
    assert (reading.occurred_ms, reading.boot_id) == (START_MS + 77_000, "boot-1+")


def test_an_anchor_of_another_boot_is_not_carried_on_by_a_clock_that_began_anew(world: World) -> None:
    world.clock.boot = "boot-2"
    assert readings(world).anchor_ms == 0


def test_a_monotonic_clock_that_went_back_is_not_trusted(world: World) -> None:
    world.clock.monotonic = 4_000
    assert world.till.status().burn.reason == "CLOCK_UNTRUSTED"


def test_an_anchor_counts_only_with_the_gateways_signature_and_for_this_till(world: World) -> None:
    later = START_MS + 10 * HOUR_MS
    forged = world.anchor(later)
    forged.signature = bytes(64)
    unreadable = world.signed("tallystick.anchor.v1", b"\xff\xff")
    other_text = world.signed("tallystick.lease.v1", forged.body)
    for anchor in (forged, unreadable, other_text, world.anchor(later, till_id="till-2"), pb.Signed()):
        assert not world.till.take_anchor(anchor)
    assert world.till.now_ms() == START_MS
    assert world.till.take_anchor(world.anchor(later))
    assert world.till.now_ms() == later


def test_an_anchor_older_than_the_last_does_not_turn_time_back(world: World) -> None:
    world.clock.go(60)
    assert world.till.take_anchor(world.anchor(START_MS + 60_000))
    assert not world.till.take_anchor(world.anchor(START_MS))
    assert world.till.now_ms() == START_MS + 60_000


def test_a_voucher_is_not_taken_by_a_clock_that_may_be_wrong(world: World) -> None:
    scan = world.voucher(300)
    world.clock.reboot()
    assert world.till.identify(scan) == NotIdentified("CLOCK")
    assert isinstance(world.till.identify(ANNA_CARD), Identified)


def test_the_last_contact_outlives_a_restart(world: World) -> None:
    world.restart()
    assert world.till.status().last_contact_ms == START_MS
