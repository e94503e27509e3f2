"""Whatever is in the basket: a checkout adds up to the minor unit, and bringing everything back restores everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from math import floor

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tallystick.core.basket import Assurance, Basket, Line, TaxGroup
from tallystick.core.command import Command, CouponRef, PlaceHold, ReturnLine, Spend
from tallystick.core.coupon import CouponUse
from tallystick.core.decide import NO_REFS, Refs, decide, refers_to
from tallystick.core.entry import Decision, Entry, Posted
from tallystick.core.ids import Minor
from tallystick.core.money import PPM
from tallystick.core.rules.model import RuleSet
from tests.core.world import MEMBER, World, check, rules_of

POINTS = 100_000
REWARDS = ("five", "tenth", "toy")
COUPONS = ("spring", "quarter", "gift")

PROGRAMS = [
    rules_of(
        earning={
            "amount": amount,
            "rounding": rounding,
            "rules": [
                {"id": "base", "kind": "per_amount", "points": 3, "per_minor": 700},
                {"id": "toys", "kind": "multiply", "by": "1.5", "category": "toys"},
                {"id": "visit", "kind": "per_sale", "points": 5},
            ],
        },
        burning={
            "points": 3,
            "minor": 7,
            "share_max_percent": share,
            "assurance_caps": {"typed": "unlimited"},
        },
        rewards=[
            {"id": "five", "kind": "money_off", "points": 450, "amount_minor": 500},
            {"id": "tenth", "kind": "percent_off", "points": 101, "percent": 10},
            {"id": "toy", "kind": "free_item", "points": 77, "category": "toys"},
        ],
        coupons=[
            {"id": "spring", "kind": "money_off", "amount_minor": 333},
            {"id": "quarter", "kind": "percent_off", "percent": 25, "category": "toys"},
            {"id": "gift", "kind": "free_item", "sku": "B"},
        ],
        returns={"spent": "debt"},
    )
    for amount, rounding, share in [("gross", "down", 100), ("net", "half_up", 100), ("gross", "down", 60)]
]
TAXES = (TaxGroup("a", 250_000), TaxGroup("b", 120_000), TaxGroup("c", 60_001), TaxGroup("zero", 0))

lines = st.builds(
    Line,
    sku=st.sampled_from("ABC"),
    quantity_milli=st.sampled_from([1, 250, 1000, 1001, 2000, 3000, 7000]),
    amount_minor=st.one_of(st.integers(0, 99), st.integers(0, 60_000)).map(Minor),
    tax_code=st.sampled_from(["", "a", "b", "c", "zero"]),
    categories=st.sampled_from([(), ("toys",)]),
)
baskets = st.builds(
    Basket,
    currency=st.just("EUR"),
    lines=st.lists(lines, min_size=1, max_size=6).map(tuple),
    prices_include_tax=st.booleans(),
    tax_groups=st.just(TAXES),
)


@dataclass
class Checkout(World):
    """A world in which the coupons of the next hold, and then of its capture, are known."""

    uses: Sequence[CouponUse] = field(default=())

    def do(self, command: Command) -> Decision:
        ref = refers_to(command)
        target = next((entry for entry in self.entries if ref and entry.command_id == ref), None)
        before = tuple(e for e in self.entries if target and e.reverses_seq == target.seq)
        refs = Refs(target, before) if target else NO_REFS
        outcome = decide(command, self.state, self.rules, refs, coupons=self.uses)
        self.state = outcome.state
        self.entries += outcome.entries
        check(self.state, self.entries)
        return outcome.decision


def placed(
    world: Checkout,
    goods: Basket,
    spend: Spend | None,
    rewards: tuple[str, ...],
    coupons: tuple[str, ...],
) -> Entry | None:
    """Hold what is asked for, without the coupons and rewards that do not fit; None when nothing is left."""
    world.uses = tuple(CouponUse(coupon_id, token=coupon_id) for coupon_id in coupons)
    refs = tuple(CouponRef(coupon_id, coupon_id) for coupon_id in coupons)
    hold = PlaceHold(
        world.new_id(), MEMBER, world.origin, 900, spend, rewards, goods, Assurance.DEVICE_CODE, refs
    )
    decision = world.do(hold)
    if isinstance(decision, Posted):
        return decision.entry
    if coupons:
        return placed(world, goods, spend, rewards, coupons[1:])
    if rewards:
        return placed(world, goods, spend, rewards[1:], ())
    return None


def sold(world: Checkout, goods: Basket, hold: Entry | None) -> Entry:
    """Capture the hold with the basket it was made for, or sell without one."""
    if hold is None:
        world.uses = ()
        return world.posted(world.sale_of(goods))
    world.uses = tuple(replace(use, reserved=True) for use in world.uses)
    sale = world.posted(world.capture(hold.hold_id, goods))
    assert [one.discount_minor for one in sale.detail.lines] == [
        one.discount_minor for one in hold.detail.lines
    ]
    world.uses = ()
    return sale


@settings(max_examples=300)
@given(
    rules=st.sampled_from(PROGRAMS),
    goods=baskets,
    spend=st.none() | st.integers(1, 60_000).map(lambda points: Spend(points, up_to=True)),
    rewards=st.lists(st.sampled_from(REWARDS), unique=True, max_size=3).map(tuple),
    coupons=st.lists(st.sampled_from(COUPONS), unique=True, max_size=2).map(tuple),
    data=st.data(),
)
def test_a_checkout_adds_up_and_a_return_of_everything_in_any_order_restores_everything(
    rules: RuleSet,
    goods: Basket,
    spend: Spend | None,
    rewards: tuple[str, ...],
    coupons: tuple[str, ...],
    data: st.DataObject,
) -> None:
    world = Checkout(rules)
    world.posted(world.adjust(POINTS))
    sale = sold(world, goods, placed(world, goods, spend, rewards, coupons))
    event(f"{len(sale.detail.coupons)} coupons, {len(sale.detail.rewards)} rewards")
    adds_up(goods, sale)
    asks = [
        ReturnLine(number, part)
        for number, line in enumerate(goods.lines, 1)
        for part in pieces(line.quantity_milli, data)
    ]
    refund = due = restored = 0
    for ask in data.draw(st.permutations(asks)):
        back = world.posted(world.give_back(sale, ask)).detail
        refund, due, restored = (
            refund + back.refund_minor,
            due + back.due_points,
            restored + back.restored_points,
        )
    shares = sale.detail.lines
    assert refund == sum(line.amount_minor for line in goods.lines) - sum(
        one.discount_minor for one in shares
    )
    assert (restored, due) == (sale.moves.burned, -sale.moves.issued)
    account = world.account
    assert (account.active, account.pending, account.held, account.debt) == (POINTS, 0, 0, 0)


def pieces(quantity_milli: int, data: st.DataObject) -> list[int]:
    """Cut a quantity into up to three parts."""
    if quantity_milli == 1:
        return [1]
    cuts = data.draw(st.lists(st.integers(1, quantity_milli - 1), unique=True, max_size=2).map(sorted))
    edges = [0, *cuts, quantity_milli]
    return [after - before for before, after in pairwise(edges)]


def adds_up(goods: Basket, sale: Entry) -> None:
    """Check the sums of a sale against figures that are computed in another way."""
    shares, detail = sale.detail.lines, sale.detail
    assert all(
        0 <= one.discount_minor <= line.amount_minor for one, line in zip(shares, goods.lines, strict=True)
    )
    points_worth = sum(
        int(value) for one in detail.explanations if one.code == "points_as_money" for _, value in one.args
    )
    rewards_worth = sum(one.discount_minor for one in detail.rewards)
    coupons_worth = sum(one.discount_minor for one in detail.coupons)
    assert sum(one.discount_minor for one in shares) == coupons_worth + rewards_worth + points_worth
    assert sum(one.burned_points for one in shares) == sale.moves.burned
    assert sum(one.earned_points for one in shares) == -sale.moves.issued
    rates = {group.code: group.rate_ppm for group in goods.tax_groups}
    assert {total.code for total in detail.tax_totals} == {line.tax_code for line in goods.lines}
    for total in detail.tax_totals:
        left = sum(
            line.amount_minor - one.discount_minor
            for line, one in zip(goods.lines, shares, strict=True)
            if line.tax_code == total.code
        )
        rate = Fraction(rates.get(total.code, 0), PPM)
        exact = left * rate / (1 + rate) if goods.prices_include_tax else left * rate
        assert total.tax_minor == floor(exact + Fraction(1, 2))
        assert total.net_minor + total.tax_minor == total.gross_minor
        assert left == (total.gross_minor if goods.prices_include_tax else total.net_minor)
    assert detail.payable_minor == sum(total.gross_minor for total in detail.tax_totals)
