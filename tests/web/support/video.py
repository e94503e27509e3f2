"""Films for a fake camera, written byte by byte: one code, held still."""

from __future__ import annotations

from pathlib import Path

import qrcode

WIDTH, HEIGHT = 1280, 720
MARGIN = 4
"""White modules around a code, as ISO/IEC 18004 wants them."""

PICTURES = 4
WHITE, BLACK, NO_COLOUR = 235, 16, 128
"""Studio levels of luma, and chroma of grey."""


def write_film(file: Path, text: str) -> None:
    """Film a QR code of ``text``, as large as fits; nothing but white for an empty text."""
    luma = bytearray([WHITE]) * (WIDTH * HEIGHT)
    if text:
        _draw(luma, _modules(text))
    picture = b"FRAME\n" + bytes(luma) + bytes([NO_COLOUR]) * (WIDTH * HEIGHT // 2)
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode()
    file.write_bytes(head + picture * PICTURES)


def _modules(text: str) -> list[list[bool]]:
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_L, border=MARGIN)
    code.add_data(text.encode())
    code.make(fit=True)
    return [[bool(dark) for dark in row] for row in code.get_matrix()]


def _draw(luma: bytearray, modules: list[list[bool]]) -> None:
    size = HEIGHT // len(modules)
    left, top = (WIDTH - size * len(modules)) // 2, (HEIGHT - size * len(modules)) // 2
    for row, line in enumerate(modules):
        pixels = b"".join(bytes([BLACK if dark else WHITE]) * size for dark in line)
        for at in range(top + row * size, top + (row + 1) * size):
            luma[at * WIDTH + left : at * WIDTH + left + len(pixels)] = pixels
