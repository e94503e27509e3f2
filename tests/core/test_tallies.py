"""What a member did is counted: in periods of the program's calendar, and never below nothing."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.award import post_award
from tallystick.core.draft import Draft, Overflow
from tallystick.core.entry import EntryKind, Explanation
from tallystick.core.ids import CommandId
from tallystick.core.rules.period import Limit, Per, open_from, parse_limit, period_end, period_start
from tallystick.core.rules.reader import Finding, Node
from tallystick.core.state import TALLIES_MAX, Tally
from tests.core.world import World, at, rules_of

WEDNESDAY = date(2028, 2, 23)


def draft_of(*tallies: Tally) -> Draft:
    world = World(rules_of(), now=at("2028-02-23T12:00"))
    draft = Draft(world.state)
    for key, period, count in tallies:
        draft.count(key, period, count)
    return draft


def award(draft: Draft) -> tuple[Tally, ...]:
    """Post an award of no points, and return what the entry keeps of what was counted."""
    world = World(rules_of())
    why = (Explanation("test", 0, 0, "test"),)
    entry = post_award(
        draft, world.rules, command_id=CommandId("award"), origin=world.origin, points=0, why=why
    )
    assert entry.kind is EntryKind.AWARD
    return entry.detail.tallies


@pytest.mark.parametrize(
    ("per", "first", "last"),
    [
        (Per.DAY, date(2028, 2, 23), date(2028, 2, 23)),
        (Per.WEEK, date(2028, 2, 21), date(2028, 2, 27)),
        (Per.MONTH, date(2028, 2, 1), date(2028, 2, 29)),
        (Per.QUARTER, date(2028, 1, 1), date(2028, 3, 31)),
        (Per.YEAR, date(2028, 1, 1), date(2028, 12, 31)),
    ],
)
def test_a_day_lies_in_the_period_of_the_calendar(per: Per, first: date, last: date) -> None:
    start = period_start(per, WEDNESDAY)
    assert date.fromordinal(start) == first
    assert date.fromordinal(period_end(per, start)) == last


def test_for_ever_has_neither_a_first_day_nor_a_last() -> None:
    assert (period_start(Per.EVER, WEDNESDAY), period_end(Per.EVER, 0)) == (0, 0)


@given(
    per=st.sampled_from([per for per in Per if per is not Per.EVER]),
    day=st.dates(date(1990, 1, 1), date(2100, 1, 1)),
)
def test_periods_follow_each_other_without_a_gap(per: Per, day: date) -> None:
    start = period_start(per, day)
    end = period_end(per, start)
    assert start <= day.toordinal() <= end
    assert period_start(per, date.fromordinal(end)) == start
    assert period_start(per, date.fromordinal(end + 1)) == end + 1


def test_what_is_counted_is_kept_in_the_next_entry_and_with_the_account() -> None:
    draft = draft_of(Tally("b", 0, 2), Tally("a", 0, 1), Tally("b", 0, -2))
    assert award(draft) == (Tally("b", 0, 2), Tally("a", 0, 1), Tally("b", 0, -2))
    assert award(draft) == (), "it was counted once"
    kept = draft.finish(at("2028-02-24")).account.tallies
    assert kept == (Tally("a", 0, 1),), "what is nothing needs no room"


def test_tallies_are_sorted_whatever_the_order_in_which_they_were_counted() -> None:
    march, april = date(2028, 3, 1).toordinal(), date(2028, 4, 1).toordinal()
    draft = draft_of(Tally("b", 0, 1), Tally("a", march, 1))
    draft.count("a", april, 3, keep_from=march)
    award(draft)
    kept = draft.finish(at("2028-04-24")).account.tallies
    assert kept == (Tally("a", march, 1), Tally("a", april, 3), Tally("b", 0, 1))


def test_a_period_that_is_over_is_dropped_when_the_next_one_is_counted() -> None:
    march, april = date(2028, 3, 1).toordinal(), date(2028, 4, 1).toordinal()
    draft = draft_of(Tally("a", march, 5), Tally("b", march, 7), Tally("a", april, 1))
    assert (draft.tally("a", march), draft.tally("a", april)) == (0, 1)
    assert draft.tallies_of("b") == {march: 7}, "another key has periods of its own"


def test_what_began_years_ago_is_dropped_whatever_is_counted() -> None:
    long_ago = date(2024, 10, 1).toordinal()
    draft = draft_of(Tally("old", 0, 4))
    draft._tallies()["old", long_ago] = 9
    draft.count("new", 0, 1)
    assert draft.tallies_of("old") == {0: 4}


def test_counting_down_drops_nothing_whatever_its_age() -> None:
    long_ago, april = date(2026, 10, 1).toordinal(), date(2028, 4, 1).toordinal()
    draft = draft_of(Tally("a", april, 4))
    draft._tallies().update({("a", long_ago): 9, ("b", long_ago): 7})
    draft.count("a", long_ago, -2)
    draft.count("a", april, -4)
    assert (draft.tally("a", long_ago), draft.tally("b", long_ago), draft.tally("a", april)) == (7, 7, 0)


def test_a_full_account_has_no_room_for_another_tally_and_forgets_none() -> None:
    draft = draft_of(*[Tally(f"k{n}", 0, 1) for n in range(TALLIES_MAX)])
    assert not draft.has_room("one more")
    assert draft.has_room("k7"), "what is there can be counted on"
    with pytest.raises(Overflow):
        draft.count("one more", 0, 1)
    assert draft.tally("k7") == 1


def test_several_tallies_need_room_together() -> None:
    draft = draft_of(*[Tally(f"k{n}", 0, 1) for n in range(TALLIES_MAX - 1)])
    assert draft.room_for([("k7", 0), ("one more", 0)])
    assert not draft.room_for([("one more", 0), ("and another", 0)])


def test_a_limit_is_used_up_and_there_again_in_the_next_period() -> None:
    limit, draft = Limit(2, Per.MONTH), draft_of()
    for left in (2, 1, 0):
        assert limit.left(draft, "action/survey", day=WEDNESDAY, today=WEDNESDAY) == left
        if left:
            limit.use(draft, "action/survey", day=WEDNESDAY, today=WEDNESDAY)
    march = date(2028, 3, 1)
    assert limit.left(draft, "action/survey", day=march, today=march) == 2
    assert limit.left(draft, "action/review", day=WEDNESDAY, today=WEDNESDAY) == 2, "another thing"


def test_a_closed_period_has_nothing_left() -> None:
    limit, draft = Limit(2, Per.MONTH), draft_of()
    today = date(2028, 5, 2)
    assert open_from(Per.MONTH, today) == date(2028, 3, 1).toordinal()
    assert limit.left(draft, "a", day=date(2028, 3, 1), today=today) == 2
    assert limit.left(draft, "a", day=date(2028, 2, 29), today=today) == 0


def test_no_limit_counts_nothing() -> None:
    draft = draft_of()
    Limit().use(draft, "a", day=WEDNESDAY, today=WEDNESDAY)
    assert award(draft) == ()


@pytest.mark.parametrize(
    ("written", "place", "message", "mend"),
    [
        ({"per": "month"}, "count", "is missing", "add 'count:'"),
        ({"count": 0, "per": "month"}, "count", "from 1 to", ""),
        ({"count": 1, "per": "mnth"}, "per", "not known", "did you mean 'month'?"),
        ({"count": 1, "per": "month", "of": 2}, "of", "not known", ""),
    ],
)
def test_a_limit_that_cannot_be_understood_says_where_and_how_to_mend_it(
    written: dict[str, object], place: str, message: str, mend: str
) -> None:
    findings: list[Finding] = []
    parse_limit(Node(written, "actions[0].limit", findings))
    (finding,) = findings
    assert finding.path == f"actions[0].limit.{place}"
    assert message in finding.message
    assert mend in finding.mend


def test_a_limit_is_read() -> None:
    findings: list[Finding] = []
    assert parse_limit(Node({"count": 2, "per": "week"}, "limit", findings)) == Limit(2, Per.WEEK)
    assert parse_limit(None) == Limit()
    assert findings == []
