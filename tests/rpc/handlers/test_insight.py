"""InsightService and offers on a card: worked out from what members did, for those who may see it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.rpc import code_pb2

from tallystick.core.ids import MemberId, ProgramId
from tallystick.core.rules.experiment import Experiment, group_of
from tallystick.v1 import app_pb2
from tallystick.v1 import insight_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    MANAGER,
    OTHER,
    RULES,
    SHOP,
    Caller,
    Refused,
    World,
    sale_request,
)

DAY_MS = 86_400_000
BOSS, CLERK = Caller(ADMIN), Caller(MANAGER)
MORE = """\
segments:
  - {id: regulars, name: Regulars, visits: {min: 2, within_days: 30}}
  - {id: tea, bought: {sku: tea}}
experiments:
  - id: try
    holdout_percent: 20
    variants: [{id: a, percent: 50}, {id: b, percent: 50}]
offers:
  - {id: thanks, name: Thank you, segment: regulars, coupon: summer, days: 7}
"""


@pytest.fixture
def busy(world: World) -> World:
    """A program with segments in force."""
    world.publish(RULES + MORE)
    world.publish(RULES + MORE, OTHER)
    return world


def test_a_back_office_sees_segments_and_who_is_in_them(busy: World) -> None:
    before = list(busy.send(pb.ListSegmentsRequest(), CLERK).segments)
    assert [(one.segment_id, one.name, one.HasField("refreshed_at")) for one in before] == [
        ("regulars", "Regulars", False),
        ("tea", "tea", False),
    ]
    members = sorted(busy.enrol() for _ in range(3))
    for member in members:
        busy.send(sale_request(member, 1_000))
        busy.send(sale_request(member, 1_000))
    busy.gateway.segments.refresh(SHOP)
    after = {one.segment_id: one for one in busy.send(pb.ListSegmentsRequest(), CLERK).segments}
    assert (after["regulars"].members, after["tea"].members) == (3, 0)
    assert after["regulars"].refreshed_at.ToMilliseconds() == busy.now_ms
    first = busy.send(pb.ListSegmentMembersRequest(segment_id="regulars", page_size=2), BOSS)
    assert [one.member_id for one in first.members] == members[:2]
    assert first.members[0].since.ToMilliseconds() == busy.now_ms
    rest = busy.send(
        pb.ListSegmentMembersRequest(segment_id="regulars", page_size=2, page_token=first.next_page_token),
        BOSS,
    )
    assert ([one.member_id for one in rest.members], rest.next_page_token) == (members[2:], "")


def test_a_card_shows_an_offer_with_its_name_and_when_it_ends_for_this_member(busy: World) -> None:
    member = busy.enrol()
    busy.send(sale_request(member, 1_000))
    busy.send(sale_request(member, 1_000))
    card = app_pb2.GetCardRequest(member_id=member)
    own = Caller(APP, member_id=member)
    assert not busy.send(card, own).card.coupons
    busy.gateway.segments.refresh(SHOP)
    (offer,) = busy.send(card, own).card.coupons
    assert (offer.offer_id, offer.offer_name, offer.code) == ("thanks", "Thank you", "SUMMER-25")
    assert offer.ends_at.ToMilliseconds() == busy.now_ms + 7 * DAY_MS


def test_an_offer_is_refused_to_others_with_its_own_reason(busy: World) -> None:
    request = sale_request(busy.enrol(), 1_000)
    request.coupon_codes.append("SUMMER-25")
    refused = busy.send(request).decision.refused
    assert refused.reason == 57
    assert refused.message == "The coupon summer is for other members, or its days for this one are over."


def test_an_experiment_tells_its_groups_and_what_they_are_measured_against(busy: World) -> None:
    members = [busy.enrol() for _ in range(12)]
    for member in members:
        busy.send(sale_request(member, 1_000))
    found = busy.send(pb.GetExperimentRequest(experiment_id="try"), CLERK)
    assert (found.experiment_id, found.currency_code, found.against) == ("try", "EUR", "holdout")
    assert [group.variant for group in found.groups] == ["a", "b", "holdout"]
    experiment = Experiment("try", (("a", 50), ("b", 50)), 20)
    for group in found.groups:
        size = sum(group_of(experiment, MemberId(member)) == group.variant for member in members)
        assert (group.members, group.buyers, group.revenue_minor) == (size, size, 1_000 * size)
        assert (group.points, group.cost_minor) == (10 * size, 10 * size)


def test_key_figures_of_a_period_are_told_with_their_campaigns(busy: World) -> None:
    members = [busy.enrol() for _ in range(3)]
    for member in (*members, members[0]):
        busy.send(sale_request(member, 1_000))
    request = pb.GetKpisRequest(last_on="2026-03-31", total_sales_minor=16_000, first_on="2026-03-01")
    found = busy.send(request, CLERK)
    assert (found.members, found.buyers, found.sales, found.revenue_minor) == (3, 3, 4, 4_000)
    assert (found.average_sale_minor, found.sales_per_buyer_milli, found.repeat_ppm) == (
        1_000,
        1_333,
        333_333,
    )
    assert (found.issued_points, found.outstanding_points, found.liability_minor) == (40, 40, 40)
    assert found.member_share_ppm == 250_000
    assert not found.HasField("retention_ppm"), "nobody bought in the month before"
    assert not found.HasField("incremental"), "the program holds nobody out"
    assert [(one.campaign_id, one.kind, one.sales, one.cost_minor) for one in found.campaigns] == [
        ("base", "rule", 4, 40)
    ]


@pytest.mark.parametrize(
    ("request_", "reason", "code"),
    [
        (pb.ListSegmentMembersRequest(segment_id="none"), "SEGMENT_NOT_FOUND", code_pb2.NOT_FOUND),
        (pb.GetExperimentRequest(experiment_id="none"), "EXPERIMENT_NOT_FOUND", code_pb2.NOT_FOUND),
        (
            pb.GetKpisRequest(last_on="2026-02-30", first_on="2026-02-01"),
            "INVALID_INPUT",
            code_pb2.INVALID_ARGUMENT,
        ),
        (
            pb.GetKpisRequest(last_on="2026-01-30", first_on="2026-02-01"),
            "INVALID_INPUT",
            code_pb2.INVALID_ARGUMENT,
        ),
    ],
    ids=["no segment", "no experiment", "no day", "no period"],
)
def test_what_is_not_there_is_said(busy: World, request_: Any, reason: str, code: int) -> None:
    with pytest.raises(Refused) as caught:
        busy.send(request_, BOSS)
    assert (caught.value.reason, caught.value.code) == (reason, code)


def test_another_program_sees_nothing_of_it(busy: World) -> None:
    member = busy.enrol()
    busy.send(sale_request(member, 1_000))
    busy.send(sale_request(member, 1_000))
    busy.gateway.segments.refresh(SHOP)
    stranger = Caller(ADMIN, program_id=OTHER)
    assert not busy.send(pb.ListSegmentMembersRequest(segment_id="regulars"), stranger).members
    found = busy.send(pb.GetKpisRequest(last_on="2026-03-31", first_on="2026-03-01"), stranger)
    assert (found.members, found.sales) == (0, 0)


def test_a_member_takes_segments_and_goods_away_with_the_rest(busy: World) -> None:
    member = busy.enrol()
    for _ in range(2):
        busy.send(sale_request(member, 1_000))
    busy.gateway.segments.refresh(SHOP)
    told = json.loads(busy.gateway.export.document(ProgramId(SHOP), MemberId(member)))
    assert [one["segment_id"] for one in told["segments"]] == ["regulars"]
    assert [one["sale_seq"] for one in told["purchases"]] == [1, 2]
    assert told["purchases"][0]["goods"] == [{"sku": "A-1", "brand": "", "categories": []}]
