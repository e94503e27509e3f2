"""The index of rules finds for every line what looking at every rule would find, in the order of the rule set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.basket import Line
from tallystick.core.ids import Minor
from tallystick.core.rules.index import Selector, index_of
from tallystick.core.rules.match import fits

NAMES = st.sampled_from(["a", "b", "c", "d"])
SETS = st.frozensets(NAMES, max_size=3)
SELECTORS = st.lists(st.builds(Selector, SETS, SETS, SETS), max_size=12)
LINES = st.builds(
    lambda sku, brand, categories: Line(sku, 1000, Minor(100), "", tuple(categories), brand),
    NAMES,
    st.one_of(st.just(""), NAMES),
    st.lists(NAMES, max_size=3, unique=True),
)


@given(SELECTORS, LINES)
def test_it_finds_what_looking_at_every_rule_finds(selectors: list[Selector], line: Line) -> None:
    index = index_of(selectors)
    found = [
        place for place in index.candidates(line) if (rest := index.rest[place]) is None or fits(rest, line)
    ]
    assert found == [place for place, selector in enumerate(selectors) if fits(selector, line)]


def test_a_line_that_no_rule_names_is_shown_to_the_rules_for_all_lines_only() -> None:
    index = index_of([Selector(), Selector(brands=frozenset("b")), Selector(skus=frozenset("a"))])
    assert list(index.candidates(Line("x", 1000, Minor(1)))) == [0]
    assert list(index.candidates(Line("a", 1000, Minor(1), brand="b"))) == [0, 1, 2]
