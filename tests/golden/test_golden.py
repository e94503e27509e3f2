"""The rules decide as they did when the vectors were written."""

from __future__ import annotations

import pytest

from tests.golden.cases import CASES
from tests.golden.regenerate import VECTORS
from tests.golden.story import Case, rendered


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_decision_is_the_one_that_was_written_down(case: Case) -> None:
    assert rendered(case) == (VECTORS / f"{case.name}.json").read_text(encoding="utf-8")


def test_every_vector_has_its_case_and_every_case_its_name() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 40
    assert {path.stem for path in VECTORS.glob("*.json")} == set(names)
