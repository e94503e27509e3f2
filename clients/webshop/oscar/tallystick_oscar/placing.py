"""Where an order comes to be: its sale is written with it, or neither is."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError, transaction
from django.shortcuts import redirect
from django.utils.translation import gettext

from tallystick_oscar import baskets, holds, outbox, sent_twice
from tallystick_oscar.choice import Choice, choose
from tallystick_oscar.models import Checkout, OrderSale
from tallystick_oscar.panel import forget_card
from tallystick_oscar.pricing import Priced, member_of
from tallystick_oscar.signals import hold_lost
from tallystick_webshop import BadRequest, HoldRef, ShopError, new_id
from tallystick_webshop import Posting as Intent

logger = logging.getLogger("tallystick_oscar")


class PlacementMixin:
    """For oscar's ``checkout.mixins.OrderPlacementMixin``: whatever view places or abandons an order."""

    def handle_order_placement(
        self, order_number: Any, user: Any, basket: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Make sure that the hold still lasts before the order is written."""
        priced: Priced | None = getattr(basket, "tallystick", None)
        if priced is not None:
            try:
                holds.ensure(basket, priced)
            except (ShopError, holds.Elsewhere) as error:
                logger.warning("Order %s: its hold is over and cannot be renewed: %s", order_number, error)
                hold_lost.send_robust(
                    sender=type(self), order_number=order_number, basket=basket, error=error
                )
                raise _unable(
                    gettext(
                        "Your payment took too long, and the points are no longer reserved. The order was not placed: "
                        "please look at the new total and order again."
                    )
                ) from error
        try:
            return super().handle_order_placement(order_number, user, basket, *args, **kwargs)  # type: ignore[misc]
        except (ValueError, DatabaseError):
            order = sent_twice.order_of(basket.pk)
            if order is None:
                raise
            # Another copy was quicker, as at a bank's page: its order is this one.
            sent_twice.lead_to(self.request, order)  # type: ignore[attr-defined]
            return redirect("checkout:thank-you")

    def handle_successful_order(self, order: Any) -> Any:
        """Use nothing on the next basket: what was chosen was for this one."""
        response = super().handle_successful_order(order)  # type: ignore[misc]
        session = self.request.session  # type: ignore[attr-defined]
        choose(session, Choice())
        sale = OrderSale.objects.filter(order=order).first()
        if sale is not None and sale.member_id is not None:
            forget_card(str(sale.member_id))
        return response

    def restore_frozen_basket(self) -> None:
        """Give the points back with the basket: every way out of a checkout without an order leads through here."""
        basket_id = self.checkout_session.get_submitted_basket_id()  # type: ignore[attr-defined]
        if basket_id and sent_twice.order_of(basket_id) is not None:
            # What was ordered stays so: a basket given back would be ordered again, under the same number.
            return
        checkout = holds.open_checkout(basket_id) if basket_id else None
        if checkout is not None:
            holds.give_back(checkout)
        super().restore_frozen_basket()  # type: ignore[misc]


class CreatorMixin:
    """For oscar's ``order.utils.OrderCreator``: the order and what listens to it are one transaction."""

    def place_order(self, basket: Any, *args: Any, **kwargs: Any) -> Any:
        with transaction.atomic():
            return super().place_order(basket, *args, **kwargs)  # type: ignore[misc]


def on_order_placed(order: Any, user: Any = None, **_more: Any) -> None:
    """Write the order's sale: a capture of its hold, an earning, or a guest's claim.

    Raises UnableToPlaceOrder, which undoes the order, when it bears a discount that no hold stands behind.
    """
    priced: Priced | None = getattr(order.basket, "tallystick", None)
    if priced is not None and priced.discount_minor:
        _write_capture(order, priced)
        return
    member_id = member_of(user)
    try:
        told = baskets.from_basket(order.basket)
        sale = OrderSale(
            order=order,
            sale_id=new_id(),
            member_id=member_id,
            basket_json=baskets.to_json(told),
            line_ids=_line_ids(order),
        )
        intent = (
            Intent.sale(str(sale.sale_id), member_id, told, order=str(order.number), at=order.date_placed)
            if member_id
            else None
        )
    except BadRequest as error:
        logger.warning("Order %s earns nothing: %s", order.number, error)
        return
    sale.save()
    if intent is not None:
        outbox.add(intent, sale=sale)


def _write_capture(order: Any, priced: Priced) -> None:
    checkout = Checkout.objects.filter(basket_id=order.basket_id, state=Checkout.State.HELD).first()
    if checkout is None or checkout.fingerprint != priced.fingerprint:
        raise _unable(
            gettext("The points of this order are not reserved. Please look at the total and order again.")
        )
    if tuple(checkout.line_discounts) != priced.line_discounts:
        raise _unable(gettext("The discount of this order is not the one that was reserved."))
    if not checkout.move(Checkout.State.PLACED, Checkout.State.HELD):
        raise _unable(gettext("The points of this order were given back meanwhile."))
    sale = OrderSale.objects.create(
        order=order,
        sale_id=new_id(),
        member_id=checkout.member_id,
        points=checkout.points,
        discount_minor=checkout.discount_minor,
        basket_json=checkout.basket_json,
        line_ids=_line_ids(order),
    )
    reference = HoldRef(str(checkout.hold_id), str(checkout.member_id))
    intent = Intent.capture(
        str(sale.sale_id), reference, priced.basket, order=str(order.number), at=order.date_placed
    )
    outbox.add(intent, sale=sale, checkout=checkout)


def _line_ids(order: Any) -> list[int]:
    """Return the keys of an order's lines; oscar makes them in the order of the basket."""
    return list(order.lines.order_by("pk").values_list("pk", flat=True))


def _unable(message: str) -> Exception:
    from oscar.apps.order.exceptions import UnableToPlaceOrder

    return UnableToPlaceOrder(message)
