"""The field for voucher codes: what oscar does not know may be a coupon of the program."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext

from tallystick_oscar.choice import COUPON_MAX, COUPONS_MAX
from tallystick_oscar.pricing import rewards_of
from tallystick_oscar.using import use


class VoucherAddMixin:
    """For oscar's ``basket.views.VoucherAddView``: a code that no voucher has goes to the gateway."""

    request: Any
    voucher_model: Any

    def form_valid(self, form: Any) -> HttpResponse:
        code = form.cleaned_data["code"]
        rewards = rewards_of(self.request)
        known = self.voucher_model._default_manager.filter(code=code).exists()  # noqa: SLF001
        if known or rewards is None or not self.request.basket.id or len(code) > COUPON_MAX:
            return super().form_valid(form)  # type: ignore[misc]
        if len(rewards.choice.coupons) >= COUPONS_MAX:
            messages.error(self.request, gettext("You cannot use more codes on one order."))
        elif use(self.request, coupons=(*rewards.choice.coupons, code)):
            messages.success(self.request, gettext("The code was added to your basket."))
        return redirect("basket:summary")
