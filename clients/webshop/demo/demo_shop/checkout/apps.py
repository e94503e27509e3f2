"""The fork's application."""

from __future__ import annotations

from oscar.apps.checkout import apps


class CheckoutConfig(apps.CheckoutConfig):
    """Oscar's checkout under the demo's name."""

    name = "demo_shop.checkout"
