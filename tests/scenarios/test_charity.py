"""One euro of each watch for the lifeboats, and points that members donate: what each sale gives, and the totals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from tallystick.core.basket import Basket, Line
from tallystick.core.ids import MemberId, Minor
from tallystick.service.reckoning import reckoning_round
from tallystick.service.rounds import come_round
from tallystick.v1 import ledger_pb2, types_pb2
from tallystick.v1 import sharing_pb2 as pb
from tallystick_till.types import SaleAsk
from tests.scenarios.street import Person, Street

PROJECTS = [
    {"id": "lifeboats", "name": "Lifeboats", "text": "Boats for the coast"},
    {"id": "trees", "name": "Trees"},
]
CHARITY = {
    "projects": PROJECTS,
    "share": [
        {"project": "lifeboats", "minor": 100, "category": "watches"},
        {"project": "trees", "percent": "0.5"},
    ],
}


class Shop:
    """A till, and a member with 1,000 points."""

    def __init__(self, street: Street) -> None:
        self.street = street
        self.till = street.till("s1")
        self.ann = street.member(1_000)

    def sell(self, *lines: tuple[int, str], person: Person | None = None) -> Any:
        who = person or self.ann
        self.street.scan(self.till, who)
        goods = tuple(
            Line(f"sku {at}", 1000, Minor(amount), categories=(category,) if category else ())
            for at, (amount, category) in enumerate(lines)
        )
        ask = SaleAsk(MemberId(who.member_id), Basket("EUR", goods), sale_id=self.till.new_id())
        sale = self.till.running.sale(ask)
        if not self.till.line.down:
            # A sale that only earns is the till's own to decide, and reported behind it.
            self.street.sync(self.till)
        return sale

    def give_back(self, sale: Any, line_no: int, *, amount: int = 0) -> None:
        lines = [{"line_no": line_no, **({"amount_minor": amount} if amount else {"quantity_milli": 1000})}]
        body = {"command_id": self.street.new_id(), "member_id": self.ann.member_id, "sale_id": sale.sale_id}
        request = ParseDict(
            {**body, "lines": lines, "origin": {"channel": 1}}, ledger_pb2.PostReturnRequest()
        )
        assert self.street.office("post_return", request).decision.WhichOneof("outcome") == "posted"

    def donate(self, points: int, project: str = "trees", *, command_id: str = "") -> Any:
        request = pb.DonatePointsRequest(
            command_id=command_id or self.street.new_id(),
            member_id=self.ann.member_id,
            project_id=project,
            points=points,
            assurance=types_pb2.ASSURANCE_DEVICE_CODE,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_APP),
        )
        return self.street.office("donate_points", request, service="sharing").decision

    def round(self) -> None:
        gateway = self.street.server.gateway
        work = come_round(reckoning_round(gateway.reckoning, gateway.pool), gateway.store, gateway.pool)
        self.street.server.run(work)

    def projects(self) -> dict[str, tuple[int, int, int]]:
        """What each project has: minor units given, points donated, their worth."""
        self.round()
        found = self.street.office("list_projects", pb.ListProjectsRequest(), service="sharing").projects
        return {
            one.project_id: (one.given.amount_minor, one.donated_points, one.donated.amount_minor)
            for one in found
        }


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    street = Street(tmp_path, charity=CHARITY)
    made = Shop(street)
    yield made
    made.round()
    assert street.books_are_right()
    street.close()


@pytest.mark.parametrize(
    ("basket", "lifeboats", "trees"),
    [
        ([(20_000, "watches")], 100, 100),
        ([(20_000, "watches"), (30_000, "watches")], 100, 250),
        ([(20_000, "straps")], 0, 100),
        ([(20_000, "watches"), (5_000, "straps")], 100, 125),
        ([(199, "straps")], 0, 0),
        ([(0, "watches")], 0, 0),
    ],
)
def test_what_a_sale_gives(shop: Shop, basket: list[tuple[int, str]], lifeboats: int, trees: int) -> None:
    shop.sell(*basket)
    given = shop.projects()
    assert (given["lifeboats"][0], given["trees"][0]) == (lifeboats, trees)


def test_a_watch_brought_back_takes_its_euro_back(shop: Shop) -> None:
    sale = shop.sell((20_000, "watches"), (5_000, "straps"))
    shop.give_back(sale, 2)
    assert shop.projects()["lifeboats"][0] == 100
    assert shop.projects()["trees"][0] == 100
    shop.give_back(sale, 1)
    assert {gift for gift, _, _ in shop.projects().values()} == {0}


def test_many_partial_returns_take_back_exactly_what_was_given(shop: Shop) -> None:
    sale = shop.sell((19_999, "watches"))
    for amount in (7_001, 6_999, 5_998):
        shop.give_back(sale, 1, amount=amount)
    assert shop.projects()["lifeboats"][0] > 0
    shop.give_back(sale, 1, amount=1)
    assert {gift for gift, _, _ in shop.projects().values()} == {0}


def test_a_sale_made_while_the_line_was_down_gives_when_it_is_reported(shop: Shop) -> None:
    shop.street.sync(shop.till)
    shop.street.offline(shop.till)
    shop.sell((20_000, "watches"))
    assert shop.projects()["lifeboats"][0] == 0
    shop.street.online(shop.till)
    shop.street.sync(shop.till)
    assert shop.projects()["lifeboats"][0] == 100


def test_the_receipt_of_a_member_says_what_was_given(shop: Shop) -> None:
    sale = shop.sell((20_000, "watches"))
    told = {one.rule_id: dict(one.args) for one in shop.street.entry(shop.ann, sale).detail.explanations}
    assert told["lifeboats"] == {"amount_minor": "100"}


def test_members_donate_points_at_their_worth_once(shop: Shop) -> None:
    command_id = shop.street.new_id()
    first = shop.donate(300, command_id=command_id)
    assert first.posted.entry.kind == ledger_pb2.ENTRY_KIND_DONATE
    assert shop.donate(300, command_id=command_id).replayed
    assert shop.street.balance(shop.ann) == 700
    assert shop.projects()["trees"] == (0, 300, 300)


@pytest.mark.parametrize(
    ("points", "project", "reason"),
    [(1_001, "trees", "INSUFFICIENT_POINTS"), (10, "wales", "PROJECT_UNKNOWN")],
)
def test_a_donation_that_cannot_be_is_refused(shop: Shop, points: int, project: str, reason: str) -> None:
    refused = shop.donate(points, project).refused
    assert ledger_pb2.RefusalReason.Name(refused.reason) == f"REFUSAL_REASON_{reason}"
    assert shop.street.balance(shop.ann) == 1_000


def test_a_project_that_is_over_keeps_its_total(shop: Shop) -> None:
    shop.donate(300)
    rules = {**shop.street.rules, "charity": {**CHARITY, "projects": PROJECTS[:1], "share": []}}
    shop.street.server.publish(rules)
    shop.street.server.restart()
    shop.round()
    found = shop.street.office("list_projects", pb.ListProjectsRequest(), service="sharing").projects
    assert [(one.project_id, one.open, one.donated_points) for one in found] == [
        ("lifeboats", True, 0),
        ("trees", False, 300),
    ]


def test_a_total_that_was_changed_is_found_by_verification(shop: Shop) -> None:
    from tallystick.service.shared_store import SharedTotal
    from tallystick.storage.verify import verify
    from tests.simulation.server import CLUB

    shop.donate(300)
    shop.round()
    sums = shop.street.server.failing._of(CLUB).shared_sums
    right = sums["donated/trees"]
    sums["donated/trees"] = SharedTotal(301, right.people)
    problem = verify(shop.street.server.store, CLUB).problems[0]
    assert (problem.table, problem.expected, problem.found) == ("shared_sum", "300", "301")
    sums["donated/trees"] = right
