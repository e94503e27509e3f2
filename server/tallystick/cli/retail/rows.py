"""Reads a file of the UCI "Online Retail" data set: whole invoices or single lines, told apart by their header.

Amounts are exact: quantity times price in `Decimal`, rounded half up to pence. Times are those of the shop's
clock in London. What cannot be a sale or a return is kept as a row with its fault, so that every row of the file
is accounted for.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

from tallystick.core.ids import AMOUNT_MINOR_MAX, Ms
from tallystick.core.record import record

ROWS_MAX = 2_000_000
QUANTITY_MAX = 1_000_000
TEXT_CHARS_MAX = 64
INVOICE_SKU = "INVOICE"
ZONE = ZoneInfo("Europe/London")

_TIME_FORMATS = ("%m/%d/%Y %H:%M", "%Y-%m-%d %H:%M:%S")
_NOBODY = ("", "(blank)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class FileRefused(Exception):
    """The file cannot be read as one of the two; the message names the mend."""


class FileKind(StrEnum):
    """What one row of the file is."""

    INVOICES = "invoices"
    LINES = "lines"


class Rejection(StrEnum):
    """Why a row of the file was not posted. Where several fit, the first here is given."""

    UNREADABLE = "UNREADABLE"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    NEGATIVE_PRICE = "NEGATIVE_PRICE"
    ZERO_QUANTITY = "ZERO_QUANTITY"
    STOCK_CORRECTION = "STOCK_CORRECTION"
    RETURN_NOT_NEGATIVE = "RETURN_NOT_NEGATIVE"
    NO_MEMBER = "NO_MEMBER"
    NO_VALUE = "NO_VALUE"
    RETURN_WITHOUT_SALE = "RETURN_WITHOUT_SALE"


@record(frozen=True, slots=True)
class Row:
    """One row. `quantity` is positive for sales and returns alike; `fault` is set when the row is neither.

    `index` counts the data rows from 0. `amount_minor` is in pence.
    """

    index: int
    invoice: str
    sku: str
    quantity: int
    amount_minor: int
    at_ms: Ms
    retail_id: str
    is_return: bool
    fault: Rejection | None = None


_HEADERS = {
    FileKind.INVOICES: ("InvoiceNo", "InvoiceDate", "CustomerID", "Country", "Quantity", "UnitPrice"),
    FileKind.LINES: (
        "InvoiceNo",
        "StockCode",
        "Description",
        "Quantity",
        "InvoiceDate",
        "UnitPrice",
        "CustomerID",
        "Country",
    ),
}


def read_rows(path: Path) -> tuple[FileKind, list[Row]]:
    """Read the whole file, at most ROWS_MAX rows; FileRefused when it is not one of the two kinds."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            reader = csv.reader(stream)
            kind = _kind_of(next(reader, []), path)
            rows = list(_rows(reader, kind, path))
    except OSError as error:
        raise FileRefused(f"{path} cannot be read: {error.strerror}") from error
    except csv.Error as error:
        raise FileRefused(f"{path} is not a CSV file: {error}") from error
    return kind, rows


def _kind_of(header: list[str], path: Path) -> FileKind:
    names = tuple(name.strip() for name in header)
    for kind, expected in _HEADERS.items():
        if names == expected:
            return kind
    known = " or ".join(",".join(expected) for expected in _HEADERS.values())
    raise FileRefused(f"{path} is no online-retail file: its first line must be {known}")


def _rows(reader: Iterator[list[str]], kind: FileKind, path: Path) -> Iterator[Row]:
    names = _HEADERS[kind]
    for index, cells in enumerate(reader):
        if index >= ROWS_MAX:
            raise FileRefused(f"{path} has more than {ROWS_MAX} rows: split it")
        yield _row(index, dict(zip(names, cells, strict=False)), len(cells) == len(names))


def _row(index: int, cells: dict[str, str], complete: bool) -> Row:
    invoice = cells.get("InvoiceNo", "").strip()
    sku = cells.get("StockCode", INVOICE_SKU).strip()
    retail_id = _retail_id(cells.get("CustomerID", ""))
    is_return = invoice.startswith("C")
    fault: Rejection | None = None
    quantity, price, at_ms = 0, Decimal(0), Ms(0)
    try:
        quantity = _whole(cells["Quantity"])
        price = Decimal(cells["UnitPrice"].strip())
        at_ms = _instant(cells["InvoiceDate"].strip())
    except (KeyError, ValueError, InvalidOperation):
        fault = Rejection.UNREADABLE
    sizes_fit = 0 < len(invoice) <= TEXT_CHARS_MAX and 0 < len(sku) <= TEXT_CHARS_MAX
    # The contract takes no reference with a control character, and one such row would end the whole replay.
    if not complete or not sizes_fit or _CONTROL.search(invoice) or not price.is_finite():
        fault = Rejection.UNREADABLE
    amount = 0
    if fault is None:
        fault = _fault(quantity, price, is_return=is_return)
    if fault is None:
        quantity = abs(quantity)
        amount = _pence(quantity, price)
        if amount > AMOUNT_MINOR_MAX:
            fault = Rejection.OUT_OF_RANGE
        elif not retail_id:
            fault = Rejection.NO_MEMBER
    return Row(index, invoice, sku, quantity, amount, at_ms, retail_id, is_return, fault)


def _fault(quantity: int, price: Decimal, *, is_return: bool) -> Rejection | None:
    # abs() would compute with a price that may be larger than the decimal context can hold.
    if abs(quantity) > QUANTITY_MAX or price.copy_abs() > AMOUNT_MINOR_MAX:
        return Rejection.OUT_OF_RANGE
    if price < 0:
        return Rejection.NEGATIVE_PRICE
    if quantity == 0:
        return Rejection.ZERO_QUANTITY
    if is_return and quantity > 0:
        return Rejection.RETURN_NOT_NEGATIVE
    if quantity < 0 and not is_return:
        return Rejection.STOCK_CORRECTION
    return None


def _pence(quantity: int, price: Decimal) -> int:
    return int((quantity * price * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _whole(text: str) -> int:
    value = Decimal(text.strip())
    if not value.is_finite() or value != value.to_integral_value() or value.copy_abs() > 10**15:
        raise ValueError("not a whole number")
    return int(value)


def _retail_id(text: str) -> str:
    """The member's number in the file: "17850.0" is what a spreadsheet makes of 17850."""
    text = text.strip()
    if text in _NOBODY:
        return ""
    return text.removesuffix(".0")


def _instant(text: str) -> Ms:
    for layout in _TIME_FORMATS:
        try:
            local = datetime.strptime(text, layout).replace(tzinfo=ZONE)
        except ValueError:
            continue
        if not 2000 <= local.year < 2100:
            break
        return Ms(int(local.timestamp()) * 1000)
    raise ValueError("not a time")
