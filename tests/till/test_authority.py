"""Burning without asking: out of leases, by vouchers, within the floor limit, and not at all when in doubt."""

from __future__ import annotations

import pytest

from tallystick.core.command import Spend
from tallystick.v1 import store_pb2
from tallystick_till.errors import SaleRefused
from tallystick_till.ports import Known
from tallystick_till.types import Identified, SaleDone, VoucherScan
from tests.till.premises import ANNA, ANNA_CARD, BOB, STORE
from tests.till.world import World, tag

DAY_S = 86_400


def rights(done: SaleDone) -> list[tuple[str, int]]:
    return [(part.kind, part.points) for part in done.authority]


def reason_of_burn(world: World, points: int = 300) -> str:
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(50_000, burn=points))
    return refused.value.reason


def test_leases_are_used_before_the_floor_limit(world: World) -> None:
    world.hub.leases[ANNA] = 300
    world.meet()
    assert rights(world.till.sale(world.ask(burn=500))) == [("lease", 300), ("floor", 200)]
    assert world.hub.leases[ANNA] == 0


def test_a_voucher_in_hand_comes_first_since_it_counts_once(world: World) -> None:
    world.hub.leases[ANNA] = 100
    world.meet()
    done = world.till.sale(world.ask(burn=500, voucher=world.voucher(300)))
    assert rights(done) == [("voucher", 300), ("lease", 100), ("floor", 100)]


def test_what_a_till_burns_within_its_floor_limit_ends_at_the_cap_of_a_sale(world: World) -> None:
    world.meet()
    assert reason_of_burn(world, 600) == "ABOVE_FLOOR"
    assert rights(world.till.sale(world.ask(burn=500))) == [("floor", 500)]


def test_the_floor_limit_of_a_member_holds_over_several_sales(world: World) -> None:
    world.snapshot.put(Known(ANNA, 10, 5000, "", 0))
    world.meet()
    world.till.sale(world.ask(burn=500))
    world.till.sale(world.ask(burn=300))
    assert reason_of_burn(world, 100) == "ABOVE_FLOOR"


def test_the_floor_limit_of_the_till_holds_over_all_members(world: World) -> None:
    world.snapshot.put(Known(BOB, 10, 5000, "", 0), tag("number", "9900000000000028"))
    world.snapshot.put(Known(ANNA, 10, 5000, "", 0))
    world.meet()
    world.till.sale(world.ask(burn=500))
    world.till.sale(world.ask(burn=300))
    bob = world.meet("9900000000000028")
    world.till.sale(world.ask(member_ref=bob, burn=200))
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(member_ref=bob, burn=100))
    assert refused.value.reason == "ABOVE_FLOOR"
    assert world.till.status().burn.reason == "FLOOR_SPENT"
    assert world.till.status().floor.used_points == 1000


def test_the_floor_limit_is_whole_again_once_the_gateway_has_everything(world: World) -> None:
    world.meet()
    world.till.sale(world.ask(burn=500))
    world.line_up()
    world.push_all()
    assert world.till.status().floor.used_points == 0


def test_the_floor_limit_stays_used_while_anything_waits(world: World) -> None:
    world.meet()
    world.till.sale(world.ask(burn=500))
    world.till.sale(world.ask())
    world.line_up()
    request = world.till.next_batch(max_count=1)
    assert request is not None
    world.till.take_verdicts(request, world.gateway.push(request))
    assert world.till.status().floor.used_points == 500


def test_a_restart_does_not_forget_what_was_burned(world: World) -> None:
    world.meet()
    world.till.sale(world.ask(burn=500))
    world.restart()
    world.meet()
    assert reason_of_burn(world, 400) == "ABOVE_FLOOR"


def test_no_more_is_burned_than_the_shown_balance(world: World) -> None:
    world.snapshot.put(Known(ANNA, 10, 200, "", 0))
    world.hub.leases[ANNA] = 100
    world.meet()
    assert reason_of_burn(world, 400) == "INSUFFICIENT_POINTS"
    assert rights(world.till.sale(world.ask(burn=300))) == [("lease", 100), ("floor", 200)]


def test_points_burned_here_are_not_burned_here_again(world: World) -> None:
    world.snapshot.put(Known(ANNA, 10, 300, "", 0))
    world.meet()
    world.till.sale(world.ask(100, burn=100))
    assert reason_of_burn(world, 300) == "INSUFFICIENT_POINTS"


def test_a_blocked_member_earns_and_burns_nothing(world: World) -> None:
    world.snapshot.put(Known(ANNA, 10, 1000, "", 1))
    world.meet()
    assert reason_of_burn(world) == "MEMBER_BLOCKED"
    assert world.till.sale(world.ask()).earned_points == 50


def test_locked_points_are_earned_and_not_burned_not_even_with_a_lease(world: World) -> None:
    world.snapshot.put(Known(ANNA, 10, 1000, "", 3))
    world.hub.leases[ANNA] = 500
    world.meet()
    assert reason_of_burn(world) == "MEMBER_LOCKED"
    assert world.till.sale(world.ask()).earned_points == 50
    assert world.hub.leases[ANNA] == 500


def test_points_that_are_unlocked_are_burned_again_as_soon_as_the_till_hears_of_it(world: World) -> None:
    world.snapshot.put(Known(ANNA, 10, 1000, "", 3))
    world.meet()
    assert reason_of_burn(world) == "MEMBER_LOCKED"
    world.snapshot.put(Known(ANNA, 11, 1000, "", 0))
    world.meet()
    assert rights(world.till.sale(world.ask(burn=300))) == [("floor", 300)]


def test_a_status_that_the_till_does_not_know_burns_nothing(world: World) -> None:
    world.snapshot.put(Known(ANNA, 10, 1000, "", 9))
    world.meet()
    assert reason_of_burn(world) == "MEMBER_BLOCKED"
    assert world.till.sale(world.ask()).earned_points == 50


def test_a_typed_number_burns_nothing(world: World) -> None:
    world.meet(ANNA_CARD, "typed")
    assert reason_of_burn(world) == "ABOVE_ASSURANCE_CAP"


def test_burns_stop_without_an_anchor_since_the_machine_started_and_earns_go_on(world: World) -> None:
    world.clock.reboot()
    world.meet()
    assert reason_of_burn(world) == "CLOCK_UNTRUSTED"
    assert world.till.sale(world.ask()).earned_points == 50
    assert world.till.status().burn.reason == "CLOCK_UNTRUSTED"


def test_a_restart_of_the_program_keeps_the_time_of_the_same_boot(world: World) -> None:
    world.restart()
    world.meet()
    assert world.till.sale(world.ask(burn=300)).burned_points == 300


def test_burns_stop_when_the_rules_are_past_their_date(world: World) -> None:
    world.valid_until_ms = world.now_ms() + 3_600_000
    world.till.take_store_news(world.news())
    world.clock.go(3601)
    world.meet()
    assert reason_of_burn(world) == "RULES_PAST_DATE"


def test_burns_stop_after_too_long_without_the_gateway(world: World) -> None:
    world.clock.go(30 * DAY_S + 60)
    world.meet()
    assert reason_of_burn(world) == "AWAY_TOO_LONG"
    world.line_up()
    world.line_down()
    assert world.till.sale(world.ask(burn=300)).burned_points == 300


@pytest.mark.parametrize("online", [True, False])
def test_a_suspended_till_burns_nothing_also_while_the_gateway_is_there(world: World, online: bool) -> None:
    world.till.take_store_news(world.news(till_status=store_pb2.TILL_STATUS_SUSPENDED))
    if online:
        world.line_up()
    world.meet()
    assert reason_of_burn(world) == "TILL_SUSPENDED"
    assert world.till.sale(world.ask()).earned_points == 50


def test_a_revoked_key_stops_burns_until_the_gateway_takes_it_again(world: World) -> None:
    world.till.gateway_refused("DEVICE_REVOKED")
    world.meet()
    assert reason_of_burn(world) == "KEY_REVOKED"
    world.restart()
    world.meet()
    assert reason_of_burn(world) == "KEY_REVOKED"
    world.line_up()
    world.line_down()
    assert world.till.sale(world.ask(burn=300)).burned_points == 300


def test_a_burn_that_finds_the_key_revoked_is_refused_for_that(world: World) -> None:
    world.line_up()
    world.meet()
    world.gateway.refuses = "DEVICE_REVOKED"
    assert reason_of_burn(world) == "KEY_REVOKED"


def test_as_many_as_possible_are_none_when_burns_have_stopped(world: World) -> None:
    world.clock.reboot()
    world.meet()
    done = world.till.sale(world.ask(burn=900, up_to=True))
    assert (done.burned_points, done.earned_points) == (0, 50)


def test_without_the_hub_only_the_floor_limit_is_left(world: World) -> None:
    world.hub.leases[ANNA] = 400
    world.hub.away = True
    world.meet()
    assert rights(world.till.sale(world.ask(burn=500))) == [("floor", 500)]
    assert world.till.status().till.hub == "away"


def test_a_hub_that_did_not_answer_is_left_alone_for_a_moment(world: World) -> None:
    world.hub.leases[ANNA] = 400
    world.hub.away = True
    world.meet()
    world.hub.away = False
    assert world.points() == 1000
    world.clock.go(4)
    assert world.points() == 1400


def test_lease_points_are_taken_before_the_sale_is_kept(world: World) -> None:
    world.hub.leases[ANNA] = 300
    world.meet()
    queued: list[int] = []
    take = world.hub.take

    def take_and_look(*args):  # type: ignore[no-untyped-def]
        queued.append(world.till.status().queued)
        return take(*args)

    world.hub.take = take_and_look  # type: ignore[method-assign]
    world.till.sale(world.ask(burn=300))
    assert queued == [0]


def test_a_lease_that_went_to_another_till_meanwhile_leaves_the_floor_limit(world: World) -> None:
    world.hub.leases[ANNA] = 300
    world.meet()
    world.hub.take = lambda *_: []  # type: ignore[method-assign]
    assert rights(world.till.sale(world.ask(burn=300))) == [("floor", 300)]
    assert reason_of_burn(world, 600) == "ABOVE_FLOOR"


def test_a_voucher_counts_without_the_gateway_and_only_once(world: World) -> None:
    scan = world.till.identify(world.voucher(300))
    assert isinstance(scan, VoucherScan)
    assert (scan.voucher.points, scan.member.member_ref, scan.member.assurance) == (300, ANNA, 2)
    done = world.till.sale(world.ask(voucher=world.voucher(300)))
    assert rights(done) == [("voucher", 300)]
    assert done.discount_minor == 300
    assert done.balance_points == 1000 + done.earned_points
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(voucher=world.voucher(300)))
    assert refused.value.reason == "VOUCHER_USED"
    assert world.till.status().queued == 1


def test_what_a_voucher_was_worth_beyond_the_sale_goes_back_to_the_balance(world: World) -> None:
    done = world.till.sale(world.ask(200, voucher=world.voucher(500)))
    assert rights(done) == [("voucher", 200)]
    assert done.balance_points == 1000 + 300


def test_a_voucher_buys_the_reward_that_it_names(world: World) -> None:
    world.till.identify(world.voucher(50, reward_id="free-coffee"))
    done = world.till.sale(world.ask(voucher=world.voucher(50, reward_id="free-coffee")))
    assert (rights(done), done.discount_minor) == ([("voucher", 50)], 2500)


def test_a_voucher_is_stood_in_for_also_while_the_gateway_is_there(world: World) -> None:
    world.line_up()
    world.till.identify(world.voucher(300))
    done = world.till.sale(world.ask(voucher=world.voucher(300)))
    assert (rights(done), done.stand_in) == ([("voucher", 300)], True)
    assert "post_sale" not in world.gateway.asked


def test_where_no_till_keeps_the_vouchers_none_is_said_to_be_used(world: World) -> None:
    world.meet()
    world.hub.state = "none"
    with pytest.raises(SaleRefused, match="No till of this store keeps its vouchers") as refused:
        world.till.sale(world.ask(voucher=world.voucher(300)))
    assert refused.value.reason == "HUB_AWAY"
    assert (world.hub.vouchers, world.till.status().queued) == ({}, 0)


def test_without_the_hub_no_voucher_is_taken(world: World) -> None:
    world.meet()
    world.hub.away = True
    with pytest.raises(SaleRefused) as refused:
        world.till.sale(world.ask(voucher=world.voucher(300)))
    assert refused.value.reason == "HUB_AWAY"
    assert world.till.status().queued == 0


def test_a_voucher_of_another_member_store_or_time_is_refused(world: World) -> None:
    world.meet()
    bob = world.meet("+46701234567", "typed")
    for ask, reason in (
        (world.ask(member_ref=bob, voucher=world.voucher(300)), "VOUCHER_OTHER_MEMBER"),
        (world.ask(voucher=world.voucher(300, store_id="store-2")), "VOUCHER_OTHER_STORE"),
        (world.ask(voucher=world.voucher(300, hours=0)), "VOUCHER_EXPIRED"),
        (world.ask(voucher="no voucher"), "VOUCHER_FORMAT"),
    ):
        with pytest.raises(SaleRefused) as refused:
            world.till.sale(ask)
        assert refused.value.reason == reason
    assert world.hub.vouchers == {}


def test_the_burn_limit_shown_is_what_a_sale_gets(world: World) -> None:
    world.hub.leases[ANNA] = 200
    found = world.till.identify(ANNA_CARD, source="camera")
    assert isinstance(found, Identified)
    assert (found.member.burn_limit_points, found.member.burn_limit_reason) == (700, "ABOVE_FLOOR")
    assert world.till.sale(world.ask(50_000, spend=Spend(9000, up_to=True))).burned_points == 700


@pytest.mark.parametrize("online", [True, False])
def test_the_burn_limit_of_a_typed_number_is_nothing(world: World, online: bool) -> None:
    if online:
        world.line_up()
    found = world.till.identify(ANNA_CARD, source="typed")
    assert isinstance(found, Identified)
    assert (found.member.burn_limit_points, found.member.burn_limit_reason) == (0, "ABOVE_ASSURANCE_CAP")


def test_the_burn_limit_of_a_sure_scan_is_the_balance_while_the_gateway_is_there(world: World) -> None:
    world.line_up()
    found = world.till.identify(ANNA_CARD, source="camera")
    assert isinstance(found, Identified)
    assert (found.member.burn_limit_points, found.member.source) == (1000, "server")


def test_the_worst_case_counts_the_caps_of_all_tills_of_the_store(world: World) -> None:
    assert world.till.status().worst_case_points == 2000
    world.clock.reboot()
    assert world.till.status().worst_case_points == 1000
    assert world.till.status().till.store_id == STORE
