"""Exact division, and tax that always adds up."""

from __future__ import annotations

import pytest

from tallystick.core.basket import TaxGroup
from tallystick.core.money import net_amounts, spread, spread_by_group, tax_of, tax_totals, unknown_tax_code
from tests.core.world import basket, line

FOOD, FULL = TaxGroup("food", 120_000), TaxGroup("full", 250_000)


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (10, [1, 2, 3], [2, 3, 5]),
        (1, [1, 1], [1, 0]),
        (1, [1, 2], [0, 1]),
        (100, [0, 50, 0, 50], [0, 50, 0, 50]),
        (7, [0, 0, 0], [7, 0, 0]),
        (0, [3, 4], [0, 0]),
        (5, [9], [5]),
        (0, [], []),
        (11, [3, 3, 3], [4, 4, 3]),
    ],
)
def test_the_largest_remainders_get_what_is_left(total: int, weights: list[int], shares: list[int]) -> None:
    assert spread(total, weights) == shares


def test_a_group_gets_what_its_own_total_calls_for() -> None:
    # Three of five equal parts are 1.8 of 3, so 2; line by line the first three would have had all of it.
    assert spread_by_group(3, [10, 10, 10, 10, 10], ["a", "a", "a", "b", "b"]) == [1, 1, 0, 1, 0]
    assert spread(3, [10, 10, 10, 10, 10]) == [1, 1, 1, 0, 0]
    assert spread_by_group(100, [100, 100, 100], ["a", "b", "a"]) == [34, 33, 33]
    assert spread_by_group(5, [1, 1], ["a", "a"]) == [3, 2]


@pytest.mark.parametrize(
    ("amount", "rate", "included", "tax"),
    [
        (12_500, 250_000, True, 2_500),
        (10_000, 250_000, False, 2_500),
        (100, 120_000, True, 11),
        (2, 250_000, False, 1),
        (1, 250_000, False, 0),
        (5, 1_000_000, True, 3),
        (100, 0, True, 0),
        (0, 250_000, True, 0),
    ],
)
def test_tax_is_rounded_half_up(amount: int, rate: int, included: bool, tax: int) -> None:
    assert tax_of(amount, rate, included=included) == tax


def test_tax_is_computed_once_for_each_group() -> None:
    goods = basket(*[line(33, tax="full")] * 3, line(100, tax="food"), line(7), groups=(FOOD, FULL))
    totals = tax_totals(goods, [0] * 5)
    assert [(t.code, t.net_minor, t.tax_minor, t.gross_minor) for t in totals] == [
        ("full", 79, 20, 99),
        ("food", 89, 11, 100),
        ("", 7, 0, 7),
    ]


def test_tax_comes_on_top_of_prices_without_it() -> None:
    goods = basket(line(100, tax="full"), groups=(FULL,), includes_tax=False)
    (total,) = tax_totals(goods, [10])
    assert (total.net_minor, total.tax_minor, total.gross_minor) == (90, 23, 113)


def test_net_amounts_of_lines_sum_to_the_net_of_their_group() -> None:
    goods = basket(*[line(33, tax="full")] * 3, line(100, tax="food"), groups=(FOOD, FULL))
    assert net_amounts(goods, [33, 33, 33, 100]) == [27, 26, 26, 89]
    assert net_amounts(basket(line(33), includes_tax=False), [33]) == [33]


def test_the_first_tax_code_without_a_group_is_named() -> None:
    assert unknown_tax_code(["food", "", "full", "none"], (FOOD,)) == "full"
    assert unknown_tax_code(["food", ""], (FOOD,)) is None
