"""Scans: members, vouchers, receipts and rubbish; nothing in a scan makes the till fail."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.security.check_digits import gsrn_with_check_digit
from tallystick.security.envelope import RECEIPT, sign_body
from tallystick.v1 import advice_pb2 as pb
from tallystick.wire.advices import bytes_of, from_digits, to_digits
from tallystick_till.ports import Known
from tallystick_till.types import Identified, NotIdentified, ReceiptScan, VoucherScan
from tests.till.premises import ANNA, ANNA_CARD, BOB, member_uuid
from tests.till.world import World, jwk, tag


def raw_of(receipt: str) -> pb.SignedAdvice:
    raw = from_digits(receipt)
    assert raw is not None
    return pb.SignedAdvice.FromString(raw)


HOSTILE = [
    "",
    " ",
    "\x00",
    "\r\n\t\x1d\x1d",
    "\x1b[2J\x1b[H",
    "'; DROP TABLE advice; --",
    "<script>alert(1)</script>",
    "https://id.example.org/8018/" + "9" * 30,
    "javascript:alert(1)",
    "../../etc/passwd",
    "\u202e9900000000000019",
    "\ud800\udfff",
    "😀" * 50,
    "٣٤٥٦٧٨٩٠١٢",
    "]C1\x1d",
    "(01)09506000134352(10)ABC",
    "A" * 3_000,
    "9" * 3_000,
    "1" * 100_000,
    "0" * 700,
    "1" + "0" * 300,
    "%s%n%x",
    "{}{0.__class__}",
    "NaN",
    "-1",
    "+",
    "@",
    "a@" + "b." * 60 + "c",
]


@pytest.mark.parametrize("online", [False, True], ids=["offline", "online"])
@pytest.mark.parametrize("scan", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_scan_leads_nowhere_and_breaks_nothing(world: World, scan: str, online: bool) -> None:
    if online:
        world.line_up()
    found = world.till.identify(scan, aim_id="]Q3'", source="camera", region="'--")
    assert isinstance(found, NotIdentified)
    assert found.reason in {"FORMAT", "UNKNOWN", "CHECK_DIGIT"}
    assert world.till.sale(world.ask(member_ref=world.meet())).earned_points == 50


@settings(max_examples=150)
@given(text=st.text(max_size=200) | st.text("0123456789", min_size=55, max_size=400))
def test_no_scan_at_all_makes_the_till_fail(lasting_world: World, text: str) -> None:
    assert isinstance(lasting_world.till.identify(text), NotIdentified | Identified)


@pytest.mark.parametrize(
    "scan", ["4111111111111111", "4111 1111 1111 1111", "%B5500005555555559^DOE/J^2512?"]
)
def test_a_payment_card_is_refused_and_goes_nowhere(world: World, scan: str) -> None:
    world.line_up()
    assert world.till.identify(scan) == NotIdentified("PAYMENT_CARD")
    assert world.gateway.asked == []


def test_a_card_is_found_offline_by_its_tag_alone(world: World) -> None:
    found = world.till.identify(f"\x02{ANNA_CARD}\r\n", source="wedge")
    assert isinstance(found, Identified)
    member = found.member
    assert (member.member_ref, member.points, member.worth_minor) == (ANNA, 1000, 1000)
    assert (member.name, member.source, member.assurance) == ("", "snapshot", 1)


def test_a_gsrn_in_a_gs1_code_is_found(world: World) -> None:
    gsrn = gsrn_with_check_digit("73500000000000001")
    world.snapshot.put(Known(member_uuid(3), 1, 5, "", 0), tag("gsrn", gsrn))
    for scan, aim in ((f"8018{gsrn}", "]Q3"), (f"]C18018{gsrn}", ""), (f"(8018){gsrn}", "")):
        found = world.till.identify(scan, aim_id=aim)
        assert isinstance(found, Identified), scan
        assert found.member.points == 5


@pytest.mark.parametrize("text", ["+46 70 123 45 67", "070-123 45 67", "0701234567"])
def test_a_telephone_number_is_read_by_the_country_of_the_store(world: World, text: str) -> None:
    found = world.till.identify(text, source="typed")
    assert isinstance(found, Identified)
    assert (found.member.member_ref, found.member.assurance) == (BOB, 0)


def test_a_wrong_digit_is_called_a_wrong_digit(world: World) -> None:
    assert world.till.identify("9900000000000011") == NotIdentified("CHECK_DIGIT")


def test_two_members_behind_one_tag_are_ambiguous_never_guessed(world: World) -> None:
    world.snapshot.put(Known(BOB, 10, 300, "", 0), tag("number", ANNA_CARD))
    assert world.till.identify(ANNA_CARD) == NotIdentified("AMBIGUOUS")


def test_an_erased_member_is_unknown_and_a_blocked_one_is_shown_as_blocked(world: World) -> None:
    world.snapshot.put(Known(ANNA, 11, 0, "", 2))
    assert world.till.identify(ANNA_CARD) == NotIdentified("UNKNOWN")
    world.snapshot.put(Known(ANNA, 12, 70, "", 1))
    found = world.till.identify(ANNA_CARD)
    assert isinstance(found, Identified)
    assert (found.member.status, found.member.burn_limit_points, found.member.burn_limit_reason) == (
        "blocked",
        0,
        "MEMBER_BLOCKED",
    )


def test_a_member_who_has_locked_the_points_is_shown_as_locked(world: World) -> None:
    world.snapshot.put(Known(ANNA, 11, 70, "", 3))
    found = world.till.identify(ANNA_CARD)
    assert isinstance(found, Identified)
    assert (found.member.status, found.member.burn_limit_points, found.member.burn_limit_reason) == (
        "locked",
        0,
        "MEMBER_LOCKED",
    )


def test_the_gateway_tells_name_and_balance_and_the_name_is_not_kept(world: World) -> None:
    world.gateway.names[ANNA] = "Annabella"
    world.gateway.balances[ANNA] = 4321
    world.line_up()
    found = world.till.identify(ANNA_CARD)
    assert isinstance(found, Identified)
    assert (found.member.name, found.member.points, found.member.source) == ("Annabella", 4321, "server")
    world.till.sale(world.ask())
    world.till.db.close()
    on_disk = b"".join(path.read_bytes() for path in world.path.parent.iterdir())
    assert b"Annabella" not in on_disk
    assert b"till-1" in on_disk


def test_a_gateway_that_does_not_answer_is_replaced_by_the_snapshot(world: World) -> None:
    world.line_up()
    world.gateway.away = True
    found = world.till.identify(ANNA_CARD)
    assert isinstance(found, Identified)
    assert found.member.source == "snapshot"
    assert world.till.status().link == "offline"
    world.till.identify(ANNA_CARD)
    assert world.gateway.asked == ["identify"], "once the line is known to be down nobody waits for it"


def test_a_gateway_that_refuses_the_call_is_replaced_by_the_snapshot(world: World) -> None:
    world.line_up()
    world.gateway.refuses = "RATE_LIMITED"
    assert isinstance(world.till.identify(ANNA_CARD), Identified)


def test_whom_the_gateway_does_not_know_is_unknown(world: World) -> None:
    world.line_up()
    del world.gateway.scans[ANNA_CARD]
    assert world.till.identify(ANNA_CARD) == NotIdentified("UNKNOWN")


def test_before_the_first_news_nobody_is_known(world: World) -> None:
    world.till.db.put("store_news", b"")
    world.restart()
    assert world.till.identify(ANNA_CARD) == NotIdentified("UNKNOWN")


def test_a_voucher_with_one_changed_byte_does_not_count(world: World) -> None:
    raw = from_digits(world.voucher(300))
    assert raw is not None
    signed = pb.Signed.FromString(raw)
    body = bytearray(signed.body)
    body[-1] ^= 1
    signed.body = bytes(body)
    assert world.till.identify(to_digits(bytes_of(signed))) == NotIdentified("BAD_SIGNATURE")


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"store_id": "store-2"}, "OTHER_STORE"), ({"hours": 0}, "EXPIRED")],
)
def test_a_voucher_of_another_store_or_time_does_not_count(
    world: World, change: dict[str, object], reason: str
) -> None:
    assert world.till.identify(world.voucher(300, **change)) == NotIdentified(reason)  # type: ignore[arg-type]


def test_a_voucher_adds_to_what_may_be_burned(world: World) -> None:
    found = world.till.identify(world.voucher(300))
    assert isinstance(found, VoucherScan)
    assert (found.member.points, found.member.burn_limit_points) == (1000, 800)


def test_a_receipt_is_found_by_its_code_and_by_its_printed_id(world: World) -> None:
    world.meet()
    done = world.till.sale(world.ask(burn=300))
    by_code = world.till.identify(done.receipt.qr)
    assert isinstance(by_code, ReceiptScan)
    assert (by_code.sale.sale_id, by_code.sale.burned_points) == (done.sale_id, 300)
    assert world.till.identify(f" {done.sale_id}\r\n") == by_code


def test_a_receipt_of_a_till_that_was_replaced_counts_when_it_is_older_than_the_replacement(
    world: World,
) -> None:
    world.meet()
    done = world.till.sale(world.ask())
    other = raw_of(done.receipt.qr)
    before = pb.Advice.FromString(other.advice)
    before.till_id, before.advice_id = "till-0", uuid.UUID(member_uuid(7)).bytes
    signed = pb.SignedAdvice(advice=bytes_of(before))
    signed.signature = sign_body(world.other_key, RECEIPT, signed.advice)
    receipt = to_digits(bytes_of(signed))
    assert world.till.identify(receipt) == NotIdentified("BAD_SIGNATURE")
    sold_ms = before.clock.occurred_ms
    news = world.news()
    news.former_tills.add(till_id="till-0", public_jwk=jwk(world.other_key), revoked_ms=sold_ms)
    world.till.take_store_news(news)
    assert world.till.identify(receipt) == NotIdentified("BAD_SIGNATURE")
    news.former_tills[0].revoked_ms += 1
    world.till.take_store_news(news)
    found = world.till.identify(receipt)
    assert isinstance(found, ReceiptScan)
    assert found.sale.earned_points == done.earned_points
    assert "till-0" not in world.till.till_keys()


def test_a_receipt_that_no_till_of_the_store_signed_does_not_count(world: World) -> None:
    world.meet()
    done = world.till.sale(world.ask())
    signed = raw_of(done.receipt.qr)
    signed.signature = sign_body(world.server_key, RECEIPT, signed.advice)
    assert world.till.identify(to_digits(bytes_of(signed))) == NotIdentified("BAD_SIGNATURE")
    signed.signature = sign_body(world.other_key, RECEIPT, signed.advice)
    assert world.till.identify(to_digits(bytes_of(signed))) == NotIdentified("BAD_SIGNATURE")
