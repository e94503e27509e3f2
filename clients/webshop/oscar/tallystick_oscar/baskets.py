"""Oscar's baskets and orders as the gateway reads them: whole minor units, tax groups, one line for each line."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tallystick.core.currency import exponent
from tallystick.core.ids import AMOUNT_MINOR_MAX
from tallystick.core.money import spread
from tallystick_oscar import conf
from tallystick_webshop import BadRequest, Basket, Line

PPM = 1_000_000
SKU_MAX = 64
CATEGORIES_MAX = 8
CATEGORY_MAX = 32
TAX_CODE_MAX = 16

_NOT_IN_CODE = re.compile(r"[^A-Za-z0-9._-]")


def from_basket(basket: Any) -> Basket:
    """Return an oscar basket after oscar's own offers. Raises BadRequest when the gateway cannot take it."""
    known = bool(basket.is_tax_known)
    lines: list[Line] = []
    taxes: dict[str, int] = {}
    for line in basket.all_lines():
        code, rate_ppm = conf.load("TALLYSTICK_TAX")(line)
        if rate_ppm:
            if taxes.setdefault(code, rate_ppm) != rate_ppm:
                # One name, two rates: the rate tells them apart.
                code = f"{code[:8]}-{rate_ppm}"
                taxes[code] = rate_ppm
        else:
            code = ""
        price = line.line_price_incl_tax_incl_discounts if known else line.line_price_excl_tax_incl_discounts
        if price is None:
            raise BadRequest("a line has no price", mend="give its product a stock record with a price")
        lines.append(
            Line(
                sku=sku_of(line.stockrecord.partner_sku),
                quantity=line.quantity,
                amount_minor=to_minor(price, basket.currency),
                tax=code,
                categories=categories_of(line.product),
            )
        )
    return Basket(currency=basket.currency or "", lines=lines, taxes=taxes, prices_include_tax=known)


def tax_of(line: Any) -> tuple[str, int]:
    """Return the tax group of a line and its rate in millionths.

    The rate is the strategy's when that has one (``get_rate`` or ``rate``, as oscar's FixedRateTax does). Otherwise it
    is read off the unit price, to a tenth of a per cent; prices below about 10.00 are too coarse for that, and a shop
    with such prices names a function of its own in TALLYSTICK_TAX.
    """
    strategy = line.basket.strategy
    rate: Decimal | None = None
    if hasattr(strategy, "get_rate"):
        rate = strategy.get_rate(line.product, line.stockrecord)
    if rate is None:
        rate = getattr(strategy, "rate", None)
    if rate is None:
        incl, excl = line.unit_price_incl_tax, line.unit_price_excl_tax
        rate = round(incl / excl - 1, 3) if incl and excl else Decimal(0)
    rate_ppm = int((Decimal(rate) * PPM).to_integral_value(ROUND_HALF_UP))
    code = getattr(line.purchase_info.price, "tax_code", None) or f"{rate_ppm / 10_000:g}"
    return _NOT_IN_CODE.sub("-", str(code))[:TAX_CODE_MAX], rate_ppm


def sku_of(text: str) -> str:
    """Return a stock-keeping unit within the contract's length; longer ones keep their beginning and a checksum."""
    if len(text) <= SKU_MAX:
        return text
    return text[: SKU_MAX - 9] + "~" + hashlib.sha256(text.encode()).hexdigest()[:8]


def categories_of(product: Any) -> tuple[str, ...]:
    """Return the slugs of a product's categories and of those above them; a child has its parent's."""
    slugs: dict[str, None] = {}
    for category in product.get_categories().all():
        for one in category.get_ancestors_and_self():
            slugs[one.slug[:CATEGORY_MAX]] = None
    return tuple(slugs)[:CATEGORIES_MAX]


def to_minor(amount: Decimal, currency: str) -> int:
    """Return an amount in minor units, rounded half up where a price has more decimals than its currency."""
    minor = int((Decimal(amount) * 10 ** exponent(currency)).to_integral_value(ROUND_HALF_UP))
    if not 0 <= minor <= AMOUNT_MINOR_MAX:
        raise BadRequest("a line's amount is out of range", mend="sell it without rewards")
    return minor


def to_decimal(amount_minor: int, currency: str) -> Decimal:
    """Return minor units as oscar counts."""
    digits = exponent(currency)
    return Decimal(amount_minor).scaleb(-digits).quantize(Decimal(1).scaleb(-digits))


def to_json(basket: Basket) -> dict[str, Any]:
    """Return a basket for a column of the shop's database."""
    return {
        "currency": basket.currency,
        "prices_include_tax": basket.prices_include_tax,
        "taxes": dict(basket.taxes),
        "lines": lines_to_json(basket.lines),
    }


def lines_to_json(lines: Iterable[Line]) -> list[list[Any]]:
    """Return lines for a column of the shop's database."""
    return [
        [line.sku, str(line.quantity), line.amount_minor, line.tax, list(line.categories), line.brand]
        for line in lines
    ]


def from_json(value: dict[str, Any]) -> Basket:
    """Return a basket that `to_json` wrote."""
    return Basket(
        currency=value["currency"],
        prices_include_tax=value["prices_include_tax"],
        taxes=value["taxes"],
        lines=[
            Line(sku, Decimal(quantity), amount_minor, tax, tuple(categories), brand)
            for sku, quantity, amount_minor, tax, categories, brand in value["lines"]
        ],
    )


def fingerprint(*parts: object) -> str:
    """Return a digest of what a price depends on: equal digests, equal price."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def net_of_lines(
    basket: Basket, own_nets: Sequence[int], discounts: Sequence[int], totals: Iterable[tuple[str, int]]
) -> list[int]:
    """Return each line's price without tax after its discount, in minor units.

    ``totals`` are the net totals of the tax groups as the gateway answered them. A line without a discount keeps
    its own net; the rest of its group's total is spread over the others by what is left of each, by largest remainder.
    So the lines sum to exactly the totals of all groups that have a discount.
    """
    left = [line.amount_minor - part for line, part in zip(basket.lines, discounts, strict=True)]
    result = list(own_nets)
    for code, net in totals:
        group = [i for i, line in enumerate(basket.lines) if line.tax == code]
        places = [i for i in group if discounts[i]]
        rest = max(0, net - sum(own_nets[i] for i in group if not discounts[i]))
        for i, share in zip(places, spread(rest, [left[i] for i in places]), strict=True):
            result[i] = share
    return result


def less(basket: Basket, discounts: Sequence[int]) -> Basket:
    """Return a basket with a discount taken off each line."""
    lines = [
        replace(line, amount_minor=max(0, line.amount_minor - part))
        for line, part in zip(basket.lines, discounts, strict=True)
    ]
    return replace(basket, lines=lines)


def shrunk(line: Line, pieces: int) -> Line | None:
    """Return a line without some of its pieces, and without what was due for them; None when nothing is left."""
    quantity = Decimal(line.quantity)
    left = quantity - pieces
    if left <= 0:
        return None
    due = int(line.amount_minor * pieces // quantity)
    return replace(line, quantity=left, amount_minor=line.amount_minor - due)
