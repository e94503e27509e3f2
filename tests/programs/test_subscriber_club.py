"""Subscribers: a fee sold like an article, a coffee a day, double points, and all of it ends with the term."""

from __future__ import annotations

from pathlib import Path

from tests.programs.village import Village, article, goods, refused


def test_a_month_of_coffee(tmp_path: Path) -> None:
    village = Village(tmp_path, "subscriber_club")
    till, ann = village.till("torget"), village.join()

    # Nobody's coffee yet. The fee earns nothing; from the moment that it is paid there is a coffee a day.
    assert refused(
        lambda: village.buy(ann, article("latte", 450, "coffee"), rewards=("coffee-of-the-day",))
    ) == ("REWARD_NOT_APPLICABLE")
    fee = village.buy(ann, article("SUB-COFFEE", 2_500))
    assert fee.earned_points == 0
    first = village.buy(ann, article("latte", 450, "coffee"), rewards=("coffee-of-the-day",))
    assert (first.payable_minor, first.discount_minor) == (0, 450)
    assert refused(
        lambda: village.buy(ann, article("latte", 450, "coffee"), rewards=("coffee-of-the-day",))
    ) == ("REWARD_LIMIT")
    village.wait(days=1)
    assert (
        village.buy(ann, article("latte", 450, "coffee"), rewards=("coffee-of-the-day",)).payable_minor == 0
    )
    (shown,) = village.card(ann).memberships
    assert (shown.name, shown.active, shown.last_day) == ("The coffee subscription", True, "2026-03-31")

    # Points come twice, at a till without a line as well: it has been told until when the membership lasts.
    village.sync(till)
    village.offline(till)
    assert village.ring_up(till, ann, goods("cake", 2_000, "cake")).earned_points == 40
    village.settle(till)
    beans = village.buy(ann, article("beans", 2_000, "beans"), coupons=("beans15",))
    assert beans.payable_minor == 1_700

    # Three days of grace after the term, and then it is over, at the till's own reckoning too.
    village.wait(days=33)
    village.come_round()
    village.sync(till)
    village.offline(till)
    assert village.ring_up(till, ann, goods("cake", 2_000, "cake")).earned_points == 20
    village.settle(till)
    (shown,) = village.card(ann).memberships
    assert shown.active is False
    village.close()
