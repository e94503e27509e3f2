"""The moment a customer orders: what they saw is what is held, or they see the new total before anything is paid."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext

from tallystick_oscar import holds, sent_twice
from tallystick_oscar.pricing import Priced, rewards_of
from tallystick_oscar.words import notice_away, notice_changed, notice_of
from tallystick_webshop import Away, ShopError

logger = logging.getLogger("tallystick_oscar")

SHOWN_KEY = "tallystick_shown"


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
        if not sent_twice.take(basket):
            return self._placed_elsewhere(basket)
        try:
            stop = self._begin(basket, submission["order_total"])
        except Exception:
            sent_twice.leave(basket)
            raise
        if stop is not None:
            sent_twice.leave(basket)
            return stop
        return super().submit(*args, **submission)  # type: ignore[misc]

    def check_basket_is_not_empty(self, request: Any) -> None:
        """An order sent twice leads to the order, not to an empty basket."""
        if request.method == "POST" and request.basket.is_empty:
            order = sent_twice.order_just_placed(request)
            if order is not None:
                from oscar.apps.checkout.exceptions import FailedPreCondition

                sent_twice.lead_to(request, order)
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
            return self._ask_to_wait()
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

    def _placed_elsewhere(self, basket: Any) -> HttpResponse:
        order = sent_twice.order_from(basket)
        if order is None:
            return self._ask_to_wait()
        sent_twice.lead_to(self.request, order)
        return redirect("checkout:thank-you")

    def _ask_to_wait(self) -> HttpResponse:
        messages.info(self.request, gettext("This order is being placed already. Please wait a moment."))
        return redirect("basket:summary")


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
