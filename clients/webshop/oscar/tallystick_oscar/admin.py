"""The staff's view of what is linked, held, sold and posted. Nothing of it is edited by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from tallystick_oscar.models import Checkout, MemberLink, OrderSale, Posting
from tallystick_oscar.outbox import post_now, send_again


class _ReadOnly(admin.ModelAdmin):
    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(MemberLink)
class MemberLinkAdmin(_ReadOnly):
    """Users who are members; deleting a link leaves the membership alone."""

    list_display = ("user", "member_id", "created_at")
    search_fields = ("user__email", "member_id")


@admin.register(Checkout)
class CheckoutAdmin(_ReadOnly):
    """Holds and what became of them."""

    list_display = ("hold_id", "basket_id", "member_id", "state", "points", "discount_minor", "expires_at")
    list_filter = ("state",)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(OrderSale)
class OrderSaleAdmin(_ReadOnly):
    """Orders and their sales in the ledger."""

    list_display = ("order", "sale_id", "member_id", "points", "discount_minor", "earned_points")
    search_fields = ("order__number", "sale_id", "member_id")

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Posting)
class PostingAdmin(_ReadOnly):
    """What the gateway has heard, and what it has not."""

    list_display = ("command_id", "kind", "sale", "state", "tries", "due_at", "reason", "message")
    list_filter = ("state", "kind", "reason")
    search_fields = ("command_id", "sale__order__number")
    actions = ("post_again",)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    @admin.action(description=_("Send again, as it is"), permissions=["view"])
    def post_again(self, request: Any, queryset: Any) -> None:
        """Send chosen postings again; those that were posted or replaced stay as they are."""
        chosen = list(queryset.order_by("seq").values_list("pk", flat=True))
        send_again(queryset)
        for seq in chosen:
            post_now(seq)
