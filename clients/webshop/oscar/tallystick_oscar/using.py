"""Changing what a basket uses: tried at once, kept only when the gateway agrees."""

from __future__ import annotations

from typing import Any

from django.contrib import messages

from tallystick_oscar.choice import Choice, choose
from tallystick_oscar.gateway import forget
from tallystick_oscar.pricing import rewards_of


def use(
    request: Any,
    *,
    points: int | None = None,
    rewards: tuple[str, ...] | None = None,
    coupons: tuple[str, ...] | None = None,
) -> bool:
    """Use other points, rewards or coupons on the request's basket; say whether it could be done.

    When it cannot, the customer is told why and what was used before stays.
    """
    ours = rewards_of(request)
    if ours is None:
        return False
    before = ours.choice
    ours.choice = Choice(
        before.points if points is None else points,
        before.rewards if rewards is None else tuple(dict.fromkeys(rewards)),
        before.coupons if coupons is None else tuple(dict.fromkeys(coupons)),
    )
    choose(request.session, ours.choice)
    if not ours.choice:
        return True
    forget()
    ours.notice = ""
    # `price` looks at the basket after the shop's own offers, so ours has to be off it.
    request.basket.reset_offer_applications()
    from oscar.core.loading import get_class

    get_class("offer.applicator", "Applicator")().apply(request.basket, request.user, request)
    if not ours.notice:
        return True
    messages.warning(request, ours.notice)
    ours.choice, ours.notice = before, ""
    choose(request.session, before)
    return False
