"""What the ledger says of an order, next to what the shop says of it."""

from __future__ import annotations

from tallystick.v1 import ledger_pb2
from tests.oscar.support.webshop import Order
from tests.web.support.shop import Card, Shop


def entry_of(shop: Shop, card: Card, number: str, kind: ledger_pb2.EntryKind.ValueType) -> ledger_pb2.Entry:
    """Return the one entry of a kind that an order has made."""
    (found,) = entries_of(shop, card, number, kind)
    return found


def entries_of(
    shop: Shop, card: Card, number: str, kind: ledger_pb2.EntryKind.ValueType
) -> list[ledger_pb2.Entry]:
    """Return the entries of a kind that an order has made."""
    return [
        entry
        for entry in shop.office.entries(card.member_id)
        if entry.origin.reference == number and entry.kind == kind
    ]


def net_by_rate(order: Order, rates_percent: tuple[int, ...]) -> dict[int, int]:
    """Return what the order says is left without tax, by tax rate; ``rates_percent`` are those of its lines."""
    nets: dict[int, int] = {}
    for rate, (_quantity, _before, _after, net) in zip(rates_percent, order.lines, strict=True):
        nets[rate] = nets.get(rate, 0) + net
    return nets


def net_due(order: Order, rates_percent: tuple[int, ...]) -> dict[int, int]:
    """Return the same as tax law has it: once on the total of each rate, rounded half up."""
    gross: dict[int, int] = {}
    for rate, (_quantity, _before, after, _net) in zip(rates_percent, order.lines, strict=True):
        gross[rate] = gross.get(rate, 0) + after
    return {
        rate: total - (2 * total * rate + 100 + rate) // (2 * (100 + rate)) for rate, total in gross.items()
    }
