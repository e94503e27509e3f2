"""The demo's own application: its command, its templates, and the bank that its customers pay at."""

from __future__ import annotations

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """Nothing to set up."""

    name = "demo_shop"
    verbose_name = "Demo shop"
