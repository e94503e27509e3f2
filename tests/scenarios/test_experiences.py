"""Rewards that are bought by themselves: an evening in the workshop, a bag that money does not buy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tallystick.core.basket import Assurance
from tallystick.core.command import Command, RedeemReward, UseRedemption
from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import CommandId, MemberId
from tallystick.core.state import MemberStatus
from tallystick.service.errors import NotFound
from tallystick.service.redemptions import Redemptions, RedemptionState
from tallystick.storage.open import Store
from tallystick.storage.verify import verify
from tests.scenarios.test_coupon_races import MEMBERS, counted, desks
from tests.service.coupons import CouponDesk, told
from tests.service.desk import ANN, BEN

EVENING: dict[str, Any] = {"id": "evening", "kind": "experience", "name": "An evening in the workshop"}
REWARDS: list[dict[str, Any]] = [
    {**EVENING, "points": 500, "stock": 2},
    {"id": "bag", "kind": "product", "name": "The bag", "points": 300, "tier": ["gold"]},
    {"id": "off", "kind": "money_off", "points": 100, "amount_minor": 500},
]
TIERS = {
    "basis": "points",
    "period": "calendar_year",
    "levels": [{"id": "base", "from": 0}, {"id": "gold", "from": 5_000}],
}


def workshop(store: Store, *, points: int = 1_000, **more: Any) -> CouponDesk:
    """Open a program that sells two evenings, and give Ann and Ben points."""
    desk = CouponDesk(store, **{"coupons": (), "rewards": REWARDS, "tiers": TIERS, **more})
    for member in (ANN, BEN):
        desk.posted(desk.earn(points, member=member))
    return desk


def redeems(
    desk: CouponDesk,
    member: MemberId = ANN,
    reward: str = "evening",
    assurance: Assurance = Assurance.DEVICE_CODE,
) -> RedeemReward:
    return RedeemReward(desk.new_id(), member, desk.origin, reward, assurance)


def hands_out(desk: CouponDesk, bought: Entry) -> UseRedemption:
    return UseRedemption(desk.new_id(), bought.member_id, desk.origin, bought.command_id)


def answer(desk: CouponDesk, command: Command) -> str:
    return told(desk.send(command)[0])


def codes(desk: CouponDesk) -> Redemptions:
    return Redemptions(desk.store, desk.book, key=lambda: b"k" * 32)


def all_is_well(store: Store) -> None:
    report = verify(store)
    assert report.ok, report.first


def test_an_evening_costs_its_points_once_and_is_handed_out_once(store: Store) -> None:
    with workshop(store) as desk:
        command = redeems(desk)
        bought = desk.posted(command)
        assert (bought.kind, bought.moves.burned, bought.active_after) == (EntryKind.BURN, 500, 500)
        assert desk.posted(command) == bought, "sent again, it is the same evening"

        found = codes(desk).of_entry(desk.program_id, bought)
        assert (found.name, found.state) == ("An evening in the workshop", RedemptionState.OPEN)
        assert codes(desk).of_code(desk.program_id, ANN, found.code.lower().replace("-", " ")) == found

        desk.posted(hands_out(desk, bought))
        assert answer(desk, hands_out(desk, bought)) == "REDEMPTION_USED"
        used = codes(desk).of_code(desk.program_id, ANN, found.code)
        assert (used.state, used.used_store_id, used.used_ms) == (RedemptionState.USED, "s1", desk.now)
    all_is_well(store)


def test_of_two_evenings_the_third_is_sold_out(store: Store) -> None:
    with workshop(store) as desk:
        desk.posted(redeems(desk))
        desk.posted(redeems(desk, BEN))
        assert answer(desk, redeems(desk, BEN)) == "REWARD_SOLD_OUT"
    all_is_well(store)


def test_an_evening_that_is_cancelled_gives_points_and_place_back(store: Store) -> None:
    with workshop(store) as desk:
        first, _ = desk.posted(redeems(desk)), desk.posted(redeems(desk, BEN))
        back = desk.posted(desk.reverse(first.command_id))
        assert back.active_after == 1_000
        assert answer(desk, hands_out(desk, first)) == "ALREADY_REVERSED"
        found = codes(desk).of_entry(desk.program_id, first)
        assert found.state is RedemptionState.CANCELLED
        desk.posted(redeems(desk, BEN))
    all_is_well(store)


def test_an_evening_that_was_had_is_not_cancelled(store: Store) -> None:
    with workshop(store) as desk:
        bought = desk.posted(redeems(desk))
        desk.posted(hands_out(desk, bought))
        assert answer(desk, desk.reverse(bought.command_id)) == "NOT_REVERSIBLE"
    all_is_well(store)


def test_each_reason_for_a_no_is_told(store: Store) -> None:
    with workshop(store, points=400) as desk:
        assert answer(desk, redeems(desk)) == "INSUFFICIENT_POINTS"
        assert answer(desk, redeems(desk, reward="bag")) == "REWARD_NOT_IN_TIER"
        assert answer(desk, redeems(desk, reward="off")) == "REWARD_NOT_APPLICABLE", "that one needs a basket"
        assert answer(desk, redeems(desk, reward="boat")) == "REWARD_UNKNOWN"
        assert answer(desk, desk.sale(9_000, rewards=("evening",))) == "REWARD_NOT_APPLICABLE"
        bought = desk.posted(desk.burn(100))
        assert answer(desk, hands_out(desk, bought)) == "ENTRY_UNKNOWN", "a burn for something else is none"


def test_a_scan_that_is_not_sure_enough_buys_no_evening(store: Store) -> None:
    with workshop(store, burning={"points": 100, "minor": 100}) as desk:
        assert answer(desk, redeems(desk, assurance=Assurance.TYPED)) == "ABOVE_ASSURANCE_CAP"
        assert answer(desk, redeems(desk)) == "BURN"


def test_the_bag_is_for_gold(store: Store) -> None:
    with workshop(store, points=5_000) as desk:
        assert answer(desk, redeems(desk, reward="bag")) == "BURN"


def test_locked_points_buy_nothing_and_that_is_the_reason_told(store: Store) -> None:
    with workshop(store) as desk:
        desk.posted(redeems(desk, BEN))
        desk.posted(redeems(desk, BEN))
        store.set_spend_lock(desk.program_id, ANN, locked=True)
        assert desk.account().status is MemberStatus.LOCKED
        assert answer(desk, redeems(desk)) == "MEMBER_LOCKED", "although it is sold out besides"


def test_a_code_is_worth_nothing_with_another_member_or_another_sign(store: Store) -> None:
    with workshop(store) as desk:
        found = codes(desk).of_entry(desk.program_id, desk.posted(redeems(desk)))
        desk.posted(redeems(desk, BEN))
        last = found.code[-1]
        wrong = found.code[:-1] + ("0" if last != "0" else "2")
        for member, code in ((BEN, found.code), (ANN, wrong), (ANN, "2"), (ANN, "?" * 30), (ANN, "Z" * 24)):
            with pytest.raises(NotFound) as no:
                codes(desk).of_code(desk.program_id, member, code)
            assert no.value.reason == "REDEMPTION_NOT_FOUND"


def test_a_member_sees_what_was_bought_newest_first(store: Store) -> None:
    with workshop(store) as desk:
        first = desk.posted(redeems(desk))
        desk.posted(desk.reverse(first.command_id))
        second = desk.posted(redeems(desk))
        desk.posted(desk.burn(100))
        desk.posted(hands_out(desk, second))
        third = replace(redeems(desk), command_id=CommandId("0190a000-0000-7000-8000-0000000000aa"))
        assert answer(desk, third) == "INSUFFICIENT_POINTS"
        states = [one.state.name for one in codes(desk).of_member(desk.program_id, ANN)]
        assert states == ["USED", "CANCELLED"]


def test_sixty_who_want_one_of_twenty_evenings_get_twenty(shared: Store) -> None:
    evening = {**EVENING, "points": 0, "stock": 20}
    with desks(shared, coupons=[], rewards=[evening]) as three:
        asks: list[Command] = [redeems(three[0], member) for member in MEMBERS]
        assert counted(three, asks) == {"BURN": 20, "REWARD_SOLD_OUT": 40}


def test_ten_who_hand_one_out_at_once_do_so_once(shared: Store) -> None:
    evening = {**EVENING, "points": 0}
    with desks(shared, coupons=[], rewards=[evening]) as three:
        bought = three[0].posted(redeems(three[0], MEMBERS[0]))
        asks: list[Command] = [hands_out(three[0], bought) for _ in range(10)]
        assert counted(three, asks) == {"HANDOVER": 1, "REDEMPTION_USED": 9}
