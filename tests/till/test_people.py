"""Joining and signing in at the till, with the gateway and without it."""

from __future__ import annotations

import pytest

from tallystick.core.ids import MemberId
from tallystick.security.sealed_box import enrolment_context, open_sealed_text
from tallystick.v1 import store_pb2
from tallystick.wire.advices import id_bytes
from tallystick_till.errors import SaleRefused, SignInRefused
from tallystick_till.ports import Known
from tallystick_till.types import Identified, VoucherScan
from tests.till.premises import ANNA, ANNA_CARD, BOB, BOB_PHONE, BOX
from tests.till.world import World, tag

PHONE, NORMAL = "070-999 88 77", "+46709998877"
NEW = "01900000-0000-7000-8000-00000000dddd"


def test_the_gateway_makes_the_member_while_it_is_there(world: World) -> None:
    world.line_up()
    joined = world.till.enrol(PHONE, member_id=NEW)
    assert (joined.state, joined.number, joined.member.member_ref) == ("posted", ANNA_CARD, NEW)
    assert world.till.status().queued == 0


def test_who_joins_while_the_gateway_is_away_is_reported_with_the_text_sealed(world: World) -> None:
    joined = world.till.enrol(PHONE, member_id=NEW)
    assert (joined.state, joined.number, joined.member.points) == ("queued", "", 0)
    world.line_up()
    world.push_all()
    fact = world.gateway.heard[0].enrolment
    context = enrolment_context(program_id="corner", member_id=NEW)
    assert (open_sealed_text(BOX, fact.sealed, context), fact.key_id) == (NORMAL, BOX.kid)


def test_no_telephone_number_is_on_the_tills_disk(world: World) -> None:
    world.till.enrol(PHONE, member_id=NEW)
    world.till.identify(BOB_PHONE)
    world.till.db.close()
    on_disk = b"".join(path.read_bytes() for path in world.path.parent.iterdir())
    assert NEW.encode() in on_disk
    for text in (PHONE, NORMAL, BOB_PHONE, NORMAL[3:], BOB_PHONE[3:]):
        assert text.encode() not in on_disk


def test_a_new_member_is_found_and_earns_before_the_gateway_knows(world: World) -> None:
    world.till.enrol(PHONE, member_id=NEW)
    world.restart()
    found = world.till.identify("0709998877", source="typed")
    assert isinstance(found, Identified)
    done = world.till.sale(world.ask(member_ref=NEW))
    assert (found.member.member_ref, done.balance_points) == (NEW, 50)
    world.line_up()
    assert world.till.identify("0709998877", source="typed") != found
    again = world.till.identify("0709998877", source="typed")
    assert isinstance(again, Identified)
    assert again.member.points == 50


def test_a_resend_makes_no_second_member(world: World) -> None:
    world.till.enrol(PHONE, member_id=NEW)
    again = world.till.enrol("+46 709 998 877", member_id=NEW)
    assert (again.member.member_ref, again.state) == (NEW, "queued")
    assert world.till.status().queued == 1
    with pytest.raises(SaleRefused) as refused:
        world.till.enrol("070-111 22 33", member_id=NEW)
    assert refused.value.reason == "MEMBER_ID_REUSED"


def test_a_sign_up_without_an_answer_is_reported_under_the_same_member(world: World) -> None:
    world.line_up()
    world.gateway.lost = True
    joined = world.till.enrol(PHONE, member_id=NEW)
    assert (joined.state, joined.member.member_ref) == ("queued", NEW)
    world.gateway.lost = False
    world.push_all()
    assert world.gateway.heard[0].member_id == id_bytes(NEW)


@pytest.mark.parametrize("online", [False, True])
def test_what_somebody_joined_with_is_taken(world: World, online: bool) -> None:
    world.gateway.enrolled["x"] = BOB_PHONE
    if online:
        world.line_up()
    with pytest.raises(SaleRefused) as refused:
        world.till.enrol(BOB_PHONE)
    assert refused.value.reason == "TAKEN"
    assert world.till.status().queued == 0
    assert world.till.db.number("SELECT count(*) FROM enrolled") == 0


def test_two_do_not_join_with_one_number_while_the_gateway_is_away(world: World) -> None:
    world.till.enrol(PHONE)
    with pytest.raises(SaleRefused) as refused:
        world.till.enrol(PHONE)
    assert refused.value.reason == "TAKEN"


@pytest.mark.parametrize(
    ("text", "reason"), [("", "GATEWAY_AWAY"), ("4111111111111111", "PAYMENT_CARD"), ("x", "FORMAT")]
)
def test_nobody_joins_with_what_identifies_nobody(world: World, text: str, reason: str) -> None:
    with pytest.raises(SaleRefused) as refused:
        world.till.enrol(text)
    assert refused.value.reason == reason


def test_without_the_gateways_sealing_key_nobody_joins_while_it_is_away(world: World) -> None:
    world.till.take_store_news(world.news(sealing_jwk=""))
    with pytest.raises(SaleRefused) as refused:
        world.till.enrol(PHONE)
    assert refused.value.reason == "GATEWAY_AWAY"


def test_the_snapshot_takes_over_once_it_has_the_member(world: World) -> None:
    world.till.enrol(PHONE, member_id=NEW)
    world.line_up()
    world.push_all()
    world.line_down()
    world.snapshot.put(Known(MemberId(NEW), 1, 0, "", 0), tag("phone", NORMAL))
    world.till.take_members([store_pb2.MemberState(member_id=id_bytes(NEW), seq=1)])
    assert world.till.db.number("SELECT count(*) FROM enrolled") == 0
    assert isinstance(world.till.identify(PHONE), Identified)


def test_a_cashier_signs_in_by_the_pin_that_the_gateway_checks(world: World) -> None:
    world.gateway.pins["eva"] = "1234"
    world.line_up()
    with pytest.raises(SignInRefused) as refused:
        world.till.sign_in("eva", "9999")
    assert refused.value.reason == "PIN_WRONG"
    assert world.till.status().cashier is None
    assert world.till.sign_in("eva", "1234").checked == "server"
    world.restart()
    cashier = world.till.status().cashier
    assert cashier is not None
    assert cashier.label == "Eva"
    world.till.sign_out()
    assert world.till.status().cashier is None


def test_without_the_gateway_a_name_only_says_who_it_was(world: World) -> None:
    assert world.till.sign_in("eva", "9999").checked == "stand-in"
    with pytest.raises(SignInRefused) as refused:
        world.till.sign_in("mallory", "1234")
    assert refused.value.reason == "CASHIER_UNKNOWN"


def test_a_cashier_who_tried_too_often_waits(world: World) -> None:
    world.line_up()
    world.gateway.locked_until_ms = world.now_ms() + 60_000
    with pytest.raises(SignInRefused) as refused:
        world.till.sign_in("eva", "1234")
    assert refused.value.reason == "PIN_LOCKED"
    assert refused.value.details["locked_until_ms"] == str(world.now_ms() + 60_000)


def test_a_cashier_who_left_is_signed_out(world: World) -> None:
    world.till.sign_in("eva", "1234")
    news = world.news()
    news.cashiers[0].active = False
    world.till.take_store_news(news)
    assert world.till.status().cashier is None


def test_who_was_met_offline_may_redeem_all_once_the_line_is_up_and_again_less_when_it_is_down(
    world: World,
) -> None:
    ref = world.meet()
    assert world.till.member(ref).burn_limit_points == 500
    world.line_up()
    now = world.till.member(ref)
    assert (now.burn_limit_points, now.burn_limit_reason, now.points) == (1000, "", 1000)
    world.line_down()
    later = world.till.member(ref)
    assert (later.burn_limit_points, later.burn_limit_reason) == (500, "ABOVE_FLOOR")


def test_a_voucher_in_hand_is_seen_with_its_member(world: World) -> None:
    scan = world.till.identify(world.voucher(300))
    assert isinstance(scan, VoucherScan)
    assert world.till.member(scan.member.member_ref, voucher=world.voucher(300)) == scan.member


@pytest.mark.parametrize(
    ("member_ref", "voucher", "reason"),
    [
        ("nobody", "", "MEMBER_UNKNOWN"),
        (ANNA, "rubbish", "VOUCHER_FORMAT"),
        (BOB, "own", "VOUCHER_OTHER_MEMBER"),
    ],
)
def test_a_member_who_was_not_met_is_not_looked_at(
    world: World, member_ref: str, voucher: str, reason: str
) -> None:
    world.meet()
    with pytest.raises(SaleRefused) as refused:
        world.till.member(member_ref, voucher=world.voucher(300) if voucher == "own" else voucher)
    assert refused.value.reason == reason
