"""Reading a rule set's text without trusting it, and telling where everything stands."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.service.programs import CheckedText, LocatedFinding, check_text
from tallystick.service.rule_text import (
    DEPTH_MAX,
    NODES_MAX,
    TEXT_BYTES_MAX,
    Place,
    TextRefused,
    Value,
    canonical_json,
    read_document,
)

GOOD = """\
format: tallystick/1
name: Shop
currency: EUR
time_zone: Europe/Stockholm
earning:
  rules:
    - {id: base, kind: per_amount, points: 1, per_minor: 100}
"""
TOML = """\
# the same in TOML
format = "tallystick/1"
name = "Shop"
currency = "EUR"
time_zone = "Europe/Stockholm"

[[earning.rules]]
id = "base"
kind = "per_amount"
points = 1
per_minor = 100
"""


def refused(text: str) -> TextRefused:
    try:
        document = read_document(text)
    except TextRefused as error:
        return error
    raise AssertionError(f"the text was read: {document.value}")


def findings(text: str) -> list[LocatedFinding]:
    checked = check_text(text)
    assert isinstance(checked, list)
    return checked


def test_a_good_text_is_read_in_yaml_and_in_toml_alike() -> None:
    yaml, toml = check_text(GOOD), check_text(TOML)
    assert isinstance(yaml, CheckedText)
    assert yaml == toml


@pytest.mark.parametrize("text", [GOOD, TOML])
def test_a_text_may_begin_with_the_mark_that_some_editors_write(text: str) -> None:
    assert check_text("\ufeff" + text) == check_text(text)
    assert isinstance(check_text("\ufeff" + text), CheckedText)


def test_the_canonical_form_does_not_depend_on_order_spaces_or_comments() -> None:
    lines = GOOD.splitlines()
    other = "\n".join(["# another order", *lines[4:], *lines[:4], ""])
    assert check_text(other) == check_text(GOOD)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no", {"a": "no"}),
        ("a: on", {"a": "on"}),
        ("a: true", {"a": True}),
        ("a: 'true'", {"a": "true"}),
        ("a: 017", {"a": 17}),
        ("a: -5", {"a": -5}),
        ("a: 1.5", {"a": "1.5"}),
        ("a: .inf", {"a": ".inf"}),
        ("a: 1e9", {"a": "1e9"}),
        ("a: 0x1F", {"a": "0x1F"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: 12:30:45", {"a": "12:30:45"}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("1: one", {"1": "one"}),
        ("a: [1, x, {b: c}]", {"a": [1, "x", {"b": "c"}]}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("- 1\n- 2", [1, 2]),
    ],
)
def test_plain_yaml_values_are_what_they_look_like(text: str, value: Value) -> None:
    assert read_document(text).value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = 1.5", {"a": "1.5"}),
        ("a = 2026-01-01", {"a": "2026-01-01"}),
        ("[a]\nb = [1, true]", {"a": {"b": [1, True]}}),
    ],
)
def test_toml_has_neither_floats_nor_dates_here(text: str, value: Value) -> None:
    assert read_document(text).value == value


def test_every_finding_tells_line_column_path_and_mend() -> None:
    wrong = GOOD.replace("EUR", "eur").replace("points: 1", "points: many")
    first, second = findings(wrong)
    assert (first.place, first.finding.path) == (Place(3, 1), "currency")
    assert first.finding.mend
    assert (second.place, second.finding.path) == (Place(7, 36), "earning.rules[0].points")


def test_a_finding_about_something_that_is_missing_points_at_what_it_is_missing_from() -> None:
    wrong = GOOD.replace(", per_minor: 100", "")
    (only,) = findings(wrong)
    assert (only.place, only.finding.path) == (Place(7, 7), "earning.rules[0].per_minor")


def test_findings_come_in_the_order_of_the_text() -> None:
    wrong = GOOD.replace("name: Shop", "nam: Shop").replace("kind: per_amount", "kind: per_weight")
    lines = [found.place.line for found in findings(wrong)]
    assert lines == sorted(lines)
    assert len(lines) >= 2


@pytest.mark.parametrize(
    ("text", "place", "about"),
    [
        ("a: &x 1\nb: 2", Place(1, 4), "anchors"),
        ("a: &x [1]\nb: *x", Place(1, 4), "anchors"),
        ("a: 1\nb: *x", Place(2, 4), "aliases"),
        ("a: 1\nb: !!python/object:os.system ls", Place(2, 4), "tags"),
        ("a: !!int '1'", Place(1, 4), "tags"),
        ("!foo a: 1", Place(1, 1), "tags"),
        ("a: 1\n? [x]\n: 2", Place(2, 3), "plain word"),
        ("a: 1\nb: 2\na: 3", Place(3, 1), "already, in line 1"),
        ("x:\n  - {b: 1, b: 2}", Place(2, 12), "already, in line 2"),
        ("a: 1\n---\nb: 2", Place(2, 1), "second document"),
        ("%YAML 1.1\n---\na: 1", Place(1, 1), "directives"),
        ("%TAG ! tag:x,2000:\n---\na: 1", Place(1, 1), "directives"),
        ("a: [1, 2", Place(1, 9), "is not YAML"),
        ("a: 'x", Place(1, 6), "is not YAML"),
        ("a: 1\n\tb: 2", Place(2, 1), "is not YAML"),
        ("a: 1\nb: \x07", Place(2, 4), "forbids"),
        ("a: " + "9" * 30, Place(1, 4), "digits"),
        ("a = [1,", Place(1, 8), "is not TOML"),
        ("a = 1\na = 2", Place(2, 6), "overwrite"),
        ('a = "\\u0000"', Place(0, 0), "control"),
        ('a: 1\nb: "\\0"', Place(2, 4), "control"),
        ('a: 1\n"\\e": 2', Place(2, 1), "control"),
        ('a: "\\ud800"', Place(1, 4), "half a character"),
        ("", Place(0, 0), "empty"),
        ("# nothing\n", Place(0, 0), "empty"),
    ],
)
def test_what_is_no_plain_document_is_refused_where_it_stands(text: str, place: Place, about: str) -> None:
    error = refused(text)
    assert error.place == place
    assert about in error.finding.message


BOMBS = {
    "billion laughs": "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n",
    "deep lists": "a: " + "[" * 20_000 + "]" * 20_000,
    "deep maps": "".join("  " * depth + "a:\n" for depth in range(200)),
    "deep flow maps": "{a: " * 5_000,
    "many parts": "a: [" + "1," * 40_000 + "1]",
    "a long text": "a: " + "x" * (TEXT_BYTES_MAX + 1),
    "deep toml": "a = " + "[" * 5_000 + "]" * 5_000,
    "deep toml tables": "\n".join("[" + ".".join(["a"] * depth) + "]" for depth in range(1, 60)),
    "a toml name of many parts": "a" + ".a" * 24_000 + " = 1",
    "a toml name of many quoted parts": "a" + " . 'a' . \"a\"" * 5_000 + " = 1",
    "a toml table of many parts": "[a" + ".a" * 24_000 + "]",
    "an inline toml table of many parts": "x = {a" + ".a" * 24_000 + " = 1}",
    "a toml number of a whole page": "a = " + "9" * 48_000,
    "a toml number in hexadecimal": "a = 0x" + "f" * 48_000,
    "a list that holds itself": "a: &a [*a]",
    "many keys": "\n".join(f"k{number}: 1" for number in range(NODES_MAX)),
    "a long key": "? " + "k" * 5000 + "\n: 1\n" * 3,
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_bomb_is_refused_with_its_mend_and_costs_little(name: str) -> None:
    tracemalloc.start()
    try:
        began = time.process_time()
        found = check_text(BOMBS[name])
        took_s = time.process_time() - began
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(found, list)
    assert took_s < 10, "a fifth of it without the tracing"
    assert most_bytes < 32 * 1024 * 1024
    assert found[0].finding.mend or "YAML" in found[0].finding.message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1\nb = 2\n[x" + ".a" * 20 + "]", Place(3, 2 + 1 + 2 * 16)),
        ("a = 1\nx" + ".a" * 20 + " = 1", Place(2, 1 + 1 + 2 * 16)),
    ],
)
def test_a_toml_name_of_too_many_parts_is_refused_where_it_is_too_long(text: str, place: Place) -> None:
    assert refused(text).place == place


def test_dots_in_texts_numbers_and_comments_of_toml_are_no_parts_of_names() -> None:
    dots = "1.2" * 40
    text = f'# {"a." * 40}\na = \'{dots}\'\nb = [{"1.5, " * 40}]\nc = """\n{dots}"""\nd = "{dots}"'
    assert read_document(text).value == {"a": dots, "b": ["1.5"] * 40, "c": dots, "d": dots}


def test_a_text_of_too_many_parts_is_refused_before_it_is_built() -> None:
    error = refused(BOMBS["many parts"])
    assert error.finding.message == f"has more than {NODES_MAX} parts"


def test_a_document_as_deep_as_allowed_is_read() -> None:
    deepest = "[" * DEPTH_MAX + "]" * DEPTH_MAX
    assert read_document(f"{deepest}").value is not None
    assert "deep" in refused(f"[{deepest}]").finding.message


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert isinstance(check_text(text), (list, CheckedText))


TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=10)
NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=8)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**17), 10**17), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, JSON, min_size=1, max_size=4))
def test_canonical_json_reads_back_as_itself(value: dict[str, Value]) -> None:
    assert read_document(canonical_json(value)).value == value
