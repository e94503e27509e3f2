"""The order's confirmation: a guest finds the link to the points in it."""

from __future__ import annotations

from typing import Any

from django.contrib.sites.models import Site
from django.template.loader import render_to_string

from tallystick_oscar import claims


class OrderDispatcherMixin:
    """For oscar's ``order.utils.OrderDispatcher``: adds the link to the text of the confirmation.

    The HTML part has it from its template, which extends oscar's.
    """

    ORDER_PLACED_EVENT_CODE: str

    def dispatch_order_messages(
        self, order: Any, messages: dict[str, str], event_code: str, *args: Any, **kwargs: Any
    ) -> None:
        path = claims.link_of(order) if event_code == self.ORDER_PLACED_EVENT_CODE else ""
        if path:
            context = {"order": order, "site": Site.objects.get_current(), "path": path}
            added = render_to_string("tallystick_oscar/mail/order_placed.txt", context)
            messages = {**messages, "body": f"{messages.get('body', '').rstrip()}\n\n{added}"}
        super().dispatch_order_messages(order, messages, event_code, *args, **kwargs)  # type: ignore[misc]
