"""Two brands: bread becomes books at the rate that both have signed, and each ledger stays right by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tallystick.cli.programs import shipped_rules
from tallystick.core.basket import Channel
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.directory import Clock, Program
from tallystick.service.identity import Enrolled, Text
from tallystick.storage.verify import verify
from tallystick.v1 import sharing_pb2, sharing_pb2_grpc, types_pb2
from tests.programs.village import Village, article, goods
from tests.scenarios.street import Person

BOOKSHOP = ProgramId("bookshop")


def open_bookshop(village: Village) -> None:
    """The partner publishes the same text, with the bakery as its partner."""
    now = Ms(village.time.now_ms)
    village.server.store.create_program(Program(BOOKSHOP, "The bookshop", Clock.LIVE, 0, now))
    text = shipped_rules("two_brands").replace("program: bookshop", "program: club")
    published = village.server.gateway.programs.publish(
        BOOKSHOP, text, request_id=village.new_id(), published_by="bo"
    )
    assert published.version == 1


def reader(village: Village) -> tuple[MemberId, str]:
    """A member of the bookshop, and the number on the card."""
    member_id = MemberId(village.new_id())
    made = village.server.gateway.identity.enrol(
        BOOKSHOP,
        member_id,
        Text(""),
        enrolled_ms=Ms(village.time.now_ms),
        channel=Channel.WEBSHOP,
        store_id="",
    )
    assert isinstance(made, Enrolled)
    return member_id, made.member.number


def convert(village: Village, person: Person, to_card: str, points: int) -> Any:
    """Turn points of the bakery into points of the bookshop, at a counter that has looked at both cards."""
    request = sharing_pb2.ConvertPointsRequest(
        transfer_id=village.new_id(),
        member_id=person.member_id,
        partner_id=BOOKSHOP,
        to_card=to_card,
        points=points,
        assurance=types_pb2.ASSURANCE_DEVICE_CODE,
        origin=types_pb2.Origin(channel=types_pb2.CHANNEL_WEBSHOP),
    )
    return village.as_webshop(sharing_pb2_grpc.SharingServiceStub, "ConvertPoints", request)


def there(village: Village, member_id: MemberId) -> int:
    return village.server.store.read_accounts(BOOKSHOP, [member_id])[member_id].active


def test_bread_becomes_books(tmp_path: Path) -> None:
    village = Village(tmp_path, "two_brands")
    open_bookshop(village)
    till, ann = village.till("torget"), village.join()
    reader_id, card = reader(village)

    # 400 points in the webshop, 100 more at a till whose line is down.
    village.buy(ann, article("cake", 40_000))
    village.sync(till)
    village.offline(till)
    assert village.ring_up(till, ann, goods("bread", 10_000)).earned_points == 100
    village.settle(till)
    assert village.card(ann).balance.active == 500

    # 300 of them are 240 at the bookshop. Whatever is not a multiple of ten stays what it is.
    assert convert(village, ann, card, 300).decision.HasField("posted")
    village.come_round()
    assert (village.card(ann).balance.active, there(village, reader_id)) == (200, 240)
    assert convert(village, ann, card, 5).decision.HasField("refused")
    assert convert(village, ann, card, 300).decision.HasField("refused")
    village.come_round()
    assert (village.card(ann).balance.active, there(village, reader_id)) == (200, 240)
    assert verify(village.server.store).ok
    village.close()
