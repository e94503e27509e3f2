"""What leaves as CSV must not run in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.cli.export import Format, Record, neutral, write_records

FORMULAS = ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "=HYPERLINK(...)", "\uff1d1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert neutral(text) == "'" + text


def test_numbers_stay_numbers_and_plain_text_stays_as_it_is() -> None:
    assert neutral(-5) == -5
    assert neutral("536365") == "536365"
    assert neutral("Tea = good") == "Tea = good"


RECORDS = st.builds(
    lambda reference, points: {"reference": reference, "points": points}, st.text(), st.integers()
)


@given(st.lists(RECORDS, max_size=5))
def test_no_cell_of_an_export_begins_like_a_formula_and_nothing_else_changes(found: list[Record]) -> None:
    stream = io.StringIO(newline="")
    assert list(write_records(found, stream, Format.CSV)) == list(range(1, len(found) + 1))
    stream.seek(0)
    rows = list(csv.DictReader(stream))
    for record, row in zip(found, rows, strict=True):
        assert not row["reference"].lstrip(" ").startswith(("=", "+", "-", "@"))
        assert row["reference"] in (record["reference"], f"'{record['reference']}")
        assert int(row["points"]) == record["points"]


def test_json_lines_hold_the_text_unchanged() -> None:
    stream = io.StringIO()
    list(write_records([{"reference": "=1+1", "points": 3}], stream, Format.JSONL))
    assert json.loads(stream.getvalue()) == {"reference": "=1+1", "points": 3}
