"""The pictures of a pass, drawn here: a tally of four strokes and one across, as PNG files (W3C PNG, third edition)."""

from __future__ import annotations

import functools
import math
import struct
import zlib
from collections.abc import Iterator

from tallystick.core.record import record

Colour = tuple[int, int, int]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_STROKE = 0.07
"""Half the width of a stroke, as a share of the tally's height."""

# (x, y) to (x, y) in a square of side 1.
_TALLY = (
    ((0.2, 0.18), (0.2, 0.82)),
    ((0.4, 0.18), (0.4, 0.82)),
    ((0.6, 0.18), (0.6, 0.82)),
    ((0.8, 0.18), (0.8, 0.82)),
    ((0.06, 0.7), (0.94, 0.3)),
)


@record(frozen=True, slots=True)
class Picture:
    """One picture of a pass in points; files of two and three times the size go with it."""

    name: str
    width: int
    height: int


# The sizes that Apple names for a store card; a logo may be up to 160 by 50.
PICTURES = (Picture("icon", 29, 29), Picture("logo", 50, 50))


@functools.cache
def pass_images(ink: Colour, paper: Colour) -> dict[str, bytes]:
    """Return all picture files of a pass by name: the icon on paper, the logo without a ground."""
    files = {}
    for picture in PICTURES:
        for scale in (1, 2, 3):
            suffix = "" if scale == 1 else f"@{scale}x"
            ground = paper if picture.name == "icon" else None
            files[f"{picture.name}{suffix}.png"] = tally_png(
                picture.width * scale, picture.height * scale, ink=ink, paper=paper, ground=ground
            )
    return files


def tally_png(width: int, height: int, *, ink: Colour, paper: Colour, ground: Colour | None) -> bytes:
    """Return a tally in ``ink`` as a PNG; without a ``ground`` what is around it is transparent.

    ``paper`` is what the ink is drawn on where there is a ground.
    """
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # no filter
        for x in range(width):
            share = _covered((x + 0.5 - left) / side, (y + 0.5 - top) / side, pixel=1 / side)
            if ground is None:
                rows += bytes((*ink, round(255 * share)))
            else:
                mixed = (round(i * share + p * (1 - share)) for i, p in zip(ink, paper, strict=True))
                rows += bytes((*mixed, 255))
    return _SIGNATURE + b"".join(_chunks(width, height, bytes(rows)))


def _covered(x: float, y: float, *, pixel: float) -> float:
    """How much of a pixel the strokes cover, by its distance from the nearest one."""
    nearest = min(_distance(x, y, *stroke) for stroke in _TALLY)
    return min(1.0, max(0.0, (_STROKE / 2 - nearest) / pixel + 0.5))


def _distance(x: float, y: float, start: tuple[float, float], end: tuple[float, float]) -> float:
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    length = along_x * along_x + along_y * along_y
    share = ((x - start[0]) * along_x + (y - start[1]) * along_y) / length
    share = min(1.0, max(0.0, share))
    return math.hypot(x - start[0] - share * along_x, y - start[1] - share * along_y)


def _chunks(width: int, height: int, rows: bytes) -> Iterator[bytes]:
    # 8 bits a channel, red green blue alpha.
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")):
        yield struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
