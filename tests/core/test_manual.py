"""Points without a basket: for actions, on things outside the shop, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.core.basket import Assurance
from tallystick.core.entry import Refusal
from tallystick.core.ids import POINTS_MAX, Ms
from tests.core.world import World, at, codes_of, rules_of


def test_an_action_earns_points_that_mature_and_expire_like_others() -> None:
    earning = {"rules": [], "pending_days": 1}
    world = World(rules_of(earning=earning, expiry={"kind": "months", "months": 1}))
    entry = world.posted(world.earn(50))
    assert (entry.pending_after, entry.detail.reason) == (50, "gift")
    assert codes_of(entry) == [("action", 0, 50, "action")]
    world.wait_until("2026-01-15T23:00")
    assert world.account.active == 50
    world.wait_until("2026-02-15T23:00")
    assert world.account.active == 0


@pytest.mark.parametrize("points", [0, -1, POINTS_MAX + 1])
def test_an_action_earns_a_positive_number_of_points(points: int) -> None:
    world = World(rules_of())
    assert world.why(world.earn(points)) is Refusal.AMOUNT_OVERFLOW


def test_a_burn_outside_a_basket_takes_whole_units_from_the_minimum_up() -> None:
    burning = {"points": 100, "minor": 100, "unit_points": 10, "minimum_points": 50}
    world = World(rules_of(burning=burning))
    world.posted(world.adjust(100))
    assert world.why(world.burn(55)) is Refusal.NOT_WHOLE_UNITS
    assert world.why(world.burn(40)) is Refusal.BELOW_MINIMUM
    assert world.why(world.burn(0)) is Refusal.BELOW_MINIMUM
    assert world.why(world.burn(-50)) is Refusal.BELOW_MINIMUM
    assert world.why(world.burn(110)) is Refusal.INSUFFICIENT_POINTS
    entry = world.posted(world.burn(50))
    assert (entry.active_after, entry.moves.burned, entry.detail.reason) == (50, 50, "prize")
    assert codes_of(entry) == [("burn", 0, -50, "burned")]


def test_a_typed_number_burns_nothing_unless_the_rule_set_says_so() -> None:
    world = World(rules_of(burning={"points": 100, "minor": 100}))
    world.posted(world.adjust(100))
    typed = replace(world.burn(10), assurance=Assurance.TYPED)
    no = world.refused(typed)
    assert (no.reason, dict(no.details)["points_max"]) == (Refusal.ABOVE_ASSURANCE_CAP, "0")
    assert world.posted(replace(typed, assurance=Assurance.STATIC_CARD)).assurance is Assurance.STATIC_CARD


def test_a_correction_by_hand_is_neither_issued_nor_burned() -> None:
    world = World(rules_of())
    given = world.posted(world.adjust(100))
    assert (given.moves.adjusted, given.moves.issued, given.active_after) == (-100, 0, 100)
    taken = world.posted(world.adjust(-30))
    assert (taken.moves.adjusted, taken.moves.burned, taken.active_after) == (30, 0, 70)
    assert taken.detail.reason == "by hand"


def test_a_correction_needs_points_and_cannot_make_a_balance_negative() -> None:
    world = World(rules_of())
    assert world.why(world.adjust(0)) is Refusal.AMOUNT_OVERFLOW
    assert world.why(world.adjust(-1)) is Refusal.INSUFFICIENT_POINTS
    assert world.why(world.adjust(POINTS_MAX + 1)) is Refusal.AMOUNT_OVERFLOW
    assert world.why(world.adjust(-POINTS_MAX - 1)) is Refusal.AMOUNT_OVERFLOW


def test_a_gift_by_hand_expires_by_the_rules_or_on_its_own_day() -> None:
    world = World(rules_of(expiry={"kind": "months", "months": 1}))
    world.posted(world.adjust(10))
    assert world.state.lots[0].expires_ms == at("2026-02-15T23:00")
    world.posted(replace(world.adjust(20), expires_ms=Ms(at("2026-01-20"))))
    assert world.account.due_ms == at("2026-01-20")
    world.wait_until("2026-01-20")
    assert world.account.active == 10


def test_a_gift_that_has_expired_already_is_gone_at_the_next_look() -> None:
    world = World(rules_of())
    world.posted(replace(world.adjust(20), expires_ms=Ms(at("2026-01-10"))))
    world.posted(world.sale(100))
    assert (world.account.active, world.entries[1].moves.breakage) == (1, 20)
