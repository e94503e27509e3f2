"""The demo shop's `manage.py` for a process that has started warm: its settings are those of its own environment."""

from __future__ import annotations

import importlib
import sys

from django.conf import settings
from django.core.management import execute_from_command_line

import demo_shop.settings
from tests.oscar.support import quick_settings


def main() -> None:
    """Take the settings again, then run a command of Django's."""
    importlib.reload(demo_shop.settings)
    for name, value in vars(importlib.reload(quick_settings)).items():
        if name.isupper():
            setattr(settings, name, value)
    execute_from_command_line(["manage.py", *sys.argv[1:]])


if __name__ == "__main__":
    main()
