"""The package tells the same sums as the core: one life of many baskets, through a server."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick_webshop import Basket, Line, Refused, ReturnLine, UpTo, new_id
from tests.webshop.street import TAXES, Street

lines = st.builds(
    Line,
    sku=st.sampled_from(["shirt", "tea", "cap"]),
    quantity=st.integers(1, 4),
    amount_minor=st.integers(0, 20_000),
    tax=st.sampled_from(["std", "food", ""]),
    categories=st.sampled_from([(), ("tea",)]),
)
baskets = st.builds(
    Basket,
    currency=st.just("EUR"),
    lines=st.lists(lines, min_size=1, max_size=5),
    taxes=st.just(TAXES),
    prices_include_tax=st.booleans(),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    basket=baskets,
    points=st.sampled_from(["max", UpTo(990), 0]),
    rewards=st.lists(st.sampled_from(["five-off", "free-tea"]), unique=True),
    coupons=st.sampled_from([[], ["spring-25"]]),
    data=st.data(),
)
def test_quote_hold_capture_and_returns_agree_to_the_minor_unit(
    street: Street,
    basket: Basket,
    points: str | UpTo | int,
    rewards: list[str],
    coupons: list[str],
    data: st.DataObject,
) -> None:
    shop, member_id = street.shop, street.member(10_000)
    try:
        quote = shop.quote(member_id, basket, points=points, rewards=rewards, coupons=coupons)
    except Refused as refused:
        assert refused.reason in {"REWARD_NOT_APPLICABLE", "COUPON_NOT_APPLICABLE"}  # noqa: PT017 (a way out)
        rewards = coupons = []
        quote = shop.quote(member_id, basket, points=points)
    assert sum(quote.line_discounts) == quote.discount_minor
    assert sum(quote.line_burned) == quote.burned_points
    assert sum(quote.line_earned) == quote.earned_points
    assert sum(one.gross_minor for one in quote.tax_totals) == quote.payable_minor
    assert [coupon.id for coupon in quote.coupons] == ["spring"] * len(coupons)
    if quote.burned_points or coupons:
        held = shop.hold(new_id(), member_id, basket, points=points, rewards=rewards, coupons=coupons)
        sale = shop.capture(new_id(), held, basket, order="3001")
    else:
        sale = shop.sell(new_id(), member_id, basket, order="3001")
    for name in ("discount_minor", "line_discounts", "tax_totals", "payable_minor", "earned_points"):
        assert getattr(sale, name) == getattr(quote, name)
    assert sale.balance_after == quote.balance_after
    pieces = [
        ReturnLine(n, quantity=1) for n, line in enumerate(basket.lines, 1) for _ in range(int(line.quantity))
    ]
    backs = [
        shop.give_back(new_id(), member_id, sale.sale_id, [piece])
        for piece in data.draw(st.permutations(pieces))
    ]
    goods_minor = sum(line.amount_minor for line in basket.lines)
    assert sum(back.refund_minor for back in backs) == goods_minor - sale.discount_minor
    assert sum(back.restored_points for back in backs) == sale.burned_points
    assert sum(back.taken_back_points for back in backs) == sale.earned_points
    balance = shop.balance(member_id)
    assert (balance.points, balance.held, balance.debt) == (10_000, 0, 0)
