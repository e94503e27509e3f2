"""Goods that come back: oscar's order events become returns of the sale."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from tallystick_oscar import baskets, conf, outbox
from tallystick_oscar.gateway import calling
from tallystick_oscar.models import OrderSale, Posting
from tallystick_webshop import Away, Refused, ReturnEffects, ReturnLine, ShopError, new_id
from tallystick_webshop import Posting as Intent

logger = logging.getLogger("tallystick_oscar")


class EventHandlerMixin:
    """For oscar's ``order.processing.EventHandler``: a return or a cancelled order is told to the gateway.

    The posting is written in the transaction of the event, so there is never one without the other.
    """

    def create_shipping_event(
        self, order: Any, event_type: Any, lines: Any, line_quantities: Any, **kwargs: Any
    ) -> Any:
        with transaction.atomic():
            event = super().create_shipping_event(  # type: ignore[misc]
                order, event_type, lines, line_quantities, **kwargs
            )
            if event_type.code in conf.get("TALLYSTICK_RETURN_EVENTS"):
                return_lines(order, list(zip(lines, line_quantities, strict=True)))
        return event

    def handle_order_status_change(self, order: Any, new_status: str, note_msg: Any = None) -> None:
        with transaction.atomic():
            super().handle_order_status_change(order, new_status, note_msg)  # type: ignore[misc]
            if new_status in conf.get("TALLYSTICK_CANCEL_STATUSES"):
                sale = sale_of(order)
                if sale is not None:
                    return_rest(sale)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a return will do. ``effects`` is None when the gateway cannot be asked or knows no sale."""

    refund: Decimal
    currency: str
    effects: ReturnEffects | None
    notice: str = ""


def sale_of(order: Any) -> OrderSale | None:
    """Return what an order is to the program."""
    return OrderSale.objects.filter(order=order).first()


@transaction.atomic
def return_lines(order: Any, lines: Sequence[tuple[Any, int]]) -> Posting | None:
    """Write the return of some pieces of an order's lines into the present transaction; None when nothing is sold."""
    # Locked: a sale that is being replaced gives its new id to what was written before, and this is to have it too.
    sale = OrderSale.objects.select_for_update().filter(order=order).first()
    pieces = _pieces(lines)
    parts = _parts(sale, pieces)
    if sale is None or not parts:
        return None
    if sale.is_claim:
        return _return_claim(sale, pieces)
    intent = Intent.give_back(
        new_id(), str(sale.member_id), str(sale.sale_id), parts, order=str(order.number), at=timezone.now()
    )
    return outbox.add(intent, sale=sale)


def return_rest(sale: OrderSale) -> Posting | None:
    """Write the return of everything of an order that has not come back yet."""
    order = sale.order
    gone = returned_quantities(order)
    left = [(line, line.quantity - gone.get(line.pk, 0)) for line in order.lines.all()]
    return return_lines(order, [(line, quantity) for line, quantity in left if quantity > 0])


def returned_quantities(order: Any) -> dict[int, int]:
    """Return how many pieces of each line (by its key) have come back."""
    found: dict[int, int] = {}
    for event in order.shipping_events.filter(event_type__code__in=conf.get("TALLYSTICK_RETURN_EVENTS")):
        for part in event.line_quantities.all():
            found[part.line_id] = found.get(part.line_id, 0) + part.quantity
    return found


def preview(order: Any, lines: Sequence[tuple[Any, int]]) -> Preview:
    """Say what a return pays back in money, and what becomes of the points.

    The refund is reckoned from the order's own prices, as the gateway does: what is due for all pieces that came back
    so far, rounded down, less what was due before. When the gateway answers another amount, the notice says so.
    """
    refund = refund_of(order, lines)
    sale = sale_of(order)
    if sale is None or sale.is_claim:
        return Preview(refund, order.currency, None)
    try:
        with calling(patient=True) as shop:
            parts = _parts(sale, _pieces(lines))
            effects = shop.preview_return(str(sale.member_id), str(sale.sale_id), parts)
    except Away:
        return Preview(refund, order.currency, None, "away")
    except Refused as error:
        return Preview(
            refund, order.currency, None, "waits" if error.reason == "SALE_UNKNOWN" else str(error)
        )
    except ShopError as error:
        return Preview(refund, order.currency, None, str(error))
    return Preview(baskets.to_decimal(effects.refund_minor, order.currency), order.currency, effects)


def refund_of(order: Any, lines: Sequence[tuple[Any, int]]) -> Decimal:
    """Return what pieces of an order cost after all discounts, tax included; returns in parts sum to the whole."""
    gone = returned_quantities(order)
    minor = 0
    for line, quantity in lines:
        before = gone.get(line.pk, 0)
        minor += _due(line, before + quantity, order.currency) - _due(line, before, order.currency)
    return baskets.to_decimal(minor, order.currency)


def _due(line: Any, quantity: int, currency: str) -> int:
    """What is due for the first ``quantity`` pieces of a line: amount and discount are each rounded down."""
    gross = baskets.to_minor(line.line_price_before_discounts_incl_tax, currency)
    discount = gross - baskets.to_minor(line.line_price_incl_tax, currency)
    return gross * quantity // line.quantity - discount * quantity // line.quantity


def _pieces(lines: Sequence[tuple[Any, int]]) -> list[tuple[int, int]]:
    """Name lines by their keys: the numbers that the sale gives them move up when goods are taken off it."""
    return [(line.pk, quantity) for line, quantity in lines if quantity > 0]


def _parts(sale: OrderSale | None, pieces: Sequence[tuple[int, int]]) -> list[ReturnLine]:
    """Name pieces as the sale does. What the sale does not have came back before a guest claimed the rest."""
    places = {pk: place for place, pk in enumerate(sale.line_ids if sale else (), 1)}
    return [ReturnLine(places[pk], quantity) for pk, quantity in pieces if pk in places]


def _return_claim(sale: OrderSale, pieces: Sequence[tuple[int, int]]) -> Posting | None:
    """Goods of a guest's order come back before anybody claimed its points: only what is left can be claimed."""
    if not sale.claim_sent:
        take_off(sale, pieces)
        return None
    return outbox.add_cancel_claim(sale, pieces)


def claim_cancelled(sale: OrderSale, member_id: str, pieces: Sequence[tuple[int, int]]) -> None:
    """Go on when the gateway has no claim any more, or has said that ``member_id`` was faster.

    ``pieces`` are what came back: the key of the order's line, and a quantity.
    """
    if member_id:
        sale.member_id = member_id
        sale.save(update_fields=["member_id"])
        parts = _parts(sale, pieces)
        intent = Intent.give_back(
            new_id(), member_id, str(sale.sale_id), parts, order=str(sale.order.number), at=timezone.now()
        )
        outbox.add(intent, sale=sale)
        return
    # The ended claim's id is used up. What is left gets another one when the guest opens the link.
    sale.sale_id, sale.claim_sent = new_id(), False
    take_off(sale, pieces)


def take_off(sale: OrderSale, pieces: Sequence[tuple[int, int]]) -> None:
    """Take pieces, by the line's key and quantity, off an order that nobody has claimed."""
    gone = dict(pieces)
    basket = baskets.from_json(sale.basket_json)
    kept = [
        (pk, baskets.shrunk(line, gone.get(pk, 0)))
        for pk, line in zip(sale.line_ids, basket.lines, strict=True)
    ]
    left = [(pk, line) for pk, line in kept if line is not None]
    sale.line_ids = [pk for pk, _line in left]
    sale.basket_json = {
        **sale.basket_json,
        "lines": baskets.lines_to_json([line for _pk, line in left]),
    }
    sale.save()
