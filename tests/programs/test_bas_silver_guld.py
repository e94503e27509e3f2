"""Bas, silver, guld: points that wait for the return window, levels that are climbed at once and fall with grace."""

from __future__ import annotations

from pathlib import Path

from tests.programs.village import Village, article, goods


def test_a_member_climbs_earns_more_and_falls_one_step_after_the_grace(tmp_path: Path) -> None:
    village = Village(tmp_path, "bas_silver_guld")
    till, ann = village.till("torget"), village.join()

    # Monday 2 March 2026: 3,000 kronor. The points are shown and wait for thirty days, and so does silver.
    first = village.ring_up(till, ann, goods("sofa", 300_000))
    village.sync(till)
    card = village.card(ann)
    assert (first.earned_points, card.balance.pending, card.balance.active) == (3_000, 3_000, 0)
    assert (card.ladder.tier_id, card.ladder.next_tier_id) == ("bas", "silver")

    # In April they are hers, and so is silver: a quarter more, and double on a Tuesday (not 2.25 times).
    village.wait(days=31)
    village.come_round()
    village.sync(till)
    card = village.card(ann)
    assert (card.balance.active, card.ladder.tier_id) == (3_000, "silver")
    order = village.buy(ann, article("lamp", 40_000))
    assert order.earned_points == 500
    village.wait(days=5)
    assert village.now().strftime("%A") == "Tuesday"
    assert village.buy(ann, article("lamp", 40_000)).earned_points == 800

    # A till without a line knows her level: a quarter more there too. Half of a basket may be paid with points.
    village.sync(till)
    village.offline(till)
    village.wait(days=1)
    done = village.ring_up(till, ann, goods("rug", 100_000), burn=2_000)
    assert (done.stand_in, done.earned_points, done.discount_minor) == (True, 1_225, 2_000)
    village.settle(till)

    # A year and the grace later nothing was bought: she falls one step, and her points have an end of their own.
    village.wait(days=365 + 31 + 300)
    village.come_round()
    card = village.card(ann)
    assert (card.ladder.tier_id, card.balance.active) == ("bas", 0)
    village.close()
