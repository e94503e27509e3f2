"""The one door to the gateway: a connection for this process, a short deadline, and a rest after a failure."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ImproperlyConfigured

from tallystick_oscar import conf
from tallystick_webshop import Away, NotAllowed, Shop, ShopError

logger = logging.getLogger("tallystick_oscar")


class _Door:
    """The process's connection. A forked worker opens its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shop: Shop | None = None
        self._pid = 0
        self._profile: object = None
        self.away_until_s = 0.0

    def shop(self) -> Shop:
        """Return the connection, opened when it is first needed. Raises ImproperlyConfigured."""
        profile = conf.get("TALLYSTICK_PROFILE")
        with self._lock:
            if self._shop is None or self._pid != os.getpid() or self._profile != profile:
                if not profile:
                    raise ImproperlyConfigured(
                        "set TALLYSTICK_PROFILE to what `manage.py tallystick_enrol` wrote"
                    )
                self._shop = Shop.open(profile, deadline_s=conf.get("TALLYSTICK_TIMEOUT_S"))
                self._pid, self._profile = os.getpid(), profile
            return self._shop


_door = _Door()


@contextmanager
def calling(*, patient: bool = False) -> Iterator[Shop]:
    """Give the connection for one call.

    After a failure nobody waits for the gateway again until TALLYSTICK_AWAY_S have passed: a page then raises Away at
    once. ``patient`` asks in any case; that is for work without a customer who waits. Whatever keeps this shop out,
    a key that was revoked or a missing file, is logged and is Away to a page: the shop sells on without rewards.
    """
    if not patient and time.monotonic() < _door.away_until_s:
        raise Away("the gateway was away a moment ago")
    try:
        shop = _door.shop()
    except (ShopError, ImproperlyConfigured) as error:
        logger.exception("The gateway cannot be asked")
        _rest()
        raise Away(str(error)) from error
    try:
        yield shop
    except NotAllowed as error:
        logger.exception("The gateway does not let this shop in")
        _rest()
        raise Away(str(error)) from error
    except Away as error:
        if not patient:
            logger.warning("The gateway is away: %s", error)
            _rest()
        raise
    else:
        _door.away_until_s = 0.0


def forget() -> None:
    """Ask the gateway again at once, whatever was before."""
    _door.away_until_s = 0.0


def _rest() -> None:
    _door.away_until_s = time.monotonic() + conf.get("TALLYSTICK_AWAY_S")
