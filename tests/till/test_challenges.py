"""Challenges at the till: told when the gateway has answered the scan or the sale, and never guessed."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from tallystick.v1 import types_pb2
from tallystick.v1.identity_pb2 import ChallengeAhead
from tallystick.v1.types_pb2 import ChallengeMet
from tallystick_till.challenges import SHOWN_MAX, ends_soon, nearly_met
from tallystick_till.types import ChallengeMetView, ChallengeView, Identified, VoucherScan
from tests.till.premises import ANNA, ANNA_CARD, START_MS
from tests.till.world import World

TODAY = datetime.fromtimestamp(START_MS / 1000, UTC).date()
SOON, LATER = date.fromordinal(TODAY.toordinal() + 6), date.fromordinal(TODAY.toordinal() + 7)
WEEK = ChallengeAhead(challenge_id="week", name="Three a week", counts="pieces", left=1, last_day=f"{SOON}")
BIG = ChallengeAhead(challenge_id="big", name="Big", counts="spend", left=2_500, last_day=f"{LATER}")
MET = ChallengeMet(challenge_id="week", name="Three a week", times=2, points=100, badge_id="coffee-friend")
SHOWN = (ChallengeMetView("week", "Three a week", 2, 100, "Coffee friend"),)


def told(world: World, scan: str = ANNA_CARD) -> tuple[ChallengeView, ...]:
    """Scan a card; return the challenges on the answer."""
    found = world.till.identify(scan, source="camera")
    assert isinstance(found, Identified | VoucherScan), found
    return found.member.challenges


def test_what_the_gateway_says_of_a_scan_is_shown_and_its_last_day_when_that_is_near(world: World) -> None:
    world.gateway.ahead = [WEEK, BIG]
    world.line_up()
    assert told(world) == (
        ChallengeView("week", "Three a week", "pieces", 1, f"{SOON}"),
        ChallengeView("big", "Big", "spend", 2_500, ""),
    )


def test_without_a_line_nothing_is_told_also_of_one_who_was_here_with_it(world: World) -> None:
    world.gateway.ahead = [WEEK]
    world.line_up()
    assert told(world) != ()
    world.line_down()
    assert told(world) == ()
    assert told(world, world.voucher(200)) == ()


def test_a_voucher_tells_nothing_either_since_nobody_was_asked(world: World) -> None:
    world.gateway.ahead = [WEEK]
    world.gateway.assurance = types_pb2.ASSURANCE_ROTATING_CODE
    world.line_up()
    assert told(world) != ()
    assert told(world, world.voucher(200)) == ()


def test_while_a_sale_waits_nobody_knows_what_is_missing(world: World) -> None:
    world.gateway.ahead = [WEEK]
    world.till.sale(world.ask(member_ref=world.meet()))
    world.line_up()
    assert told(world) == (), "the sale that waits may be the one that was missing"
    world.push_all()
    assert told(world) != ()


def test_a_cashier_reads_two_at_most_and_nothing_that_this_till_cannot_name() -> None:
    many = [
        ChallengeAhead(challenge_id="new", name="New", counts="kilometres", left=3),
        ChallengeAhead(challenge_id="done", name="Done", counts="days", left=0),
        *(ChallengeAhead(challenge_id=f"c{n}", name="C", counts="days", left=n) for n in (1, 2, 3)),
    ]
    assert [one.challenge_id for one in nearly_met(many)] == ["c1", "c2"]
    assert SHOWN_MAX == 2


@pytest.mark.parametrize(
    ("last_day", "soon"),
    [
        (f"{TODAY}", True),
        (f"{SOON}", True),
        (f"{LATER}", False),
        (f"{date.fromordinal(TODAY.toordinal() - 1)}", False),
        ("", False),
        ("next week", False),
    ],
)
def test_a_period_ends_soon_when_its_weekday_names_one_day(last_day: str, soon: bool) -> None:
    assert ends_soon(last_day, TODAY) is soon


def test_a_reported_sale_says_what_it_has_won_once_the_gateway_has_it(world: World) -> None:
    world.gateway.met = [MET]
    done = world.till.sale(world.ask(member_ref=world.meet()))
    view = world.till.sale_view(done.sale_id)
    assert view is not None
    assert (view.state, view.challenges_met) == ("queued", ())
    world.line_up()
    world.push_all()
    for _ in range(2):
        view = world.till.sale_view(done.sale_id)
        assert view is not None
        assert (view.state, view.challenges_met) == ("posted", SHOWN)
        world.restart()


def test_a_sale_that_the_gateway_decided_says_it_at_once_and_after_a_restart(world: World) -> None:
    world.gateway.met = [MET]
    world.line_up()
    world.meet()
    done = world.till.sale(world.ask(burn=100))
    assert [one.kind for one in done.authority] == ["server"]
    for _ in range(2):
        view = world.till.sale_view(done.sale_id)
        assert view is not None
        assert (view.state, view.challenges_met) == ("posted", SHOWN)
        world.restart()


def test_a_sale_that_won_nothing_says_nothing(world: World) -> None:
    world.line_up()
    done = world.till.sale(world.ask(member_ref=ANNA))
    world.push_all()
    (view,) = world.till.recent(1)
    assert (view.sale_id, view.challenges_met) == (done.sale_id, ())
