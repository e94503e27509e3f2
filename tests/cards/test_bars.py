"""Bars as a decoder of others reads them, whatever is in them."""

from __future__ import annotations

import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tallystick.cards.bars import code128_bars, ean13_bars
from tallystick.security.check_digits import ean13_with_check_digit

DIGITS = "0123456789"
PRINTABLE = "".join(chr(code) for code in range(33, 127))


def decoded(modules: str) -> tuple[str, str]:
    row = f"{'0' * 12}{modules}{'0' * 12}"
    image = Image.new("L", (3 * len(row), 60), 255)
    for at, module in enumerate(row):
        if module == "1":
            image.paste(0, (3 * at, 0, 3 * at + 3, 60))
    found = zxingcpp.read_barcode(image)
    return (found.symbology_identifier, found.bytes.decode()) if found else ("", "")


@settings(max_examples=150, deadline=None)
@given(st.text(PRINTABLE, min_size=3, max_size=48))
def test_any_text_is_read_as_it_was_written(text: str) -> None:
    assert decoded(code128_bars(text)) == ("]C0", text)


@settings(max_examples=150, deadline=None)
@given(st.text(DIGITS, min_size=3, max_size=32), st.sampled_from(["", "A", "CLUB-"]))
def test_any_number_is_read_as_it_was_written(digits: str, before: str) -> None:
    assert decoded(code128_bars(before + digits)) == ("]C0", before + digits)


@settings(max_examples=100, deadline=None)
@given(st.text(DIGITS, min_size=12, max_size=12))
def test_any_ean_13_is_read_as_it_was_written(body: str) -> None:
    number = ean13_with_check_digit(body)
    assert decoded(ean13_bars(number)) == ("]E0", number)


def test_a_number_of_even_length_is_all_pairs() -> None:
    start, values, check, stop = 11, 8 * 11, 11, 13
    assert len(code128_bars("9912345678901239")) == start + values + check + stop
