"""What webshops ask for beside the ledger: tokens for their pages, and the sales of guests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.rpc import code_pb2

from tallystick.core.ids import CommandId, MemberId
from tallystick.security.tokens import new_token_id, sign_access_token
from tallystick.service.claim_store import ClaimState
from tallystick.service.errors import StoreUnavailable
from tallystick.v1 import ledger_pb2, member_pb2, options_pb2, till_pb2
from tallystick.v1 import webshop_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    DAY_MS,
    HOUR_MS,
    OTHER,
    PAGE,
    SHOP,
    START_MS,
    TILL,
    WEBSHOP,
    Caller,
    Refused,
    World,
    basket_of,
    everything_stored,
    iso,
    new_id,
    origin_of,
    sale_request,
)

WEB = Caller(WEBSHOP, store_id="web", device_id="shop-server")


def quote(member_id: str) -> ledger_pb2.QuoteRequest:
    body = {
        "member_id": member_id,
        "basket": basket_of(1_000),
        "origin": {"channel": "CHANNEL_WEBSHOP"},
        "assurance": "ASSURANCE_TYPED",
    }
    return ParseDict(body, ledger_pb2.QuoteRequest())


def widget_token(world: World, member_id: str, origin: str = PAGE) -> str:
    request = pb.IssueWidgetTokenRequest(member_id=member_id, origin=origin)
    return str(world.send(request, WEB).access_token)


def from_page(origin: str = PAGE) -> Caller:
    return Caller(web_origin=origin)


def claim_request(claim_id: str = "", amount: int = 5_000, **origin: Any) -> pb.CreateClaimRequest:
    source = origin_of(channel="CHANNEL_WEBSHOP", reference="order-1")
    body = {"claim_id": claim_id or new_id(), "basket": basket_of(amount), "origin": {**source, **origin}}
    return ParseDict(body, pb.CreateClaimRequest())


def redeem(world: World, code: str, member_id: str, caller: Caller = WEB) -> Any:
    return world.send(pb.RedeemClaimRequest(member_id=member_id, code=code), caller)


def test_a_page_of_the_shop_quotes_for_its_member(world: World) -> None:
    member = world.enrol()
    answer = world.send(pb.IssueWidgetTokenRequest(member_id=member, origin=PAGE), WEB)
    assert answer.expires_in_s == 300
    quoted = world.send(quote(member), from_page(), token=answer.access_token).quoted
    assert quoted.benefits.earned_points == 10


@pytest.mark.parametrize(
    "page", ["https://evil.example", "http://shop.example", "https://shop.example:8443", ""]
)
def test_a_widget_token_is_of_no_use_from_another_page_or_from_none(world: World, page: str) -> None:
    member = world.enrol()
    refused = world.refused(quote(member), from_page(page), token=widget_token(world, member))
    assert (refused.code, refused.reason) == (code_pb2.PERMISSION_DENIED, "WEB_ORIGIN_MISMATCH")


def test_a_widget_sees_its_member_and_no_other(world: World) -> None:
    member, other = world.enrol(), world.enrol()
    refused = world.refused(quote(other), from_page(), token=widget_token(world, member))
    assert refused.reason == "MEMBER_NOT_FOUND"


@pytest.mark.parametrize("request_class", [ledger_pb2.GetBalanceRequest, member_pb2.GetMemberRequest])
def test_a_widget_may_call_nothing_but_what_is_listed_for_it(world: World, request_class: Any) -> None:
    member = world.enrol()
    token = widget_token(world, member)
    assert (
        world.refused(request_class(member_id=member), from_page(), token=token).reason == "ROLE_NOT_ALLOWED"
    )
    assert world.refused(sale_request(member, 100), from_page(), token=token).reason == "ROLE_NOT_ALLOWED"


def test_a_widget_token_ends_after_five_minutes(world: World) -> None:
    member = world.enrol()
    token = widget_token(world, member)
    world.now_ms += 299_000
    world.send(quote(member), from_page(), token=token)
    world.now_ms += 10_000
    assert world.refused(quote(member), from_page(), token=token).reason == "TOKEN_EXPIRED"


def test_revoking_the_shop_ends_the_tokens_of_its_pages(world: World) -> None:
    member = world.enrol()
    token = widget_token(world, member)
    world.gateway.revocations.add("shop-server")
    assert world.refused(quote(member), from_page(), token=token).reason == "DEVICE_REVOKED"


@pytest.mark.parametrize("origin", ["https://Shop.Example", "https://shop.example:443"])
def test_an_origin_counts_as_browsers_write_it(world: World, origin: str) -> None:
    member = world.enrol()
    world.send(quote(member), from_page(), token=widget_token(world, member, origin))


@pytest.mark.parametrize("origin", ["https://new.example", "https://shop.example:99999"])
def test_an_origin_that_may_not_call_is_refused_with_the_setting_to_mend(world: World, origin: str) -> None:
    request = pb.IssueWidgetTokenRequest(member_id=world.enrol(), origin=origin)
    refused = world.refused(request, WEB)
    assert (refused.code, refused.reason) == (code_pb2.FAILED_PRECONDITION, "WEB_ORIGIN_NOT_ALLOWED")
    assert "TALLYSTICK_CORS_ORIGINS" in refused.message
    assert refused.metadata == {"origin": origin}


@pytest.mark.parametrize(
    "origin", ["shop.example", "https://shop.example/", "ftp://shop.example", "https://"]
)
def test_what_is_no_origin_is_refused(world: World, origin: str) -> None:
    request = pb.IssueWidgetTokenRequest(member_id=world.enrol(), origin=origin)
    assert world.refused(request, WEB).reason == "INVALID_INPUT"


def test_nobody_gets_a_token_for_a_member_who_is_gone(world: World) -> None:
    member = world.enrol()
    world.send(member_pb2.EraseMemberRequest(member_id=member), Caller(ADMIN))
    request = pb.IssueWidgetTokenRequest(member_id=member, origin=PAGE)
    assert world.refused(request, WEB).reason == "MEMBER_NOT_FOUND"


@pytest.mark.parametrize(("role", "origin"), [("WIDGET", ""), ("APP", PAGE), ("TILL", PAGE)])
def test_only_a_widget_is_bound_to_an_origin_and_it_always_is(world: World, role: str, origin: str) -> None:
    token = sign_access_token(
        world.keys.signing.signing_key(START_MS // 1000),
        world.gateway.token_profile,
        subject=world.enrol(),
        program_id=SHOP,
        roles=(role,),
        token_id=new_token_id(),
        now_s=START_MS // 1000,
        origin=origin,
    )
    assert world.refused(quote(new_id()), from_page(), token=token).reason == "TOKEN_INVALID"


def test_a_guest_who_joins_later_has_the_points_of_the_order(world: World) -> None:
    made = world.send(claim_request(), WEB)
    assert len(made.code) == 26
    assert made.url == f"https://points.example/card/shop/?claim={made.code}"
    assert made.expires_at.ToMilliseconds() == START_MS + 90 * DAY_MS
    world.now_ms += 3 * DAY_MS
    member = world.enrol()
    entry = redeem(world, made.code, member).decision.posted.entry
    assert world.balance(member).active == 50
    assert entry.origin.reference == "order-1"
    assert entry.origin.store_id == "web"
    assert entry.occurred_at.ToMilliseconds() == START_MS
    assert entry.recorded_at.ToMilliseconds() == world.now_ms


def test_a_claim_is_the_sale_so_goods_can_be_returned_against_it(world: World) -> None:
    claim_id, member = new_id(), world.enrol()
    redeem(world, world.send(claim_request(claim_id), WEB).code, member)
    body = {
        "command_id": new_id(),
        "member_id": member,
        "sale_id": claim_id,
        "lines": [{"line_no": 1, "quantity_milli": 1000}],
        "origin": {"channel": "CHANNEL_WEBSHOP"},
    }
    returned = world.send(ParseDict(body, ledger_pb2.PostReturnRequest()), WEB).decision
    assert returned.posted.returned.due_points == 50
    assert world.balance(member).active == 0


def test_points_of_a_claim_age_from_the_day_of_the_order(world: World) -> None:
    made, member = world.send(claim_request(), WEB), world.enrol()
    world.now_ms += 60 * DAY_MS
    redeem(world, made.code, member)
    (lot,) = world.send(ledger_pb2.ListLotsRequest(member_id=member), WEB).lots
    assert lot.earned_at.ToMilliseconds() == START_MS
    assert lot.expires_on == "2027-03-01"


def test_a_repeated_claim_gets_the_same_code_and_another_sale_under_its_id_is_refused(world: World) -> None:
    claim_id = new_id()
    first = world.send(claim_request(claim_id), WEB)
    world.now_ms += 2 * DAY_MS
    assert world.send(claim_request(claim_id), WEB) == first
    assert world.send(claim_request(claim_id.upper()), WEB) == first
    for other in (claim_request(claim_id, 5_001), claim_request(claim_id, reference="order-2")):
        refused = world.refused(other, WEB)
        assert (refused.code, refused.reason) == (code_pb2.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert world.send(claim_request(), WEB).code != first.code


@pytest.mark.parametrize("at_ms", [START_MS - 25 * HOUR_MS, START_MS + HOUR_MS])
def test_the_time_of_an_order_is_judged_when_its_claim_is_made(world: World, at_ms: int) -> None:
    refused = world.refused(claim_request(occurred_at=iso(at_ms)), WEB)
    assert refused.violations[0][0] == "origin.occurred_at"
    assert "2026-02-28T12:00:00Z and 2026-03-01T12:05:00Z" in refused.violations[0][1]


def test_redeeming_twice_gets_the_first_answer_and_another_member_gets_nothing(world: World) -> None:
    made, member, other = world.send(claim_request(), WEB), world.enrol(), world.enrol()
    first = redeem(world, made.code, member).decision
    again = redeem(world, made.code, member).decision
    assert again.replayed
    assert again.posted == first.posted
    assert redeem(world, made.code, other).refused == pb.CLAIM_REFUSAL_TAKEN
    assert (world.balance(member).active, world.balance(other).active) == (50, 0)


def test_of_members_who_redeem_at_once_one_has_the_points(world: World) -> None:
    made, members = world.send(claim_request(), WEB), [world.enrol() for _ in range(8)]

    async def together() -> list[Any]:
        requests = [pb.RedeemClaimRequest(member_id=member, code=made.code) for member in members]
        return await asyncio.gather(*(world.asend(request, WEB) for request in requests))

    answers = world.loop.run_until_complete(together())
    assert sorted(answer.WhichOneof("outcome") for answer in answers) == ["decision"] + ["refused"] * 7
    assert sum(world.balance(member).active for member in members) == 50


@pytest.mark.parametrize("code", ["0" * 26, "x", "Z" * 64, "ö'; DROP TABLE claim"])
def test_a_code_that_was_never_made_leads_nowhere(world: World, code: str) -> None:
    world.send(claim_request(), WEB)
    assert redeem(world, code, world.enrol()).refused == pb.CLAIM_REFUSAL_UNKNOWN


def test_a_code_may_be_typed_by_a_person(world: World) -> None:
    code = str(world.send(claim_request(), WEB).code)
    typed = code.lower().replace("1", "l").replace("0", "o")
    typed = f" {typed[:13]}-{typed[13:]} "
    assert redeem(world, typed, world.enrol()).HasField("decision")


def test_a_code_of_another_program_leads_nowhere(world: World) -> None:
    made = world.send(claim_request(), WEB)
    foreign = Caller(WEBSHOP, program_id=OTHER)
    member = world.enrol(caller=Caller(program_id=OTHER))
    assert redeem(world, made.code, member, foreign).refused == pb.CLAIM_REFUSAL_UNKNOWN


def test_a_claim_ends_after_ninety_days(world: World) -> None:
    made, member = world.send(claim_request(), WEB), world.enrol()
    world.now_ms += 90 * DAY_MS - 1
    late = world.send(claim_request(), WEB)
    world.now_ms += 1
    assert redeem(world, made.code, member).refused == pb.CLAIM_REFUSAL_OVER
    assert redeem(world, late.code, member).HasField("decision")


def test_what_nobody_claimed_is_forgotten_in_the_end(world: World) -> None:
    made, member = world.send(claim_request(), WEB), world.enrol()
    world.now_ms += 121 * DAY_MS
    world.send(claim_request(), WEB)
    assert redeem(world, made.code, member).refused == pb.CLAIM_REFUSAL_UNKNOWN


def test_a_member_who_may_not_earn_leaves_the_claim_to_others(world: World) -> None:
    made, blocked, member = world.send(claim_request(), WEB), world.enrol(), world.enrol()
    world.send(member_pb2.BlockMemberRequest(member_id=blocked), Caller(ADMIN))
    refused = redeem(world, made.code, blocked).decision.refused
    assert refused.reason == ledger_pb2.REFUSAL_REASON_MEMBER_BLOCKED
    unknown = redeem(world, made.code, new_id()).decision.refused
    assert unknown.reason == ledger_pb2.REFUSAL_REASON_MEMBER_UNKNOWN
    assert redeem(world, made.code, member).decision.posted.entry.command_id
    assert world.balance(member).active == 50


def test_a_claim_earns_and_can_burn_nothing(world: World) -> None:
    made, member = world.send(claim_request(), WEB), world.enrol()
    world.sell(member, 100_000)
    entry = redeem(world, made.code, member).decision.posted
    assert entry.benefits.burned_points == 0
    assert (
        entry.entry.assurance
        == till_pb2.DESCRIPTOR.pool.FindEnumTypeByName("tallystick.v1.Assurance")
        .values_by_name["ASSURANCE_TYPED"]
        .number
    )


def test_a_cancelled_order_leaves_nothing_to_claim(world: World) -> None:
    claim_id, member = new_id(), world.enrol()
    made = world.send(claim_request(claim_id), WEB)
    for _ in range(2):
        answer = world.send(pb.CancelClaimRequest(claim_id=claim_id), WEB)
        assert (answer.cancelled, answer.member_id) == (True, "")
    assert redeem(world, made.code, member).refused == pb.CLAIM_REFUSAL_OVER
    assert world.balance(member).active == 0


def test_an_order_whose_points_are_claimed_is_returned_and_not_cancelled(world: World) -> None:
    claim_id, member = new_id(), world.enrol()
    redeem(world, world.send(claim_request(claim_id), WEB).code, member)
    answer = world.send(pb.CancelClaimRequest(claim_id=claim_id), WEB)
    assert (answer.cancelled, answer.member_id) == (False, member)
    assert world.balance(member).active == 50
    assert world.refused(pb.CancelClaimRequest(claim_id=new_id()), WEB).reason == "CLAIM_NOT_FOUND"


@pytest.mark.parametrize("step", ["before the ledger", "behind the ledger"])
@pytest.mark.parametrize("then", ["redeem", "cancel"])
def test_a_gateway_that_dies_while_it_redeems_loses_and_doubles_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, then: str
) -> None:
    claim_id, member = new_id(), world.enrol()
    made = world.send(claim_request(claim_id), WEB)
    submit = world.gateway.lane.submit

    async def dies(submission: Any) -> Any:
        if step == "behind the ledger":
            await submit(submission)
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(type(world.gateway.lane), "submit", lambda _, submission: dies(submission))
        with pytest.raises(Refused, match="STORE_UNAVAILABLE"):
            redeem(world, made.code, member)
    claim = world.store.claim(SHOP, CommandId(claim_id))
    assert claim is not None
    assert (claim.state, claim.member_id) == (ClaimState.TAKEN, MemberId(member))
    if then == "redeem":
        assert redeem(world, made.code, world.enrol()).refused == pb.CLAIM_REFUSAL_TAKEN
        assert redeem(world, made.code, member).decision.HasField("posted")
    else:
        answer = world.send(pb.CancelClaimRequest(claim_id=claim_id), WEB)
        assert (answer.cancelled, answer.member_id) == (False, member)
    assert world.balance(member).active == 50
    assert redeem(world, made.code, member).decision.replayed
    assert world.balance(member).active == 50


def test_an_app_redeems_for_its_own_member_only(world: World) -> None:
    made, member = world.send(claim_request(), WEB), world.enrol()
    app = Caller(APP, store_id="", member_id=member)
    request = pb.RedeemClaimRequest(member_id=world.enrol(), code=made.code)
    assert world.refused(request, app).reason == "MEMBER_NOT_FOUND"
    assert redeem(world, made.code, member, app).HasField("decision")


def test_only_a_hash_of_the_code_is_kept_and_the_basket_no_longer_than_it_is_needed(world: World) -> None:
    body = claim_request()
    body.basket.lines[0].sku = "CANARY-SKU"
    made, member = world.send(body, WEB), world.enrol()
    stored = everything_stored(world.store)
    assert made.code not in stored
    assert "CANARY-SKU" in stored
    redeem(world, made.code, member)
    claim = world.store.claim(SHOP, CommandId(body.claim_id))
    assert claim is not None
    assert (claim.state, claim.basket, claim.origin) == (ClaimState.POSTED, b"", "")


def test_a_claim_names_no_other_store_than_its_token(world: World) -> None:
    till = Caller(TILL)
    assert world.refused(claim_request(store_id="s2"), till).reason == "ORIGIN_MISMATCH"
    assert world.send(claim_request(store_id="s1"), till).code


def test_the_roles_of_widgets_are_those_of_the_contract() -> None:
    quote_method = ledger_pb2.DESCRIPTOR.services_by_name["LedgerService"].methods_by_name["Quote"]
    assert options_pb2.ROLE_WIDGET in quote_method.GetOptions().Extensions[options_pb2.allow].roles
