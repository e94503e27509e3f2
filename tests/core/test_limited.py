"""Rewards that are counted: by a stock, and by how often a member has them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.basket import Assurance
from tallystick.core.codec import detail_from_text, detail_to_text
from tallystick.core.command import Earn, PlaceHold, RedeemReward
from tallystick.core.entry import Entry, Refusal, Refused
from tallystick.core.rules.coupon import find_coupon
from tallystick.core.rules.reward import counter_of, counters_of, is_counter
from tallystick.core.standin import StandIn, stand_in_sale
from tests.core.world import MEMBER, World, basket, rules_of

TWICE = {"count": 2, "per": "month"}
CUP: dict[str, Any] = {"id": "cup", "kind": "money_off", "points": 10, "amount_minor": 100}
EVENING: dict[str, Any] = {"id": "evening", "kind": "experience", "points": 10, "limit": TWICE}


def club(*rewards: dict[str, Any], **parts: Any) -> World:
    world = World(rules_of(rewards=list(rewards), **parts))
    world.posted(world.earn(10_000))
    return world


def aside(world: World, reward: str = "cup", *, ttl_s: int = 900) -> PlaceHold:
    goods = basket(1_000)
    assurance = Assurance.DEVICE_CODE
    return PlaceHold(world.new_id(), MEMBER, world.origin, ttl_s, None, (reward,), goods, assurance)


def redeem(world: World, reward: str = "evening") -> RedeemReward:
    return RedeemReward(world.new_id(), MEMBER, world.origin, reward, Assurance.DEVICE_CODE)


def had(world: World, reward: str) -> int:
    return sum(
        tally.count for tally in world.account.tallies if tally.key == counter_of(reward) and tally.count > 0
    )


def test_a_member_has_a_reward_as_often_as_the_limit_says_in_a_month() -> None:
    world = club({**CUP, "limit": TWICE})
    for _ in range(2):
        world.posted(world.sale(1_000, rewards=("cup",)))
    no = world.refused(world.sale(1_000, rewards=("cup",)))
    assert no == Refused(Refusal.REWARD_LIMIT, (("reward_id", "cup"), ("count", "2"), ("per", "month")))
    world.wait_until("2026-01-31T23:00")
    world.posted(world.sale(1_000, rewards=("cup",)))


def test_one_sale_that_asks_too_often_is_beyond_the_limit_too() -> None:
    world = club({**CUP, "limit": TWICE})
    assert world.why(world.sale(1_000, rewards=("cup", "cup", "cup"))) is Refusal.REWARD_LIMIT
    world.posted(world.sale(1_000, rewards=("cup", "cup")))


def test_what_a_hold_reserves_counts_as_had_and_is_had_when_it_is_captured() -> None:
    world = club({**CUP, "limit": TWICE})
    first, second = world.posted(aside(world)), world.posted(aside(world))
    assert had(world, "cup") == 0
    assert world.why(aside(world)) is Refusal.REWARD_LIMIT
    assert world.why(world.sale(1_000, rewards=("cup",))) is Refusal.REWARD_LIMIT
    world.posted(world.capture(first.command_id, basket(1_000)))
    assert had(world, "cup") == 1
    assert world.why(aside(world)) is Refusal.REWARD_LIMIT
    world.posted(world.void(second.command_id))
    world.posted(aside(world))


def test_a_hold_whose_time_is_over_reserves_nothing_more() -> None:
    world = club({**CUP, "limit": {"count": 1, "per": "year"}})
    world.posted(aside(world, ttl_s=60))
    world.wait_until("2026-01-15T12:02")
    world.posted(world.sale(1_000, rewards=("cup",)))


def test_what_a_hold_has_promised_is_given_also_beyond_the_limit() -> None:
    world = club({**CUP, "limit": TWICE})
    holds = [world.posted(aside(world)) for _ in range(2)]
    world.rules = rules_of(rewards=[{**CUP, "limit": {"count": 1, "per": "month"}}])
    for hold in holds:
        paid = world.posted(world.capture(hold.command_id, basket(1_000)))
        assert [one.reward_id for one in paid.detail.rewards] == ["cup"]
    assert had(world, "cup") == 2


def test_a_reversed_sale_or_purchase_was_not_had() -> None:
    world = club(
        {**CUP, "limit": {"count": 1, "per": "ever"}}, {**EVENING, "limit": {"count": 1, "per": "ever"}}
    )
    for command in (world.sale(1_000, rewards=("cup",)), redeem(world)):
        posted = world.posted(command)
        world.posted(world.reverse(posted))
    world.posted(world.sale(1_000, rewards=("cup",)))
    world.posted(redeem(world))
    assert world.why(world.sale(1_000, rewards=("cup",))) is Refusal.REWARD_LIMIT
    assert world.why(redeem(world)) is Refusal.REWARD_LIMIT


def test_a_sale_is_reversed_however_long_ago_it_was() -> None:
    world = club({**CUP, "limit": {"count": 1, "per": "year"}})
    sale = world.posted(world.sale(1_000, rewards=("cup",)))
    world.wait_until("2027-06-20T12:00")
    world.posted(world.reverse(sale))
    assert had(world, "cup") == 0


def test_goods_that_come_back_were_had_all_the_same() -> None:
    world = club({**CUP, "limit": {"count": 1, "per": "ever"}, "stock": 1})
    sale = world.posted(world.sale(1_000, rewards=("cup",)))
    world.posted(world.all_back(sale))
    assert world.why(world.sale(1_000, rewards=("cup",))) is Refusal.REWARD_SOLD_OUT
    world.rules = rules_of(rewards=[{**CUP, "limit": {"count": 1, "per": "ever"}}])
    assert world.why(world.sale(1_000, rewards=("cup",))) is Refusal.REWARD_LIMIT


def test_sold_out_is_told_before_the_limit_and_points_before_both() -> None:
    both = {**CUP, "stock": 1, "limit": {"count": 1, "per": "ever"}}
    world = club(both)
    world.posted(world.sale(1_000, rewards=("cup",)))
    assert world.why(world.sale(1_000, rewards=("cup",))) is Refusal.REWARD_SOLD_OUT
    world.rules = rules_of(rewards=[{**both, "points": 1_000_000}])
    assert world.why(world.sale(1_000, rewards=("cup",))) is Refusal.INSUFFICIENT_POINTS


def test_a_counter_is_stored_with_the_entry_and_read_again() -> None:
    world = club({**CUP, "stock": 5})
    entry = world.posted(world.sale(1_000, rewards=("cup",)))
    assert [(one.coupon_id, one.discount_minor, one.token) for one in entry.detail.coupons] == [
        ("reward/cup", 0, "")
    ]
    assert detail_from_text(detail_to_text(entry.detail)) == entry.detail


def test_only_rewards_with_a_stock_have_a_counter_and_no_coupon_is_one() -> None:
    rules = rules_of(rewards=[CUP, {**EVENING, "stock": 3}])
    assert counters_of(rules, ["cup", "evening", "no such one"]) == ("reward/evening",)
    assert counters_of(None, ["cup"]) == ()
    assert is_counter("reward/evening")
    assert not is_counter("evening")
    assert find_coupon(rules, "reward/evening") is None


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("limit", [{"stock": 5}, {"limit": TWICE}, {}])
def test_a_till_gives_a_counted_reward_only_when_somebody_counts_it(
    limit: dict[str, Any], counted: bool
) -> None:
    world = club({**CUP, **limit})
    done = stand_in_sale(
        world.rules,
        basket=basket(1_000),
        origin=world.origin,
        tier_id="",
        spend=None,
        reward_ids=("cup",),
        available=100,
        assurance=Assurance.DEVICE_CODE,
        counted=counted,
    )
    if counted or not limit:
        assert isinstance(done, StandIn)
        assert done.burned_points == 10
    else:
        assert done == Refused(Refusal.REWARD_NEEDS_GATEWAY, (("reward_id", "cup"),))


STEPS = st.lists(
    st.sampled_from(["sell", "hold", "capture", "void", "reverse", "redeem", "wait"]), max_size=30
)


@given(steps=STEPS)
def test_nobody_ever_has_more_than_the_limit_or_the_stock_allows(steps: list[str]) -> None:
    limit = {"count": 3, "per": "year"}
    world = club({**CUP, "limit": limit, "stock": 4}, {**EVENING, "limit": limit, "stock": 4})
    holds: list[Entry] = []
    posted: list[Entry] = []
    for step in steps:
        match step:
            case "sell":
                posted += _try(world, world.sale(1_000, rewards=("cup",)))
            case "redeem":
                posted += _try(world, redeem(world))
            case "hold":
                holds += _try(world, aside(world))
            case "capture" if holds:
                posted += _try(world, world.capture(holds.pop().command_id, basket(1_000)))
            case "void" if holds:
                _try(world, world.void(holds.pop().command_id))
            case "reverse" if posted:
                _try(world, world.reverse(posted.pop()))
            case "wait":
                world.now = type(world.now)(world.now + 3_600_000)
        live = [entry for entry in posted if entry.detail.rewards]
        for reward in ("cup", "evening"):
            bought = sum(one.reward_id == reward for entry in live for one in entry.detail.rewards)
            assert bought <= 3
            assert had(world, reward) == bought


def _try(world: World, command: Any) -> list[Entry]:
    decision = world.do(command)
    return [] if isinstance(decision, Refused) else [decision.entry]  # type: ignore[union-attr]


def test_an_action_of_no_rule_set_is_refused_and_points_of_ones_own_are_not() -> None:
    world = club(CUP)
    unknown = Earn(world.new_id(), MEMBER, world.origin, 0, "review", action_id="review")
    assert world.why(unknown) is Refusal.ACTION_UNKNOWN
    assert -world.posted(world.earn(5)).moves.issued == 5
