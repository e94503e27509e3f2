"""Early access and exclusive products: what is not open to a customer yet is not put into the basket."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.utils.formats import date_format
from django.utils.translation import gettext
from oscar.core.utils import redirect_to_referrer

from tallystick_oscar import conf
from tallystick_oscar.baskets import categories_of, sku_of
from tallystick_oscar.gateway import calling
from tallystick_oscar.pricing import rewards_of
from tallystick_webshop import Article, Away, BadRequest, Opening, Refused


class BasketAddMixin:
    """For oscar's ``basket.views.BasketAddView``: asks the gateway before a product is added."""

    request: Any

    def form_valid(self, form: Any) -> HttpResponse:
        opening = opening_of(self.request, form.product)
        if opening is None or opening.allowed:
            return super().form_valid(form)  # type: ignore[misc]
        messages.error(self.request, _why_not(opening))
        return redirect_to_referrer(self.request, "basket:summary")


def opening_of(request: Any, product: Any) -> Opening | None:
    """Return whether a product may be sold to the customer of a request.

    None where nobody says that it may not: the shop has no access rules to ask for, or the gateway is away. A shop that
    cannot ask sells.
    """
    stock = product.stockrecords.first() if conf.get("TALLYSTICK_ACCESS") else None
    if stock is None:
        return None
    ours = rewards_of(request)
    article = Article(sku_of(stock.partner_sku), categories_of(product))
    try:
        with calling() as shop:
            (opening,) = shop.openings([article], member_id=ours.member_id if ours else "")
    except (Away, BadRequest, Refused):
        return None
    return opening


def _why_not(opening: Opening) -> str:
    if opening.opens_for_member_at is None:
        return gettext("This article is for members of a higher tier.")
    day = date_format(opening.opens_for_member_at, "DATE_FORMAT")
    return gettext("This article can be bought from %(day)s.") % {"day": day}
