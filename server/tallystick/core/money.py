"""Exact division of amounts: shares that always sum to the whole, and tax that always adds up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tallystick.core.basket import Basket, TaxGroup
from tallystick.core.entry import TaxTotal
from tallystick.core.ids import Minor

PPM = 1_000_000


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Divide ``total`` >= 0 over non-negative ``weights`` by largest remainder; the shares sum to ``total``.

    Ties go to the earlier share. No share exceeds its weight when ``total`` <= sum of weights. With weights that
    are all 0 everything goes to the first share.
    """
    whole = sum(weights)
    if len(weights) == 1:
        return [total]
    if whole == 0:
        return [total, *([0] * (len(weights) - 1))] if weights else []
    shares = [total * weight // whole for weight in weights]
    left = total - sum(shares)
    if left:
        remainders = [total * weight % whole for weight in weights]
        # Sorting is stable, also from the largest down: of equal remainders the earlier share comes first.
        for i in sorted(range(len(weights)), key=remainders.__getitem__, reverse=True)[:left]:
            shares[i] += 1
    return shares


def spread_by_group(total: int, amounts: Sequence[int], groups: Sequence[str]) -> list[int]:
    """Divide ``total`` over tax groups first and then over the lines of each, both by largest remainder.

    So a discount's part of each tax group is what the group's own total calls for, to the minor unit.
    """
    if len(set(groups)) <= 1:
        return spread(total, amounts)
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    shares = [0] * len(amounts)
    group_totals = [sum([amounts[i] for i in lines]) for lines in members.values()]
    for lines, part in zip(members.values(), spread(total, group_totals), strict=True):
        for i, share in zip(lines, spread(part, [amounts[i] for i in lines]), strict=True):
            shares[i] = share
    return shares


def tax_of(amount_minor: int, rate_ppm: int, *, included: bool) -> int:
    """Return the tax in or on an amount, rounded half up to the minor unit."""
    if included:
        return (2 * amount_minor * rate_ppm + PPM + rate_ppm) // (2 * (PPM + rate_ppm))
    return (2 * amount_minor * rate_ppm + PPM) // (2 * PPM)


def tax_totals(basket: Basket, discounts: Iterable[int]) -> tuple[TaxTotal, ...]:
    """Return each tax group after the lines' discounts, in the order of first appearance.

    Tax is computed once on the group's total, never per line, so that no cent is lost between them.
    """
    rates = {group.code: group.rate_ppm for group in basket.tax_groups}
    sums: dict[str, int] = {}
    for line, discount in zip(basket.lines, discounts, strict=True):
        sums[line.tax_code] = sums.get(line.tax_code, 0) + line.amount_minor - discount
    totals = []
    for code, amount in sums.items():
        tax = tax_of(amount, rates.get(code, 0), included=basket.prices_include_tax)
        net = amount - tax if basket.prices_include_tax else amount
        totals.append(TaxTotal(code, Minor(net), Minor(tax), Minor(net + tax)))
    return tuple(totals)


def net_amounts(basket: Basket, amounts: Sequence[int]) -> list[int]:
    """Return the amounts without tax: per line, but summing to the exact net of each tax group."""
    if not basket.prices_include_tax:
        return list(amounts)
    rates = {group.code: group.rate_ppm for group in basket.tax_groups}
    nets = [0] * len(amounts)
    for code in {line.tax_code for line in basket.lines}:
        lines = [i for i, line in enumerate(basket.lines) if line.tax_code == code]
        gross = [amounts[i] for i in lines]
        net = sum(gross) - tax_of(sum(gross), rates.get(code, 0), included=True)
        for i, share in zip(lines, spread(net, gross), strict=True):
            nets[i] = share
    return nets


def unknown_tax_code(lines_codes: Iterable[str], groups: Sequence[TaxGroup]) -> str | None:
    """Return the first tax code that no group of the basket names; the empty code means untaxed."""
    known = {group.code for group in groups}
    return next((code for code in lines_codes if code and code not in known), None)
