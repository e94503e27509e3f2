"""What is no basket is said so before anything is sent, with the line and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tallystick_webshop import BadRequest, Basket, HoldRef, Line, Posting, ReturnLine, UpTo, new_id
from tallystick_webshop.basket import spend_to_pb

TAXES = {"std": 250_000}


def refused(*lines: Line, **more: Any) -> BadRequest:
    with pytest.raises(BadRequest) as raised:
        Basket(**{"currency": "EUR", "lines": lines or [Line("a", 1, 100)], "taxes": TAXES, **more})
    assert raised.value.mend
    return raised.value


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (Line("cap", 1, -500), "line 1 ('cap') costs -500"),
        (Line("cap", 1, 10**12 + 1), "costs 1000000000001"),
        (Line("cap", 1, 19.99), "costs 19.99"),  # type: ignore[arg-type]
        (Line("cap", 1, True), "costs True"),
        (Line("cap", 1, None), "costs None"),  # type: ignore[arg-type]
        (Line("cap", 0, 100), "quantity 0"),
        (Line("cap", -1, 100), "quantity -1"),
        (Line("cap", 10**6 + 1, 100), "quantity 1000001"),
        (Line("cap", 0.5, 100), "quantity 0.5"),  # type: ignore[arg-type]
        (Line("cap", Decimal("0.0001"), 100), "quantity Decimal('0.0001')"),
        (Line("cap", Decimal("1E+999999"), 100), "quantity Decimal('1E+999999')"),
        (Line("cap", Decimal("NaN"), 100), "quantity Decimal('NaN')"),
        (Line("", 1, 100), "no usable sku"),
        (Line("x" * 65, 1, 100), "no usable sku"),
        (Line(4711, 1, 100), "no usable sku"),  # type: ignore[arg-type]
        # Half an emoji, as what cuts UTF-16 leaves it.
        (Line("sock \ud83e", 1, 100), "no usable sku"),
        (Line("cap", 1, 100, categories="tea"), "has the categories 'tea'"),  # type: ignore[arg-type]
        (Line("cap", 1, 100, categories=("Women's clothing / Trousers & jeans",)), "has the categories"),
        (Line("cap", 1, 100, categories=("",)), "has the categories"),
        (Line("cap", 1, 100, categories=("a", "a")), "has the categories"),
        (Line("cap", 1, 100, categories=tuple("abcdefghi")), "has the categories"),
        (Line("cap", 1, 100, categories=(["tea"],)), "has the categories"),  # type: ignore[arg-type]
        (Line("cap", 1, 100, categories=(one for one in "ab")), "has the categories"),  # type: ignore[arg-type]
        (Line("cap", 1, 100, brand="x" * 65), "has the brand"),
        (Line("cap", 1, 100, tax="food"), "has the tax 'food', which the basket does not list"),
    ],
)
def test_a_line_that_no_shop_sells_is_refused_with_its_number(line: Line, says: str) -> None:
    assert says in str(refused(line))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"currency": "eur"}, "'eur' is no currency"),
        ({"currency": ""}, "is no currency"),
        ({"taxes": {"std": 25}, "lines": []}, "0 lines"),
        ({"lines": [Line("a", 1, 1)] * 501}, "501 lines"),
        ({"taxes": {"std": 0.25}}, "rate 0.25"),
        ({"taxes": {"std": 1_000_001}}, "rate 1000001"),
        ({"taxes": {f"t{n}": 0 for n in range(17)}}, "17 taxes"),
        ({"taxes": {25: 250_000}}, "tax '25' has no usable name"),
        ({"taxes": {"VAT 25 %": 250_000}}, "tax 'VAT 25 %' has no usable name"),
        ({"taxes": {"x" * 17: 250_000}}, "has no usable name"),
        ({"lines": [Line("a", 1, 10**12), Line("b", 1, 1)]}, "sum is too large"),
    ],
)
def test_a_basket_outside_its_limits_is_refused(more: dict[str, Any], says: str) -> None:
    assert says in str(refused(**more))


class Rows:
    """What a query of a web framework gives: it has a length, and its rows come as often as they are asked for."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)


def test_a_line_is_taken_as_a_shop_reads_it_from_its_database() -> None:
    """An article without a brand has None there."""
    plain = Line("cap", 1, 100, categories=None, brand=None)  # type: ignore[arg-type]
    read = Line("tea", 1, 100, categories=Rows("drinks", "tea"))  # type: ignore[arg-type]
    lines = Basket("EUR", [plain, read], TAXES).to_pb().lines
    assert [(line.brand, list(line.categories)) for line in lines] == [("", []), ("", ["drinks", "tea"])]


def test_quantities_are_sent_in_thousandths() -> None:
    basket = Basket("EUR", [Line("a", 3, 1), Line("b", Decimal("0.532"), 1)], TAXES)
    assert [line.quantity_milli for line in basket.to_pb().lines] == [3000, 532]


@pytest.mark.parametrize("points", [-1, 1.5, True, "all", UpTo(0), UpTo(-5), 10**15 + 1])
def test_points_that_cannot_be_spent_are_refused(points: Any) -> None:
    with pytest.raises(BadRequest, match="'max'"):
        spend_to_pb(points)


@pytest.mark.parametrize(
    "line", [ReturnLine(0, quantity=1), ReturnLine(1), ReturnLine(1, quantity=1, amount_minor=1)]
)
def test_a_return_line_says_which_and_how_much(line: ReturnLine) -> None:
    with pytest.raises(BadRequest, match="comes back"):
        line.to_pb()


def test_a_price_is_corrected_by_an_amount_above_nothing() -> None:
    assert ReturnLine(2, amount_minor=50).to_pb().amount_minor == 50
    with pytest.raises(BadRequest, match="gives back 0"):
        ReturnLine(2, amount_minor=0).to_pb()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"format":"tallystick-posting/2","kind":"sale","request":{}}',
        '{"format":"tallystick-posting/1","kind":"gift","request":{}}',
        '{"format":"tallystick-posting/1","kind":"sale","request":{"prize":1}}',
        "[" * 5000,
        "x" * 400_001,
    ],
)
def test_what_is_no_posting_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="posting"):
        Posting.from_json(text)


def test_a_posting_is_the_same_after_it_was_stored() -> None:
    basket = Basket("EUR", [Line("å", 1, 100, categories=("tea",), brand="b")], TAXES)
    claim_id = new_id()
    for posting in (
        Posting.sale(
            new_id(), new_id(), basket, order="1", at=None, points="max", rewards=["r"], coupons=["C"]
        ),
        Posting.capture(new_id(), HoldRef(new_id(), new_id()), basket, order="2", at=None),
        Posting.claim(claim_id, basket, order="3", at=None),
    ):
        again = Posting.from_json(posting.to_json())
        assert (again, again.id) == (posting, posting.id)
    assert posting.id == claim_id


def test_an_order_number_that_is_too_long_and_a_time_without_a_zone_are_refused() -> None:
    from datetime import datetime

    basket = Basket("EUR", [Line("a", 1, 100)], TAXES)
    with pytest.raises(BadRequest, match="65 characters"):
        Posting.sale(new_id(), new_id(), basket, order="x" * 65, at=None)
    with pytest.raises(BadRequest, match="time zone"):
        Posting.sale(new_id(), new_id(), basket, order="1", at=datetime(2026, 1, 1))  # noqa: DTZ001
