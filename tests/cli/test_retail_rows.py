"""Reading a sales file: exact amounts, honest faults."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tallystick.cli.retail.rows import FileKind, FileRefused, Rejection, Row, read_rows
from tests.cli.retail_files import INVOICES_HEADER, LINES_HEADER, write_csv


def one_invoice(tmp_path: Path, *cells: str) -> Row:
    kind, (row,) = read_rows(write_csv(tmp_path / "file.csv", INVOICES_HEADER, [list(cells)]))
    assert kind is FileKind.INVOICES
    return row


def one_line(tmp_path: Path, *cells: str) -> Row:
    kind, (row,) = read_rows(write_csv(tmp_path / "file.csv", LINES_HEADER, [list(cells)]))
    assert kind is FileKind.LINES
    return row


def test_quantity_times_mean_price_is_rounded_half_up_to_pence_without_floats(tmp_path: Path) -> None:
    assert one_invoice(tmp_path, "1", "12/1/2010 8:26", "17850", "UK", "40", "3.91").amount_minor == 15640
    assert one_invoice(tmp_path, "1", "12/1/2010 8:26", "17850", "UK", "1", "0.005").amount_minor == 1
    assert one_invoice(tmp_path, "1", "12/1/2010 8:26", "17850", "UK", "1", "0.00499999").amount_minor == 0
    # 3 * 0.335 is 1.005 and 100.49999... in binary floats.
    assert one_invoice(tmp_path, "1", "12/1/2010 8:26", "17850", "UK", "3", "0.335").amount_minor == 101


def test_the_shops_clock_is_londons_in_winter_and_in_summer(tmp_path: Path) -> None:
    winter = one_invoice(tmp_path, "1", "12/1/2010 8:26", "17850", "UK", "1", "1")
    summer = one_line(tmp_path, "1", "A", "", "1", "2011-07-01 08:26:00", "1", "17850.0", "UK")
    assert winter.at_ms == int(datetime(2010, 12, 1, 8, 26, tzinfo=UTC).timestamp()) * 1000
    assert summer.at_ms == int(datetime(2011, 7, 1, 7, 26, tzinfo=UTC).timestamp()) * 1000


def test_a_number_that_a_spreadsheet_turned_into_a_decimal_is_the_same_member(tmp_path: Path) -> None:
    row = one_line(tmp_path, "536365", "85123A", "HEART", "6", "2010-12-01 08:26:00", "2.55", "17850.0", "UK")
    assert (row.retail_id, row.sku, row.amount_minor, row.fault) == ("17850", "85123A", 1530, None)


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (("1", "12/1/2010 8:26", "(blank)", "UK", "1", "1"), Rejection.NO_MEMBER),
        (("1", "12/1/2010 8:26", "", "UK", "1", "1"), Rejection.NO_MEMBER),
        (("1", "12/1/2010 8:26", "17850", "UK", "-1", "0"), Rejection.STOCK_CORRECTION),
        (("A1", "12/1/2010 8:26", "17850", "UK", "1", "-1.50"), Rejection.NEGATIVE_PRICE),
        (("C1", "12/1/2010 8:26", "17850", "UK", "1", "1"), Rejection.RETURN_NOT_NEGATIVE),
        (("1", "12/1/2010 8:26", "17850", "UK", "0", "1"), Rejection.ZERO_QUANTITY),
        (("1", "12/1/2010 8:26", "17850", "UK", "2000000", "1"), Rejection.OUT_OF_RANGE),
        (("1", "12/1/2010 8:26", "17850", "UK", "1000000", "99999999"), Rejection.OUT_OF_RANGE),
        (("1", "31/12/2010 8:26", "17850", "UK", "1", "1"), Rejection.UNREADABLE),
        (("1", "12/1/2010 8:26", "17850", "UK", "one", "1"), Rejection.UNREADABLE),
        (("1", "12/1/2010 8:26", "17850", "UK", "1", "NaN"), Rejection.UNREADABLE),
        (("1", "12/1/2010 8:26", "17850", "UK", "1"), Rejection.UNREADABLE),
        (("", "12/1/2010 8:26", "17850", "UK", "1", "1"), Rejection.UNREADABLE),
        (("x" * 65, "12/1/2010 8:26", "17850", "UK", "1", "1"), Rejection.UNREADABLE),
        (("5363\t67", "12/1/2010 8:26", "17850", "UK", "1", "1"), Rejection.UNREADABLE),
        (("5363\x8567", "12/1/2010 8:26", "17850", "UK", "1", "1"), Rejection.UNREADABLE),
        (("1", "12/1/2010 8:26", "17850", "UK", "1E+9999999", "1"), Rejection.UNREADABLE),
        (("1", "12/1/2010 8:26", "17850", "UK", "1", "1E+9999999"), Rejection.OUT_OF_RANGE),
        (("1", "12/1/2010 8:26", "17850", "UK", "1", "-1E+9999999"), Rejection.OUT_OF_RANGE),
    ],
)
def test_a_row_that_is_neither_sale_nor_return_says_why(
    tmp_path: Path, cells: tuple[str, ...], fault: Rejection
) -> None:
    assert one_invoice(tmp_path, *cells).fault is fault


@pytest.mark.parametrize(
    ("invoice", "price"), [("1", "1E-9999999"), ("5363\u00a067", "1"), ("5363\ufffd67", "1")]
)
def test_what_only_looks_odd_is_no_fault(tmp_path: Path, invoice: str, price: str) -> None:
    assert one_invoice(tmp_path, invoice, "12/1/2010 8:26", "17850", "UK", "1", price).fault is None


def test_another_file_is_refused_with_the_headers_that_would_do(tmp_path: Path) -> None:
    other = write_csv(tmp_path / "other.csv", ["a", "b"], [["1", "2"]])
    with pytest.raises(FileRefused, match="its first line must be InvoiceNo,InvoiceDate"):
        read_rows(other)
    with pytest.raises(FileRefused, match="cannot be read"):
        read_rows(tmp_path / "missing.csv")
