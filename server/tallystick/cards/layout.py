"""Where things are on a card and where cards are on a sheet, in millimetres from the top left corner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tallystick.cards.symbols import Symbol, bar_symbol, qr_symbol
from tallystick.core.record import record
from tallystick.security.identifiers import Identifier

CARD_MM = (85.6, 53.98)
"""Width and height of an ID-1 card (ISO/IEC 7810)."""

A4_MM = (210.0, 297.0)
COLUMNS = 2
GUTTERS_MM = {8: 6.0, 10: 0.0}
"""Space between the rows of a sheet, by how many cards are on it."""

MARK_MM = 5.0
MARK_GAP_MM = 2.0
EDGE_MM = 3.0
BARS_Y_MM = 28.0
NUMBER_Y_MM = 47.0
TITLE_CHARS_MAX = 40


@record(frozen=True, slots=True)
class Placed:
    """A symbol; x and y are of its top left corner, quiet zone included."""

    symbol: Symbol
    x_mm: float
    y_mm: float


@record(frozen=True, slots=True)
class Words:
    """A line of text; y is of its baseline, x of its beginning, or of its middle when ``centred``."""

    text: str
    x_mm: float
    y_mm: float
    size_mm: float
    centred: bool = False


@record(frozen=True, slots=True)
class Mark:
    """A thin line where to cut."""

    x_mm: float
    y_mm: float
    to_x_mm: float
    to_y_mm: float


Item = Placed | Words | Mark


@record(frozen=True, slots=True)
class Page:
    """One page or picture."""

    width_mm: float
    height_mm: float
    items: tuple[Item, ...]


def card_page(number: Identifier, *, title: str) -> Page:
    """Return a card of its own size: title and QR code above, bars and number below."""
    width, height = CARD_MM
    code, bars = qr_symbol(number.value), bar_symbol(number)
    assert bars.width_mm <= width, "the longest bars are those of a GSRN, and they fit"
    items = (
        Words(title, EDGE_MM + 2, EDGE_MM + 7, 4.5),
        Placed(code, width - code.width_mm - EDGE_MM + 1, EDGE_MM - 1),
        Placed(bars, (width - bars.width_mm) / 2, BARS_Y_MM),
        Words(grouped(number.value), width / 2, NUMBER_Y_MM, 3.8, centred=True),
    )
    return Page(width, height, items)


def card_pages(numbers: Sequence[Identifier], *, title: str) -> Iterator[Page]:
    """Give one page for each card."""
    for number in numbers:
        yield card_page(number, title=title)


def sheet_pages(numbers: Sequence[Identifier], *, title: str, per_sheet: int) -> Iterator[Page]:
    """Give A4 sheets of 8 or 10 cards, with marks outside of the cards where to cut."""
    gutter, rows = GUTTERS_MM[per_sheet], per_sheet // COLUMNS
    left = (A4_MM[0] - COLUMNS * CARD_MM[0]) / 2
    top = (A4_MM[1] - rows * CARD_MM[1] - (rows - 1) * gutter) / 2
    places = [
        (left + column * CARD_MM[0], top + row * (CARD_MM[1] + gutter))
        for row in range(rows)
        for column in range(COLUMNS)
    ]
    marks = tuple(_marks(places))
    for start in range(0, len(numbers), per_sheet):
        items: list[Item] = []
        for number, (x, y) in zip(numbers[start : start + per_sheet], places, strict=False):
            items += [_moved(item, x, y) for item in card_page(number, title=title).items]
        yield Page(*A4_MM, (*items, *marks))


def grouped(number: str) -> str:
    """Return a number as it is read aloud: in fours from the left; a text with letters as it is."""
    if not number.isdigit():
        return number
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))


def _marks(places: Sequence[tuple[float, float]]) -> Iterator[Mark]:
    across = sorted({round(x + edge, 3) for x, _ in places for edge in (0, CARD_MM[0])})
    down = sorted({round(y + edge, 3) for _, y in places for edge in (0, CARD_MM[1])})
    for x in across:
        yield Mark(x, down[0] - MARK_GAP_MM - MARK_MM, x, down[0] - MARK_GAP_MM)
        yield Mark(x, down[-1] + MARK_GAP_MM, x, down[-1] + MARK_GAP_MM + MARK_MM)
    for y in down:
        yield Mark(across[0] - MARK_GAP_MM - MARK_MM, y, across[0] - MARK_GAP_MM, y)
        yield Mark(across[-1] + MARK_GAP_MM, y, across[-1] + MARK_GAP_MM + MARK_MM, y)


def _moved(item: Item, x_mm: float, y_mm: float) -> Item:
    assert not isinstance(item, Mark), "a card has no marks of its own"
    return replace(item, x_mm=item.x_mm + x_mm, y_mm=item.y_mm + y_mm)
