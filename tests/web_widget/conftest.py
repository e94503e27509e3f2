"""Fixtures of the element's tests: one browser for all, a shop and a page for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.web.conftest import one_at_a_time
from tests.web.support.browser import PHONE, Camera, open_browser, open_context
from tests.web_widget.shop import Place, open_place
from tools import web


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser of these tests, and the element that the sources make."""
    with one_at_a_time():
        web.build()
    with open_browser(Camera(tmp_path_factory.mktemp("camera") / "camera.y4m")) as one:
        yield one


@pytest.fixture
def place() -> Iterator[Place]:
    """A shop and a gateway."""
    with open_place() as one:
        yield one


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A telephone that has never been here."""
    with open_context(browser, size=PHONE) as one:
        yield one
