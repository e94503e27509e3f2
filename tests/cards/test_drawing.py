"""What is drawn can be read: by a decoder of others, at the resolutions of office and label printers."""

from __future__ import annotations

import io
import re

import pypdfium2
import pytest
import zxingcpp
from PIL import Image, ImageDraw

from tallystick.cards.draw import pdf_of, png_of, svg_of
from tallystick.cards.layout import A4_MM, CARD_MM, Mark, Page, card_pages, grouped, sheet_pages
from tallystick.cards.symbols import bar_symbol, qr_symbol
from tallystick.security.check_digits import (
    ean13_with_check_digit,
    gsrn_with_check_digit,
    luhn_check_digit,
)
from tallystick.security.identifiers import Identifier, IdentifierKind, parse_identifier

MEMBER = "991234567890123" + luhn_check_digit("991234567890123")
EAN = ean13_with_check_digit("290000012345")
GSRN = gsrn_with_check_digit("73500001234567890")
CARDS = {
    "]C0": Identifier(IdentifierKind.NUMBER, MEMBER),
    "]E0": Identifier(IdentifierKind.EAN13, EAN),
    "]C1": Identifier(IdentifierKind.GSRN, GSRN),
}
TITLE = "Club <Nordvik> & Sön"


def seen(image: Image.Image) -> set[tuple[str, str]]:
    """Return (AIM id, text) of all symbols in a picture."""
    found = zxingcpp.read_barcodes(image)
    return {(one.symbology_identifier, one.bytes.decode()) for one in found}


def expected(aim_id: str) -> set[tuple[str, str]]:
    number = CARDS[aim_id].value
    return {(aim_id, "8018" + number if aim_id == "]C1" else number), ("]Q1", number)}


def one_card(aim_id: str) -> Page:
    (page,) = card_pages([CARDS[aim_id]], title=TITLE)
    return page


@pytest.mark.parametrize("dpi", [203, 300, 600])
@pytest.mark.parametrize("aim_id", CARDS)
def test_a_png_of_a_card_is_read_as_the_symbols_that_were_meant(aim_id: str, dpi: int) -> None:
    image = Image.open(io.BytesIO(png_of(one_card(aim_id), dpi=dpi)))
    assert seen(image) == expected(aim_id)
    assert image.size == tuple(round(side / 25.4 * dpi) for side in CARD_MM)
    assert image.info["dpi"] == pytest.approx((dpi, dpi), abs=0.5)


@pytest.mark.parametrize("dpi", [203, 300])
@pytest.mark.parametrize("aim_id", CARDS)
def test_a_printed_pdf_of_a_card_is_read(aim_id: str, dpi: int) -> None:
    page = pypdfium2.PdfDocument(pdf_of([one_card(aim_id)]))[0]
    width, height = (points / 72 * 25.4 for points in page.get_size())
    assert (width, height) == pytest.approx(CARD_MM, abs=0.05)
    assert seen(page.render(scale=dpi / 72).to_pil()) == expected(aim_id)


@pytest.mark.parametrize("aim_id", CARDS)
def test_an_svg_of_a_card_is_read(aim_id: str) -> None:
    text = svg_of(one_card(aim_id))
    dots = 300 / 25.4
    image = Image.new("L", (round(CARD_MM[0] * dots), round(CARD_MM[1] * dots)), 255)
    brush = ImageDraw.Draw(image)
    for x, y, width, height in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)", text):
        left, top = float(x) * dots, float(y) * dots
        corner = (left + float(width) * dots - 1, top + float(height) * dots - 1)
        brush.rectangle(((left, top), corner), fill=0)
    assert seen(image) == expected(aim_id)
    assert "Club &lt;Nordvik&gt; &amp; Sön" in text
    assert f'width="{CARD_MM[0]:g}mm"' in text


@pytest.mark.parametrize("aim_id", CARDS)
def test_what_is_read_from_a_card_is_the_identifier_that_was_printed(aim_id: str) -> None:
    for aim, text in expected(aim_id):
        assert parse_identifier(text, default_region="SE", aim_id=aim) == CARDS[aim_id]


def sheets(count: int, per_sheet: int) -> list[Page]:
    numbers = [ean13_with_check_digit(f"29{number:010d}") for number in range(count)]
    cards = [Identifier(IdentifierKind.EAN13, number) for number in numbers]
    return list(sheet_pages(cards, title=TITLE, per_sheet=per_sheet))


@pytest.mark.parametrize("per_sheet", [8, 10])
def test_a_sheet_holds_all_its_cards_and_each_can_be_read(per_sheet: int) -> None:
    first, second = sheets(per_sheet + 1, per_sheet)
    assert len(seen(Image.open(io.BytesIO(png_of(first, dpi=203))))) == 2 * per_sheet
    document = pypdfium2.PdfDocument(pdf_of([first, second]))
    assert len(document) == 2
    assert len(seen(document[0].render(scale=300 / 72).to_pil())) == 2 * per_sheet
    assert len(seen(document[1].render(scale=300 / 72).to_pil())) == 2


@pytest.mark.parametrize("per_sheet", [8, 10])
def test_crop_marks_are_outside_of_the_cards_and_on_the_paper(per_sheet: int) -> None:
    (page,) = sheets(per_sheet, per_sheet)
    marks = [item for item in page.items if isinstance(item, Mark)]
    assert (page.width_mm, page.height_mm) == A4_MM
    left = (A4_MM[0] - 2 * CARD_MM[0]) / 2
    assert {mark.x_mm for mark in marks if mark.x_mm == mark.to_x_mm} == {
        round(left + column * CARD_MM[0], 3) for column in range(3)
    }
    assert len({mark.y_mm for mark in marks if mark.y_mm == mark.to_y_mm}) == (8 if per_sheet == 8 else 6)
    for mark in marks:
        assert 0 < mark.x_mm <= mark.to_x_mm < A4_MM[0]
        assert 0 < mark.y_mm <= mark.to_y_mm < A4_MM[1]
        outside_x = mark.to_x_mm < left or mark.x_mm > A4_MM[0] - left
        outside_y = min(mark.y_mm, A4_MM[1] - mark.to_y_mm) < 25
        assert outside_x or outside_y


def test_symbols_have_the_quiet_zones_of_their_standards() -> None:
    for aim_id, (left, right) in {"]E0": (11, 7), "]C0": (10, 10), "]C1": (10, 10)}.items():
        (row,) = bar_symbol(CARDS[aim_id]).rows
        assert (row.index("1"), row[::-1].index("1")) == (left, right)
    code = qr_symbol(MEMBER)
    assert all(row == "0" * len(row) for row in (*code.rows[:4], *code.rows[-4:]))
    assert all(row.startswith("0000") and row.endswith("0000") for row in code.rows)


def test_numbers_are_grouped_for_the_eye_and_texts_are_not() -> None:
    assert grouped(MEMBER) == f"{MEMBER[:4]} {MEMBER[4:8]} {MEMBER[8:12]} {MEMBER[12:]}"
    assert grouped("AB-12") == "AB-12"
