"""A euro of each watch: what sales give, what comes back with returned goods, and points that members add."""

from __future__ import annotations

from pathlib import Path

from tallystick.core.command import ReturnLine
from tallystick.v1 import sharing_pb2, sharing_pb2_grpc, types_pb2
from tests.programs.village import Village, article, goods
from tests.scenarios.street import Person


def projects(village: Village, person: Person) -> dict[str, tuple[int, int]]:
    """What each project has been given by the shop, and by members, in cents."""
    village.come_round()
    answer = village.as_member(
        person,
        sharing_pb2_grpc.SharingServiceStub,
        "ListProjects",
        sharing_pb2.ListProjectsRequest(),
    )
    return {one.project_id: (one.given.amount_minor, one.donated.amount_minor) for one in answer.projects}


def test_two_watches_and_a_strap(tmp_path: Path) -> None:
    village = Village(tmp_path, "euro_per_watch")
    till, ann = village.till("torget"), village.join()

    # Two watches in the store, one of them while the line is down, and a strap in the webshop.
    village.ring_up(till, ann, goods("diver", 60_000, "watches"))
    village.offline(till)
    sold = village.ring_up(till, ann, goods("dress", 40_000, "watches", pieces=2))
    assert (sold.earned_points, sold.stand_in) == (40, True)
    village.settle(till)
    village.buy(ann, article("strap", 5_000, "straps"))
    assert projects(village, ann)["repair"] == (50, 0)
    reefs, _ = projects(village, ann)["reefs"]
    assert reefs == 300

    # One of the two comes back, and takes its euro with it.
    village.take_back(till, sold, ReturnLine(1, 1_000))
    village.sync(till)
    assert projects(village, ann)["reefs"] == (200, 0)

    # Ann adds forty of her points: four hundred cents more, and the card shows what is left.
    before = village.card(ann).balance.active
    given = village.as_member(
        ann,
        sharing_pb2_grpc.SharingServiceStub,
        "DonatePoints",
        sharing_pb2.DonatePointsRequest(
            command_id=village.new_id(),
            member_id=ann.member_id,
            project_id="reefs",
            points=40,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_APP),
        ),
    )
    assert given.decision.HasField("posted")
    assert projects(village, ann)["reefs"] == (200, 400)
    assert village.card(ann).balance.active == before - 40
    village.close()
