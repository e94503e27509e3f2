"""Bring a friend: nothing for a name alone, ten and five euro for a purchase that stays."""

from __future__ import annotations

from pathlib import Path

from tallystick_webshop import ReturnLine
from tests.programs.village import Village, article, goods
from tests.scenarios.street import Person
from tests.simulation.server import CLUB


def brought(village: Village, by: Person) -> Person:
    """Somebody joins by the code on a friend's card."""
    village.wait(minutes=30)
    friend = village.join()
    code = village.card(by).referral.code
    assert village.server.gateway.referrals.note(CLUB, friend.member_id, code)
    return friend


def days_go_by(village: Village, days: int) -> None:
    for _ in range(days):
        village.wait(days=1)
        village.come_round()


def test_two_friends_of_whom_one_keeps_what_he_bought(tmp_path: Path) -> None:
    village = Village(tmp_path, "bring_a_friend")
    till, ann = village.till("torget"), village.join()
    village.ring_up(till, ann, goods("coat", 10_000))
    village.sync(till)
    bo, cia = brought(village, ann), brought(village, ann)
    standing = village.card(ann).referral
    assert (standing.joined, standing.waiting, standing.referrer_points) == (2, 2, 1_000)

    # Bo buys at a till without a line, Cia in the webshop; for two weeks nobody gets anything.
    village.sync(till)
    village.offline(till)
    village.ring_up(till, bo, goods("shoes", 8_000))
    village.settle(till)
    order = village.buy(cia, article("shoes", 8_000))
    days_go_by(village, 10)
    assert (village.card(ann).balance.active, village.card(bo).balance.active) == (100, 80)

    # Cia sends hers back. After the window Ann has ten euro, Bo five, and Cia nothing.
    village.shop.give_back(
        village.new_id(), cia.member_id, order.sale_id, [ReturnLine(1, 1)], order="back", at=village.now()
    )
    days_go_by(village, 6)
    assert village.card(ann).balance.active == 100 + 1_000
    assert village.card(bo).balance.active == 80 + 500
    assert village.card(cia).balance.active == 0
    standing = village.card(ann).referral
    assert (standing.joined, standing.paid, standing.points_earned) == (2, 1, 1_000)

    # The points are points like others: at a checkout ten euro off.
    assert village.buy(ann, article("hat", 3_000), points=1_000).payable_minor == 2_000
    village.close()
