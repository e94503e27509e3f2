"""Early access and exclusive products: who may have an article when, and what a quote says of it."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.core.access import AccessReason, Opening, access_of
from tallystick.core.basket import Assurance, Line
from tallystick.core.ids import NEVER_MS, Minor
from tallystick.core.rules.match import moment_of
from tallystick.core.standin import StandIn, stand_in_sale
from tests.core.world import World, at, basket, line, rules_of

TIERS = {
    "basis": "spend",
    "period": "calendar_year",
    "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 1_000}],
}
AUTUMN = {
    "id": "autumn",
    "category": "autumn",
    "tier": "gold",
    "early_from": "2026-09-01",
    "opens_at": "2026-09-08",
}
ATELIER = {"id": "atelier", "brand": "atelier", "tier": ["gold"]}
CLUB = {
    "memberships": [{"id": "club", "name": "Club", "sku": "FEE", "days": 365}],
    "access": [{"id": "clubs", "sku": "A", "membership": "club", "opens_at": "2030-01-01"}],
}
COAT = Line("A", 1_000, Minor(5_000), categories=("coats", "autumn"))
GLOVES = Line("B", 1_000, Minor(5_000), brand="atelier")
SOCKS = Line("C", 1_000, Minor(5_000))


def world_of(*access: dict[str, Any]) -> World:
    return World(rules_of(tiers=TIERS, access=list(access or (AUTUMN, ATELIER))))


def found(article: Line, tier: str, day: str, world: World | None = None) -> Opening:
    world = world or world_of()
    world.now = at(day)
    return access_of(world.rules, article, moment_of(world.origin, tier, world.rules.zone))


@pytest.mark.parametrize(
    ("tier", "day", "reason"),
    [
        ("base", "2026-08-31T21:59", AccessReason.NOT_YET),
        ("gold", "2026-08-31T21:59", AccessReason.NOT_YET),
        ("base", "2026-08-31T22:00", AccessReason.NOT_YET),
        ("gold", "2026-08-31T22:00", AccessReason.EARLY),
        ("gold", "2026-09-07T21:59", AccessReason.EARLY),
        ("base", "2026-09-07T21:59", AccessReason.NOT_YET),
        ("base", "2026-09-07T22:00", AccessReason.OPEN),
        ("gold", "2026-09-07T22:00", AccessReason.OPEN),
        ("", "2026-09-07T22:00", AccessReason.OPEN),
    ],
)
def test_gold_has_the_autumn_a_week_before_all_others(tier: str, day: str, reason: AccessReason) -> None:
    opening = found(COAT, tier, day)
    assert opening.reason is reason
    assert opening.allowed == (reason in (AccessReason.OPEN, AccessReason.EARLY))


def test_it_is_said_when_an_article_opens_to_all_and_to_whoever_asks() -> None:
    early, opens = at("2026-08-31T22:00"), at("2026-09-07T22:00")
    assert found(COAT, "gold", "2026-08-01")[1:] == ("autumn", opens, early)
    assert found(COAT, "base", "2026-08-01")[1:] == ("autumn", opens, opens)
    assert found(COAT, "gold", "2026-09-02")[1:] == ("autumn", opens, NEVER_MS)
    assert found(GLOVES, "base", "2026-09-02")[1:] == ("atelier", NEVER_MS, NEVER_MS)


def test_what_is_for_members_alone_never_opens_to_others() -> None:
    assert found(GLOVES, "base", "2090-01-01").reason is AccessReason.MEMBERS_ONLY
    assert found(GLOVES, "gold", "2026-01-01").reason is AccessReason.EARLY
    assert found(SOCKS, "base", "2026-01-01") == Opening(AccessReason.OPEN)


def test_of_two_rules_the_first_that_is_not_over_counts() -> None:
    world = world_of({**AUTUMN, "opens_at": "2026-09-02"}, {**ATELIER, "category": "autumn", "brand": []})
    assert found(COAT, "base", "2026-09-01T12:00", world).access_id == "autumn"
    assert found(COAT, "base", "2026-09-03", world).access_id == "atelier"


def test_a_sale_and_a_till_say_of_which_lines_it_is_and_sell_them() -> None:
    world = world_of()
    world.now = at("2026-08-20T12:00")
    told = [("atelier", 2, "members_only", ()), ("autumn", 3, "not_open_yet", (("opens_on", "2026-09-08"),))]
    lines = (line(100), line(100, brand="atelier"), line(100, categories=("autumn",)))
    posted = world.posted(world.sale(*lines))
    ours = ("autumn", "atelier")
    assert [
        (one.rule_id, one.line_no, one.code, one.args)
        for one in posted.detail.explanations
        if one.rule_id in ours
    ] == told
    alone = stand_in_sale(
        world.rules,
        basket=basket(*lines),
        origin=world.origin,
        tier_id="base",
        spend=None,
        reward_ids=(),
        available=0,
        assurance=Assurance.TYPED,
    )
    assert isinstance(alone, StandIn)
    assert [one for one in alone.detail.explanations if one.rule_id in ours] == [
        one for one in posted.detail.explanations if one.rule_id in ours
    ]


def test_a_paid_membership_opens_what_it_is_for() -> None:
    world = World(rules_of(**CLUB))
    before = world.posted(world.sale(line(100, sku="A")))
    assert [one.code for one in before.detail.explanations if one.rule_id == "clubs"] == ["not_open_yet"]
    world.posted(world.sale(line(1_000, sku="FEE")))
    after = world.posted(world.sale(line(100, sku="A")))
    assert [one.code for one in after.detail.explanations if one.rule_id == "clubs"] == ["early_access"]
