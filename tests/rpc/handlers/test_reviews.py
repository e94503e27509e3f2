"""Reviews through the gateway: listed page by page, decided by a second person, and what the card shows."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.rpc import code_pb2

from tallystick.core.ids import MemberId, ProgramId
from tallystick.v1 import app_pb2, ledger_pb2, store_pb2
from tallystick.v1 import review_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    MANAGER,
    RULES,
    SHOP,
    Caller,
    World,
    enrol_request,
    new_id,
    origin_of,
)

EVA, OLA = (Caller(MANAGER, device_id=f"01940000-0000-7000-8000-0000000000e{number}") for number in (1, 2))
PLAN = "referral: {referrer_points: 500, joiner_points: 100, minimum_minor: 2500, within_days: 60}\n"


@pytest.fixture
def watched(world: World) -> World:
    """The shop with rules that make large adjustments wait."""
    world.publish(RULES + PLAN + "watch: {adjust_review_points: 1000, enrolments_per_hour: 2}\n")
    return world


def adjust(member: str, points: int, **more: Any) -> ledger_pb2.AdjustRequest:
    body = {
        "command_id": new_id(),
        "member_id": member,
        "points": points,
        "reason": "goodwill",
        "origin": origin_of(),
        **more,
    }
    return ParseDict(body, ledger_pb2.AdjustRequest())


def reviews(world: World, **asked: Any) -> list[pb.Review]:
    return list(world.send(ParseDict(asked, pb.ListReviewsRequest()), EVA).reviews)


def decide(review: pb.Review, verdict: str = "RELEASE", note: str = "") -> pb.DecideReviewRequest:
    body = {"review_id": review.review_id, "verdict": f"REVIEW_VERDICT_{verdict}", "note": note}
    return ParseDict(body, pb.DecideReviewRequest())


def test_a_large_adjustment_is_refused_with_its_review_and_posted_by_a_second_person(watched: World) -> None:
    ann = watched.enrol()
    request = adjust(ann, 5000)
    refused = watched.send(request, EVA).decision.refused
    assert refused.reason == ledger_pb2.REFUSAL_REASON_ADJUST_NEEDS_SECOND
    (review,) = reviews(watched, state="REVIEW_STATE_OPEN")
    assert dict(refused.details) == {"review_id": review.review_id, "state": "open", "points_max": "1000"}
    assert (review.kind, review.member_id, review.asked_by, review.holds) == (
        "adjust",
        ann,
        EVA.device_id,
        True,
    )
    assert watched.balance(ann).active == 0
    no = watched.refused(decide(review), EVA)
    assert (no.code, no.reason) == (code_pb2.PERMISSION_DENIED, "REVIEW_NEEDS_SECOND")
    answer = watched.send(decide(review, note="called her"), OLA)
    assert answer.decision.posted.entry.command_id == request.command_id
    assert (answer.review.decided_by, answer.review.note) == (OLA.device_id, "called her")
    assert watched.balance(ann).active == 5000
    assert watched.send(request, EVA).decision.replayed, "sent again, it gets the same entry"
    assert watched.send(decide(review), OLA).decision.posted.entry.seq == 1, "decided again, the same answer"
    other = watched.refused(decide(review, "REFUSE"), OLA)
    assert (other.reason, other.metadata["state"]) == ("REVIEW_DECIDED", "RELEASED")


def test_what_cannot_be_posted_any_more_is_told_to_who_releases_it(watched: World) -> None:
    ann = watched.enrol()
    watched.send(adjust(ann, 900), EVA)
    watched.send(adjust(ann, -1500), EVA)
    (review,) = reviews(watched)
    answer = watched.send(decide(review), OLA)
    assert answer.decision.refused.reason == ledger_pb2.REFUSAL_REASON_INSUFFICIENT_POINTS
    assert answer.review.state == pb.REVIEW_STATE_RELEASED


def test_an_adjustment_for_nobody_or_at_an_impossible_time_is_not_held(watched: World) -> None:
    unknown = watched.send(adjust(new_id(), 5000), EVA).decision.refused
    assert unknown.reason == ledger_pb2.REFUSAL_REASON_MEMBER_UNKNOWN
    late = adjust(watched.enrol(), 5000, origin=origin_of(at_ms=watched.now_ms - 9 * 86_400_000))
    refused = watched.send(late, EVA).decision.refused
    assert refused.reason == ledger_pb2.REFUSAL_REASON_OCCURRED_AT_OUT_OF_RANGE
    assert reviews(watched) == []


def test_the_list_has_pages_and_can_be_narrowed(watched: World) -> None:
    ann = watched.enrol()
    for points in (2000, 3000, 4000):
        watched.now_ms += 1000
        watched.send(adjust(ann, points), EVA)
    watched.gateway.reviews.add(SHOP, "guessing", MemberId(ann), {"wrong_codes": 9}, "1")
    asked = pb.ListReviewsRequest(page_size=2, kind="adjust")
    first = watched.send(asked, EVA)
    asked.page_token = first.next_page_token
    second = watched.send(asked, EVA)
    found = [dict(one.facts)["points"] for one in (*first.reviews, *second.reviews)]
    assert found == ["4000", "3000", "2000"]
    assert second.next_page_token == ""
    watched.send(decide(first.reviews[0], "REFUSE"), OLA)
    assert len(reviews(watched, state="REVIEW_STATE_OPEN")) == 3
    assert [one.kind for one in reviews(watched, kind="guessing")] == ["guessing"]
    other = pb.ListReviewsRequest(page_size=2, page_token=first.next_page_token)
    assert watched.refused(other, EVA).reason == "PAGE_TOKEN_INVALID", "a token is for the list it came with"


def test_what_is_not_there_is_named(watched: World) -> None:
    review_id = new_id()
    no = watched.refused(pb.GetReviewRequest(review_id=review_id), EVA)
    assert (no.code, no.reason, no.metadata) == (
        code_pb2.NOT_FOUND,
        "REVIEW_NOT_FOUND",
        {"review_id": review_id},
    )


def test_a_cashier_is_linked_to_a_member_by_a_manager_of_the_store(watched: World) -> None:
    ann = watched.enrol()
    watched.send(
        store_pb2.SetCashierRequest(store_id="s1", cashier_id="ann", label="Ann", active=True), Caller(ADMIN)
    )
    link = pb.SetStaffMemberRequest(store_id="s1", cashier_id="ann", member_id=ann)
    watched.send(link, EVA)
    listed = pb.ListStaffMembersRequest(store_id="s1")
    (staff,) = watched.send(listed, EVA).staff
    assert (staff.store_id, staff.cashier_id, staff.member_id) == ("s1", "ann", ann)
    stranger = Caller(MANAGER, store_id="s2")
    assert watched.refused(link, stranger).reason == "ORIGIN_MISMATCH"
    assert watched.refused(listed, stranger).reason == "ORIGIN_MISMATCH"
    link.member_id = new_id()
    assert watched.refused(link, EVA).reason == "MEMBER_NOT_FOUND"
    link.member_id = ""
    watched.send(link, EVA)
    assert not watched.send(listed, EVA).staff


def test_new_members_are_counted_by_till_and_a_repeated_request_is_no_new_member(watched: World) -> None:
    request = enrol_request()
    for _ in range(5):
        watched.send(request)
    watched.enrol(caller=Caller(ADMIN, store_id=""))
    watched.enrol()
    assert reviews(watched) == []
    watched.enrol()
    (review,) = reviews(watched)
    assert (review.kind, review.member_id, review.holds) == ("many_enrolments", "", False)
    assert review.facts["enrolments"] == "3"


def test_the_card_shows_what_recommendations_bring_and_brought(watched: World) -> None:
    ann = watched.enrol()
    watched.now_ms += 60_000
    ben = watched.enrol()
    code = watched.gateway.referrals.code_of(ProgramId(SHOP), MemberId(ann))
    assert watched.gateway.referrals.note(ProgramId(SHOP), MemberId(ben), code)
    shown = watched.send(app_pb2.GetCardRequest(member_id=ann), Caller(ADMIN)).card.referral
    assert shown == app_pb2.CardReferral(
        code=code,
        joined=1,
        waiting=1,
        referrer_points=500,
        joiner_points=100,
        minimum_minor=2500,
        within_days=60,
        after_days=14,
    )
    watched.publish(RULES)
    watched.now_ms += 60_000
    assert not watched.send(
        app_pb2.GetCardRequest(member_id=ann), Caller(ADMIN)
    ).card.referral.referrer_points
