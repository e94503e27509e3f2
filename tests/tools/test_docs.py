"""The reference pages that come from the contract."""

from __future__ import annotations

import pytest

from tallystick.v1 import errors_pb2
from tools import docs


@pytest.fixture(scope="module")
def sources() -> list[docs.Source]:
    return docs.read_sources()


def test_the_reference_names_every_method_with_who_may_call_it(sources: list[docs.Source]) -> None:
    page = docs.render_api(sources)
    methods = [
        method.name for source in sources for service in source.file.service for method in service.method
    ]
    assert "PostSale" in methods
    for name in methods:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |") and "→" in line]
        assert row.split("|")[3].strip(), f"{name} is allowed to nobody"


def test_the_reference_tells_lists_maps_and_alternatives_apart(sources: list[docs.Source]) -> None:
    page = docs.render_api(sources)
    assert "list of [Line](#line)" in page
    assert "map of string to string" in page
    assert "one of `outcome`" in page


def test_every_error_has_a_status_a_meaning_and_example_metadata(sources: list[docs.Source]) -> None:
    page = docs.render_errors(sources)
    for name in errors_pb2.ErrorReason.keys()[1:]:
        (row,) = [
            line
            for line in page.splitlines()
            if line.startswith(f"| `{name.removeprefix('ERROR_REASON_')}` |")
        ]
        _, _, status, meaning, metadata, _ = (cell.strip() for cell in row.split("|"))
        assert status.isupper()
        assert meaning
        assert metadata.startswith("`{")
