"""Check digits against published numbers."""

from collections.abc import Callable

import pytest

from tallystick.security import check_digits


@pytest.mark.parametrize(
    "number",
    ["4006381333931", "5901234123457", "6291041500213", "2012345678903", "9780306406157", "00012345600012"],
)
def test_published_gs1_numbers_have_their_check_digit(number: str) -> None:
    assert check_digits.has_gs1_check_digit(number)


@pytest.mark.parametrize("number", ["79927398713", "4111111111111111", "378282246310005", "18"])
def test_published_luhn_numbers_have_their_check_digit(number: str) -> None:
    assert check_digits.has_luhn_check_digit(number)


@pytest.mark.parametrize("make", [check_digits.gs1_check_digit, check_digits.luhn_check_digit])
def test_every_single_wrong_digit_is_found(make: Callable[[str], str]) -> None:
    body = "95012345678901234"
    number = body + make(body)
    for place in range(len(number)):
        for digit in "0123456789":
            wrong = number[:place] + digit + number[place + 1 :]
            assert (make(wrong[:-1]) == wrong[-1]) is (wrong == number)


def test_a_gsrn_is_17_digits_and_its_check_digit() -> None:
    # 3 * (1+3+5+7+9+1+3+5+7) + (2+4+6+8+0+2+4+6) = 155, and 5 more make 160.
    assert check_digits.gsrn_with_check_digit("12345678901234567") == "123456789012345675"


def test_an_ean13_is_12_digits_and_its_check_digit() -> None:
    assert check_digits.ean13_with_check_digit("201234567890") == "2012345678903"


@pytest.mark.parametrize(
    "body", ["", "1", "1" * 16, "1" * 18, "1234567890123456x", "\uff11" * 17, "\u00b2" * 17, "-" * 17]
)
def test_a_body_of_another_form_is_no_gsrn(body: str) -> None:
    with pytest.raises(ValueError, match="digits"):
        check_digits.gsrn_with_check_digit(body)


PUBLIC_TEST_CARDS = {
    "Visa": "4111111111111111",
    "Visa of 13 digits": "4222222222222",
    "Mastercard": "5555555555554444",
    "Mastercard of the 2 series": "2223003122003222",
    "American Express": "378282246310005",
    "Discover": "6011111111111117",
    "Diners Club": "30569309025904",
    "Diners Club 36": "36227206271667",
    "JCB": "3530111333300000",
    "UnionPay": "6200000000000005",
    "Maestro": "6759649826438453",
    "Mir": "2200000000000053",
}


@pytest.mark.parametrize("number", PUBLIC_TEST_CARDS.values(), ids=PUBLIC_TEST_CARDS.keys())
def test_the_published_test_cards_of_the_networks_look_like_payment_cards(number: str) -> None:
    assert check_digits.looks_like_payment_card(number)


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111112",  # wrong check digit
        "411111111111",  # too short
        "41111111111111111111",  # too long
        "0000000000000000",  # no issuer begins with 0
        "7000000000000005",  # nor with 7 in the payment networks
        "",
    ],
)
def test_other_numbers_do_not(number: str) -> None:
    assert not check_digits.looks_like_payment_card(number)
