"""Coupons through the gateway: quoted, held, sold with; codes made, listed and revoked; guessing slowed."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.rpc import code_pb2

from tallystick.core.ids import MemberId, ProgramId
from tallystick.service.errors import Overloaded
from tallystick.service.guesses import DEVICE_PACE, MEMBER_PACE, Guesses
from tallystick.v1 import coupon_pb2 as pb
from tallystick.v1 import ledger_pb2
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    OTHER,
    WEBSHOP,
    Caller,
    World,
    basket_of,
    everything_stored,
    new_id,
    origin_of,
    sale_request,
)

BOSS = Caller(ADMIN)


def made(world: World, count: int = 1, *, of: tuple[str, ...] = (), batch_id: str = "") -> list[pb.Coupon]:
    request = pb.CreateCouponsRequest(
        batch_id=batch_id or new_id(), coupon_id="gift", count=0 if of else count, member_ids=of
    )
    return list(world.send(request, BOSS).coupons)


def sale(member: str, *codes: str, amount: int = 2_000, **more: Any) -> ledger_pb2.PostSaleRequest:
    request = sale_request(member, amount, **more)
    request.coupon_codes.extend(codes)
    return request


def asked(kind: type[Any], member: str, *codes: str, **more: Any) -> Any:
    body = {
        "member_id": member,
        "basket": basket_of(2_000),
        "coupon_codes": codes,
        "assurance": "ASSURANCE_STATIC_CARD",
        "origin": origin_of(),
        **more,
    }
    return ParseDict(body, kind())


def test_a_quote_says_what_the_sale_then_does(world: World) -> None:
    member, (coupon,) = world.enrol(), made(world)
    codes = (coupon.code.lower().replace("-", " "), "summer 25")
    quoted = world.send(asked(ledger_pb2.QuoteRequest, member, *codes)).quoted
    sold = world.send(sale(member, *codes)).decision.posted
    assert quoted.benefits == sold.benefits
    used = [(one.coupon_id, one.discount_minor) for one in sold.benefits.coupons]
    assert used == [("gift", 300), ("summer", 170)]
    assert (sold.benefits.discount_minor, sold.benefits.payable_minor) == (470, 1_530)
    again = world.send(asked(ledger_pb2.QuoteRequest, member, coupon.code)).refused
    assert ledger_pb2.RefusalReason.Name(again.reason) == "REFUSAL_REASON_COUPON_USED"
    assert dict(again.details) == {"coupon_id": "gift"}


def test_a_retry_gives_the_answer_of_the_first_time_however_the_code_is_typed_then(world: World) -> None:
    member, (coupon,) = world.enrol(), made(world)
    request = sale(member, coupon.code)
    first = world.send(request).decision
    del request.coupon_codes[:]
    request.coupon_codes.append(coupon.code.lower())
    again = world.send(request).decision
    assert (first.replayed, again.replayed) == (False, True)
    assert again.posted == first.posted


def test_a_checkout_holds_a_coupon_and_captures_it(world: World) -> None:
    member, (coupon,) = world.enrol(), made(world)
    request = asked(ledger_pb2.HoldRequest, member, coupon.code, command_id=new_id(), ttl_s=600)
    held = world.send(request).decision.posted
    assert [(one.coupon_id, one.discount_minor) for one in held.benefits.coupons] == [("gift", 300)]
    (listed,) = world.send(pb.ListCouponsRequest(batch_id=batch_of(world, coupon)), BOSS).coupons
    assert (listed.state, listed.used_by) == (pb.COUPON_STATE_RESERVED, request.command_id)
    body = {
        "command_id": new_id(),
        "member_id": member,
        "hold_id": request.command_id,
        "basket": basket_of(2_000),
        "origin": origin_of(),
    }
    captured = world.send(ParseDict(body, ledger_pb2.CaptureRequest())).decision.posted
    assert captured.benefits.payable_minor == 1_700
    assert [one.coupon_id for one in captured.benefits.coupons] == ["gift"]


def batch_of(world: World, coupon: pb.Coupon) -> str:
    """Return the batch of a coupon: the store knows it by the code."""
    (ref,) = world.gateway.coupons.refs(ProgramId("shop"), [coupon.code])
    return world.store.read_codes(ProgramId("shop"), [ref.token])[ref.token].batch_id


def test_the_same_batch_answers_the_same_codes(world: World) -> None:
    batch = new_id()
    first, again = made(world, 3, batch_id=batch), made(world, 3, batch_id=batch.upper())
    assert first == again
    assert len({one.code for one in first}) == 3
    other = pb.CreateCouponsRequest(batch_id=batch, coupon_id="gift", count=4)
    assert world.refused(other, BOSS).reason == "REQUEST_ID_REUSED"


def test_codes_of_members_are_theirs(world: World) -> None:
    ann, ben = world.enrol(), world.enrol()
    first, second = made(world, of=(ann, ben))
    assert (first.member_id, second.member_id) == (ann, ben)
    no = world.send(sale(ben, first.code)).decision.refused
    assert ledger_pb2.RefusalReason.Name(no.reason) == "REFUSAL_REASON_COUPON_UNKNOWN"
    assert dict(no.details) == {"coupon_no": "1"}
    assert world.send(sale(ann, first.code)).decision.HasField("posted")


def test_an_app_lists_its_own_members_coupons_and_no_batch(world: World) -> None:
    ann = world.enrol()
    (coupon,) = made(world, of=(ann,))
    app = Caller(APP, store_id="", member_id=ann)
    assert list(world.send(pb.ListCouponsRequest(member_id=ann), app).coupons) == [coupon]
    no = world.refused(pb.ListCouponsRequest(batch_id=batch_of(world, coupon)), app)
    assert (no.code, no.reason) == (code_pb2.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")


def test_lists_come_in_pages(world: World) -> None:
    member = world.enrol()
    codes = [one.code for one in made(world, 5)]
    own = [made(world, of=(member,))[0].code for _ in range(3)]
    batch = batch_of(world, pb.Coupon(code=codes[0]))
    for request, expected in (
        (pb.ListCouponsRequest(batch_id=batch, page_size=2), codes),
        (pb.ListCouponsRequest(member_id=member, page_size=2), own),
    ):
        found: list[str] = []
        for _ in range(4):
            page = world.send(request, BOSS)
            found += [one.code for one in page.coupons]
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert sorted(found) == sorted(expected)
    request.page_token = "x"
    assert world.refused(request, BOSS).reason == "PAGE_TOKEN_INVALID"


def test_revoking_ends_what_nobody_has_used(world: World) -> None:
    member = world.enrol()
    used, left = made(world, 2)
    world.send(sale(member, used.code))
    batch = batch_of(world, left)
    assert world.send(pb.RevokeCouponsRequest(batch_id=batch), BOSS).revoked == 1
    assert world.send(pb.RevokeCouponsRequest(batch_id=batch), BOSS).revoked == 0
    no = world.send(sale(member, left.code)).decision.refused
    assert ledger_pb2.RefusalReason.Name(no.reason) == "REFUSAL_REASON_COUPON_NOT_NOW"
    states = [one.state for one in world.send(pb.ListCouponsRequest(batch_id=batch), BOSS).coupons]
    assert states == [pb.COUPON_STATE_USED, pb.COUPON_STATE_REVOKED]
    assert world.refused(pb.RevokeCouponsRequest(batch_id=new_id()), BOSS).reason == "COUPON_BATCH_NOT_FOUND"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"coupon_id": "gift"}, "count"),
        ({"coupon_id": "gift", "count": 1, "member_ids": [new_id()]}, "count"),
        ({"coupon_id": "summer", "count": 1}, "coupon_id"),
        ({"coupon_id": "nothing", "count": 1}, "coupon_id"),
        ({"coupon_id": "gift", "count": 10_001}, "count"),
    ],
)
def test_a_batch_that_makes_no_sense_names_the_field(world: World, body: dict[str, Any], field: str) -> None:
    no = world.refused(ParseDict({"batch_id": new_id(), **body}, pb.CreateCouponsRequest()), BOSS)
    assert no.reason == "INVALID_INPUT"
    assert [name for name, _ in no.violations] == [field]


def test_no_code_is_stored_or_shown_to_another_program(world: World) -> None:
    member, (coupon,) = world.enrol(), made(world)
    request = asked(ledger_pb2.HoldRequest, member, coupon.code, command_id=new_id(), ttl_s=600)
    world.send(request)
    stored = everything_stored(world.store)
    assert coupon.code not in stored
    assert coupon.code.replace("-", "") not in stored
    foreign = Caller(program_id=OTHER)
    theirs = world.enrol(caller=foreign)
    no = world.send(sale(theirs, coupon.code), foreign).decision.refused
    assert ledger_pb2.RefusalReason.Name(no.reason) == "REFUSAL_REASON_COUPON_UNKNOWN"


def test_guessing_is_slowed_for_a_member_and_not_for_the_next(world: World) -> None:
    guesser, other = world.enrol(), world.enrol()
    shop = Caller(WEBSHOP)
    for number in range(MEMBER_PACE.burst):
        tried = asked(ledger_pb2.QuoteRequest, guesser, f"GUESS{number}")
        assert world.send(tried, shop).refused.reason == ledger_pb2.REFUSAL_REASON_COUPON_UNKNOWN
    for request in (
        asked(ledger_pb2.QuoteRequest, guesser, "GUESS"),
        sale(guesser, "GUESS"),
        asked(ledger_pb2.HoldRequest, guesser, "GUESS", command_id=new_id(), ttl_s=60),
    ):
        no = world.refused(request, shop)
        assert (no.code, no.reason) == (code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    assert world.send(sale(guesser), shop).decision.HasField("posted"), "without a code nobody has to wait"
    assert world.send(sale(other, "summer-25"), shop).decision.HasField("posted")


def test_a_wrong_code_sent_again_counts_once(world: World) -> None:
    member = world.enrol()
    wrong = sale(member, "NOBODYS")
    for _ in range(MEMBER_PACE.burst + 5):
        assert world.send(wrong).decision.HasField("refused")


def test_after_a_while_one_more_may_be_tried() -> None:
    now = [0.0]
    guesses = Guesses(monotonic=lambda: now[0])
    program, ann = ProgramId("p"), MemberId("ann")
    for _ in range(MEMBER_PACE.burst):
        guesses.require(program, ann, "till")
        guesses.wrong(program, ann, "till")
    with pytest.raises(Overloaded) as waits:
        guesses.require(program, ann, "till")
    assert 0 < waits.value.retry_after_s <= MEMBER_PACE.every_s
    now[0] += waits.value.retry_after_s
    guesses.require(program, ann, "till")
    guesses.wrong(program, ann, "till")
    with pytest.raises(Overloaded):
        guesses.require(program, ann, "till")


def test_a_device_that_tries_codes_for_many_members_is_slowed_too() -> None:
    guesses = Guesses(monotonic=lambda: 0.0)
    program = ProgramId("p")
    for number in range(DEVICE_PACE.burst):
        guesses.require(program, MemberId(str(number)), "till")
        guesses.wrong(program, MemberId(str(number)), "till")
    with pytest.raises(Overloaded):
        guesses.require(program, MemberId("next"), "till")
    guesses.require(program, MemberId("next"), "other till")
