"""The moment a customer orders: what they saw is what is held, or they see the new total before anything is paid."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from tallystick_oscar import holds
from tallystick_oscar.pricing import Priced, rewards_of
from tallystick_oscar.words import notice_away, notice_changed, notice_of
from tallystick_webshop import Away, ShopError

logger = logging.getLogger("tallystick_oscar")

SHOWN_KEY = "tallystick_shown"
WAIT_S = 5.0
POLL_S = 0.1
JUST_NOW = timedelta(minutes=2)


class SubmissionMixin:
    """For oscar's ``checkout.views.PaymentDetailsView``: holds the points before the payment begins."""

    request: Any

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Remember the total that this page shows."""
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        self.request.session[SHOWN_KEY] = _total_of(context.get("basket"), context.get("order_total"))
        return context

    def submit(self, *args: Any, **submission: Any) -> HttpResponse:
        basket = submission["basket"]
        stop = self._begin(basket, submission["order_total"])
        if stop is not None:
            return stop
        return super().submit(*args, **submission)  # type: ignore[misc]

    def check_basket_is_not_empty(self, request: Any) -> None:
        """An order sent twice leads to the order, not to an empty basket."""
        if request.method == "POST" and request.basket.is_empty:
            order = order_on_its_way(request)
            if order is not None:
                from oscar.apps.checkout.exceptions import FailedPreCondition

                request.session["checkout_order_id"] = order.pk
                raise FailedPreCondition(
                    url=reverse("checkout:thank-you"), message=gettext("This order has been placed already.")
                )
        super().check_basket_is_not_empty(request)  # type: ignore[misc]

    def _begin(self, basket: Any, order_total: Any) -> HttpResponse | None:
        """Hold what the basket uses; return where the customer goes instead when it cannot be had."""
        priced: Priced | None = getattr(basket, "tallystick", None)
        shown = self.request.session.get(SHOWN_KEY)
        rewarded = _used_rewards(shown) or priced is not None
        if rewarded and shown != _total_of(basket, order_total):
            return self._show_again(notice_changed())
        if priced is None:
            return None
        rewards = rewards_of(self.request)
        assert rewards is not None, "only a member's basket has rewards"
        try:
            holds.hold(rewards.member_id, rewards.choice, basket, priced)
        except holds.Elsewhere:
            return self._placed_elsewhere()
        except Away:
            # Or the next page would show the discount again, off the quote that the session keeps.
            rewards.forget_quote()
            return self._show_again(notice_away(), notice_changed())
        except ShopError as error:
            rewards.drop_choice()
            logger.info("No hold for basket %s: %s", basket.pk, error)
            return self._show_again(notice_of(error), notice_changed())
        return None

    def _show_again(self, *notices: str) -> HttpResponse:
        for notice in dict.fromkeys(notices):
            messages.warning(self.request, notice)
        return redirect("checkout:preview")

    def _placed_elsewhere(self) -> HttpResponse:
        order = order_on_its_way(self.request)
        if order is None:
            messages.info(self.request, gettext("This order is being placed already. Please wait a moment."))
            return redirect("basket:summary")
        self.request.session["checkout_order_id"] = order.pk
        return redirect("checkout:thank-you")


def order_on_its_way(request: Any) -> Any:
    """Return the order that this customer placed a moment ago, waiting for one that is being placed now; else None."""
    from oscar.core.loading import get_model

    orders = get_model("order", "Order").objects.filter(date_placed__gte=timezone.now() - JUST_NOW)
    if not request.user.is_authenticated:
        return orders.filter(pk=request.session.get("checkout_order_id")).first()
    baskets = get_model("basket", "Basket").objects.filter(owner=request.user, status="Frozen")
    until = time.monotonic() + WAIT_S
    while True:
        order = orders.filter(user=request.user).order_by("-pk").first()
        if order is not None or time.monotonic() >= until or not baskets.exists():
            return order
        time.sleep(POLL_S)


def _total_of(basket: Any, total: Any) -> dict[str, str] | None:
    """Return what a page shows of a total, for comparing."""
    if basket is None or total is None:
        return None
    priced: Priced | None = getattr(basket, "tallystick", None)
    return {
        "total": f"{total.currency} {total.incl_tax if total.is_tax_known else total.excl_tax:.2f}",
        "discount": str(priced.discount_minor if priced else 0),
        "points": str(priced.points if priced else 0),
    }


def _used_rewards(shown: object) -> bool:
    return isinstance(shown, dict) and shown.get("discount") != "0"
