"""What is stored is read back as it was, and stays readable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.codec import (
    allocs_from_text,
    allocs_to_text,
    detail_from_text,
    detail_to_text,
    tallies_from_text,
    tallies_to_text,
    tier_from_text,
    tier_to_text,
)
from tallystick.core.entry import (
    NO_DETAIL,
    AppliedCoupon,
    AppliedReward,
    CountedLines,
    Detail,
    Explanation,
    LineShare,
    ReturnedLine,
    TaxTotal,
)
from tallystick.core.state import NO_TIER, Alloc, Tally, TierState

numbers = st.integers(-(10**15), 10**15)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def rows(kind: type, *columns: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(st.builds(kind, *columns), max_size=4).map(tuple)


pairs = st.lists(st.tuples(texts, texts), max_size=3).map(tuple)
details = st.builds(
    Detail,
    explanations=rows(Explanation, texts, numbers, numbers, texts, pairs),
    lines=rows(LineShare, *[numbers] * 6),
    allocs=rows(Alloc, numbers, numbers),
    tax_totals=rows(TaxTotal, texts, numbers, numbers, numbers),
    rewards=rows(AppliedReward, texts, numbers, numbers),
    payable_minor=numbers,
    credit_day=numbers,
    returned=rows(ReturnedLine, numbers, numbers, numbers),
    due_points=numbers,
    restored_points=numbers,
    refund_minor=numbers,
    reason=texts,
    coupons=rows(AppliedCoupon, texts, numbers, texts),
    tallies=rows(Tally, texts, numbers, numbers),
    counted=rows(CountedLines, texts, numbers, st.booleans(), st.lists(numbers, max_size=4).map(tuple)),
)
buckets = st.lists(st.tuples(numbers, numbers), max_size=4).map(tuple)
tiers = st.builds(TierState, texts, texts, numbers, numbers, texts, buckets, numbers)


@settings(max_examples=150)
@given(detail=details)
def test_a_detail_is_read_back_as_it_was_written(detail: Detail) -> None:
    text = detail_to_text(detail)
    assert detail_from_text(text) == detail
    assert text.isascii()


@settings(max_examples=150)
@given(tier=tiers)
def test_a_tier_is_read_back_as_it_was_written(tier: TierState) -> None:
    assert tier_from_text(tier_to_text(tier)) == tier


@settings(max_examples=50)
@given(tallies=rows(Tally, texts, numbers, numbers))
def test_tallies_are_read_back_as_they_were_written(tallies: tuple[Tally, ...]) -> None:
    assert tallies_from_text(tallies_to_text(tallies)) == tallies


@settings(max_examples=50)
@given(allocs=rows(Alloc, numbers, numbers))
def test_the_lots_behind_a_hold_are_read_back_as_they_were_written(allocs: tuple[Alloc, ...]) -> None:
    assert allocs_from_text(allocs_to_text(allocs)) == allocs


def test_nothing_is_written_of_nothing() -> None:
    assert detail_to_text(NO_DETAIL) == tier_to_text(NO_TIER) == tallies_to_text(()) == ""
    assert detail_from_text("") is NO_DETAIL
    assert tier_from_text("") is NO_TIER


STORED = (
    '{"explain":[["base",1,3,"per_amount",[["a","b"]]]],"lines":[[300,1000,0,3,0,300]],"allocs":[[1,2]],'
    '"tax":[["food",268,32,300]],"rewards":[["r",5,50]],"returned":[[1,500,150]],"payable_minor":300,'
    '"credit_day":739617,"due_points":1,"restored_points":2,"refund_minor":3,"reason":"why"}'
)


def test_the_stored_form_of_the_first_ledger_is_still_written_and_read() -> None:
    detail = detail_from_text(STORED)
    assert detail.explanations == (Explanation("base", 1, 3, "per_amount", (("a", "b"),)),)
    assert (detail.lines[0].credits, detail.tax_totals[0].tax_minor, detail.reason) == (300, 32, "why")
    assert detail_to_text(detail) == STORED
    tier = '["gold",["base",253402300800000],1767225600000,1830294000000,"spend",[[739617,300]]]'
    assert tier_to_text(tier_from_text(tier)) == tier


@pytest.mark.parametrize("text", ["{", "[1]", '{"explain":[[1]]}'])
def test_a_text_that_is_not_ours_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, KeyError, AttributeError)):
        detail_from_text(text)


def test_the_stored_form_has_no_spaces() -> None:
    assert detail_to_text(detail_from_text(json.dumps(json.loads(STORED)))) == STORED
