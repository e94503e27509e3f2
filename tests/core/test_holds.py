"""Holds: reserved, then captured or given back; exactly one of the two, once."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.core.command import ReturnLine, Spend
from tallystick.core.entry import EntryKind, Refusal
from tallystick.core.state import Hold, HoldStatus
from tests.core.world import World, at, basket, codes_of, line, lots_of, rules_of

REWARDS = [
    {"id": "five", "kind": "money_off", "points": 50, "amount_minor": 500},
    {"id": "toy", "kind": "free_item", "points": 20, "category": "toys"},
]


def world_with(points: int = 1_000, **parts: Any) -> World:
    world = World(rules_of(rewards=REWARDS, **parts))
    world.posted(world.adjust(points))
    return world


def the_hold(world: World) -> Hold:
    (hold,) = world.state.holds
    return hold


def test_held_points_are_neither_spendable_nor_spent() -> None:
    world = world_with()
    entry = world.posted(world.hold(300))
    assert (entry.active_after, entry.held_after, entry.moves.burned) == (700, 300, 0)
    assert (entry.kind, entry.hold_id) == (EntryKind.HOLD, entry.command_id)
    assert world.why(world.burn(701)) is Refusal.INSUFFICIENT_POINTS


def test_a_capture_burns_what_was_held() -> None:
    world = world_with()
    hold = world.posted(world.hold(300))
    entry = world.posted(world.capture(hold.hold_id))
    assert (entry.active_after, entry.held_after, entry.moves.burned) == (700, 0, 300)
    assert codes_of(entry) == [("hold", 0, -300, "hold_captured")]
    assert the_hold(world).status is HoldStatus.CAPTURED


def test_a_void_gives_the_points_back_to_their_lots() -> None:
    world = world_with()
    hold = world.posted(world.hold(300))
    entry = world.posted(world.void(hold.hold_id))
    assert (entry.active_after, entry.held_after) == (1_000, 0)
    assert entry.kind is EntryKind.VOID
    assert lots_of(world) == [(1, 1_000)]


@pytest.mark.parametrize("first", ["capture", "void"])
@pytest.mark.parametrize("second", ["capture", "void"])
def test_a_closed_hold_is_closed_whatever_comes_next(first: str, second: str) -> None:
    world = world_with()
    hold = world.posted(world.hold(300))
    world.posted(getattr(world, first)(hold.hold_id))
    no = world.refused(getattr(world, second)(hold.hold_id))
    assert no.reason is Refusal.HOLD_CLOSED
    assert dict(no.details)["status"] == {"capture": "CAPTURED", "void": "VOIDED"}[first]


def test_a_hold_that_nobody_placed_is_unknown() -> None:
    world = world_with()
    assert world.why(world.capture("00000000-0000-4000-8000-000000000000")) is Refusal.HOLD_UNKNOWN
    assert world.why(world.void("00000000-0000-4000-8000-000000000000")) is Refusal.HOLD_UNKNOWN


def test_a_hold_runs_out_by_itself_and_gives_the_points_back_once() -> None:
    world = world_with()
    hold = world.posted(world.hold(300, ttl_s=60))
    world.wait_until("2026-01-15T12:00:59")
    assert world.account.held == 300
    world.wait_until("2026-01-15T12:01")
    assert (world.account.held, world.account.active) == (0, 1_000)
    assert world.entries[-1].kind is EntryKind.HOLD_RELEASE
    assert world.why(world.void(hold.hold_id)) is Refusal.HOLD_EXPIRED
    assert world.why(world.capture(hold.hold_id)) is Refusal.HOLD_EXPIRED
    assert world.account.active == 1_000


def test_a_late_capture_burns_from_the_balance_where_the_rule_set_allows_it() -> None:
    world = world_with(holds={"late_capture": "if_covered"})
    hold = world.posted(world.hold(300, ttl_s=60))
    world.wait_until("2026-01-15T13:00")
    entry = world.posted(world.capture(hold.hold_id))
    assert (entry.active_after, entry.held_after, entry.moves.burned) == (700, 0, 300)
    assert world.why(world.capture(hold.hold_id)) is Refusal.HOLD_CLOSED


def test_a_late_capture_without_cover_is_refused() -> None:
    world = world_with(holds={"late_capture": "if_covered"})
    hold = world.posted(world.hold(300, ttl_s=60))
    world.wait_until("2026-01-15T13:00")
    world.posted(world.burn(701))
    assert world.why(world.capture(hold.hold_id)) is Refusal.INSUFFICIENT_POINTS
    assert the_hold(world).status is HoldStatus.EXPIRED


def test_a_late_capture_with_a_basket_burns_only_what_the_basket_needs() -> None:
    world = world_with(holds={"late_capture": "if_covered"})
    hold = world.posted(world.hold(300, ttl_s=60, basket=basket(1_000)))
    world.wait_until("2026-01-15T13:00")
    entry = world.posted(world.capture(hold.hold_id, basket(200)))
    assert (entry.active_after, entry.held_after, entry.moves.burned) == (800, 0, 200)


def test_a_hold_on_a_basket_is_priced_like_the_sale_and_earns_nothing_yet() -> None:
    world = world_with()
    entry = world.posted(world.hold(300, basket=basket(1_000), reward_ids=("five",)))
    assert (entry.held_after, entry.moves.issued) == (350, 0)
    assert entry.detail.payable_minor == 200
    assert [
        (share.discount_minor, share.burned_points, share.earned_points) for share in entry.detail.lines
    ] == [(800, 350, 0)]
    assert codes_of(entry) == [("five", 0, -50, "reward"), ("points", 0, -300, "points_as_money")]
    assert the_hold(world).spend_points == 300


def test_a_hold_is_not_a_sale_to_return_against() -> None:
    world = world_with()
    hold = world.posted(world.hold(300, basket=basket(1_000)))
    assert world.why(world.give_back(hold, ReturnLine(1, 1000))) is Refusal.SALE_UNKNOWN
    assert world.why(world.reverse(hold)) is Refusal.NOT_REVERSIBLE


def test_a_capture_with_the_same_basket_is_the_sale() -> None:
    world = world_with()
    hold = world.posted(world.hold(300, basket=basket(1_000)))
    entry = world.posted(world.capture(hold.hold_id, basket(1_000)))
    assert (entry.moves.burned, -entry.moves.issued, entry.held_after) == (300, 7, 0)
    assert (entry.active_after, entry.detail.payable_minor) == (707, 700)
    assert entry.kind is EntryKind.CAPTURE


def test_what_a_smaller_basket_no_longer_needs_goes_back_to_its_lots() -> None:
    world = world_with()
    hold = world.posted(world.hold(300, basket=basket(1_000)))
    entry = world.posted(world.capture(hold.hold_id, basket(120)))
    assert (entry.moves.burned, entry.active_after, entry.held_after) == (120, 880, 0)
    assert lots_of(world) == [(1, 880)]


def test_a_larger_basket_burns_no_more_than_was_held() -> None:
    world = world_with()
    hold = world.posted(world.hold(300, basket=basket(1_000)))
    entry = world.posted(world.capture(hold.hold_id, basket(5_000)))
    assert (entry.moves.burned, entry.detail.payable_minor) == (300, 4_700)


def test_a_reward_whose_goods_left_the_basket_is_refused_and_the_hold_stays() -> None:
    world = world_with()
    toys = line(500, categories=("toys",))
    hold = world.posted(world.hold(0, spend=None, basket=basket(toys, 900), reward_ids=("toy",)))
    assert (hold.held_after, the_hold(world).spend_points) == (20, 0)
    assert world.why(world.capture(hold.hold_id, basket(900))) is Refusal.REWARD_NOT_APPLICABLE
    assert the_hold(world).status is HoldStatus.OPEN
    assert world.posted(world.capture(hold.hold_id, basket(toys))).detail.payable_minor == 0


@pytest.mark.parametrize(("ttl_s", "late"), [(7200, False), (900, True)], ids=["open", "ran out"])
def test_a_reward_that_a_hold_promised_is_given_although_its_hours_are_over(ttl_s: int, late: bool) -> None:
    """A buyer pays with a discount that was there when the hold was made: it cannot go away under the payment."""
    reward = {"id": "lunch", "kind": "money_off", "points": 100, "amount_minor": 300, "hours": "12:00-14:00"}
    world = World(
        rules_of(rewards=[reward], holds={"late_capture": "if_covered"}), now=at("2026-01-15T12:30")
    )
    world.posted(world.adjust(100))
    goods = basket(1_000)
    hold = world.posted(world.hold(0, spend=None, reward_ids=("lunch",), basket=goods, ttl_s=ttl_s))
    world.now = at("2026-01-15T13:30")
    assert world.why(world.sale_of(goods, reward_ids=("lunch",))) is Refusal.REWARD_NOT_APPLICABLE
    capture = world.capture(hold.hold_id, goods)
    if late:
        assert world.why(capture) is Refusal.REWARD_NOT_APPLICABLE
    else:
        assert world.posted(capture).detail.payable_minor == 700


def test_a_captured_sale_can_be_returned() -> None:
    world = world_with()
    hold = world.posted(world.hold(300, basket=basket(1_000)))
    sale = world.posted(world.capture(hold.hold_id, basket(1_000)))
    back = world.posted(world.all_back(sale))
    assert (back.active_after, back.detail.refund_minor, back.detail.restored_points) == (1_000, 700, 300)


def test_points_that_expire_while_held_can_be_captured() -> None:
    world = world_with(expiry={"kind": "months", "months": 1})
    world.now = at("2026-02-15T22:50")
    hold = world.posted(world.hold(300, ttl_s=3_600))
    world.wait_until("2026-02-15T23:10")
    assert world.entries[-1].moves.breakage == 700
    assert world.posted(world.capture(hold.hold_id)).moves.burned == 300


def test_points_that_expired_while_held_are_gone_when_given_back_without_grace() -> None:
    world = world_with(expiry={"kind": "months", "months": 1})
    world.now = at("2026-02-15T22:50")
    world.posted(world.hold(300, ttl_s=3_600))
    world.wait_until("2026-02-16T12:00")
    assert (world.account.active, world.account.held) == (0, 0)
    assert [entry.kind.name for entry in world.entries[-2:]] == ["HOLD_RELEASE", "EXPIRE"]


def test_points_that_expired_while_held_last_through_the_grace() -> None:
    world = world_with(expiry={"kind": "months", "months": 1}, returns={"grace_days": 2})
    world.now = at("2026-02-15T22:50")
    hold = world.posted(world.hold(300, ttl_s=7_200))
    world.now = at("2026-02-16T00:30")
    world.posted(world.void(hold.hold_id))
    world.wait_until("2026-02-18T00:29")
    assert world.account.active == 300
    world.wait_until("2026-02-18T00:30")
    assert world.account.active == 0


@pytest.mark.parametrize(("ttl_s", "fits"), [(0, False), (-1, False), (1, True), (600, True), (601, False)])
def test_a_hold_lasts_no_longer_than_the_rule_set_allows(ttl_s: int, fits: bool) -> None:
    world = world_with(holds={"ttl_max_s": 600})
    command = world.hold(300, ttl_s=ttl_s)
    if fits:
        world.posted(command)
    else:
        assert world.why(command) is Refusal.HOLD_TTL


def test_a_member_has_no_more_open_holds_than_the_rule_set_allows() -> None:
    world = world_with(holds={"open_max": 2})
    first = world.posted(world.hold(1))
    world.posted(world.hold(1))
    assert world.why(world.hold(1)) is Refusal.HOLDS_TOO_MANY
    world.posted(world.void(first.hold_id))
    world.posted(world.hold(1))


def test_there_must_be_something_to_hold() -> None:
    world = world_with()
    assert world.why(world.hold(0)) is Refusal.BELOW_MINIMUM
    assert world.why(world.hold(0, basket=basket(1_000))) is Refusal.BELOW_MINIMUM
    assert world.why(world.hold(0, spend=None)) is Refusal.BELOW_MINIMUM
    assert world.why(world.hold(5, reward_ids=("five",))) is Refusal.BASKET_EMPTY
    assert world.why(world.hold(1_001)) is Refusal.INSUFFICIENT_POINTS


def test_a_hold_of_up_to_so_many_points_takes_what_there_is() -> None:
    world = world_with(120)
    entry = world.posted(world.hold(0, spend=Spend(9_999, up_to=True), basket=basket(1_000)))
    assert entry.held_after == 120
