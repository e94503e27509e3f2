"""Experiments: who is in which group follows from two ids alone, everywhere, and shares are what was asked for."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from typing import Any

import pytest

from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.command import Sale
from tallystick.core.decide import decide
from tallystick.core.entry import Entry, Posted
from tallystick.core.ids import CommandId, MemberId
from tallystick.core.rules.experiment import HOLDOUT, Experiment, group_of, groups_of, held_out
from tallystick.core.rules.model import RuleSet
from tallystick.core.standin import StandIn, stand_in_sale
from tallystick.core.state import Account, MemberState, MemberStatus
from tests.core.world import at, basket, rules_of

MEMBERS = [MemberId(str(uuid.UUID(int=number * 0x9E3779B97F4A7C15 % 2**128))) for number in range(1, 20_001)]
NOW = at("2026-01-15T12:00")
HALVES = (("a", 50), ("b", 50))

WELCOME: dict[str, Any] = {
    "id": "welcome",
    "variants": [{"id": "plain", "percent": 50}, {"id": "double", "percent": 50}],
    "holdout_percent": 10,
}
DOUBLED: dict[str, Any] = {
    "experiments": [WELCOME],
    "earning": {
        "rules": [
            {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100},
            {"id": "twice", "kind": "multiply", "by": 2, "experiment": "welcome/double"},
        ]
    },
}


def drawn(name: str, member: MemberId, place: int) -> int:
    """The rule of docs/guides/experiments.md, written a second time."""
    digest = hashlib.sha256(f"tallystick experiment v1|{name}|{member}".encode()).hexdigest()
    return int(digest[16 * place : 16 * place + 16], 16) % 10_000


def test_a_group_follows_from_the_two_ids_as_the_guide_says() -> None:
    experiment = Experiment("welcome", (("a", 30), ("b", 70)), holdout_percent=10)
    for member in MEMBERS[:500]:
        second = "a" if drawn("welcome", member, 1) < 3_000 else "b"
        expected = HOLDOUT if drawn("welcome", member, 0) < 1_000 else second
        assert group_of(experiment, member) == expected


def test_the_groups_of_known_members_never_change() -> None:
    experiment = Experiment("welcome", HALVES, holdout_percent=20)
    groups = "".join(group_of(experiment, member)[0] for member in MEMBERS[:24])
    assert groups == GOLDEN, "every till that is out there draws these"


GOLDEN = "hbbhaaabbaabbbbhhaaaabbh"


@pytest.mark.parametrize(("percent", "holdout"), [(50, 0), (10, 10), (1, 50), (99, 5)])
def test_the_groups_have_the_sizes_that_were_asked_for(percent: int, holdout: int) -> None:
    experiment = Experiment("sizes", (("a", percent), ("b", 100 - percent)), holdout_percent=holdout)
    found = Counter(group_of(experiment, member) for member in MEMBERS)
    count = len(MEMBERS)
    inside = (100 - holdout) / 100
    for name, share in (("a", percent * inside / 100), (HOLDOUT, holdout / 100)):
        spread = 4 * (count * share * (1 - share)) ** 0.5
        assert abs(found[name] - count * share) <= spread


def test_two_experiments_divide_the_members_apart_from_each_other() -> None:
    first, second = Experiment("one", HALVES), Experiment("two", HALVES)
    both = Counter((group_of(first, member), group_of(second, member)) for member in MEMBERS)
    assert all(abs(count - len(MEMBERS) / 4) < 300 for count in both.values())


def test_a_larger_holdout_moves_nobody_from_one_variant_to_another() -> None:
    small, large = (Experiment("x", HALVES, holdout_percent=percent) for percent in (5, 30))
    for member in MEMBERS[:2_000]:
        before, after = group_of(small, member), group_of(large, member)
        assert after in (before, HOLDOUT)


def test_whom_the_program_holds_out_is_in_no_group_of_any_experiment() -> None:
    experiments = (Experiment("one", HALVES), Experiment("two", HALVES))
    out = [member for member in MEMBERS[:2_000] if held_out(10, member)]
    assert 150 < len(out) < 250
    assert all(not groups_of(experiments, member, holdout_percent=10) for member in out)
    assert all(group_of(experiments[0], member, holdout_percent=10) == HOLDOUT for member in out)


def test_a_sale_without_a_member_is_in_no_group() -> None:
    assert groups_of((Experiment("one", HALVES),), MemberId("")) == frozenset()


def sold(rules: RuleSet, member: MemberId) -> Entry:
    account = Account(member, MemberStatus.OPEN, NOW, as_of_ms=NOW)
    origin = Origin(NOW, Channel.STORE, "s1", "t1")
    command = Sale(CommandId(str(uuid.uuid4())), member, origin, basket(1_000))
    outcome = decide(command, MemberState(account, complete=True), rules)
    assert isinstance(outcome.decision, Posted)
    return outcome.decision.entry


def test_a_rule_of_a_variant_gives_its_points_to_that_variant_alone() -> None:
    rules = rules_of(**DOUBLED)
    for member in MEMBERS[:60]:
        expected = 20 if group_of(rules.experiments[0], member) == "double" else 10
        assert sold(rules, member).moves.active == expected


def test_a_till_without_a_line_gives_every_member_what_the_gateway_gives() -> None:
    rules = rules_of(**DOUBLED, holdout_percent=20)
    for member in MEMBERS[:60]:
        entry = sold(rules, member)
        till = stand_in_sale(
            rules,
            basket=basket(1_000),
            origin=entry.origin,
            tier_id="",
            spend=None,
            reward_ids=(),
            available=0,
            assurance=Assurance.TYPED,
            member_id=member,
        )
        assert isinstance(till, StandIn)
        assert till.detail.explanations == entry.detail.explanations
        assert till.earned_points == entry.moves.active
