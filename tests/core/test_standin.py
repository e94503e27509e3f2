"""A till decides with the same functions as the gateway, with less to go by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.advice import VerdictKind, verdict_of_entry
from tallystick.core.basket import Assurance
from tallystick.core.command import Authority, AuthorityKind, ReturnLine, SettleSale, Spend
from tallystick.core.entry import Refusal, Refused
from tallystick.core.standin import StandIn, stand_in_return, stand_in_sale
from tests.core.world import MEMBER, World, basket, line, rules_of

LEVELS = [{"id": "base", "from": 0}, {"id": "gold", "from": 5_000}]
TIERS = {"basis": "spend", "period": "calendar_year", "levels": LEVELS}
GOLD = {"id": "gold", "kind": "multiply", "by": "2", "tier": "gold"}
BASE = {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}


def stand_in(
    world: World, *lines: int, available: int = 0, tier: str = "", spend: int = 0
) -> StandIn | Refused:
    return stand_in_sale(
        world.rules,
        basket=basket(*lines),
        origin=world.origin,
        tier_id=tier,
        spend=Spend(spend) if spend else None,
        reward_ids=(),
        available=available,
        assurance=Assurance.DEVICE_CODE,
    )


def test_a_till_earns_what_the_gateway_would() -> None:
    world = World(rules_of())
    done = stand_in(world, 1_234)
    assert isinstance(done, StandIn)
    assert (done.earned_points, done.payable_minor) == (12, 1_234)


def test_a_till_burns_within_its_authority_and_no_further() -> None:
    world = World(rules_of())
    done = stand_in(world, 1_000, available=300, spend=300)
    assert isinstance(done, StandIn)
    assert (done.burned_points, done.discount_minor, done.payable_minor) == (300, 300, 700)
    no = stand_in(world, 1_000, available=299, spend=300)
    assert isinstance(no, Refused)
    assert no.reason is Refusal.INSUFFICIENT_POINTS


def test_a_till_goes_by_the_tier_that_it_knows() -> None:
    world = World(rules_of(earning={"rules": [BASE, GOLD]}, tiers=TIERS))
    plain, gold, odd = (stand_in(world, 1_000, tier=tier) for tier in ("base", "gold", "no such tier"))
    assert isinstance(plain, StandIn)
    assert isinstance(gold, StandIn)
    assert isinstance(odd, StandIn)
    assert (plain.earned_points, gold.earned_points, odd.earned_points) == (10, 20, 10)


@given(
    amounts=st.lists(st.integers(1, 50_000), min_size=1, max_size=5),
    balance=st.integers(0, 5_000),
    spend=st.integers(0, 500),
)
def test_what_a_till_says_is_what_the_gateway_posts(amounts: list[int], balance: int, spend: int) -> None:
    world = World(rules_of())
    if balance:
        world.posted(world.adjust(balance))
    done = stand_in(world, *amounts, available=min(balance, 500), spend=spend)
    if isinstance(done, Refused):
        return
    rights = (Authority(AuthorityKind.FLOOR, done.burned_points),) if done.burned_points else ()
    entry = world.posted(
        SettleSale(
            world.new_id(),
            MEMBER,
            world.origin,
            basket(*amounts),
            1,
            done.earned_points,
            done.burned_points,
            done.discount_minor,
            assurance=Assurance.DEVICE_CODE,
            authorities=rights,
            spend=Spend(spend) if spend else None,
        )
    )
    assert verdict_of_entry(entry).kind is VerdictKind.POSTED
    assert entry.detail.lines == done.detail.lines
    assert entry.detail.payable_minor == done.payable_minor


def test_a_till_previews_a_return_as_the_gateway_does_it() -> None:
    world = World(rules_of())
    world.posted(world.adjust(100))
    sale = world.posted(world.settle(line(1_000, quantity=3), burned=100, discount=100, earned=9))
    first = stand_in_return(sale.detail.lines, [], (ReturnLine(1, 1000),))
    assert not isinstance(first, Refused)
    posted = world.posted(world.give_back(sale, ReturnLine(1, 1000)))
    assert (first.taken_points, first.restored_points, first.refund_minor) == (
        posted.detail.due_points,
        posted.detail.restored_points,
        posted.detail.refund_minor,
    )
    rest = stand_in_return(sale.detail.lines, [posted.detail.returned], (ReturnLine(1, 2000),))
    assert not isinstance(rest, Refused)
    assert first.restored_points + rest.restored_points == 100
    over = stand_in_return(sale.detail.lines, [posted.detail.returned], (ReturnLine(1, 2001),))
    assert isinstance(over, Refused)
    assert over.reason is Refusal.OVER_RETURN
