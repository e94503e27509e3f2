"""A real WebKit, driven by the protocol of browsers (W3C WebDriver) over plain HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.support.processes import Child
from tests.e2e.support.server import free_port

START_S = 60.0
CALL_S = 60.0
WAIT_S = 30.0
POLL_S = 0.1
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""By what the protocol names an element (WebDriver, section 12)."""

DRIVER = "WebKitWebDriver"
DISPLAY = "Xvfb"
SIZE = {"x": 0, "y": 0, "width": 420, "height": 900}


class WebKit:
    """One page of a browser that has never been here."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._session = ""

    def open(self, url: str) -> None:
        """Go to an address."""
        self._ask("POST", "/url", {"url": url})

    def reload(self) -> None:
        """Load the page anew."""
        self._ask("POST", "/refresh", {})

    def run(self, script: str) -> Any:
        """Run a script in the page and return what it returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def shows(self, testid: str) -> str:
        """Wait until a part is on screen, and return its handle."""
        until = time.monotonic() + WAIT_S
        query = {"using": "css selector", "value": f"[data-testid='{testid}']"}
        while True:
            found = self._ask("POST", "/elements", query)
            if found and self._ask("GET", f"/element/{found[0][ELEMENT]}/displayed"):
                return str(found[0][ELEMENT])
            assert time.monotonic() < until, f"no {testid} within {WAIT_S} s"
            time.sleep(POLL_S)

    def tap(self, testid: str) -> None:
        """Click a part as a person does."""
        self._ask("POST", f"/element/{self.shows(testid)}/click", {})

    def type(self, testid: str, text: str) -> None:
        """Type into a field, key by key."""
        self._ask("POST", f"/element/{self.shows(testid)}/value", {"text": text})

    def attribute(self, testid: str, name: str) -> str:
        """Return an attribute of a part."""
        return str(self._ask("GET", f"/element/{self.shows(testid)}/attribute/{name}"))

    def picture(self) -> bytes:
        """Return what is on screen, as PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def begin(self) -> None:
        """Open a window."""
        wish = {"alwaysMatch": {"webkitgtk:browserOptions": {"args": ["--automation"]}}}
        until = time.monotonic() + START_S
        while not self._session:
            try:
                self._session = self._call("POST", "/session", {"capabilities": wish})["sessionId"]
            except OSError:
                assert time.monotonic() < until, f"{DRIVER} did not start"
                time.sleep(POLL_S)
        self._ask("POST", "/window/rect", SIZE)

    def end(self) -> None:
        """Close the window."""
        if self._session:
            self._ask("DELETE", "")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return self._call(method, f"/session/{self._session}{path}", body)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=CALL_S)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"content-type": "application/json"})
            answer = connection.getresponse()
            said = json.loads(answer.read())["value"]
            assert answer.status == 200, f"{method} {path}: {said}"
            return said
        finally:
            connection.close()


@contextmanager
def open_webkit(place: Path) -> Iterator[WebKit]:
    """Start it on a screen that nobody sees. Fails when it is not installed: tools/browser.sh does that."""
    with ExitStack() as stack:
        screen = Child(
            [found(DISPLAY), "-displayfd", "1", "-screen", "0", "800x1000x24", "-nolisten", "tcp"],
            place=place,
            name="screen",
        )
        stack.enter_context(screen)
        port = free_port()
        env = {"DISPLAY": f":{screen.read_line(START_S)}", "HOME": str(place), "PATH": os.environ["PATH"]}
        driver = [found(DRIVER), f"--port={port}", "--host=127.0.0.1"]
        stack.enter_context(Child(driver, place=place, name="webkit", env=env))
        one = WebKit(port)
        one.begin()
        try:
            yield one
        finally:
            one.end()


def found(program: str) -> str:
    """Return where a program is; `make test` has installed it, or has ended and said that it could not."""
    path = shutil.which(program)
    assert path is not None, f"{program} is missing: sudo apt-get install -y webkit2gtk-driver xvfb"
    return path
