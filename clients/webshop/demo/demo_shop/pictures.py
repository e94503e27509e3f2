"""The articles' pictures, drawn here, and shown as they are."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from oscar.core.thumbnails import AbstractThumbnailer
from PIL import Image, ImageDraw

SIZE = 600
PAPER, INK, CREAM = "#f4efe6", "#3b2f2a", "#fffaf0"


class Original(AbstractThumbnailer):
    """A demo needs no thumbnails: browsers scale pictures of this size by themselves."""

    def generate_thumbnail(self, source: Any, **_opts: Any) -> Any:
        return source

    def delete_thumbnails(self, source: Any) -> None:
        """Nothing was made."""


def picture(kind: str, colour: str) -> bytes:
    """Return a PNG of a bag, a mug, a kettle, a press, a box or a book."""
    image = Image.new("RGB", (SIZE, SIZE), PAPER)
    draw = ImageDraw.Draw(image)
    draw.ellipse((110, 470, 490, 540), fill="#e4dccd")
    _SHAPES[kind](draw, colour)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _bag(draw: ImageDraw.ImageDraw, colour: str) -> None:
    draw.polygon([(190, 150), (410, 150), (440, 510), (160, 510)], fill=colour)
    draw.polygon([(190, 150), (410, 150), (400, 100), (200, 100)], fill=INK)
    draw.rounded_rectangle((220, 260, 380, 400), 14, fill=CREAM)
    draw.ellipse((262, 285, 338, 375), fill=INK)
    draw.arc((275, 285, 325, 375), 60, 300, fill=CREAM, width=6)


def _mug(draw: ImageDraw.ImageDraw, colour: str) -> None:
    draw.ellipse((370, 250, 500, 420), outline=colour, width=30)
    draw.rounded_rectangle((150, 200, 410, 500), 40, fill=colour)
    draw.ellipse((150, 170, 410, 240), fill=INK)


def _kettle(draw: ImageDraw.ImageDraw, colour: str) -> None:
    draw.arc((190, 90, 410, 330), 180, 360, fill=INK, width=26)
    draw.line([(420, 330), (520, 230)], fill=colour, width=34)
    draw.pieslice((130, 180, 470, 640), 180, 360, fill=colour)
    draw.rectangle((130, 408, 470, 500), fill=colour)
    draw.ellipse((270, 160, 330, 210), fill=INK)


def _press(draw: ImageDraw.ImageDraw, colour: str) -> None:
    draw.line([(300, 70), (300, 200)], fill=INK, width=14)
    draw.ellipse((270, 50, 330, 110), fill=INK)
    draw.rectangle((190, 180, 410, 220), fill=INK)
    draw.rectangle((200, 220, 400, 510), fill="#d9e6ea")
    draw.rectangle((200, 340, 400, 510), fill=colour)
    draw.arc((360, 240, 480, 440), 270, 90, fill=INK, width=24)


def _box(draw: ImageDraw.ImageDraw, colour: str) -> None:
    draw.rectangle((160, 220, 440, 510), fill=colour)
    draw.polygon([(160, 220), (220, 150), (500, 150), (440, 220)], fill=INK)
    draw.polygon([(440, 220), (500, 150), (500, 440), (440, 510)], fill="#5b4a42")
    draw.rectangle((280, 220, 320, 510), fill=CREAM)


def _book(draw: ImageDraw.ImageDraw, colour: str) -> None:
    draw.rectangle((190, 120, 430, 510), fill=colour)
    draw.rectangle((190, 120, 225, 510), fill=INK)
    draw.rectangle((430, 130, 444, 510), fill=CREAM)
    for top in (200, 240, 280):
        draw.rectangle((260, top, 395, top + 14), fill=CREAM)


_SHAPES: dict[str, Callable[[ImageDraw.ImageDraw, str], None]] = {
    "bag": _bag,
    "mug": _mug,
    "kettle": _kettle,
    "press": _press,
    "box": _box,
    "book": _book,
}
