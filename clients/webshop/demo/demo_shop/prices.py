"""Prices as German customers read them, tax included, at the two rates of its VAT."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from oscar.apps.partner import prices, strategy

RATES = {"food": Decimal("0.07"), "goods": Decimal("0.19")}
CENT = Decimal("0.01")


class Selector:
    """Gives every request the same strategy."""

    def strategy(self, request: Any = None, user: Any = None, **_kwargs: Any) -> Strategy:
        return Strategy(request)


class Strategy(strategy.UseFirstStockRecord, strategy.StockRequired, strategy.Structured):
    """The price in a stock record is the one on the label."""

    def get_rate(self, product: Any, _stockrecord: Any) -> Decimal:
        return RATES[product.get_product_class().slug]

    def pricing_policy(self, product: Any, stockrecord: Any) -> Any:
        if not stockrecord or stockrecord.price is None:
            return prices.Unavailable()
        rate = self.get_rate(product, stockrecord)
        excl_tax = (stockrecord.price / (1 + rate)).quantize(CENT, ROUND_HALF_UP)
        return prices.TaxInclusiveFixedPrice(
            currency=stockrecord.price_currency,
            excl_tax=excl_tax,
            tax=stockrecord.price - excl_tax,
            tax_code=product.get_product_class().slug,
        )

    def parent_pricing_policy(self, product: Any, children_stock: Any) -> Any:
        for child, stockrecord in children_stock:
            return self.pricing_policy(child, stockrecord)
        return prices.Unavailable()
