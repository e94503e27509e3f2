"""All members together reach 1,000 pieces in Advent, and everybody who took part gets the award, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.basket import Basket, Line
from tallystick.core.command import ReturnLine
from tallystick.core.entry import EntryKind
from tallystick.core.ids import MemberId, Minor
from tallystick.service.reckoning import reckoning_round
from tallystick.service.rounds import come_round
from tallystick.v1 import sharing_pb2 as pb
from tallystick_till.types import ReturnAsk, SaleAsk
from tests.scenarios.street import Person, Street
from tests.simulation.server import CLUB

DAY_MS = 86_400_000
OPEN, COUNTING, REACHED, AWARDED, MISSED = (
    pb.GOAL_STATE_OPEN,
    pb.GOAL_STATE_COUNTING,
    pb.GOAL_STATE_REACHED,
    pb.GOAL_STATE_AWARDED,
    pb.GOAL_STATE_MISSED,
)


def goal(**more: Any) -> dict[str, Any]:
    """Ten pieces of anything from the first day on, for a week; goods come back for another week."""
    plain = {
        "id": "advent",
        "name": "Advent together",
        "counts": "pieces",
        "target": 10,
        "from": "2026-01-01",
        "until": "2027-01-01",
        "award": {"points": 50},
    }
    return {**plain, **more}


class Shop:
    """A till and two members without points."""

    def __init__(self, street: Street) -> None:
        self.street = street
        self.till = street.till("s1")
        self.ann, self.ben = street.member(), street.member()

    def sell(self, person: Person, pieces: int = 1, *, amount: int = 1_000) -> Any:
        self.street.scan(self.till, person)
        goods = Basket("EUR", (Line("candle", pieces * 1000, Minor(amount)),))
        ask = SaleAsk(MemberId(person.member_id), goods, sale_id=self.till.new_id())
        sale = self.till.running.sale(ask)
        if not self.till.line.down:
            self.street.sync(self.till)
        return sale

    def give_back(self, sale: Any, pieces: int) -> None:
        self.till.running.give_back(ReturnAsk((ReturnLine(1, 1000 * pieces),), sale.sale_id))
        self.street.sync(self.till)

    def round(self) -> int:
        gateway = self.street.server.gateway
        work = come_round(reckoning_round(gateway.reckoning, gateway.pool), gateway.store, gateway.pool)
        return int(self.street.server.run(work))

    def goal(self, person: Person | None = None) -> pb.Goal:
        self.round()
        request = pb.ListGoalsRequest(member_id=person.member_id if person else "")
        (found,) = self.street.office("list_goals", request, service="sharing").goals
        answer: pb.Goal = found
        return answer

    def awards(self, person: Person) -> list[int]:
        """The points of each award that a member has had."""
        entries = self.street.entries(person)
        return [-one.moves.issued for one in entries if one.kind is EntryKind.AWARD]


def open_shop(root: Path, **more: Any) -> Shop:
    return Shop(Street(root, goals=[goal(**more)]))


def close(shop: Shop) -> None:
    shop.round()
    assert shop.street.books_are_right()
    shop.street.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = open_shop(tmp_path, at_once=True)
    yield made
    close(made)


def test_everybody_sees_how_far_all_are(shop: Shop) -> None:
    shop.sell(shop.ann, 3)
    shop.sell(shop.ben, 1)
    shop.sell(shop.ann, 2)
    now = shop.goal(shop.ann)
    assert (now.counted, now.target, now.members, now.state) == (6_000, 10_000, 2, OPEN)
    assert now.took_part
    assert not shop.goal(shop.street.member()).took_part


def test_when_it_is_reached_everybody_who_took_part_is_awarded_once(shop: Shop) -> None:
    cat = shop.street.member()
    shop.sell(shop.ann, 9)
    shop.round()
    assert shop.awards(shop.ann) == []
    shop.sell(shop.ben, 1)
    for _ in range(3):
        shop.round()
    assert (shop.awards(shop.ann), shop.awards(shop.ben), shop.awards(cat)) == ([50], [50], [])
    assert shop.goal().state == REACHED


def test_somebody_who_comes_before_the_end_has_taken_part_too(shop: Shop) -> None:
    shop.sell(shop.ann, 10)
    shop.round()
    shop.sell(shop.ben, 1)
    shop.round()
    assert shop.awards(shop.ben) == [50]


def test_what_comes_back_is_reckoned_back(shop: Shop) -> None:
    sale = shop.sell(shop.ann, 6)
    shop.sell(shop.ben, 3)
    shop.give_back(sale, 2)
    shop.sell(shop.ben, 1)
    assert (shop.goal().counted, shop.goal().state) == (8_000, OPEN)
    shop.give_back(sale, 4)
    now = shop.goal(shop.ann)
    assert (now.counted, now.members, now.took_part) == (4_000, 1, False)


def test_a_sale_made_while_the_line_was_down_counts_when_it_is_reported(shop: Shop) -> None:
    shop.street.offline(shop.till)
    shop.sell(shop.ann, 10)
    assert shop.goal().counted == 0
    shop.street.online(shop.till)
    shop.street.sync(shop.till)
    shop.round()
    assert shop.awards(shop.ann) == [50]


@pytest.mark.parametrize(
    ("counts", "target", "after_two"),
    [("sales", 100, 2), ("spend", 100_000, 5_000), ("points", 1_000, 50), ("pieces", 10, 3_000)],
)
def test_what_a_goal_may_count(tmp_path: Path, counts: str, target: int, after_two: int) -> None:
    shop = open_shop(tmp_path, counts=counts, target=target)
    shop.sell(shop.ann, 2, amount=3_000)
    shop.sell(shop.ben, 1, amount=2_000)
    assert shop.goal().counted == after_two
    close(shop)


def test_a_goal_with_a_return_window_is_looked_at_when_that_is_over(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, until="2026-04-01", return_days=14)
    sale = shop.sell(shop.ann, 10)
    end = 1_775_001_600_000
    shop.street.time.pass_(end - shop.street.time.now_ms)
    assert shop.goal().state == COUNTING
    shop.give_back(sale, 1)
    shop.street.time.pass_(15 * DAY_MS)
    assert (shop.goal().state, shop.awards(shop.ann)) == (MISSED, [])
    close(shop)


def test_a_goal_that_is_still_reached_then_is_awarded_and_closed(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, until="2026-04-01", return_days=14)
    shop.sell(shop.ann, 10)
    assert shop.goal().state == OPEN
    shop.street.time.pass_(1_775_001_600_000 + 15 * DAY_MS - shop.street.time.now_ms)
    assert shop.goal().state == AWARDED
    assert shop.awards(shop.ann) == [50]
    shop.round()
    assert shop.round() == 0, "nothing is left to do"
    close(shop)


def test_a_process_that_dies_while_it_awards_leaves_nobody_without_and_nobody_twice(shop: Shop) -> None:
    people = [shop.street.member() for _ in range(10)]
    for person in people:
        shop.sell(person, 1)
    shop.street.server.gateway.reckoning.follow(CLUB)
    shop.street.server.failing.fail = "after"
    shop.round()
    assert [shop.awards(person) for person in people] == [[50]] * 10, "they have it, and nobody has noted so"
    shop.street.server.restart()
    shop.round()
    shop.round()
    assert [shop.awards(person) for person in people] == [[50]] * 10


def test_somebody_who_is_blocked_stays_without_and_keeps_nobody_waiting(shop: Shop) -> None:
    shop.sell(shop.ann, 5)
    shop.sell(shop.ben, 5)
    shop.street.server.gateway.members.set_blocked(CLUB, MemberId(shop.ann.member_id), blocked=True)
    shop.round()
    assert (shop.awards(shop.ann), shop.awards(shop.ben)) == ([], [50])
    shop.round()
    assert shop.round() == 0, "nothing is left to do"


def test_two_processes_that_follow_from_one_place_sum_every_sale_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, reckoning = shop.street.server.store, shop.street.server.gateway.reckoning
    shop.sell(shop.ann, 2)
    shop.sell(shop.ben, 3)
    add_sums = store.add_sums

    def when_the_other_was_quicker(*sums: Any, **more: Any) -> bool:
        monkeypatch.undo()
        assert reckoning.follow(CLUB) > 0
        return bool(add_sums(*sums, **more))

    monkeypatch.setattr(store, "add_sums", when_the_other_was_quicker)
    assert reckoning.follow(CLUB) == 0, "there was nothing left for the slower one"
    assert store.shared_totals(CLUB)["goal/advent"].total == 5_000


def test_a_goal_of_a_rule_set_that_came_later_counts_from_then_on(tmp_path: Path) -> None:
    street = Street(tmp_path)
    shop = Shop(street)
    shop.sell(shop.ann, 5)
    assert shop.round() == 0, "there is nothing to sum"
    street.server.publish({**street.rules, "goals": [goal()]})
    street.server.restart()
    street.sync(shop.till)
    shop.sell(shop.ann, 2)
    assert shop.goal().counted == 2_000
    close(shop)
