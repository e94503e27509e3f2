"""Baskets and spends of the contract as the core's, and back."""

from __future__ import annotations

from tallystick.core.basket import Basket, Line, TaxGroup
from tallystick.core.command import Spend
from tallystick.core.ids import Minor
from tallystick.v1 import types_pb2 as types


def basket_from_pb(basket: types.Basket) -> Basket:
    """Return the basket; line numbers are positions."""
    return Basket(
        basket.currency_code,
        tuple(
            [
                Line(
                    line.sku,
                    line.quantity_milli,
                    Minor(line.amount_minor),
                    line.tax_code,
                    tuple(line.categories) if line.categories else (),
                    line.brand,
                )
                for line in basket.lines
            ]
        ),
        basket.prices_include_tax,
        tuple([TaxGroup(group.code, group.rate_ppm) for group in basket.tax_groups]),
    )


def basket_to_pb(basket: Basket) -> types.Basket:
    """Return the basket as a message."""
    return types.Basket(
        currency_code=basket.currency,
        prices_include_tax=basket.prices_include_tax,
        tax_groups=[types.TaxGroup(code=group.code, rate_ppm=group.rate_ppm) for group in basket.tax_groups],
        lines=[
            types.Line(
                sku=line.sku,
                quantity_milli=line.quantity_milli,
                amount_minor=line.amount_minor,
                tax_code=line.tax_code,
                categories=line.categories,
                brand=line.brand,
            )
            for line in basket.lines
        ],
    )


def spend_from_pb(spend: types.Spend) -> Spend:
    """Return how many points to burn, exactly or at most."""
    if spend.HasField("points_max"):
        return Spend(spend.points_max, up_to=True)
    return Spend(spend.points)


def spend_to_pb(spend: Spend) -> types.Spend:
    """Return how many points to burn as a message."""
    return types.Spend(points_max=spend.points) if spend.up_to else types.Spend(points=spend.points)
