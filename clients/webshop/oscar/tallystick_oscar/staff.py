"""The staff's page for goods that come back: what it pays back and what becomes of the points, before it happens."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import UserPassesTestMixin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views import View
from oscar.core.loading import get_class, get_model

from tallystick_oscar import conf, returns
from tallystick_oscar.forms import ReturnForm

REFUNDED = "refunded"


class ReturnView(UserPassesTestMixin, View):
    """Pieces and a preview first, then the return itself, for the very amount that was shown."""

    template_name = "tallystick_oscar/staff/return.html"

    def test_func(self) -> bool:
        return bool(self.request.user.is_active and self.request.user.is_staff)

    def get(self, request: HttpRequest, number: str) -> HttpResponse:
        order, lines = _order(number)
        return self._page(request, order, ReturnForm(lines))

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        order, lines = _order(number)
        form = ReturnForm(lines, request.POST)
        if not form.is_valid():
            return self._page(request, order, form)
        asked = form.asked()
        if not asked:
            messages.warning(request, gettext("Choose at least one piece."))
            return self._page(request, order, form)
        shown = returns.preview(order, asked)
        if request.POST.get("confirm") != _seal(order, shown):
            if "confirm" in request.POST:
                messages.warning(
                    request, gettext("Something has changed. Nothing was returned: please look again.")
                )
            return self._page(request, order, form, shown)
        self._return(order, asked, shown, form.cleaned_data["reference"])
        messages.success(
            request,
            gettext("Returned. Pay back %(amount)s %(currency)s.")
            % {"amount": shown.refund, "currency": shown.currency},
        )
        return redirect("dashboard:order-detail", number=order.number)

    def _return(
        self, order: Any, asked: list[tuple[Any, int]], shown: returns.Preview, reference: str
    ) -> None:
        """Let oscar's order processing do it: the goods as a shipping event, the money as a payment event."""
        handler = get_class("order.processing", "EventHandler")(self.request.user)
        goods = get_model("order", "ShippingEventType").objects.get_or_create(
            code=conf.get("TALLYSTICK_RETURN_EVENTS")[0], defaults={"name": "Returned"}
        )[0]
        money = get_model("order", "PaymentEventType").objects.get_or_create(
            code=REFUNDED, defaults={"name": "Refunded"}
        )[0]
        lines, quantities = [line for line, _count in asked], [count for _line, count in asked]
        with transaction.atomic():
            handler.handle_shipping_event(order, goods, lines, quantities, reference=reference)
            handler.handle_payment_event(order, money, shown.refund, lines, quantities, reference=reference)

    def _page(
        self, request: HttpRequest, order: Any, form: ReturnForm, shown: returns.Preview | None = None
    ) -> HttpResponse:
        context = {
            "order": order,
            "form": form,
            "sale": returns.sale_of(order),
            "preview": shown,
            "seal": _seal(order, shown) if shown else "",
        }
        return render(request, self.template_name, context)


def _order(number: str) -> tuple[Any, list[Any]]:
    """Return an order and its lines, each with how many pieces are still with the customer."""
    order = get_object_or_404(get_model("order", "Order"), number=number)
    gone = returns.returned_quantities(order)
    lines = list(order.lines.order_by("pk"))
    for line in lines:
        line.left = line.quantity - gone.get(line.pk, 0)
    return order, lines


def _seal(order: Any, shown: returns.Preview) -> str:
    """Return what a confirmation has to agree with: the amount shown, and what had come back by then."""
    gone = sum(returns.returned_quantities(order).values())
    effects = shown.effects
    points = (effects.taken_back_points, effects.restored_points) if effects else ()
    return f"{gone}/{shown.refund}/{points}"
