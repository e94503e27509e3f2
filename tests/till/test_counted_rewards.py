"""Rewards that only the gateway can count, at a till whose line is up or down."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick_till.errors import SaleRefused
from tests.till.world import World

COFFEE = {"id": "free-coffee", "kind": "free_item", "points": 50, "category": ["coffee"]}
MUG = {"id": "mug", "kind": "money_off", "points": 100, "amount_minor": 500, "stock": 20}
ONCE = {
    "id": "once",
    "kind": "money_off",
    "points": 60,
    "amount_minor": 300,
    "limit": {"count": 1, "per": "year"},
}
EVENING = {"id": "evening", "kind": "experience", "points": 70}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, rewards=[COFFEE, MUG, ONCE, EVENING])


def offered(world: World) -> set[str]:
    found = world.till.identify("9900000000000010", source="camera")
    return {reward.reward_id for reward in found.member.rewards}  # type: ignore[union-attr]


def test_a_till_whose_line_is_down_offers_what_nobody_counts(world: World) -> None:
    world.meet()
    assert offered(world) == {"free-coffee"}


def test_a_till_that_can_ask_offers_what_is_counted_and_nothing_without_a_basket(world: World) -> None:
    world.line_up()
    world.meet()
    assert offered(world) == {"free-coffee", "mug", "once"}


@pytest.mark.parametrize("reward", ["mug", "once"])
def test_a_till_whose_line_is_down_refuses_what_is_counted_and_keeps_nothing(
    world: World, reward: str
) -> None:
    world.meet()
    quote = world.till.quote(world.ask(reward_ids=(reward,)))
    assert quote.refusal is not None
    assert quote.refusal.reason == "REWARD_NEEDS_GATEWAY"
    with pytest.raises(SaleRefused) as no:
        world.till.sale(world.ask(reward_ids=(reward,)))
    assert no.value.reason == "REWARD_NEEDS_GATEWAY"
    assert world.till.status().queued == 0
    assert world.till.sale(world.ask(reward_ids=("free-coffee",))).burned_points == 50, "the others are sold"


@pytest.mark.parametrize("reward", ["mug", "once"])
def test_a_till_that_can_ask_lets_the_gateway_count(world: World, reward: str) -> None:
    world.line_up()
    world.meet()
    quote = world.till.quote(world.ask(reward_ids=(reward,)))
    done = world.till.sale(world.ask(reward_ids=(reward,)))
    assert (quote.burned_points, quote.payable_minor) == (done.burned_points, done.payable_minor)
    assert [name for name in world.gateway.asked if name == "post_sale"]


def test_a_counted_reward_whose_answer_never_came_is_not_given_by_the_till_itself(world: World) -> None:
    world.line_up()
    world.meet()
    world.gateway.away = True
    with pytest.raises(SaleRefused) as no:
        world.till.sale(world.ask(reward_ids=("mug",)))
    assert no.value.reason == "REWARD_NEEDS_GATEWAY"


def test_an_experience_is_not_taken_within_a_sale(world: World) -> None:
    world.meet()
    with pytest.raises(SaleRefused) as no:
        world.till.sale(world.ask(reward_ids=("evening",)))
    assert no.value.reason == "REWARD_NOT_APPLICABLE"


def test_a_voucher_from_before_the_reward_was_counted_still_buys_it(world: World) -> None:
    world.meet()
    voucher = world.voucher(100, reward_id="mug")
    world.till.identify(voucher)
    done = world.till.sale(world.ask(voucher=voucher))
    assert (done.burned_points, done.discount_minor) == (100, 500)
