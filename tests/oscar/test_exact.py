"""The discount on oscar's lines, with tax and without, whatever the amounts are."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oscar.support.django_shop import set_up_django

set_up_django()

from tallystick.core.basket import Basket as CoreBasket  # noqa: E402
from tallystick.core.basket import Line as CoreLine  # noqa: E402
from tallystick.core.basket import TaxGroup  # noqa: E402
from tallystick.core.command import ReturnLine  # noqa: E402
from tallystick.core.entry import LineShare, Refused, ReturnedLine  # noqa: E402
from tallystick.core.ids import Minor  # noqa: E402
from tallystick.core.money import spread_by_group, tax_totals  # noqa: E402
from tallystick.core.returns import return_effects  # noqa: E402
from tallystick_oscar import baskets, choice, returns  # noqa: E402
from tallystick_oscar.registry import RegistryMixin  # noqa: E402
from tallystick_webshop import BadRequest, Basket, Line  # noqa: E402

RATES = {"food": 70_000, "goods": 190_000}

lines = st.lists(
    st.tuples(st.sampled_from(sorted(RATES)), st.integers(1, 9), st.integers(1, 50_000)),
    min_size=1,
    max_size=12,
)


@given(lines, st.integers(0, 10_000))
def test_lines_without_tax_sum_to_the_tax_totals_of_the_quote(
    bought: list[tuple[str, int, int]], share: int
) -> None:
    amounts = [quantity * price for _tax, quantity, price in bought]
    discounts = spread_by_group(sum(amounts) * share // 10_000, amounts, [tax for tax, _q, _p in bought])
    core = CoreBasket(
        "EUR",
        tuple(
            CoreLine(f"s{i}", 1000, Minor(amount), tax_code=bought[i][0]) for i, amount in enumerate(amounts)
        ),
        tax_groups=tuple(TaxGroup(code, rate) for code, rate in RATES.items()),
    )
    totals = tax_totals(core, discounts)
    told = Basket(
        "EUR",
        [Line(f"s{i}", bought[i][1], amount, bought[i][0]) for i, amount in enumerate(amounts)],
        RATES,
    )
    own = [amount * 1_000_000 // (1_000_000 + RATES[bought[i][0]]) for i, amount in enumerate(amounts)]

    nets = baskets.net_of_lines(told, own, discounts, [(one.code, one.net_minor) for one in totals])

    for total in totals:
        places = [i for i, line in enumerate(told.lines) if line.tax == total.code]
        kept = sum(own[i] for i in places if not discounts[i])
        if all(discounts[i] for i in places):
            assert sum(nets[i] for i in places) == total.net_minor
        assert sum(nets[i] for i in places if not discounts[i]) == kept
    assert all(0 <= net <= amount - part for net, amount, part in zip(nets, amounts, discounts, strict=True))


def test_a_basket_comes_back_from_the_database_as_it_was() -> None:
    told = Basket("EUR", [Line("tea", 2, 780, "food", ("tea", "hot"), "Leaf")], RATES)
    assert baskets.from_json(baskets.to_json(told)) == Basket(
        "EUR", [Line("tea", Decimal(2), 780, "food", ("tea", "hot"), "Leaf")], RATES
    )


@given(st.integers(1, 9), st.integers(0, 100_000), st.data())
def test_pieces_taken_off_a_line_and_the_rest_are_the_whole(
    quantity: int, amount: int, data: st.DataObject
) -> None:
    pieces = data.draw(st.integers(0, quantity))
    line = Line("tea", quantity, amount)
    left = baskets.shrunk(line, pieces)
    assert (left.amount_minor if left else 0) + (amount * pieces // quantity) == amount
    assert (left is None) == (pieces == quantity)


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "5",
        [],
        {"points": "5"},
        {"points": -1},
        {"points": True},
        {"points": 10**16},
        {"rewards": "mug", "coupons": {"a": 1}},
        {"rewards": [1, "", "x" * 65]},
    ],
)
def test_a_session_that_was_tampered_with_chooses_nothing(stored: object) -> None:
    assert choice.from_json(stored) == choice.Choice()


def test_a_choice_keeps_at_most_what_the_gateway_takes() -> None:
    many = {"points": 7, "rewards": [f"r{i}" for i in range(50)], "coupons": ["A", "A", *"BCDEFG"]}
    kept = choice.from_json(many)
    assert (kept.points, len(kept.rewards), kept.coupons) == (7, 10, ("A", "B", "C", "D", "E"))


@pytest.mark.parametrize("amount", [Decimal("-0.01"), Decimal(10) ** 11])
def test_an_amount_out_of_range_is_refused(amount: Decimal) -> None:
    with pytest.raises(BadRequest):
        baskets.to_minor(amount, "EUR")


def test_a_price_with_more_decimals_than_its_currency_is_rounded_half_up() -> None:
    assert baskets.to_minor(Decimal("1.005"), "EUR") == 101
    assert baskets.to_minor(Decimal("100.5"), "JPY") == 101


def test_a_long_sku_keeps_its_beginning_and_stays_its_own() -> None:
    first, second = baskets.sku_of("a" * 80), baskets.sku_of("a" * 79 + "b")
    assert len(first) == len(second) == 64
    assert first != second
    assert baskets.sku_of("tea") == "tea"


def test_the_registry_takes_the_discount_off_both_prices_once() -> None:
    class Plain:
        def __init__(self, _line: object) -> None:
            self.discounts: list[Decimal] = []

        def discount(self, amount: Decimal, _quantity: int, *, incl_tax: bool, offer: object) -> None:
            assert incl_tax
            self.discounts.append(amount)

        @property
        def excl_tax(self) -> Decimal:
            return Decimal(0)

    class Registry(RegistryMixin, Plain):
        pass

    registry = Registry(None)
    registry.reward(Decimal("1.07"), Decimal("1.00"), 3, None)
    assert registry.discounts == [Decimal("1.07")]
    assert registry.excl_tax == Decimal("1.00")


@given(st.integers(1, 20), st.integers(1, 5_000), st.integers(0, 100), st.data())
def test_a_refund_reckoned_from_the_order_is_the_gateways(
    quantity: int, price: int, share: int, data: st.DataObject
) -> None:
    amount = quantity * price
    discount = amount * share // 100
    sold = [LineShare(Minor(amount), quantity * 1000, Minor(discount))]
    line = SimpleNamespace(
        quantity=quantity,
        line_price_before_discounts_incl_tax=Decimal(amount) / 100,
        line_price_incl_tax=Decimal(amount - discount) / 100,
    )
    before: list[tuple[ReturnedLine, ...]] = []
    gone = 0
    while gone < quantity:
        pieces = data.draw(st.integers(1, quantity - gone))
        effects = return_effects(sold, before, [ReturnLine(1, pieces * 1000)])
        assert not isinstance(effects, Refused)
        due, returned = effects
        mine = returns._due(line, gone + pieces, "EUR") - returns._due(line, gone, "EUR")
        assert mine == due.amount - due.discount
        before.append(returned)
        gone += pieces
