"""Members give each other points: on the phone, at a till, and when something breaks in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.security.keys import generate_signing_key
from tallystick.service.enrolment import canonical_jwk
from tallystick.service.errors import StoreUnavailable
from tallystick.service.rounds import come_round
from tallystick.service.sharing_rounds import sharing_round
from tallystick.service.transfers import FORGOTTEN_AFTER_MS, INTERRUPTED_AFTER_MS
from tallystick.storage.verify import verify
from tallystick.v1 import member_pb2
from tallystick.v1 import sharing_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    DAY_MS,
    MANAGER,
    RULES,
    SHOP,
    TILL,
    Caller,
    World,
    new_id,
    origin_of,
)

TRANSFERS = """\
transfers:
  to: anyone
  minimum_points: 10
  limit_points: {count: 100, per: month}
"""
ARRIVED, UNDONE, SENT = pb.TRANSFER_STATE_ARRIVED, pb.TRANSFER_STATE_UNDONE, pb.TRANSFER_STATE_SENT


class Shop:
    """A shop in which members may give each other 10 to 100 points a month."""

    def __init__(self, path: Path) -> None:
        self.world = World(path, rules=RULES + TRANSFERS)
        self.ann, self.ben = self.world.enrol(), self.world.enrol()
        self.world.sell(self.ann, 20_000)

    def points(self, member: str) -> int:
        return int(self.world.balance(member).active)

    def give(self, points: int, caller: Caller | None = None, **more: Any) -> pb.TransferPointsResponse:
        answer: pb.TransferPointsResponse = self.world.send(self.request(points, **more), caller)
        return answer

    def request(self, points: int, **more: Any) -> pb.TransferPointsRequest:
        to = {} if "to_card" in more else {"to_member_id": self.ben}
        body = {
            "transfer_id": new_id(),
            "member_id": self.ann,
            "points": points,
            "assurance": "ASSURANCE_STATIC_CARD",
            "origin": origin_of(),
            **to,
            **more,
        }
        return ParseDict(body, pb.TransferPointsRequest())

    def round(self) -> int:
        gateway = self.world.gateway
        work = come_round(sharing_round(gateway.transfers), gateway.store, gateway.pool)
        return self.world.loop.run_until_complete(work)

    def state(self, transfer_id: str) -> int:
        request = pb.GetTransferRequest(transfer_id=transfer_id)
        return int(self.world.send(request, Caller(MANAGER)).transfer.state)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    report = verify(made.world.store, SHOP)
    assert report.ok, report.first
    made.world.close()


def phone(shop: Shop, member: str) -> Caller:
    """The member's own phone, with which the member joined."""
    jwk = canonical_jwk(generate_signing_key().verify_key)
    device = shop.world.gateway.codes.register(SHOP, MemberId(member), jwk, label="Phone").device
    return Caller(APP, store_id="", member_id=member, device_id=device.kid)


def test_a_member_gives_points_to_somebody_at_the_till(shop: Shop) -> None:
    answer = shop.give(60)
    assert answer.transfer.state == ARRIVED
    assert answer.decision.posted.entry.balance_after.active == 140
    assert (shop.points(shop.ann), shop.points(shop.ben)) == (140, 60)


def test_a_member_gives_points_on_the_phone_to_the_number_on_a_friends_card(shop: Shop) -> None:
    answer = shop.give(60, phone(shop, shop.ann), to_card=shop.world.number_of(shop.ben))
    assert answer.transfer.state == ARRIVED
    assert answer.transfer.to_member_id == "", "the phone learns nothing of the friend"
    assert shop.points(shop.ben) == 60


def test_a_phone_gives_only_the_points_of_its_own_member_and_names_nobody_by_id(shop: Shop) -> None:
    caller = phone(shop, shop.ben)
    other = shop.request(10, to_card=shop.world.number_of(shop.ben))
    assert shop.world.refused(other, caller).reason == "MEMBER_NOT_FOUND"
    named = shop.request(10, member_id=shop.ben, to_member_id=shop.ann)
    assert shop.world.refused(named, caller).reason == "RECEIVER_NOT_FOUND"


def test_a_phone_does_not_find_out_whose_address_is_known(shop: Shop) -> None:
    cat = shop.world.enrol("cat@example.org")
    caller = phone(shop, shop.ann)
    asked = shop.request(10, to_card="cat@example.org")
    assert shop.world.refused(asked, caller).reason == "RECEIVER_NOT_FOUND"
    assert shop.give(10, Caller(TILL), to_card="cat@example.org").transfer.to_member_id == cat


def test_guessing_at_numbers_is_slowed_down(shop: Shop) -> None:
    caller = phone(shop, shop.ann)
    reasons = [
        shop.world.refused(shop.request(10, to_card=f"99{number:014d}"), caller).reason
        for number in range(11)
    ]
    assert reasons == ["RECEIVER_NOT_FOUND"] * 10 + ["RATE_LIMITED"]


def test_a_phone_that_is_new_gives_nothing_on_its_first_day(shop: Shop) -> None:
    shop.world.now_ms += DAY_MS
    caller = phone(shop, shop.ann)
    asked = shop.request(10, to_card=shop.world.number_of(shop.ben))
    assert shop.world.refused(asked, caller).reason == "DEVICE_NEW"
    shop.world.now_ms += DAY_MS
    assert shop.world.send(asked, caller).transfer.state == ARRIVED


def test_the_same_call_again_gives_the_same_answer_and_no_second_time(shop: Shop) -> None:
    request = shop.request(60)
    first, second = shop.world.send(request), shop.world.send(request)
    assert (first.decision.replayed, second.decision.replayed) == (False, True)
    assert second.transfer == first.transfer
    assert shop.points(shop.ben) == 60


def test_the_same_id_for_other_points_is_refused(shop: Shop) -> None:
    request = shop.request(60)
    shop.world.send(request)
    request.points = 61
    assert shop.world.send(request).decision.refused.reason == 1, "COMMAND_ID_REUSED"
    assert shop.points(shop.ben) == 60


def test_nobody_gives_more_in_a_month_than_the_rules_allow(shop: Shop) -> None:
    shop.give(60)
    refused = shop.give(50).decision.refused
    assert dict(refused.details) == {"points": "50", "points_max": "100", "given": "60"}
    assert shop.give(40).transfer.state == ARRIVED
    shop.world.now_ms += 31 * DAY_MS
    assert shop.give(100).transfer.state == ARRIVED, "another month"


def test_what_was_refused_leaves_nothing_behind(shop: Shop) -> None:
    request = shop.request(5)
    assert shop.world.send(request).transfer.state == 0
    asked = pb.GetTransferRequest(transfer_id=request.transfer_id)
    assert shop.world.refused(asked, Caller(MANAGER)).reason == "TRANSFER_NOT_FOUND"


def test_points_for_somebody_who_is_blocked_come_back_with_their_expiry(shop: Shop) -> None:
    before = shop.world.store.read_lots(SHOP, MemberId(shop.ann))
    shop.world.send(member_pb2.BlockMemberRequest(member_id=shop.ben), Caller(MANAGER))
    assert shop.give(60).transfer.state == UNDONE
    assert shop.points(shop.ann) == 200
    assert shop.world.store.read_lots(SHOP, MemberId(shop.ann)) == before
    shop.world.send(member_pb2.UnblockMemberRequest(member_id=shop.ben), Caller(MANAGER))
    assert shop.give(100).transfer.state == ARRIVED, "what came back does not count towards the limit"


class Broken:
    """A lane that loses the line after some commands."""

    def __init__(self, lane: Any, after: int) -> None:
        self.lane, self.left = lane, after

    async def submit(self, submission: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise StoreUnavailable
        return await self.lane.submit(submission)


def break_off(shop: Shop, request: pb.TransferPointsRequest, *, after: int) -> None:
    """Ask for a transfer of which only so many commands reach the ledger."""
    transfers = shop.world.gateway.transfers
    whole = transfers._lane
    transfers._lane = Broken(whole, after)  # type: ignore[assignment]
    assert shop.world.refused(request).reason == "STORE_UNAVAILABLE"
    transfers._lane = whole


def test_a_transfer_that_was_interrupted_is_finished_by_the_same_call(shop: Shop) -> None:
    request = shop.request(60)
    break_off(shop, request, after=1)
    assert (shop.points(shop.ann), shop.points(shop.ben)) == (140, 0)
    assert shop.state(request.transfer_id) == SENT
    assert verify(shop.world.store, SHOP).ok, "what is on its way is known to be"
    assert shop.world.send(request).transfer.state == ARRIVED
    assert shop.points(shop.ben) == 60


def test_a_transfer_that_was_interrupted_is_finished_by_whoever_comes_round(shop: Shop) -> None:
    request = shop.request(60)
    break_off(shop, request, after=1)
    assert shop.round() == 0, "it may still be under way"
    shop.world.now_ms += INTERRUPTED_AFTER_MS + 1
    assert shop.round() == 1
    assert shop.round() == 0
    assert (shop.state(request.transfer_id), shop.points(shop.ben)) == (ARRIVED, 60)
    assert shop.world.send(request).transfer.state == ARRIVED
    assert shop.points(shop.ben) == 60


def test_a_transfer_to_somebody_erased_meanwhile_comes_back_when_it_is_finished(shop: Shop) -> None:
    request = shop.request(60)
    break_off(shop, request, after=1)
    shop.world.send(member_pb2.EraseMemberRequest(member_id=shop.ben), Caller(ADMIN))
    shop.world.now_ms += INTERRUPTED_AFTER_MS + 1
    shop.round()
    assert (shop.state(request.transfer_id), shop.points(shop.ann)) == (UNDONE, 200)


def test_a_transfer_by_which_nothing_left_is_forgotten(shop: Shop) -> None:
    request = shop.request(60)
    break_off(shop, request, after=0)
    shop.world.now_ms += INTERRUPTED_AFTER_MS + 1
    assert shop.round() == 0, "a late call may still send it"
    shop.world.now_ms += FORGOTTEN_AFTER_MS
    assert shop.round() == 1
    asked = pb.GetTransferRequest(transfer_id=request.transfer_id)
    assert shop.world.refused(asked, Caller(MANAGER)).reason == "TRANSFER_NOT_FOUND"
    assert shop.points(shop.ann) == 200


def test_a_transfer_whose_other_half_is_missing_is_found_by_verification(shop: Shop) -> None:
    request = shop.request(60)
    break_off(shop, request, after=1)
    store = shop.world.store
    store.forget_transfer(SHOP, CommandId(request.transfer_id), asked_before=Ms(2**62))
    problem = verify(store, SHOP).problems[0]
    assert (problem.table, problem.found) == ("transfer", "60 points less")
    shop.world.send(request)


def test_ten_calls_at_once_move_the_points_once(shop: Shop) -> None:
    request = shop.request(60)

    async def together() -> list[pb.TransferPointsResponse]:
        answers: list[pb.TransferPointsResponse] = await asyncio.gather(
            *(shop.world.asend(request) for _ in range(10))
        )
        return answers

    answers = shop.world.loop.run_until_complete(together())
    assert {one.transfer.state for one in answers} == {ARRIVED}
    assert (shop.points(shop.ann), shop.points(shop.ben)) == (140, 60)


def reviews(shop: Shop) -> list[tuple[str, str, str]]:
    """The kind of each finding, whom it is about, and how many members it takes."""
    found = shop.world.gateway.reviews.page(SHOP, state=None, kind="", before=None, limit=50)
    return sorted(
        (one.kind, one.member_id, one.facts.get("members") or one.facts.get("givers", "")) for one in found
    )


def hand_on(shop: Shop, giver: str, receiver: str, points: int = 10) -> None:
    assert shop.give(points, member_id=giver, to_member_id=receiver).transfer.state == ARRIVED


def test_points_that_go_in_a_ring_are_listed_once_for_a_person(shop: Shop) -> None:
    cat, dan = shop.world.enrol(), shop.world.enrol()
    hand_on(shop, shop.ann, shop.ben)
    hand_on(shop, shop.ben, cat)
    assert reviews(shop) == []
    hand_on(shop, cat, shop.ann)
    assert reviews(shop) == [("transfer_ring", cat, "3")]
    hand_on(shop, shop.ann, dan)
    assert len(reviews(shop)) == 1, "a friend is no ring"


def test_points_that_come_back_after_more_than_a_week_are_no_ring(shop: Shop) -> None:
    hand_on(shop, shop.ann, shop.ben)
    shop.world.now_ms += 8 * DAY_MS
    hand_on(shop, shop.ben, shop.ann)
    assert reviews(shop) == []


def test_one_who_is_given_to_by_many_in_a_day_is_listed(shop: Shop) -> None:
    givers = [shop.world.enrol() for _ in range(6)]
    for giver in givers:
        shop.world.sell(giver, 5_000)
    for giver in givers[:5]:
        hand_on(shop, giver, shop.ben)
    hand_on(shop, givers[0], shop.ben)
    assert reviews(shop) == []
    hand_on(shop, givers[5], shop.ben)
    assert reviews(shop) == [("many_givers", shop.ben, "6")]
