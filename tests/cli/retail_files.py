"""Sales files of the two kinds, made up: dirty as real exports are, and the same for the same seed."""

from __future__ import annotations

import csv
import random
from datetime import datetime, timedelta
from pathlib import Path

INVOICES_HEADER = ["InvoiceNo", "InvoiceDate", "CustomerID", "Country", "Quantity", "UnitPrice"]
LINES_HEADER = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
]


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def invoices_file(path: Path, *, count: int = 300, seed: int = 7) -> Path:
    """A year of invoices of a few members, returns at the end as in the real file, and some of every fault."""
    dice = random.Random(seed)
    rows, back = [], []
    at = datetime(2010, 12, 1, 8, 26)  # noqa: DTZ001  the file writes the clock on the wall
    for number in range(536365, 536365 + count):
        at += timedelta(minutes=dice.randrange(60, 3000))
        who = dice.choice(["17850", "13047", "12583", "14688", "15311", "(blank)"])
        quantity, price = dice.randrange(1, 400), f"{dice.randrange(5, 900) / 100:.2f}"
        fault = dice.random()
        if fault < 0.04:
            quantity, price, who = -quantity, "0", "(blank)"
        elif fault < 0.06:
            price = "0"
        rows.append([str(number), _short(at), who, "United Kingdom", str(quantity), price])
        if fault > 0.85 and who != "(blank)":
            later = at + timedelta(days=dice.randrange(0, 40))
            part = dice.randrange(1, quantity + 20)
            back.append([f"C{number}", _short(later), who, "United Kingdom", str(-part), price])
    rows.append(["A563186", "8/12/2011 14:51", "(blank)", "United Kingdom", "1", "-11062.06"])
    rows.append(["536999", "no date", "17850", "United Kingdom", "1", "2.5"])
    rows.append(["5369\t97", "2/1/2011 9:00", "17850", "United Kingdom", "1", "2.5"])
    rows.append(["536996", "2/1/2011 9:00", "17850", "United Kingdom", "1E+9999999", "2.5"])
    rows.append(["536998", "2/1/2011 9:00", "16029", "United Kingdom", "10", "2"])
    rows.append(["599999", "3/1/2012 9:00", "16029", "United Kingdom", "10", "2"])
    back.append(["C536998", "2/8/2011 9:00", "16029", "United Kingdom", "-15", "2"])
    back.append(["C536379", "12/1/2010 8:20", "17850", "United Kingdom", "-1", "27.5"])
    return write_csv(path, INVOICES_HEADER, [*rows, *back])


def _short(at: datetime) -> str:
    return f"{at.month}/{at.day}/{at.year} {at.hour}:{at.minute:02d}"
