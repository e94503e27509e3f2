"""Fixtures of the screen's tests: one browser and one shop for each module, a fresh page for each test."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.support.processes import survivors
from tests.web.support.browser import Camera, Seen, open_browser, open_context, watched
from tests.web.support.screen import Screen
from tests.web.support.shop import Shop, open_shop
from tools import web


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for the processes of a module; afterwards none of them is left."""
    yield tmp_path_factory.mktemp("shop")
    assert survivors() == []


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep the other test processes of this tree out, so that they find the screen built."""
    folder = os.open(web.ROOT / web.WORKSPACE, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@pytest.fixture(scope="module")
def shop(place: Path) -> Iterator[Shop]:
    """A shop that is open, with the screen that the sources make."""
    with one_at_a_time():
        web.build()
    with open_shop(place) as one:
        yield one


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Camera:
    """The camera of the module's browser."""
    return Camera(tmp_path_factory.mktemp("camera") / "camera.y4m")


@pytest.fixture(scope="module")
def browser(camera: Camera) -> Iterator[Browser]:
    """The browser of a module."""
    with open_browser(camera) as one:
        yield one


@pytest.fixture
def screen(browser: Browser, shop: Shop) -> Iterator[Screen]:
    """The cashier's screen, ready for a card; afterwards the line is up and nothing waits for it."""
    with open_context(browser) as context:
        page = context.new_page()
        page.goto(shop.url)
        one = Screen(page)
        one.shows("idle")
        yield one
    shop.online()


@pytest.fixture
def seen(screen: Screen) -> Seen:
    """What the screen does from here on."""
    return watched(screen.page)
