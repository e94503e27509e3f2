"""The application: what Django does when it starts."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TallystickConfig(AppConfig):
    """Connects the signals of orders, baskets and wish lists, and the checks of the settings."""

    name = "tallystick_oscar"
    label = "tallystick_oscar"
    verbose_name = _("Member rewards")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen to placed orders; models exist from here on."""
        from django.core.checks import register
        from oscar.apps.order.signals import order_placed

        from tallystick_oscar import checks, placing, wishes

        wishes.connect()
        order_placed.connect(placing.on_order_placed, dispatch_uid="tallystick_oscar")
        register(checks.check_settings)
