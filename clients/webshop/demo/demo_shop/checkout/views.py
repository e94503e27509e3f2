"""Paying in the demo: by a card that works, by one that is refused, or at a bank's own page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from oscar.apps.checkout.views import PaymentDetailsView as OscarPaymentDetailsView
from oscar.apps.payment.exceptions import RedirectRequired, UnableToTakePayment
from oscar.core.loading import get_model

WAYS = {
    "card": "Card",
    "refused": "Card that is refused",
    "bank": "Bank transfer at my bank's page",
}
AMOUNT_KEY = "demo_bank_amount"


class PaymentDetailsView(OscarPaymentDetailsView):
    """Asks how to pay, and pays."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        chosen = self.checkout_session.payment_method() or "card"
        return {
            **super().get_context_data(**kwargs),
            "ways": WAYS.items(),
            "way": chosen,
            "way_name": WAYS.get(chosen),
        }

    def handle_payment_details_submission(self, request: HttpRequest) -> HttpResponse:
        way = request.POST.get("way", "card")
        self.checkout_session.pay_by(way if way in WAYS else "card")
        return redirect("checkout:preview")

    def handle_payment(self, order_number: Any, total: Any, **_kwargs: Any) -> None:
        way = self.checkout_session.payment_method() or "card"
        if way == "refused":
            raise UnableToTakePayment("The card was refused. Nothing has been paid.")
        if way == "bank":
            self.request.session[AMOUNT_KEY] = str(total.incl_tax)
            raise RedirectRequired(reverse("bank"))
        note_payment(self, order_number, total, WAYS["card"])


def note_payment(view: Any, order_number: Any, total: Any, way: str) -> None:
    """Write down what was paid, with the order that follows."""
    kind, _made = get_model("payment", "SourceType").objects.get_or_create(name=way)
    source = get_model("payment", "Source")(
        source_type=kind,
        currency=total.currency,
        amount_allocated=total.incl_tax,
        amount_debited=total.incl_tax,
        reference=f"demo-{order_number}",
    )
    view.add_payment_source(source)
    view.add_payment_event("Settled", total.incl_tax, reference=f"demo-{order_number}")
