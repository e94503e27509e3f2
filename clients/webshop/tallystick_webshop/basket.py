"""Baskets as a shop knows them, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeGuard

from tallystick.core.basket import LINES_MAX, QUANTITY_MILLI_MAX
from tallystick.core.ids import AMOUNT_MINOR_MAX, POINTS_MAX
from tallystick.core.money import PPM
from tallystick.v1 import ledger_pb2, types_pb2
from tallystick_webshop.errors import BadRequest

MILLI = 1000

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_TAX_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_TAX_NAME_MAX = 16
_SKU_MAX = 64
_BRAND_MAX = 64
_CATEGORIES_MAX = 8
_CATEGORY_MAX = 32
_TAX_GROUPS_MAX = 16


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a basket.

    ``quantity`` is in pieces (or kilograms, litres): a whole number, or a Decimal with at most three decimals.
    ``amount_minor`` is the total of the line, not of one piece, in minor units (cents) after the shop's own
    promotions and before loyalty; with or without tax as the basket says; 0 to 10**12. ``tax`` names one of the
    basket's taxes, empty for none. Categories (at most 8 of 1 to 32 characters) and brand (at most 64) are what accrual
    rules look at.
    """

    sku: str
    quantity: int | Decimal
    amount_minor: int
    tax: str = "std"
    categories: tuple[str, ...] = ()
    brand: str = ""


@dataclass(frozen=True, slots=True)
class Article:
    """An article before it lies in a basket, told as the line would tell it."""

    sku: str
    categories: tuple[str, ...] = ()
    brand: str = ""


@dataclass(frozen=True, slots=True)
class Basket:
    """The lines of an order, 1 to 500. Line numbers in answers and returns count from 1 in this order.

    ``taxes`` are the rates by name in millionths: 250_000 is 25 %. Raises BadRequest when something breaks its rules,
    with the line and what to do about it.
    """

    currency: str
    lines: Sequence[Line]
    taxes: Mapping[str, int] = field(default_factory=dict)
    prices_include_tax: bool = True

    def __post_init__(self) -> None:
        if not _CURRENCY.fullmatch(str(self.currency)):
            raise BadRequest(f"'{self.currency}' is no currency", mend="use an ISO 4217 code such as 'EUR'")
        if not 1 <= len(self.lines) <= LINES_MAX:
            raise BadRequest(
                f"a basket of {len(self.lines)} lines",
                mend=f"send 1 to {LINES_MAX} lines; split a larger order",
            )
        if len(self.taxes) > _TAX_GROUPS_MAX:
            raise BadRequest(f"{len(self.taxes)} taxes", mend=f"a basket has at most {_TAX_GROUPS_MAX}")
        for name, rate_ppm in self.taxes.items():
            if not _is_text(name, _TAX_NAME_MAX) or not _TAX_NAME.fullmatch(name):
                raise BadRequest(
                    f"tax '{name}' has no usable name", mend="give 1 to 16 letters, digits, '.', '_' or '-'"
                )
            if not is_whole(rate_ppm) or not 0 <= rate_ppm <= PPM:
                raise BadRequest(
                    f"tax '{name}' has the rate {rate_ppm!r}", mend="give millionths: 250_000 is 25 %"
                )
        for number, line in enumerate(self.lines, 1):
            _check_line(number, line, self.taxes)
        if sum(line.amount_minor for line in self.lines) > AMOUNT_MINOR_MAX:
            raise BadRequest(
                "the basket's sum is too large", mend=f"it is at most {AMOUNT_MINOR_MAX} minor units"
            )

    def to_pb(self) -> types_pb2.Basket:
        """Return the message of the contract."""
        return types_pb2.Basket(
            currency_code=self.currency,
            prices_include_tax=self.prices_include_tax,
            tax_groups=[
                types_pb2.TaxGroup(code=code, rate_ppm=rate_ppm) for code, rate_ppm in self.taxes.items()
            ],
            lines=[
                types_pb2.Line(
                    sku=line.sku,
                    quantity_milli=quantity_milli(line.quantity),
                    amount_minor=line.amount_minor,
                    tax_code=line.tax,
                    categories=line.categories,
                    brand=line.brand,
                )
                for line in self.lines
            ],
        )


@dataclass(frozen=True, slots=True)
class ReturnLine:
    """What comes back of one line of a sale: a ``quantity`` of goods, or ``amount_minor`` for a corrected price.

    Exactly one of the two. ``line_no`` counts from 1 in the basket that was sold.
    """

    line_no: int
    quantity: int | Decimal | None = None
    amount_minor: int | None = None

    def to_pb(self) -> ledger_pb2.ReturnLine:
        """Return the message of the contract. Raises BadRequest."""
        if not is_whole(self.line_no) or not 1 <= self.line_no <= LINES_MAX:
            raise BadRequest(f"line {self.line_no!r} comes back", mend="lines count from 1")
        if (self.quantity is None) == (self.amount_minor is None):
            raise BadRequest(f"line {self.line_no} comes back", mend="give either quantity or amount_minor")
        if self.quantity is not None:
            milli = quantity_milli(self.quantity, where=f"line {self.line_no}")
            return ledger_pb2.ReturnLine(line_no=self.line_no, quantity_milli=milli)
        amount_minor = self.amount_minor
        if not is_whole(amount_minor) or not 1 <= amount_minor <= AMOUNT_MINOR_MAX:
            raise BadRequest(
                f"line {self.line_no} gives back {amount_minor!r}",
                mend=f"amount_minor is 1 to {AMOUNT_MINOR_MAX} minor units",
            )
        return ledger_pb2.ReturnLine(line_no=self.line_no, amount_minor=amount_minor)


@dataclass(frozen=True, slots=True)
class UpTo:
    """As many points as the balance, the rules and the basket allow, at most ``points``, possibly none."""

    points: int


Points = int | UpTo | str | None
"""How many points to burn: exactly that many, UpTo(n), "max", or None (as 0) for none."""


def spend_to_pb(points: Points) -> types_pb2.Spend | None:
    """Return the spend of the contract, None for none. Raises BadRequest."""
    if points is None or points == 0:
        return None
    if points == "max":
        return types_pb2.Spend(points_max=POINTS_MAX)
    number = points.points if isinstance(points, UpTo) else points
    if not is_whole(number) or not 1 <= number <= POINTS_MAX:
        raise BadRequest(
            f"{number!r} points", mend="give a whole number above 0, UpTo(number), 'max', or None for none"
        )
    return types_pb2.Spend(points_max=number) if isinstance(points, UpTo) else types_pb2.Spend(points=number)


def quantity_milli(quantity: int | Decimal, *, where: str = "a line") -> int:
    """Return a quantity in thousandths. Raises BadRequest."""
    if isinstance(quantity, Decimal) and quantity.is_finite():
        # Scaling could not leave the range by accident: a Decimal of a huge exponent is refused before it is unfolded.
        scaled = quantity * MILLI if quantity.adjusted() < 12 else Decimal(0)
        milli = int(scaled) if scaled == scaled.to_integral_value() else 0
    else:
        milli = quantity * MILLI if isinstance(quantity, int) and not isinstance(quantity, bool) else 0
    if not 1 <= milli <= QUANTITY_MILLI_MAX:
        raise BadRequest(
            f"{where} has the quantity {quantity!r}",
            mend="give a whole number above 0 and at most 10**6, or a Decimal with at most three decimals",
        )
    return milli


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a whole number, which True is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _check_line(number: int, line: Line, taxes: Mapping[str, int]) -> None:
    where = f"line {number} ({line.sku!r:.80})"
    if not line.sku or not _is_text(line.sku, _SKU_MAX):
        raise BadRequest(f"line {number} has no usable sku", mend=f"give text of 1 to {_SKU_MAX} characters")
    quantity_milli(line.quantity, where=where)
    if not is_whole(line.amount_minor) or not 0 <= line.amount_minor <= AMOUNT_MINOR_MAX:
        raise BadRequest(
            f"{where} costs {line.amount_minor!r}",
            mend=f"amount_minor is the line's total in minor units, a whole number from 0 to {AMOUNT_MINOR_MAX}; "
            "take a discount off its lines instead of sending a negative one",
        )
    if line.tax and line.tax not in taxes:
        raise BadRequest(
            f"{where} has the tax '{line.tax}', which the basket does not list",
            mend=f"give Basket(taxes={{'{line.tax}': 250_000}}), or tax='' for a line without tax",
        )
    # What a shop's database has no value for is None there, and is sent as none.
    if line.categories and not _are_categories(line.categories):
        raise BadRequest(
            f"{where} has the categories {line.categories!r:.80}",
            mend=f"give a tuple of at most {_CATEGORIES_MAX} different texts of 1 to {_CATEGORY_MAX} characters",
        )
    if line.brand and not _is_text(line.brand, _BRAND_MAX):
        raise BadRequest(
            f"{where} has the brand {line.brand!r:.80}", mend=f"give text of at most {_BRAND_MAX} characters"
        )


def _are_categories(given: object) -> bool:
    # A text alone would be taken letter by letter, and what has no length is gone when it is sent for the second time.
    if isinstance(given, str) or not isinstance(given, Sized) or not isinstance(given, Iterable):
        return False
    if len(given) > _CATEGORIES_MAX or not all(one and _is_text(one, _CATEGORY_MAX) for one in given):
        return False
    return len(set(given)) == len(given)


def _is_text(value: object, longest: int) -> bool:
    """Whether it is text that can be sent: half a pair of UTF-16 cannot."""
    if not isinstance(value, str) or len(value) > longest:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
