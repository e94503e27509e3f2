"""What the demo shop's processes that start warm have loaded: Django, set up with the shop's settings."""

from __future__ import annotations

import django
from django.contrib.staticfiles.management.commands import runserver  # noqa: F401
from django.urls import get_resolver

django.setup()
# Loads the shop's views, and oscar's.
get_resolver().check()
