"""What an entry is a reason to tell of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.entry import Detail, Entry, EntryKind, Explanation, Moves
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.service.notification_reasons import told_by
from tallystick.service.rule_text import read_document
from tests.rpc.handlers.world import RULES

EARNED = Moves(active=12, issued=-12)
SPENT = Moves(active=-5, burned=5)


def rules() -> RuleSet:
    found = parse_rules(read_document(RULES).value, version=1, sha256="")
    assert isinstance(found, RuleSet)
    return found


def entry(kind: EntryKind, moves: Moves, *codes: str, **more: Any) -> Entry:
    why = tuple(Explanation("r", 0, 1, code) for code in codes)
    plain = Entry(
        CommandId("c"), MemberId("m"), 2, kind, moves, 40, 0, 0, 0, "bas", 1, Assurance.TYPED,
        Origin(Ms(1), Channel.STORE), detail=Detail(explanations=why),
    )  # fmt: skip
    return replace(plain, **more)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (entry(EntryKind.SALE, EARNED), ["points_earned"]),
        (entry(EntryKind.EARN, EARNED), ["points_earned"]),
        (entry(EntryKind.EARN, EARNED, "referral"), ["referral_paid"]),
        (entry(EntryKind.AWARD, EARNED, "challenge"), ["award"]),
        (entry(EntryKind.AWARD, Moves(), "challenge"), []),
        (entry(EntryKind.EARN, EARNED, "birthday"), ["award"]),
        (entry(EntryKind.EARN, EARNED, "anniversary"), ["award"]),
        (entry(EntryKind.EARN, EARNED, "action_points"), ["points_earned"]),
        (entry(EntryKind.AWARD, EARNED, "referral"), ["referral_paid"]),
        (entry(EntryKind.SALE, Moves(active=7, issued=-12, burned=5)), ["points_earned", "redemption"]),
        (entry(EntryKind.BURN, SPENT), ["redemption"]),
        (entry(EntryKind.CAPTURE, Moves(held=-5, burned=5)), ["redemption"]),
        (
            entry(EntryKind.CAPTURE, Moves(active=12, held=-5, issued=-12, burned=5)),
            ["points_earned", "redemption"],
        ),
        # Points that come back, mature, are corrected or expire were told of before, or in another way.
        (entry(EntryKind.RETURN, Moves(active=5, burned=-5)), []),
        (entry(EntryKind.MATURE, Moves(active=5, pending=-5)), []),
        (entry(EntryKind.ADJUST, Moves(active=5, adjusted=-5)), []),
        (entry(EntryKind.EXPIRE, Moves(active=-5, breakage=5)), []),
        (entry(EntryKind.HOLD, Moves(active=-5, held=5)), []),
    ],
)
def test_an_entry_is_told_by_what_it_did(made: Entry, told: list[str]) -> None:
    assert [occasion.value for occasion, _ in told_by(made, None, rules())] == told


def test_a_fall_is_no_tier_that_was_reached() -> None:
    gold = entry(EntryKind.TIER, Moves(), tier_after="guld")
    base = entry(EntryKind.TIER, Moves(), tier_after="bas")
    assert [one.value for one, _ in told_by(gold, base, rules())] == ["tier_reached"]
    assert list(told_by(base, gold, rules())) == []
    assert list(told_by(gold, gold, rules())) == []


def test_points_that_mature_can_bring_a_reward_into_reach() -> None:
    matured = entry(EntryKind.MATURE, Moves(active=20, pending=-20), active_after=60)
    ((occasion, args),) = told_by(matured, None, rules())
    assert (occasion.value, dict(args)) == ("reward_in_reach", {"reward": "five-off", "balance": "60"})


@pytest.mark.parametrize(
    "back",
    [
        entry(EntryKind.VOID, Moves(active=20, held=-20), active_after=60),
        entry(EntryKind.HOLD_RELEASE, Moves(active=20, held=-20), active_after=60),
        # 30 were held, 10 of them burned, and the order earned 4.
        entry(EntryKind.CAPTURE, Moves(active=24, held=-30, issued=-4, burned=10), active_after=60),
    ],
)
def test_points_that_come_back_from_a_hold_bring_nothing_into_reach(back: Entry) -> None:
    told = [occasion.value for occasion, _ in told_by(back, None, rules())]
    assert "reward_in_reach" not in told


def test_points_that_come_back_with_the_goods_can_bring_a_reward_into_reach() -> None:
    """They were spent, and nothing held them: that they are there again is news."""
    for kind in (EntryKind.RETURN, EntryKind.REVERSE):
        back = entry(kind, Moves(active=20, burned=-20), active_after=60)
        assert [occasion.value for occasion, _ in told_by(back, None, rules())] == ["reward_in_reach"]


def test_what_a_captured_order_earns_can_bring_a_reward_into_reach() -> None:
    made = entry(EntryKind.CAPTURE, Moves(active=24, held=-30, issued=-14, burned=20), active_after=60)
    told = [occasion.value for occasion, _ in told_by(made, None, rules())]
    assert told == ["points_earned", "redemption", "reward_in_reach"]
