"""What people type: exact amounts, lines, ids."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.cli.amounts import new_id, parse_amount, parse_line, show_amount
from tallystick.cli.output import CommandFailed

CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])


@given(st.integers(0, 10**12), CURRENCIES)
def test_an_amount_that_is_shown_can_be_typed_again(amount_minor: int, currency: str) -> None:
    shown = show_amount(amount_minor, currency).removesuffix(f" {currency}").replace(",", "")
    assert parse_amount(shown, currency) == amount_minor


@pytest.mark.parametrize(
    ("text", "currency", "amount_minor"),
    [
        ("12.5", "EUR", 1250),
        ("0.1", "EUR", 10),
        ("1200", "JPY", 1200),
        ("1.005", "KWD", 1005),
        ("8", "EUR", 800),
    ],
)
def test_amounts_are_exact_in_the_decimals_of_their_currency(
    text: str, currency: str, amount_minor: int
) -> None:
    assert parse_amount(text, currency) == amount_minor


@pytest.mark.parametrize("text", ["12.555", "-1", "NaN", "Infinity", "1e99", "twelve", "", "1,50"])
def test_what_is_no_amount_is_refused_with_a_mend(text: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        parse_amount(text, "EUR")
    assert refused.value.mend


def test_an_amount_that_is_too_large_is_told_so() -> None:
    with pytest.raises(CommandFailed) as caught:
        parse_amount("99999999999999999", "EUR")
    assert caught.value.mend == "it has at most 15 digits before the point"


def test_a_line_is_an_amount_or_an_article_with_quantity_amount_and_categories() -> None:
    assert (parse_line("12.50").sku, parse_line("12.50").amount) == ("item", "12.50")
    line = parse_line("beans:0.25:4.90:coffee,organic")
    assert (line.sku, line.quantity_milli, line.categories) == ("beans", 250, ("coffee", "organic"))
    with pytest.raises(CommandFailed, match="is not a line"):
        parse_line("beans:4.90")


def test_new_ids_are_version_7_and_in_the_order_of_their_making_over_time() -> None:
    made = [uuid.UUID(new_id()) for _ in range(100)]
    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    assert len(set(made)) == 100
