"""An experiment as a retailer would run it: does doubling points make people buy more than it costs?"""

from __future__ import annotations

import uuid
from random import Random
from typing import Any

import pytest

from tallystick.core.basket import Assurance
from tallystick.core.ids import MemberId
from tallystick.core.rules.experiment import HOLDOUT, group_of
from tallystick.core.standin import StandIn, stand_in_sale
from tallystick.service.insight import Insight
from tallystick.service.lift import LiftFinding
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.core.world import basket
from tests.service.desk import Desk

MEMBERS = 240
RULES: dict[str, Any] = {
    "experiments": [
        {
            "id": "weekend",
            "holdout_percent": 20,
            "variants": [{"id": "plain", "percent": 50}, {"id": "double", "percent": 50}],
        }
    ],
    "earning": {
        "rules": [
            {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100},
            {"id": "twice", "kind": "multiply", "by": 2, "experiment": "weekend/double"},
        ]
    },
}


@pytest.fixture
def desk(store: Store) -> Any:
    with Desk(store, **RULES) as opened:
        yield opened
    report = verify(store)
    assert report.ok, report.first


def test_a_rule_that_makes_people_buy_more_is_found_better_and_one_that_does_nothing_is_not(
    desk: Desk,
) -> None:
    random = Random(5)
    members = [MemberId(str(uuid.UUID(int=random.getrandbits(128)))) for _ in range(MEMBERS)]
    desk.enrol(*members)
    rules = desk.book.current(desk.program_id)
    assert rules is not None
    (experiment,) = rules.experiments
    sales = []
    for member in members:
        # Who gets double points comes twice as often; the others do as if nothing were.
        times = 4 if group_of(experiment, member) == "double" else 2
        sales += [
            desk.sale(100 * random.randrange(5, 35), member=member)
            for _ in range(times)
            if random.random() < 0.7
        ]
    desk.send(*sales)
    found = Insight(desk.store, desk.book, entries_max=10_000).experiment(desk.program_id, "weekend")
    groups = {group.variant: group for group in found.groups}
    assert sum(group.spent.members for group in found.groups) == MEMBERS + 2, "Ann and Ben were there before"
    double, plain = groups["double"].lift, groups["plain"].lift
    assert double is not None
    assert plain is not None
    assert (double.finding, plain.finding) == (LiftFinding.BETTER, LiftFinding.OPEN)
    assert double.low_minor > 0
    assert groups[HOLDOUT].lift is None
    assert groups["double"].points == 2 * groups["double"].spent.total // 100
    assert groups["plain"].points == groups["plain"].spent.total // 100


def test_every_member_gets_at_a_till_without_a_line_what_the_gateway_then_posts(desk: Desk) -> None:
    rules = desk.book.current(desk.program_id)
    assert rules is not None
    account = desk.account()
    till = stand_in_sale(
        rules,
        basket=basket(2_000),
        origin=desk.origin,
        tier_id="",
        spend=None,
        reward_ids=(),
        available=0,
        assurance=Assurance.TYPED,
        member_id=account.member_id,
    )
    assert isinstance(till, StandIn)
    settled = desk.posted(desk.settle(2_000, earned=till.earned_points))
    assert settled.detail.explanations == till.detail.explanations
    assert settled.moves.active == till.earned_points
    assert till.earned_points == (40 if group_of(rules.experiments[0], account.member_id) == "double" else 20)
