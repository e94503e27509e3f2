"""The points of an order that no member placed: a link, and whoever opens it first as a member has them."""

from __future__ import annotations

from typing import Any

from django.core import signing
from django.urls import reverse

from tallystick_oscar import baskets
from tallystick_oscar.gateway import calling
from tallystick_oscar.models import OrderSale
from tallystick_webshop import Claim, Refused

SALT = "tallystick_oscar.claims"


class Taken(Exception):
    """Another member was faster."""


def link_of(order: Any) -> str:
    """Return the path of the page that gives an order's points away; "" when it has none to give."""
    sale = OrderSale.objects.filter(order=order, member_id=None).first()
    if sale is None or not sale.basket_json.get("lines"):
        return ""
    return reverse("tallystick:claim", args=[order.number, token_of(str(order.number))])


def token_of(number: str) -> str:
    """Return the secret part of an order's link."""
    return signing.Signer(salt=SALT).signature(number)


def is_token(number: str, token: str) -> bool:
    """Say whether a secret is that of an order."""
    try:
        signing.Signer(salt=SALT).unsign(f"{number}:{token}")
    except signing.BadSignature:
        return False
    return True


def ask(sale: OrderSale) -> Claim:
    """Let the gateway keep an order's points for whoever has the link. Raises what the gateway says."""
    # From here on the gateway may know the id, whatever it answers.
    OrderSale.objects.filter(pk=sale.pk).update(claim_sent=True)
    # What came back before that has been taken off; what comes back from here on ends the claim.
    sale.refresh_from_db()
    with calling(patient=True) as shop:
        return shop.claim(
            str(sale.sale_id),
            baskets.from_json(sale.basket_json),
            order=str(sale.order.number),
            at=sale.order.date_placed,
        )


def redeem(sale: OrderSale, member_id: str) -> int:
    """Give an order's points to a member; return how many. Raises Taken, or what the gateway says."""
    if not sale.is_claim and str(sale.member_id) != member_id:
        raise Taken
    claim = ask(sale)
    with calling(patient=True) as shop:
        try:
            sold = shop.redeem_claim(member_id, claim.code)
        except Refused as error:
            if error.reason == "TAKEN":
                raise Taken from error
            raise
    OrderSale.objects.filter(pk=sale.pk).update(member_id=member_id, earned_points=sold.earned_points)
    return sold.earned_points
