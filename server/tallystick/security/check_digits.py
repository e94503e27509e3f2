"""Check digits of GS1 and ISO/IEC 7812, and how to tell a payment card number.

Computed here, because the common libraries take a GSRN with a wrong check digit.
"""

GSRN_DIGITS = 18
EAN13_DIGITS = 13
PAYMENT_CARD_DIGITS_MIN = 13
PAYMENT_CARD_DIGITS_MAX = 19

# Issuer ranges of the payment networks (ISO/IEC 7812 numbers as the networks publish them): lowest and
# highest leading digits, and the lengths in use.
_SIXTEEN = frozenset({16})
_PAYMENT_RANGES: tuple[tuple[str, str, frozenset[int]], ...] = (
    ("1", "1", frozenset({15})),  # UATP; JCB 1800
    ("2131", "2131", frozenset({15})),  # JCB
    ("2200", "2204", frozenset(range(16, 20))),  # Mir
    ("2221", "2720", _SIXTEEN),  # Mastercard
    ("300", "305", frozenset(range(14, 20))),  # Diners Club
    ("3095", "3095", frozenset(range(14, 20))),  # Diners Club
    ("34", "34", frozenset({15})),  # American Express
    ("3528", "3589", frozenset(range(16, 20))),  # JCB
    ("36", "36", frozenset(range(14, 20))),  # Diners Club
    ("37", "37", frozenset({15})),  # American Express
    ("38", "39", frozenset(range(14, 20))),  # Diners Club
    ("4", "4", frozenset({13, 16, 19})),  # Visa
    ("50", "50", frozenset(range(13, 20))),  # Maestro, Elo, Verve, Aura
    ("51", "55", _SIXTEEN),  # Mastercard
    ("56", "58", frozenset(range(13, 20))),  # Maestro
    ("6", "6", frozenset(range(13, 20))),  # Maestro, Discover, UnionPay, RuPay, Elo, Hipercard
    ("81", "82", frozenset(range(16, 20))),  # UnionPay, RuPay
    ("8600", "8600", _SIXTEEN),  # Uzcard
    ("9792", "9792", _SIXTEEN),  # Troy
    ("9860", "9860", _SIXTEEN),  # Humo
)


def gs1_check_digit(body: str) -> str:
    """The check digit of `body` (GS1 General Specifications 7.9.1: weights 3, 1, 3 from the right)."""
    _require_digits(body)
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(body)))
    return str(-total % 10)


def luhn_check_digit(body: str) -> str:
    """The check digit of `body` (ISO/IEC 7812-1 annex B: from the right, each second digit doubled)."""
    _require_digits(body)
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def gsrn_with_check_digit(body: str) -> str:
    """The GSRN (GS1 AI 8018, 18 digits) of a company prefix and service reference of 17 digits together.

    ValueError for anything but 17 digits. In the ranges of Maestro, Discover and UnionPay (first digits 50,
    56 to 58, 6) one in ten looks like a payment card number when typed; leave out those for which
    `looks_like_payment_card` is true.
    """
    _require_digits(body, GSRN_DIGITS - 1)
    return body + gs1_check_digit(body)


def ean13_with_check_digit(body: str) -> str:
    """The EAN-13 of 12 digits. ValueError for anything but 12 digits."""
    _require_digits(body, EAN13_DIGITS - 1)
    return body + gs1_check_digit(body)


def has_gs1_check_digit(digits: str) -> bool:
    """Whether the last digit of `digits` (at least two) is the GS1 check digit of the others."""
    return gs1_check_digit(digits[:-1]) == digits[-1]


def mod11_check_character(body: str) -> str:
    """The check character of `body` (ISO/IEC 7064 MOD 11-2): a digit, or X for ten."""
    _require_digits(body)
    rest = 0
    for digit in body:
        rest = (rest + int(digit)) * 2 % 11
    value = (12 - rest) % 11
    return "X" if value == 10 else str(value)


def holds_check(check: str, text: str) -> bool:
    """Whether the last character of `text` is right by `check`: `none`, `gs1`, `luhn` or `mod11`.

    Text that the check cannot be computed of does not hold it.
    """
    if check == "none":
        return True
    body, last = text[:-1], text[-1:]
    if not body.isascii() or not body.isdigit():
        return False
    computed = {"gs1": gs1_check_digit, "luhn": luhn_check_digit, "mod11": mod11_check_character}[check]
    return computed(body) == last


def has_luhn_check_digit(digits: str) -> bool:
    """Whether the last digit of `digits` (at least two) is the Luhn check digit of the others."""
    return luhn_check_digit(digits[:-1]) == digits[-1]


def looks_like_payment_card(digits: str) -> bool:
    """Whether `digits` has the length, the issuer range and the check digit of a payment card number.

    True means: do not keep, log or echo it (PCI DSS requirement 3).
    """
    if not PAYMENT_CARD_DIGITS_MIN <= len(digits) <= PAYMENT_CARD_DIGITS_MAX:
        return False
    if not has_luhn_check_digit(digits):
        return False
    return any(
        len(digits) in lengths and low <= digits[: len(low)] <= high for low, high, lengths in _PAYMENT_RANGES
    )


def _require_digits(text: str, count: int | None = None) -> None:
    if not text or not text.isascii() or not text.isdigit() or count not in (None, len(text)):
        raise ValueError("expected digits only" if count is None else f"expected {count} digits")
