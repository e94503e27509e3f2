"""The demo shop's settings with tables made from the models: oscar's hundred migrations take long and test nothing."""

from __future__ import annotations

from demo_shop.settings import *  # noqa: F403
from demo_shop.settings import INSTALLED_APPS

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


class _None(dict[str, None]):
    def __contains__(self, _app: object) -> bool:
        return True

    def __missing__(self, _app: str) -> None:
        return None


MIGRATION_MODULES = _None()
assert "tallystick_oscar" in INSTALLED_APPS
