"""The settings of this application, each with its default; they are read whenever they are used."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

DEFAULTS: dict[str, Any] = {
    # The profile that `manage.py tallystick_enrol` wrote: the gateway's address and this shop's key.
    "TALLYSTICK_PROFILE": None,
    # How long one call of a page may take in seconds, and how long after a failure pages do without the gateway.
    "TALLYSTICK_TIMEOUT_S": 2.0,
    "TALLYSTICK_AWAY_S": 20.0,
    # How long a quote stands in a session before it is asked for again; the hold decides in any case.
    "TALLYSTICK_QUOTE_S": 60.0,
    # How long points are reserved for a payment.
    "TALLYSTICK_HOLD_S": 900,
    # Post at once after the order; False leaves everything to `manage.py tallystick_post`.
    "TALLYSTICK_POST_AT_ONCE": True,
    # A callable(line) -> (tax code, rate in millionths) for shops whose rates cannot be read off their strategy.
    "TALLYSTICK_TAX": "tallystick_oscar.baskets.tax_of",
    # A callable(user) -> bool: whether the shop knows already that the account's address is the user's own.
    "TALLYSTICK_EMAIL_CONFIRMED": None,
    # Codes of the shipping events that bring goods back, and the order statuses that cancel an order.
    "TALLYSTICK_RETURN_EVENTS": ("returned",),
    "TALLYSTICK_CANCEL_STATUSES": ("Cancelled",),
    # What becomes of an order whose hold was over when it was captured: "sale" posts it against today's balance and,
    # when that does not cover it, without points; "keep" leaves it for a person.
    "TALLYSTICK_EXPIRED_HOLD": "sale",
    # Whether to ask, before a product is added to a basket, if it is open to the customer: for programs with early
    # access or exclusive products.
    "TALLYSTICK_ACCESS": False,
    # What customers read for the ids of rewards and tiers, such as {"mug": _("A mug")}; else the id itself.
    "TALLYSTICK_NAMES": {},
    # How long a basket or a wish list has to be quiet until the gateway hears of it.
    "TALLYSTICK_QUIET_S": 300,
    # Where a customer finds the basket again, for reminders, such as "https://shop.example/basket/".
    "TALLYSTICK_BASKET_URL": None,
    # The gateway's address for browsers, for the widget of the basket page; None shows the plain form alone.
    "TALLYSTICK_PUBLIC_URL": None,
}


def get(name: str) -> Any:
    """Return a setting by its full name."""
    return getattr(settings, name, DEFAULTS[name])


def load(name: str) -> Any:
    """Return what a setting names: the object itself, or the one that its dotted path leads to."""
    value = get(name)
    return import_string(value) if isinstance(value, str) else value
