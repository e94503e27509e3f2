"""Reserving what a customer is about to pay with, and giving it back."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from tallystick_oscar import baskets, conf, outbox
from tallystick_oscar.choice import Choice, from_json
from tallystick_oscar.gateway import calling
from tallystick_oscar.models import Checkout
from tallystick_oscar.pricing import Priced, priced_from_checkout
from tallystick_webshop import Away, BadRequest, HoldRef, Refused, ShopError, new_id
from tallystick_webshop import Posting as Intent

logger = logging.getLogger("tallystick_oscar")

ASKING_S = 30.0
"""After so long nobody waits for the answer to a hold any more: whoever asked for it has died."""

ALMOST_OVER_S = 5
"""A hold that ends so soon is made anew before an order is placed on it."""


class Elsewhere(Exception):
    """The basket is on its way through the checkout in another request."""


def hold(member_id: str, choice: Choice, basket: Any, priced: Priced) -> Checkout:
    """Reserve what ``priced`` was quoted for. Returns the hold when the gateway promises exactly that price.

    The hold's id is in the shop's database before the gateway is asked. Raises Elsewhere; Refused, Away or BadRequest
    when there is no hold; Refused with PRICE_CHANGED when the gateway would give another discount, or another tax: then
    nothing is reserved any more.
    """
    checkout = _claim(member_id, choice, basket, priced)
    try:
        with calling() as shop:
            held = shop.hold(
                str(checkout.hold_id),
                member_id,
                priced.basket,
                points=choice.points or None,
                rewards=choice.rewards,
                coupons=choice.coupons,
                ttl_s=conf.get("TALLYSTICK_HOLD_S"),
            )
    except (Refused, BadRequest):
        checkout.move(Checkout.State.DROPPED, *Checkout.OPEN)
        raise
    except ShopError:
        # Nobody knows whether points are reserved now.
        give_back(checkout)
        raise
    promised = _promised(priced, held.benefits)
    if not promised.costs_as(priced):
        give_back(checkout)
        raise Refused("PRICE_CHANGED", "the hold's discount is another one than the quote's")
    Checkout.objects.filter(pk=checkout.pk, state=Checkout.State.HOLDING).update(
        state=Checkout.State.HELD,
        points=promised.points,
        discount_minor=promised.discount_minor,
        line_discounts=list(promised.line_discounts),
        line_nets=list(promised.line_nets),
        expires_at=held.expires_at,
    )
    checkout.refresh_from_db()
    if checkout.state != Checkout.State.HELD:
        raise Away("the hold was given back meanwhile")
    return checkout


def _promised(quoted: Priced, benefits: Any) -> Priced:
    """Return the price that a hold promises, with the nets of lines that have no discount as they were quoted."""
    if quoted.basket.prices_include_tax and tuple(benefits.line_discounts) == quoted.line_discounts:
        nets = baskets.net_of_lines(
            quoted.basket,
            quoted.line_nets,
            benefits.line_discounts,
            [(one.code, one.net_minor) for one in benefits.tax_totals],
        )
    else:
        nets = list(quoted.line_nets)
    return Priced(
        quoted.fingerprint,
        quoted.basket,
        benefits.discount_minor,
        tuple(benefits.line_discounts),
        tuple(nets),
        benefits.burned_points,
        0,
    )


def open_checkout(basket_id: int) -> Checkout | None:
    """Return the checkout of a basket that is neither placed nor given back."""
    return Checkout.objects.filter(basket_id=basket_id, state__in=Checkout.OPEN).first()


def give_back(checkout: Checkout) -> bool:
    """Give the points back, now or as soon as the gateway can be reached; say whether they were still to give back.

    Never after the order was placed: of the two, the one that changes the state first wins.
    """
    with transaction.atomic():
        if not checkout.move(Checkout.State.DROPPED, *Checkout.OPEN):
            return False
        reference = HoldRef(str(checkout.hold_id), str(checkout.member_id))
        outbox.add(Intent.void(new_id(), reference, at=timezone.now()), checkout=checkout)
    return True


def ensure(basket: Any, priced: Priced) -> None:
    """Make sure that a hold stands behind a price: the one that was made for it, or a new one when its time is over.

    Raises what `hold` raises when the points are not there any more, or when nobody ever held them.
    """
    states = (Checkout.State.HELD, Checkout.State.LAPSED)
    made = Checkout.objects.filter(basket_id=basket.pk, state__in=states, fingerprint=priced.fingerprint)
    checkout = made.order_by("-created_at").first()
    if checkout is None or checkout.expires_at is None:
        raise Refused("HOLD_UNKNOWN", "the basket has no hold")
    lasts = checkout.expires_at > timezone.now() + timedelta(seconds=ALMOST_OVER_S)
    if checkout.state == Checkout.State.HELD and lasts:
        return
    logger.info("Hold %s ran out before its order was placed: asking for another one", checkout.hold_id)
    give_back(checkout)
    hold(str(checkout.member_id), from_json(checkout.choice_json), basket, priced_from_checkout(checkout))


def _claim(member_id: str, choice: Choice, basket: Any, priced: Priced) -> Checkout:
    """Write the hold down before it is asked for; one basket has one open checkout at a time."""
    left = open_checkout(basket.pk)
    if left is not None:
        fresh = left.created_at > timezone.now() - timedelta(seconds=ASKING_S)
        if fresh and left.state == Checkout.State.HOLDING:
            raise Elsewhere
        # What another try has left behind: its process died, or the customer came back from the payment.
        give_back(left)
    try:
        with transaction.atomic():
            return Checkout.objects.create(
                hold_id=new_id(),
                basket_id=basket.pk,
                member_id=member_id,
                fingerprint=priced.fingerprint,
                basket_json=baskets.to_json(priced.basket),
                choice_json=choice.to_json(),
            )
    except IntegrityError as error:
        raise Elsewhere from error
