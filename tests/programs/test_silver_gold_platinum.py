"""Silver, gold, platinum: a gift with each level, what is new before others, and more points the higher one stands."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tallystick_webshop import Article
from tests.programs.village import Village, article, goods


def test_who_climbs_is_given_points_and_buys_before_others(tmp_path: Path) -> None:
    village = Village(tmp_path, "silver_gold_platinum")
    till, ann, bo = village.till("torget"), village.join(), village.join()

    # 1,200 euro at once: over silver to gold, with the gifts of both levels, once.
    village.ring_up(till, ann, goods("coat", 120_000))
    village.sync(till)
    card = village.card(ann)
    assert (card.ladder.tier_id, card.ladder.next_tier_id) == ("gold", "platinum")
    assert card.balance.active == 1_200 + 100 + 300
    village.ring_up(till, ann, goods("scarf", 10_000))
    village.sync(till)
    assert village.card(ann).balance.active == 1_600 + 150

    # A till without a line knows the level: half as much again.
    village.offline(till)
    village.wait(days=1)
    assert village.ring_up(till, ann, goods("hat", 20_000)).earned_points == 300
    village.settle(till)

    # From 1 September the autumn collection is Ann's; Bo waits until the 8th. The atelier is for platinum alone.
    first = datetime(2026, 9, 2, 8, tzinfo=UTC).timestamp() * 1000
    village.time.pass_(int(first) - village.time.now_ms)
    asked = [
        Article("coat-26", categories=("autumn",)),
        Article("gown", categories=("atelier",)),
        Article("sock"),
    ]
    assert [one.allowed for one in village.shop.openings(asked, member_id=ann.member_id)] == [
        True,
        False,
        True,
    ]
    assert [one.allowed for one in village.shop.openings(asked, member_id=bo.member_id)] == [
        False,
        False,
        True,
    ]
    assert [one.allowed for one in village.shop.openings(asked)] == [False, False, True]
    shown = {one.access_id: one.allowed for one in village.card(ann).access}
    assert shown["autumn"] is True
    assert shown.get("atelier", False) is False
    village.wait(days=7)
    assert [one.allowed for one in village.shop.openings(asked)] == [True, False, True]

    # 2,000 euro more and Ann is platinum: the dinner is hers for 2,000 points, the gift helps.
    order = village.buy(ann, article("gown", 200_000, "atelier"))
    assert order.earned_points == 3_000
    card = village.card(ann)
    assert card.ladder.tier_id == "platinum"
    dinner = village.redeem(ann, "dinner")
    assert dinner.decision.HasField("posted")
    assert village.redeem(bo, "dinner").decision.HasField("refused")
    village.close()
