"""`make shop`: from nothing to a shop that sells, and nothing left of it afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.support.processes import ROOT, environment
from tests.oscar.support.pages import Customer
from tests.oscar.support.webshop import SHOPPER
from tests.web.conftest import one_at_a_time
from tests.web.support.browser import open_context, watched
from tools import web

pytestmark = pytest.mark.timeout(400)

START_S, STOP_S = 300, 150
CHOOSING_MS = 20_000


class Open:
    """A shop that `make shop` has opened."""

    def __init__(self, url: str) -> None:
        self.url = url


@contextmanager
def opened(place: Path) -> Iterator[Open]:
    """Open the shop as a newcomer does; afterwards Ctrl+C ends it and all that it started."""
    shop = subprocess.Popen(
        [sys.executable, "-m", "tools.shop"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment(), "TALLYSTICK_SHOP_DIR": str(place)},
        start_new_session=True,
    )
    assert shop.stdout is not None
    children: list[psutil.Process] = []
    try:
        said = ""
        while "Anna is a member" not in said:
            line = shop.stdout.readline()
            assert line, said
            said += line
        address = re.search(r"Shop\s+(http://\S+)/", said)
        assert address
        children = psutil.Process(shop.pid).children(recursive=True)
        yield Open(address[1])
        os.kill(shop.pid, signal.SIGINT)
        assert shop.wait(STOP_S) == 0
        gone, alive = psutil.wait_procs(children, timeout=STOP_S)
        assert len(gone) >= 3
        assert alive == []
    finally:
        if shop.poll() is None:
            children = psutil.Process(shop.pid).children(recursive=True)
        for one in children:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        shop.kill()
        shop.wait(STOP_S)
        shop.stdout.close()


def test_a_newcomer_opens_the_shop_uses_points_and_closes_it_and_again(
    browser: Browser, tmp_path: Path
) -> None:
    with one_at_a_time():
        web.build()
    with opened(tmp_path / "shop") as shop, open_context(browser) as context:
        customer = Customer(context.new_page(), shop)
        seen = watched(customer.page)
        customer.signs_in(SHOPPER)
        customer.takes("Kettle")
        customer.goes("/basket/")
        element = customer.page.locator("tallystick-rewards")
        expect(element).to_have_attribute("state", "ready")
        expect(customer.page.locator(".tallystick-plain")).to_be_hidden()
        with customer.page.expect_navigation(timeout=CHOOSING_MS):
            element.get_by_role("checkbox", name="Use points").click()
        expect(customer.page.locator("#basket_totals")).to_contain_text("500 points")
        assert seen.complaints == []
        assets = {one.url for one in seen.requests if one.resource_type not in {"fetch", "xhr"}}
        assert [one for one in assets if not one.startswith((shop.url, "data:"))] == []
    with opened(tmp_path / "shop") as shop, urllib.request.urlopen(f"{shop.url}/catalogue/") as page:
        assert "House blend" in page.read().decode()
