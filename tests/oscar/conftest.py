"""Fixtures of the shop's tests: one gateway, till, webshop and browser for each module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.support.processes import survivors
from tests.oscar.support.django_shop import Scripted, tables
from tests.oscar.support.pages import Customer
from tests.oscar.support.webshop import Webshop, open_webshop
from tests.web.conftest import one_at_a_time
from tests.web.support.browser import Camera, open_browser, open_context
from tests.web.support.shop import RULES, Shop, open_shop
from tests.webshop.conftest import street  # noqa: F401
from tools import web


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for the processes of a module; afterwards none of them is left."""
    yield tmp_path_factory.mktemp("oscar")
    assert survivors() == []


@pytest.fixture(scope="module")
def shop(place: Path) -> Iterator[Shop]:
    """A gateway, and a store with a till."""
    with one_at_a_time():
        web.build()
    with open_shop(place) as one:
        # No leases: what a till sets aside would blur what a shop's hold does.
        one.office.publish({**RULES, "offline": {"lease_share_percent": 0}})
        yield one


@pytest.fixture(scope="module")
def webshop(place: Path, shop: Shop) -> Iterator[Webshop]:
    """The demo shop on that gateway."""
    with open_webshop(place, shop) as one:
        yield one


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser of a module."""
    with open_browser(Camera(tmp_path_factory.mktemp("camera") / "camera.y4m")) as one:
        yield one


@pytest.fixture
def customer(browser: Browser, webshop: Webshop) -> Iterator[Customer]:
    """Somebody who has never been here."""
    webshop.is_well()
    with open_context(browser) as context:
        yield Customer(context.new_page(), webshop)


@pytest.fixture(scope="module")
def shop_tables() -> Iterator[None]:
    """The demo shop's tables, in memory, for tests without processes."""
    with tables():
        yield


@pytest.fixture
def undone(shop_tables: None) -> Iterator[None]:
    """Undo each test's changes; what would be sent after the commit is not."""
    from django.db import transaction
    from django.test import override_settings

    with override_settings(TALLYSTICK_POST_AT_ONCE=False), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def script_gateway(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    """Let the gateway answer as the test says, to the modules that are named."""

    def script(*answers: Callable[..., Any], at: tuple[ModuleType, ...]) -> Scripted:
        shop = Scripted(*answers)

        @contextmanager
        def calling(*, patient: bool = False) -> Iterator[Scripted]:
            yield shop

        for module in at:
            monkeypatch.setattr(module, "calling", calling)
        return shop

    return script
