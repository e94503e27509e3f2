"""A rule file that is broken, contradictory or malicious is refused with place and mend; it is never in force."""

from __future__ import annotations

import pytest

from tallystick.v1 import admin_pb2 as pb
from tests.rpc.handlers.world import ADMIN, RULES, Caller, World, new_id
from tests.service.test_rule_text import BOMBS

admin = Caller(ADMIN, store_id="")
CONTRACT_BYTES_MAX = 49_152
REWARD = "  - {id: five-off, kind: money_off, points: 50, amount_minor: 500"

CONTRADICTIONS = {
    "a reward for a tier that is not there": (
        RULES.replace(REWARD, f"{REWARD}, tier: [platinum]"),
        "not known here",
        "choose",
    ),
    "a reward that is over before it begins": (
        RULES.replace(REWARD, f'{REWARD}, from: "2026-06-01", until: "2026-05-01"'),
        "does not lie after 'from'",
        "never hold",
    ),
    "a coupon twice": (
        RULES + "  - {id: gift, kind: money_off, amount_minor: 5}\n",
        "is there already",
        "own id",
    ),
    "a tier from nothing": (RULES.replace("from: 50000", "from: 0"), "more than the one before", ""),
    "points that are no whole cents": (
        RULES.replace("points: 1\n  minor: 1", "points: 2\n  unit_points: 3\n  minor: 1"),
        "no whole minor units",
        "multiple of",
    ),
    "no number": (RULES.replace("per_minor: 100", "per_minor: .nan"), "whole number", "without quotes"),
    "too large a number": (
        RULES.replace("per_minor: 100", "per_minor: 1e400"),
        "whole number",
        "without quotes",
    ),
    "a number as a text": (RULES.replace("per_minor: 100", 'per_minor: "100"'), "whole number", "quotes"),
    "the same key twice": (RULES + "name: Other\n", "is there already, in line 2", "keep one of the two"),
    "a tab": (RULES.replace("  period:", "\tperiod:"), "is not YAML", ""),
}


@pytest.mark.parametrize("name", sorted(CONTRADICTIONS))
def test_what_contradicts_itself_is_refused_where_it_stands(world: World, name: str) -> None:
    text, about, mend = CONTRADICTIONS[name]
    assert text != RULES
    findings = world.send(pb.ValidateRuleSetRequest(text=text), admin).findings
    hits = [found for found in findings if about in found.message and mend in found.mend]
    assert hits, findings
    assert hits[0].line > 0
    assert hits[0].column > 0
    assert_cannot_be_published(world, text)


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_bomb_is_refused_by_both_and_nothing_changes(world: World, name: str) -> None:
    text = BOMBS[name]
    if len(text.encode()) <= CONTRACT_BYTES_MAX:
        assert world.send(pb.ValidateRuleSetRequest(text=text), admin).findings
    else:
        world.refused(pb.ValidateRuleSetRequest(text=text), admin)
    assert_cannot_be_published(world, text)


def assert_cannot_be_published(world: World, text: str) -> None:
    world.refused(pb.PublishRuleSetRequest(request_id=new_id(), text=text), admin)
    program = world.send(pb.GetProgramRequest()).program
    assert program.rule_set_version == 1
    member = world.enrol()
    assert world.sell(member, 10_000).posted.entry.rule_set_version == 1
