"""Points that their member has locked: they are earned, they come back, and nothing new takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tallystick.core.basket import Basket
from tallystick.core.command import Authority, AuthorityKind, Command, RecallLeases, Spend
from tallystick.core.entry import EntryKind, Refusal
from tallystick.core.state import HoldStatus, MemberStatus
from tests.core.world import MEMBER, World, at, basket, rules_of

REWARDS = [{"id": "mug", "kind": "money_off", "points": 300, "amount_minor": 300}]


def rich(**parts: object) -> World:
    world = World(rules_of(rewards=REWARDS, **parts))
    world.posted(world.adjust(1_000))
    return world


def lock(world: World, status: MemberStatus = MemberStatus.LOCKED) -> None:
    world.state = replace(world.state, account=replace(world.account, status=status))


BURNS: dict[str, Callable[[World], Command]] = {
    "a sale that spends points": lambda w: w.sale(1_000, spend=Spend(100)),
    "a sale that spends what it can": lambda w: w.sale(1_000, spend=Spend(100, up_to=True)),
    "a sale with a reward": lambda w: w.sale(1_000, rewards=("mug",)),
    "a burn": lambda w: w.burn(100),
    "a hold": lambda w: w.hold(100),
    "a hold for a basket": lambda w: w.hold(100, basket=basket(1_000)),
    "a lease": lambda w: w.lease(),
    "a voucher": lambda w: w.voucher(100),
    "a voucher for a reward": lambda w: w.voucher(reward="mug"),
}


@pytest.mark.parametrize("what", BURNS)
def test_nothing_new_takes_locked_points_until_they_are_unlocked(what: str) -> None:
    world = rich()
    lock(world)
    no = world.refused(BURNS[what](world))
    assert (no.reason, no.details) == (Refusal.MEMBER_LOCKED, ())
    lock(world, MemberStatus.OPEN)
    world.posted(BURNS[what](world))


def test_earning_goes_on() -> None:
    world = rich()
    lock(world)
    assert world.posted(world.sale(1_000)).moves.active == 10
    assert world.posted(world.earn(5)).moves.active == 5
    assert world.posted(world.adjust(-15)).moves.active == -15


def test_a_sale_that_can_spend_nothing_is_a_sale_that_earns() -> None:
    world = World(rules_of())
    lock(world)
    assert world.posted(world.sale(1_000, spend=Spend(100, up_to=True))).moves.active == 10


def test_what_was_held_before_the_lock_is_captured_or_given_back() -> None:
    world = rich()
    first, second = world.posted(world.hold(100)), world.posted(world.hold(50))
    lock(world)
    assert world.posted(world.capture(first.hold_id)).moves.burned == 100
    assert world.posted(world.void(second.hold_id)).moves.active == 50


def test_a_capture_with_a_smaller_basket_gives_back_what_it_does_not_need() -> None:
    world = rich()
    hold = world.posted(world.hold(100))
    lock(world)
    captured = world.posted(world.capture(hold.hold_id, basket(40)))
    assert (captured.moves.burned, captured.moves.active) == (40, 60)


@pytest.mark.parametrize("final", [None, basket(1_000)], ids=["without a basket", "with one"])
def test_a_hold_that_ran_out_is_not_captured_anew_from_locked_points(final: Basket | None) -> None:
    world = rich(holds={"late_capture": "if_covered"})
    hold = world.posted(world.hold(100, ttl_s=60))
    lock(world)
    world.now = at("2026-01-16T12:00")
    assert world.why(world.capture(hold.hold_id, final)) is Refusal.MEMBER_LOCKED
    assert world.account.active == 1_000
    lock(world, MemberStatus.OPEN)
    assert world.posted(world.capture(hold.hold_id, final)).moves.burned == 100


def test_a_fact_is_posted_whatever_the_lock_says() -> None:
    world = rich()
    lease = world.posted(world.lease())
    lock(world)
    fact = world.posted(world.burned(Authority(AuthorityKind.LEASE, 200, lease.command_id)))
    assert fact.moves.burned == 200
    floor = world.posted(world.burned(Authority(AuthorityKind.FLOOR, 100)))
    assert (floor.moves.burned, floor.moves.store_loss) == (100, 0)


def test_goods_come_back_and_mistakes_are_undone() -> None:
    world = rich()
    sale = world.posted(world.sale(1_000, spend=Spend(100)))
    burn = world.posted(world.burn(100))
    lock(world)
    world.posted(world.all_back(sale))
    world.posted(world.reverse(burn))
    assert world.account.active == 1_000


def test_leases_are_recalled_and_given_back_from_locked_points() -> None:
    world = rich()
    lease = world.posted(world.lease())
    lock(world)
    recall = RecallLeases(world.new_id(), MEMBER, world.origin)
    assert world.posted(recall).kind is EntryKind.RECALL
    world.posted(world.give_lease_back(lease))
    assert [hold.status for hold in world.state.holds] == [HoldStatus.VOIDED]


def test_a_lock_is_the_last_reason_that_is_given() -> None:
    world = rich()
    lock(world)
    assert world.why(world.burn(2_000)) is Refusal.INSUFFICIENT_POINTS
    assert world.why(world.hold(100, ttl_s=10**6)) is Refusal.HOLD_TTL
    assert world.why(world.sale(1_000, rewards=("none",))) is Refusal.REWARD_UNKNOWN


def test_time_goes_on_for_locked_points() -> None:
    world = rich(expiry={"kind": "months", "months": 1})
    world.now = at("2026-02-10")
    world.posted(world.earn(200))
    lock(world)
    world.now = at("2026-03-01")
    assert world.why(world.burn(100)) is Refusal.MEMBER_LOCKED
    assert world.entries[-1].kind is EntryKind.EXPIRE
