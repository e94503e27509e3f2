"""The points club: reviews and parties pay, each within its limit, and points buy what money does not."""

from __future__ import annotations

from pathlib import Path

from tests.programs.village import Village, article, goods, refused


def test_a_season_of_reviews_parties_and_a_bag(tmp_path: Path) -> None:
    village = Village(tmp_path, "points_club")
    till, ann = village.till("torget"), village.join()

    # The newsletter once, each article reviewed once a year, one party a quarter.
    assert village.acts(ann, "welcome") == 25
    assert refused(lambda: village.acts(ann, "welcome")) == "ACTION_LIMIT"
    assert [village.acts(ann, "review", f"lamp-{number}") for number in range(4)] == [20] * 4
    village.wait(days=31)
    assert refused(lambda: village.acts(ann, "review", "lamp-0")) == "ACTION_LIMIT"
    assert village.acts(ann, "review", "lamp-4") == 20
    assert village.acts(ann, "party") == 300
    assert refused(lambda: village.acts(ann, "party")) == "ACTION_LIMIT"

    # What is new earns threefold, at a till without a line too; its points wait for the return window.
    village.sync(till)
    village.offline(till)
    done = village.ring_up(till, ann, goods("lamp", 10_000, "new-in"), goods("bulb", 2_000))
    assert (done.earned_points, done.stand_in) == (320, True)
    village.settle(till)
    card = village.card(ann)
    assert (card.balance.active, card.balance.pending) == (25 + 4 * 20, 20 + 300 + 320)

    # The bag is not for sale: 300 points buy it, once a year, and its code is taken once.
    assert village.redeem(ann, "bag").decision.HasField("refused")
    village.wait(days=15)
    village.come_round()
    bought = village.redeem(ann, "bag")
    assert bought.redemption.code
    assert village.hand_out(ann, bought.redemption.code).decision.HasField("posted")
    assert village.hand_out(ann, bought.redemption.code).decision.HasField("refused")
    assert village.redeem(ann, "bag").decision.HasField("refused")
    card = village.card(ann)
    assert card.balance.active == 745 - 300
    bag = next(one for one in card.rewards if one.reward_id == "bag")
    assert (bag.name, bag.stock_left, bag.limit_left) == ("The club's bag", 199, 0)
    review = next(one for one in card.actions if one.action_id == "review")
    assert (review.points, review.limit_count, review.done) == (20, 12, 5)

    # In the webshop five euro are 450 points: there are 445, and the order is refused with what is missing.
    assert refused(lambda: village.buy(ann, article("lamp", 4_000), rewards=("five-off",))) == (
        "INSUFFICIENT_POINTS"
    )
    assert village.buy(ann, article("lamp", 4_000), points=200).payable_minor == 3_800
    village.close()
