"""Goods of sales, kept beside the ledger as long as a segment asks about them.

They are written by the transaction that writes the sale's entry: a sale's goods are there once or, like the sale, not
at all. The ledger keeps none: it keeps everything for ever, and what a person has bought must be able to go.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.core.basket import Basket, Line
from tallystick.core.command import Capture, Command, Sale, SettleSale
from tallystick.core.compact import from_compact, to_compact
from tallystick.core.entry import Entry, EntryKind
from tallystick.core.rules.segment import GoodsFact, line_of
from tallystick.service.segment_ports import Purchase

_SOLD = (EntryKind.SALE, EntryKind.CAPTURE)


def purchases_of(command: Command, entries: Sequence[Entry]) -> list[Purchase]:
    """Return the goods of the sale that a command has posted; none when it posted no sale of goods."""
    if not isinstance(command, (Sale, Capture, SettleSale)) or command.basket is None:
        return []
    goods = goods_to_text(command.basket)
    return [
        Purchase(entry.member_id, entry.seq, entry.origin.occurred_ms, goods)
        for entry in entries
        if entry.kind in _SOLD and entry.command_id == command.command_id
    ]


def goods_to_text(basket: Basket) -> str:
    """Return the goods of a basket: (sku, brand, categories), each kind once."""
    kinds = dict.fromkeys((line.sku, line.brand, line.categories) for line in basket.lines)
    return to_compact(tuple(kinds))


def goods_fact(purchase: Purchase) -> GoodsFact:
    """Return a sale's goods as segments look at them."""
    lines: list[Line] = [line_of(*row) for row in from_compact(purchase.goods)]
    return GoodsFact(purchase.at_ms, tuple(lines))
