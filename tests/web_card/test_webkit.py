"""The card in the other engine that phones have: WebKit, with the same page and the same gateway."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from tests.web_card.support.gateway import Gateway, new_address
from tests.web_card.support.webkit import WebKit, open_webkit

pytestmark = pytest.mark.timeout(240)

ROTATES_S = 45.0
DRAWN_S = 20.0


@pytest.fixture(scope="module")
def webkit(place: Path) -> Iterator[WebKit]:
    with open_webkit(place) as one:
        yield one


def test_a_card_in_webkit_signs_codes_that_count_and_keeps_its_key(webkit: WebKit, gateway: Gateway) -> None:
    address = new_address()
    webkit.open(gateway.url)
    assert "AppleWebKit" in webkit.run("return navigator.userAgent")
    webkit.type("email", address)
    webkit.tap("send")
    webkit.type("code-field", gateway.code_for(address))
    webkit.tap("finish")

    first = webkit.attribute("code", "data-text")
    device = kid_of(gateway, first)
    assert webkit.attribute("code", "data-modules") == "61"
    # What is in the page is on the screen a moment later.
    until = time.monotonic() + DRAWN_S
    while not (seen := zxingcpp.read_barcodes(Image.open(io.BytesIO(webkit.picture())))):
        assert time.monotonic() < until, "the code is not on the screen"
        time.sleep(0.2)
    assert seen[0].text in {first, webkit.attribute("code", "data-text")}

    # It rotates by itself, and the key is the same one after the page was loaded anew.
    until = time.monotonic() + ROTATES_S
    while (second := webkit.attribute("code", "data-text")) == first:
        assert time.monotonic() < until, "the code did not rotate"
        time.sleep(0.5)
    assert kid_of(gateway, second) == device
    webkit.reload()
    third = webkit.attribute("code", "data-text")
    assert kid_of(gateway, third) == device


def kid_of(gateway: Gateway, digits: str) -> str:
    """Which device has signed a code."""
    device = gateway.opened(digits).device
    assert device is not None
    return device.kid
