"""What is nearly met: what a cashier is told when a card is scanned, and that exactly this is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.award import award_id
from tallystick.core.basket import Channel
from tallystick.core.challenge import awards_sought, met_by
from tallystick.core.command import ReturnLine
from tallystick.core.entry import EntryKind
from tallystick.core.progress import ChallengeNow, challenges_near, challenges_now
from tallystick.core.state import MemberStatus
from tests.core.test_challenges import awards, challenge, world_of
from tests.core.world import World, line


def near(world: World, **place: Any) -> list[tuple[str, int]]:
    """Return which challenges are told at the counter, and what is missing to each."""
    found = challenges_near(world.rules, world.account, replace(world.origin, **place))
    return [(one.challenge.challenge_id, one.left) for one in found]


def now(world: World) -> ChallengeNow:
    """Return the first challenge as the card shows it."""
    return challenges_now(world.rules, world.account.tallies, world.now)[0]


def test_what_is_not_begun_is_no_news_and_what_is_begun_says_how_much_is_missing() -> None:
    world = world_of()
    assert near(world) == []
    assert now(world).left == 3, "the card shows all of them"
    world.posted(world.sale(1_000))
    assert near(world) == [("three", 2)]
    world.posted(world.sale(1_000))
    assert near(world) == [("three", 1)]
    world.posted(world.sale(1_000))
    assert near(world) == [], "once a month"
    assert now(world).left == 0


def test_one_purchase_away_is_news_without_a_beginning() -> None:
    assert near(world_of(challenge(target=1))) == [("three", 1)]


def test_a_challenge_that_can_be_met_again_begins_anew() -> None:
    world = world_of(challenge(counts="spend", target=1_000, times=3))
    world.posted(world.sale(1_400))
    assert near(world) == [("three", 600)]
    world.posted(world.sale(600))
    assert near(world) == [], "the second one is met, and the third not begun"
    world.posted(world.sale(5_000))
    assert near(world) == [], "three times is all there is"


def test_a_part_of_a_piece_is_missing_as_a_whole_one() -> None:
    world = world_of(challenge(counts="pieces"))
    half = replace(line(100), quantity_milli=1_500)
    world.posted(world.sale(half))
    assert near(world) == [("three", 2)]
    world.posted(world.sale(half))
    assert awards(world) == [50]


def test_of_many_the_two_are_told_of_which_the_smallest_part_is_missing() -> None:
    world = world_of(
        challenge(id="ten", target=10),
        challenge(id="spend", counts="spend", target=5_000),
        challenge(id="two", target=2),
        challenge(id="four", target=4, per="year"),
    )
    world.posted(world.sale(4_000))
    assert near(world) == [("spend", 1_000), ("two", 1)]


def test_of_two_alike_the_one_is_first_that_ends_first() -> None:
    world = world_of(
        challenge(id="ever", per="ever"), challenge(id="year", per="year"), challenge(id="month")
    )
    world.posted(world.sale(1_000))
    assert near(world) == [("month", 2), ("year", 2)]


@pytest.mark.parametrize(
    ("parts", "elsewhere"),
    [
        ({"store": "s1"}, {"store_id": "s2"}),
        ({"channel": "store"}, {"channel": Channel.WEBSHOP}),
        ({"weekday": ["thu"]}, {"occurred_ms": 1_768_564_800_000}),
    ],
    ids=["another store", "the webshop", "a Friday"],
)
def test_nothing_is_told_where_a_sale_would_not_count(
    parts: dict[str, Any], elsewhere: dict[str, Any]
) -> None:
    world = world_of(challenge(**parts))
    world.posted(world.sale(1_000))
    assert near(world) == [("three", 2)]
    assert near(world, **elsewhere) == []


def test_a_challenge_of_a_level_is_told_those_who_have_it() -> None:
    tiers = {
        "basis": "spend",
        "period": "calendar_year",
        "levels": [{"id": "bas", "from": 0}, {"id": "guld", "from": 5_000}],
    }
    world = world_of(challenge(target=1, tier=["guld"]), tiers=tiers)
    assert near(world) == []
    world.posted(world.sale(6_000))
    assert near(world) == [("three", 1)]


def test_a_member_who_may_not_earn_is_told_nothing_and_one_who_locked_the_points_is() -> None:
    world = world_of()
    world.posted(world.sale(1_000))
    for status, told in ((MemberStatus.BLOCKED, []), (MemberStatus.LOCKED, [("three", 2)])):
        account = replace(world.account, status=status)
        found = challenges_near(world.rules, account, world.origin)
        assert [(one.challenge.challenge_id, one.left) for one in found] == told


def test_what_was_brought_back_is_missing_again() -> None:
    world = world_of()
    sale = world.posted(world.sale(1_000))
    world.posted(world.sale(1_000))
    world.posted(world.give_back(sale, ReturnLine(1, 1_000)))
    assert near(world) == [("three", 2)]


def test_the_last_day_is_that_of_the_period() -> None:
    world = world_of()
    world.posted(world.sale(1_000))
    (one,) = challenges_near(world.rules, world.account, world.origin)
    assert one.last_day == date(2026, 1, 31)
    world.wait_until("2026-02-03T12:00")
    assert near(world) == [], "February has begun"


@settings(max_examples=60, deadline=None)
@given(
    counts=st.sampled_from(["sales", "spend", "pieces", "points"]),
    target=st.integers(1, 9),
    times=st.integers(1, 3),
    before=st.lists(st.integers(1, 900), max_size=6),
)
def test_exactly_what_is_missing_wins_the_next_award(
    counts: str, target: int, times: int, before: list[int]
) -> None:
    scale = {"spend": 100}.get(counts, 1)
    world = world_of(challenge(counts=counts, target=target * scale, times=times))
    for amount in before:
        world.posted(world.sale(amount))
    told, won = now(world).left, sum(awards(world))
    assert (told == 0) == (won == 50 * times)
    for left in range(told, 0, -1) if counts != "spend" else [told] * bool(told):
        assert sum(awards(world)) == won, f"{left} are missing"
        world.posted(world.sale(left if counts == "spend" else 100))
    assert sum(awards(world)) == won + (50 if told else 0)


def test_the_fee_of_a_membership_is_not_looked_for_among_awards() -> None:
    plus = {"id": "plus", "name": "Plus", "sku": "PLUS", "months": 1}
    world = world_of(challenge(target=9), memberships=[plus])
    sale = world.posted(world.sale(line(1_000, sku="PLUS")))
    assert len(sale.detail.counted) == 2
    assert awards_sought(sale) == [award_id(world.account.member_id, sale.command_id, "challenge/three")]


def test_a_sale_leads_to_what_it_has_won_and_to_nothing_else() -> None:
    world = world_of(
        challenge(id="one", target=1, award={"badge": "first"}), challenge(id="two", target=2, times=9)
    )
    first, second = world.posted(world.sale(1_000)), world.posted(world.sale(1_000))
    ids = {entry.command_id: entry for entry in world.entries if entry.kind is EntryKind.AWARD}

    def won(sale: Any) -> list[tuple[str, int, dict[str, str]]]:
        found = [ids[award_id] for award_id in awards_sought(sale) if award_id in ids]
        return [(why.rule_id, why.points, dict(why.args)) for award in found for why in met_by(award)]

    assert won(first) == [("one", 0, {"name": "Three", "times": "1", "badge": "first"})]
    assert won(second) == [("two", 50, {"name": "Three", "times": "1"})]
    back = world.posted(world.all_back(second))
    assert awards_sought(back) == []
    assert met_by(world.entries[-1]) == [], "what is taken back is nothing won"
