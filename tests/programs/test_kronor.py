"""One point for every ten kronor: earned anywhere, also without a line, and spent where there is one."""

from __future__ import annotations

from pathlib import Path

from tallystick.core.command import ReturnLine
from tests.programs.village import Village, article, goods


def test_a_month_of_the_simplest_program(tmp_path: Path) -> None:
    village = Village(tmp_path, "kronor")
    till, ann = village.till("torget"), village.join()

    # 119.00 are 11 points, rounded once for the sale; the deposit for the bottles earns nothing.
    done = village.ring_up(
        till, ann, goods("bread", 5_900), goods("milk", 6_000), goods("can", 400, "deposit")
    )
    assert (done.earned_points, done.payable_minor) == (11, 12_300)

    # The line is down: the till goes on earning by the same rules, and prints the same points.
    village.offline(till)
    village.wait(days=1)
    offline = village.ring_up(till, ann, goods("coat", 240_000, pieces=2))
    assert (offline.earned_points, offline.stand_in) == (240, True)
    village.settle(till)
    assert village.why(ann) == [("per_amount", 240)]

    # In the webshop 200 of the 251 points are 10 kronor off; what is paid with points earns nothing.
    order = village.buy(ann, article("book", 15_000), points=200)
    assert (order.payable_minor, order.earned_points) == (14_000, 14)

    # The card says what is left and how long it lasts: to the end of the month, two years on.
    card = village.card(ann)
    assert card.currency_code == "SEK"
    assert card.balance.active == 11 + 240 - 200 + 14
    assert {one.last_day for one in card.expiring} <= {"2028-03-31"}

    # One of the two coats comes back: half of their points go too, those that were spent are owed.
    village.take_back(till, offline, ReturnLine(1, 1_000))
    village.sync(till)
    assert village.card(ann).balance.active == 65 - 65
    assert village.card(ann).balance.debt == 120 - 65
    village.close()


def test_a_till_without_a_line_gives_no_more_than_the_floor(tmp_path: Path) -> None:
    village = Village(tmp_path, "kronor")
    till, bo = village.till("torget"), village.join()
    village.ring_up(till, bo, goods("coat", 900_000))
    village.settle(till)
    village.offline(till)
    done = village.ring_up(till, bo, goods("bread", 5_000), burn=200)
    assert (done.burned_points, done.discount_minor, done.stand_in) == (200, 1_000, True)
    village.settle(till)
    assert village.card(bo).balance.active == 900 - 200 + 4
    village.close()
