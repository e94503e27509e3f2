"""What Django checks of the settings when it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from tallystick_oscar import conf

LOADER = "tallystick_oscar.loading.class_loader"


def check_settings(**_more: Any) -> list[CheckMessage]:
    """Return what is wrong with the settings, each with its mend."""
    found: list[CheckMessage] = []
    if settings.OSCAR_DYNAMIC_CLASS_LOADER != LOADER:
        found.append(
            CheckWarning(
                "Oscar's classes do not have the behaviour of tallystick_oscar.",
                hint=f'Set OSCAR_DYNAMIC_CLASS_LOADER = "{LOADER}", or use its mixins in your forks and silence this.',
                id="tallystick_oscar.W001",
            )
        )
    if any(database.get("ATOMIC_REQUESTS") for database in settings.DATABASES.values()):
        found.append(
            CheckWarning(
                "With ATOMIC_REQUESTS a hold's id is not stored before the gateway is asked.",
                hint="Points of a request that dies stay on hold until TALLYSTICK_HOLD_S has passed. Turn it off, or "
                "exempt the checkout's views with transaction.non_atomic_requests.",
                id="tallystick_oscar.W002",
            )
        )
    profile = conf.get("TALLYSTICK_PROFILE")
    if profile is not None and not Path(profile).is_dir():
        found.append(
            CheckWarning(
                f"TALLYSTICK_PROFILE: there is no directory {profile}.",
                hint="Run `manage.py tallystick_enrol`. Until then the shop sells without rewards.",
                id="tallystick_oscar.W003",
            )
        )
    hold_s = conf.get("TALLYSTICK_HOLD_S")
    if not isinstance(hold_s, int) or not 1 <= hold_s <= 2_592_000:
        found.append(
            Error(
                "TALLYSTICK_HOLD_S is not a number of seconds from 1 to 2592000.",
                hint="900 is a quarter of an hour.",
                id="tallystick_oscar.E001",
            )
        )
    return found
