"""A counter: a till of its own without a network, and a camera that sees what a browser's tab shows."""

from __future__ import annotations

import base64
import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import qrcode
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.e2e.support.processes import ROOT
from tests.web.support.browser import FIND_S, FLAGS, NODE
from tests.web.support.line import Line
from tests.web.support.office import Office
from tests.web.support.screen import Screen
from tests.web.support.shop import Shop, wait_for
from tests.web_card.support.gateway import Gateway

TITLE = "Simple points"
"""What stands on the tab with the card, by which the browser finds what is before the camera."""

NO_FAKES = tuple(flag for flag in FLAGS if not flag.startswith("--use-fake"))
THE_TAB = "navigator.mediaDevices.getUserMedia = () => navigator.mediaDevices.getDisplayMedia({video: true})"
PIXELS = 12
WHITE_MODULES = 4


@contextmanager
def open_sighted_browser() -> Iterator[Browser]:
    """Start a browser in which one tab can be the camera of another."""
    found = subprocess.run(
        ["sh", str(ROOT / "tools" / "browser.sh")], capture_output=True, text=True, timeout=FIND_S, check=True
    )
    with mock.patch.dict(os.environ, {"PLAYWRIGHT_NODEJS_PATH": str(NODE)}), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found.stdout.splitlines()[0],
            args=[*NO_FAKES, f"--auto-select-tab-capture-source-by-title={TITLE}"],
            chromium_sandbox=False,
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_counter(place: Path, gateway: Gateway, office: Office) -> Iterator[Shop]:
    """A till of the gateway's program; its line can be cut."""
    place.mkdir()
    line = Line(gateway.address)
    shop = Shop(place, gateway, office, line)
    try:
        shop.enrol_till()
        shop.start_till()
        wait_for(lambda: shop.state()["sell"]["allowed"], "the first rules")
        yield shop
    finally:
        shop.kill_till()
        line.close()


def at_the_till(context: BrowserContext, shop: Shop) -> Screen:
    """The cashier's screen, with the tab of the card before its camera."""
    page = context.new_page()
    page.add_init_script(THE_TAB)
    page.goto(shop.url)
    screen = Screen(page)
    screen.shows("idle")
    screen.tap("settings-link")
    screen.tap("camera-setting-on")
    return screen


def look(screen: Screen) -> None:
    """Look at what is before the camera now: it is switched on where the next card is awaited."""
    screen.tap("home")


def picture(digits: str) -> bytes:
    """A picture of a code, as whoever knows the digits can draw it."""
    code = qrcode.QRCode(
        error_correction=qrcode.constants.ERROR_CORRECT_M, border=WHITE_MODULES, box_size=PIXELS
    )
    code.add_data(digits)
    code.make(fit=True)
    file = io.BytesIO()
    code.make_image().save(file)
    return file.getvalue()


def hold_up(phone: Page, png: bytes) -> None:
    """Show a picture on the phone, in place of the card."""
    phone.goto("about:blank")
    data = base64.b64encode(png).decode()
    phone.set_content(
        f"<title>{TITLE}</title><body style='margin:0;background:#fff'><img src='data:image/png;base64,{data}' "
        "style='width:min(100vw,100vh);display:block;margin:auto'>"
    )
    phone.wait_for_function("() => document.images[0].complete")
