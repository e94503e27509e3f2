"""The insiders' club: workshops that add up to a badge, a goal of all, and evenings of which there are few."""

from __future__ import annotations

from pathlib import Path

from tallystick.core.command import ReturnLine
from tallystick.v1 import sharing_pb2, sharing_pb2_grpc
from tests.programs.village import Village, article, goods, refused


def test_a_maker_wins_the_badge_and_goes_to_the_evening(tmp_path: Path) -> None:
    village = Village(tmp_path, "insiders_club")
    till, ann, bo = village.till("torget"), village.join(), village.join()

    # Two workshops in the webshop, the third at a till without a line: 200 points and the badge, once.
    village.buy(ann, article("knitting", 4_000, "workshop", pieces=2))
    village.sync(till)
    village.offline(till)
    third = village.ring_up(till, ann, goods("dyeing", 5_000, "workshop"))
    village.settle(till)
    card = village.card(ann)
    assert [(one.badge_id, one.count) for one in card.badges] == [("maker", 1)]
    assert card.balance.active == 40 + 50 + 200
    maker = next(one for one in card.challenges if one.challenge_id == "three-workshops")
    assert (maker.progress, maker.target, maker.awarded, maker.last_day) == (3, 3, 1, "2026-03-31")

    # It did not take place: its points go, and the award with them. With the next one it is won anew.
    village.take_back(till, third, ReturnLine(1, 1_000))
    village.sync(till)
    assert village.card(ann).balance.active == 40
    village.buy(ann, article("weaving", 5_000, "workshop"))
    assert village.card(ann).balance.active == 40 + 50 + 200

    # A repair counts for everybody's goal. A story of one's own pays once a month.
    village.buy(bo, article("zip", 2_000, "repair"))
    village.come_round()
    goals = village.as_member(
        bo,
        sharing_pb2_grpc.SharingServiceStub,
        "ListGoals",
        sharing_pb2.ListGoalsRequest(member_id=bo.member_id),
    ).goals
    assert [(one.counted, one.target, one.took_part) for one in goals] == [(1_000, 1_000_000, True)]
    assert village.acts(ann, "story") == 75
    assert refused(lambda: village.acts(ann, "story")) == "ACTION_LIMIT"

    # 365 points: the evening in the workshop costs 300; the first cut is for insiders.
    assert village.redeem(ann, "open-evening").decision.HasField("posted")
    assert village.redeem(ann, "first-cut").decision.HasField("refused")
    evening = next(one for one in village.card(bo).rewards if one.reward_id == "open-evening")
    assert evening.stock_left == 19
    village.close()
