"""A bank's page, as a payment provider has it: the customer is away from the shop, and comes back, or does not."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.generic import TemplateView
from oscar.apps.order.exceptions import UnableToPlaceOrder
from oscar.core.loading import get_class, get_model

from demo_shop.checkout.views import AMOUNT_KEY, WAYS, note_payment

Applicator = get_class("offer.applicator", "Applicator")
OrderPlacementMixin: Any = get_class("checkout.mixins", "OrderPlacementMixin")
Basket = get_model("basket", "Basket")


class BankView(OrderPlacementMixin, TemplateView):
    """Pay or cancel. Whoever does neither leaves a frozen basket and a hold that runs out."""

    template_name = "demo_shop/bank.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self._basket() is None:
            return redirect("basket:summary")
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"amount": self.request.session[AMOUNT_KEY], **kwargs}

    def post(self, request: HttpRequest) -> HttpResponse:
        basket = self._basket()
        if basket is None:
            return redirect("checkout:thank-you")
        if request.POST.get("action") != "pay":
            self.restore_frozen_basket()
            messages.info(request, "You have cancelled the payment. Nothing has been paid.")
            return redirect("checkout:preview")
        basket.strategy = request.strategy
        Applicator().apply(basket, request.user, request)
        submission = self.build_submission(basket=basket)
        submission.pop("payment_kwargs")
        order_kwargs = submission.pop("order_kwargs")
        total, number = submission["order_total"], self.checkout_session.get_order_number()
        note_payment(self, number, total, WAYS["bank"])
        if str(total.incl_tax) != request.session[AMOUNT_KEY]:
            return self._not_placed("The total has changed since. Please look at it and order again.")
        try:
            return self.handle_order_placement(number, **submission, **order_kwargs)
        except UnableToPlaceOrder as error:
            return self._not_placed(str(error))

    def _not_placed(self, why: str) -> HttpResponse:
        self.restore_frozen_basket()
        messages.error(self.request, f"{why} What was paid is on its way back.")
        return redirect("basket:summary")

    def _basket(self) -> Any:
        """Return the basket that is being paid; None when there is none any more."""
        found = Basket.objects.filter(
            pk=self.checkout_session.get_submitted_basket_id(), status=Basket.FROZEN
        )
        return found.first() if AMOUNT_KEY in self.request.session else None
