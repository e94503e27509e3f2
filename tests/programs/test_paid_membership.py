"""Plus: a fee for a year, three times the points, and as it was before when the fee comes back in time."""

from __future__ import annotations

from pathlib import Path

from tallystick_webshop import ReturnLine
from tests.programs.village import Village, article, goods


def test_a_year_of_plus_and_a_change_of_mind(tmp_path: Path) -> None:
    village = Village(tmp_path, "paid_membership")
    till, ann, bo = village.till("torget"), village.join(), village.join()

    fee = village.buy(ann, article("PLUS-YEAR", 29_900))
    assert fee.earned_points == 0
    order = village.buy(ann, article("chair", 100_000), article("DELIVERY", 4_900), rewards=("delivery",))
    assert (order.earned_points, order.payable_minor) == (300, 100_000)
    assert village.buy(bo, article("chair", 100_000)).earned_points == 100

    # A till without a line has been told who has it.
    village.sync(till)
    village.offline(till)
    assert village.ring_up(till, ann, goods("table", 200_000)).earned_points == 600
    assert village.ring_up(till, bo, goods("table", 200_000)).earned_points == 200
    village.settle(till)
    own = village.buy(ann, article("shelf", 50_000, brand="own"), coupons=("plus10",))
    assert own.payable_minor == 45_000
    (shown,) = village.card(ann).memberships
    assert (shown.name, shown.active, shown.last_day) == ("Plus", True, "2027-03-01")

    # Within two weeks the fee comes back, and the membership with it.
    village.wait(days=3)
    village.shop.give_back(
        village.new_id(), ann.member_id, fee.sale_id, [ReturnLine(1, 1)], order="back", at=village.now()
    )
    (shown,) = village.card(ann).memberships
    assert shown.active is False
    assert village.buy(ann, article("chair", 100_000)).earned_points == 100
    village.close()
