"""The demo shop's settings with passwords that are quick to check."""

from __future__ import annotations

from demo_shop.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
