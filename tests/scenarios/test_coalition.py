"""Two brands, a grocer and a cinema: points of the one become points of the other, and both ledgers stay right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from tallystick.core.ids import ProgramId
from tallystick.reports.settlement import Exchanged, read_settlement
from tallystick.service.rounds import come_round
from tallystick.service.sharing_rounds import sharing_round
from tallystick.service.transfers import INTERRUPTED_AFTER_MS
from tallystick.storage.verify import verify
from tallystick.v1 import ledger_pb2, member_pb2
from tallystick.v1 import sharing_pb2 as pb
from tests.core.world import rules_of
from tests.rpc.handlers.world import APP, MANAGER, OTHER, RULES, SHOP, Caller, World, new_id, origin_of
from tests.scenarios.test_transfers import Broken, phone

ARRIVED, UNDONE = pb.TRANSFER_STATE_ARRIVED, pb.TRANSFER_STATE_UNDONE
CINEMA = """\
partners:
  - {program: other, name: Cinema, give_points: 10, get_points: 1, limit_points: {count: 100, per: month}}
"""
GROCER = """\
partners:
  - {program: shop, name: Grocer, give_points: 1, get_points: 10}
"""
THERE = Caller(program_id=OTHER)


class Brands:
    """Ann, who has 200 points at the grocer's and a card of the cinema."""

    def __init__(self, path: Path) -> None:
        self.world = World(path)
        self.world.publish(RULES + CINEMA)
        self.world.publish(RULES + GROCER, OTHER)
        self.ann = self.world.enrol()
        self.there = self.world.enrol(caller=THERE)
        self.card = self.world.number_of(self.there, THERE)
        self.world.sell(self.ann, 20_000)

    def points(self) -> tuple[int, int]:
        """What Ann has at the grocer's and at the cinema."""
        here, there = self.world.balance(self.ann), self.world.balance(self.there, THERE)
        return int(here.active), int(there.active)

    def request(self, points: int, **more: Any) -> pb.ConvertPointsRequest:
        body = {
            "transfer_id": new_id(),
            "member_id": self.ann,
            "partner_id": OTHER,
            "to_card": self.card,
            "points": points,
            "assurance": "ASSURANCE_STATIC_CARD",
            "origin": origin_of(),
            **more,
        }
        return ParseDict(body, pb.ConvertPointsRequest())

    def convert(self, points: int, caller: Caller | None = None, **more: Any) -> pb.ConvertPointsResponse:
        answer: pb.ConvertPointsResponse = self.world.send(self.request(points, **more), caller)
        return answer

    def refused(self, points: int, **more: Any) -> str:
        refused = self.convert(points, **more).decision.refused
        return ledger_pb2.RefusalReason.Name(refused.reason).removeprefix("REFUSAL_REASON_")

    def round(self) -> int:
        gateway = self.world.gateway
        work = come_round(sharing_round(gateway.transfers), gateway.store, gateway.pool)
        return self.world.loop.run_until_complete(work)

    def settlement(self, program_id: ProgramId) -> list[Exchanged]:
        with self.world.store.snapshot(program_id) as snapshot:
            return list(read_settlement(snapshot.ledger(), zone=rules_of().zone).values())


@pytest.fixture
def brands(tmp_path: Path) -> Iterator[Brands]:
    made = Brands(tmp_path)
    yield made
    for program_id in (SHOP, OTHER):
        report = verify(made.world.store, program_id)
        assert report.ok, report.first
    made.world.close()


def test_ten_points_of_the_grocer_are_one_of_the_cinema(brands: Brands) -> None:
    answer = brands.convert(60)
    assert (answer.transfer.state, answer.get_points) == (ARRIVED, 6)
    assert brands.points() == (140, 6)
    assert brands.settlement(SHOP) == [Exchanged(gave_points=60)]
    assert brands.settlement(OTHER) == [Exchanged(got_points=6)]


def test_a_member_does_it_on_the_phone_by_the_number_of_the_other_card(brands: Brands) -> None:
    shop: Any = brands
    assert brands.convert(60, phone(shop, brands.ann)).transfer.state == ARRIVED


def test_the_phone_shows_the_partners_and_their_rates(brands: Brands) -> None:
    caller = Caller(APP, store_id="", member_id=brands.ann)
    (partner,) = brands.world.send(pb.ListPartnersRequest(), caller).partners
    assert (partner.partner_id, partner.name) == (OTHER, "Cinema")
    assert (partner.give_points, partner.get_points) == (10, 1)


@pytest.mark.parametrize(
    ("points", "more", "reason"),
    [
        (55, {}, "NOT_WHOLE_UNITS"),
        (210, {}, "INSUFFICIENT_POINTS"),
        (110, {}, "SHARING_LIMIT"),
        (60, {"assurance": "ASSURANCE_TYPED"}, "ABOVE_ASSURANCE_CAP"),
        (60, {"partner_id": "airline"}, "PARTNER_UNKNOWN"),
    ],
)
def test_what_the_rules_do_not_allow_is_refused(
    brands: Brands, points: int, more: dict[str, Any], reason: str
) -> None:
    assert brands.refused(points, **more) == reason
    assert brands.points() == (200, 0)


def test_the_limit_counts_all_of_a_month(brands: Brands) -> None:
    brands.convert(60)
    assert brands.refused(50) == "SHARING_LIMIT"
    assert brands.convert(40).transfer.state == ARRIVED


def test_a_card_that_nobody_has_there_takes_nothing(brands: Brands) -> None:
    own_number = brands.world.number_of(brands.ann)
    asked = brands.request(60, to_card=own_number)
    assert brands.world.refused(asked).reason == "RECEIVER_NOT_FOUND"
    assert brands.points() == (200, 0)


def test_the_same_call_again_moves_nothing_more(brands: Brands) -> None:
    request = brands.request(60)
    first, second = brands.world.send(request), brands.world.send(request)
    assert first.transfer == second.transfer
    assert second.decision.replayed
    assert brands.points() == (140, 6)
    request.points = 70
    assert brands.world.send(request).decision.refused.reason == ledger_pb2.REFUSAL_REASON_COMMAND_ID_REUSED


def test_a_program_that_does_not_name_the_other_one_takes_no_points_of_it(brands: Brands) -> None:
    brands.world.publish(RULES, OTHER)
    before = brands.world.store.read_lots(SHOP, brands.ann)  # type: ignore[arg-type]
    assert brands.convert(60).transfer.state == UNDONE
    assert brands.points() == (200, 0)
    assert brands.world.store.read_lots(SHOP, brands.ann) == before  # type: ignore[arg-type]
    assert brands.settlement(SHOP) == [Exchanged()]


def test_somebody_who_is_blocked_there_has_the_points_back_here(brands: Brands) -> None:
    block = member_pb2.BlockMemberRequest(member_id=brands.there)
    brands.world.send(block, Caller(MANAGER, program_id=OTHER))
    assert brands.convert(60).transfer.state == UNDONE
    assert brands.points() == (200, 0)
    assert brands.convert(100).transfer.state == UNDONE, "what came back does not count towards the limit"


def test_a_conversion_that_was_interrupted_is_finished_by_whoever_comes_round(brands: Brands) -> None:
    request = brands.request(60)
    transfers = brands.world.gateway.transfers
    whole = transfers._lane
    transfers._lane = Broken(whole, 1)  # type: ignore[assignment]
    assert brands.world.refused(request).reason == "STORE_UNAVAILABLE"
    transfers._lane = whole
    assert brands.points() == (140, 0)
    assert verify(brands.world.store, SHOP).ok, "what is on its way is known to be"
    brands.world.now_ms += INTERRUPTED_AFTER_MS + 1
    assert (brands.round(), brands.round()) == (1, 0)
    assert brands.points() == (140, 6)
    assert brands.world.send(request).transfer.state == ARRIVED
    assert brands.points() == (140, 6)


def test_points_burned_for_a_partner_without_a_row_are_found_by_verification(brands: Brands) -> None:
    brands.convert(60)
    rows = brands.world.store._of(SHOP).transfers
    (transfer_id,) = rows
    row = rows.pop(transfer_id)
    problem = verify(brands.world.store, SHOP).problems[0]
    assert (problem.table, problem.expected) == ("transfer", "a row for 60 points")
    rows[transfer_id] = row


def test_points_that_go_there_and_back_are_as_many_as_before(brands: Brands) -> None:
    brands.convert(100)
    body = {
        "transfer_id": new_id(),
        "member_id": brands.there,
        "partner_id": SHOP,
        "to_card": brands.world.number_of(brands.ann),
        "points": 10,
        "assurance": "ASSURANCE_STATIC_CARD",
        "origin": origin_of(),
    }
    brands.world.send(ParseDict(body, pb.ConvertPointsRequest()), THERE)
    assert brands.points() == (200, 0)
    assert brands.settlement(SHOP) == [Exchanged(100, 100)]
    assert brands.settlement(OTHER) == [Exchanged(10, 10)]
