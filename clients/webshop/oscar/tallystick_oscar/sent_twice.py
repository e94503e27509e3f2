"""An order that is sent more than once: one of the copies places it, and the others lead to what it became."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from tallystick_oscar.choice import Choice, choose

WAIT_S = 20.0
"""So long a copy waits for the one that places the order; the gateway's own deadlines are shorter."""

POLL_S = 0.1
JUST_NOW = timedelta(minutes=2)


def take(basket: Any) -> bool:
    """Freeze a basket for the request that places it; False when another one has. Of two, one wins.

    What decides is the row in the database: both have read it as open.
    """
    baskets = _baskets().filter(pk=basket.pk, status__in=basket.editable_statuses)
    return bool(baskets.update(status=basket.FROZEN))


def leave(basket: Any) -> None:
    """Open a basket again that was taken and is not going to be placed now."""
    _baskets().filter(pk=basket.pk, status=basket.FROZEN).update(status=basket.OPEN)


def order_of(basket_id: int) -> Any:
    """Return the order that a basket became; None when it has not."""
    return _orders().filter(basket_id=basket_id).first()


def order_from(basket: Any) -> Any:
    """Return the order that a basket becomes, waiting while it is being placed; None when nothing came of it."""
    return _awaited(_orders().filter(basket_id=basket.pk), _baskets().filter(pk=basket.pk, status="Frozen"))


def order_just_placed(request: Any) -> Any:
    """Return the order of this customer's last minutes, waiting for one that is being placed now; else None."""
    recent = _orders().filter(date_placed__gte=timezone.now() - JUST_NOW).order_by("-pk")
    if not request.user.is_authenticated:
        return recent.filter(pk=request.session.get("checkout_order_id")).first()
    return _awaited(recent.filter(user=request.user), _baskets().filter(owner=request.user, status="Frozen"))


def lead_to(request: Any, order: Any) -> None:
    """Let the page of thanks show an order, and let the next basket use nothing of what this one used."""
    request.session["checkout_order_id"] = order.pk
    choose(request.session, Choice())


def _awaited(orders: QuerySet[Any], being_placed: QuerySet[Any]) -> Any:
    until = time.monotonic() + WAIT_S
    while True:
        waits = being_placed.exists() and time.monotonic() < until
        # Looked for after that: an order that came in between is seen.
        order = orders.first()
        if order is not None or not waits:
            return order
        time.sleep(POLL_S)


def _orders() -> QuerySet[Any]:
    from oscar.core.loading import get_model

    return get_model("order", "Order").objects.all()


def _baskets() -> QuerySet[Any]:
    from oscar.core.loading import get_model

    return get_model("basket", "Basket").objects.all()
