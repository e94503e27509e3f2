"""Fixtures of the card's tests: one gateway and one browser for each module, a phone for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.support.processes import survivors
from tests.web.conftest import one_at_a_time
from tests.web.support.browser import Camera, Seen, open_browser, open_context, watched
from tests.web.support.office import Office
from tests.web_card.support.card import PHONE, Card
from tests.web_card.support.gateway import Gateway, open_gateway
from tools import web


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for the processes of a module; afterwards none of them is left."""
    yield tmp_path_factory.mktemp("card")
    assert survivors() == []


@pytest.fixture(scope="module")
def world(place: Path) -> Iterator[tuple[Gateway, Office]]:
    """A gateway that serves the card which the sources make."""
    with one_at_a_time():
        web.build()
    with open_gateway(place) as opened:
        yield opened


@pytest.fixture(scope="module")
def gateway(world: tuple[Gateway, Office]) -> Gateway:
    """The gateway."""
    return world[0]


@pytest.fixture(scope="module")
def office(world: tuple[Gateway, Office]) -> Office:
    """Its back office."""
    return world[1]


@pytest.fixture(scope="module")
def browser(place: Path) -> Iterator[Browser]:
    """The browser of a module."""
    with open_browser(Camera(place / "camera.y4m")) as one:
        yield one


@pytest.fixture
def card(browser: Browser, gateway: Gateway) -> Iterator[Card]:
    """The card's address, open on a phone that has never been here."""
    with open_context(browser, size=PHONE) as context:
        one = Card(context.new_page(), gateway)
        one.open()
        yield one


@pytest.fixture
def seen(card: Card) -> Seen:
    """What the card does from here on."""
    return watched(card.page)
