"""The symbols of a card as rows of modules: QR code, EAN-13, Code 128, GS1-128.

They are drawn as areas, so that every file format has the same sizes in millimetres.
"""

from __future__ import annotations

from collections.abc import Iterator

import qrcode

from tallystick.cards.bars import code128_bars, ean13_bars
from tallystick.core.record import record
from tallystick.security.identifiers import CARD_KINDS, Identifier, IdentifierKind

BAR_MM = 0.375
"""Width of a narrow bar: three dots at 203 dpi; for EAN-13 a magnification of 114 % (80 to 200 % are allowed)."""

BAR_HEIGHT_MM = 14.0
QR_MODULE_MM = 0.75
QR_QUIET = 4
"""Modules of quiet zone on each side (ISO/IEC 18004, 9.1)."""

EAN13_QUIET = (11, 7)
"""Modules left and right (GS1 General Specifications 5.2.3.4)."""

CODE128_QUIET = (10, 10)
"""Modules left and right (ISO/IEC 15417, 4.4)."""

GSRN_AI = "8018"


@record(frozen=True, slots=True)
class Symbol:
    """Rows of modules from the top, each a text of 0 and 1, quiet zones included."""

    rows: tuple[str, ...]
    module_mm: float
    row_mm: float

    @property
    def width_mm(self) -> float:
        """The width with quiet zones."""
        return len(self.rows[0]) * self.module_mm

    @property
    def height_mm(self) -> float:
        """The height with quiet zones."""
        return len(self.rows) * self.row_mm

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """Give the dark parts as (row, first module, modules)."""
        for at, row in enumerate(self.rows):
            start = row.find("1")
            while start >= 0:
                end = row.find("0", start)
                end = len(row) if end < 0 else end
                yield at, start, end - start
                start = row.find("1", end)


def qr_symbol(text: str) -> Symbol:
    """Return the QR code of a text, error correction M; digits take the least room."""
    code = qrcode.QRCode(border=QR_QUIET, error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(text)
    code.make(fit=True)
    rows = tuple("".join("1" if dark else "0" for dark in row) for row in code.get_matrix())
    return Symbol(rows, QR_MODULE_MM, QR_MODULE_MM)


def bar_symbol(number: Identifier) -> Symbol:
    """Return the bars that a card of a kind has: EAN-13, GS1-128 for a GSRN, else Code 128."""
    assert number.kind in CARD_KINDS, "what people say of themselves is not printed"
    if number.kind is IdentifierKind.EAN13:
        return _bars(ean13_bars(number.value), EAN13_QUIET)
    if number.kind is IdentifierKind.GSRN:
        return _bars(code128_bars(GSRN_AI + number.value, gs1=True), CODE128_QUIET)
    return _bars(code128_bars(number.value), CODE128_QUIET)


def _bars(modules: str, quiet: tuple[int, int]) -> Symbol:
    return Symbol(("0" * quiet[0] + modules + "0" * quiet[1],), BAR_MM, BAR_HEIGHT_MM)
