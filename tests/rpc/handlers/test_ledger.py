"""Commands through LedgerService and the whole pipeline, on a store in memory."""

from __future__ import annotations

import pytest

from tallystick.v1 import ledger_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    DAY_MS,
    DEVICE,
    IMPORTER,
    MANAGER,
    RULES,
    START_MS,
    WEBSHOP,
    Caller,
    World,
    basket_of,
    iso,
    message_of,
    new_id,
    origin_of,
    sale_request,
)

ORIGIN = origin_of()


def test_a_sale_earns_and_says_why(world: World) -> None:
    member = world.enrol()
    request = sale_request(member, 1999, reference="R-17")
    posted = world.send(request).decision.posted
    assert posted.entry.command_id == request.command_id == posted.entry.sale_id
    assert posted.entry.kind == pb.ENTRY_KIND_SALE
    assert [(p.debit, p.credit, p.points) for p in posted.entry.postings] == [
        (pb.ACCOUNT_KIND_ISSUED, pb.ACCOUNT_KIND_MEMBER_ACTIVE, 19)
    ]
    assert posted.entry.balance_after.active == 19
    assert posted.entry.origin.store_id == "s1"
    assert posted.entry.origin.till_id == DEVICE
    assert posted.entry.origin.reference == "R-17"
    assert posted.entry.occurred_at.ToMilliseconds() == START_MS
    assert posted.entry.recorded_at.ToMilliseconds() == START_MS
    assert [(why.rule_id, why.line_no, why.points) for why in posted.entry.explanations] == [("base", 1, 19)]
    assert posted.benefits.earned_points == 19
    assert posted.benefits.payable_minor == 1999
    assert posted.benefits.currency_code == "EUR"
    assert not posted.HasField("returned")


def test_a_second_upload_of_the_same_sale_changes_nothing_although_the_clock_went_on(world: World) -> None:
    member = world.enrol()
    request = sale_request(member, 1000)
    first = world.send(request).decision
    world.now_ms += 30 * DAY_MS
    second = world.send(request).decision
    assert (first.replayed, second.replayed) == (False, True)
    assert second.posted == first.posted
    assert world.balance(member).active == 10


def test_ids_in_capital_letters_are_the_same_ids(world: World) -> None:
    member = world.enrol()
    request = sale_request(member, 1000)
    world.send(request)
    request.command_id = request.command_id.upper()
    request.member_id = member.upper()
    assert world.send(request).decision.replayed


def test_a_reused_id_with_other_content_is_refused_and_nothing_is_written(world: World) -> None:
    member = world.enrol()
    request = sale_request(member, 1000)
    world.send(request)
    request.basket.lines[0].amount_minor = 1001
    refused = world.send(request).decision.refused
    assert refused.reason == pb.REFUSAL_REASON_COMMAND_ID_REUSED
    assert world.balance(member).active == 10


def test_the_sale_of_an_unknown_member_is_refused_and_stays_refused(world: World) -> None:
    request = sale_request(new_id(), 1000)
    first, second = world.send(request).decision, world.send(request).decision
    assert first.refused.reason == second.refused.reason == pb.REFUSAL_REASON_MEMBER_UNKNOWN
    assert first.refused.message.startswith("The program has no such member")
    assert second.replayed


@pytest.mark.parametrize("shift_ms", [-DAY_MS - 1, 5 * 60_000 + 1])
def test_business_time_too_far_from_the_servers_is_refused(world: World, shift_ms: int) -> None:
    member = world.enrol()
    refused = world.sell(member, 1000, at_ms=START_MS + shift_ms).refused
    assert refused.reason == pb.REFUSAL_REASON_OCCURRED_AT_OUT_OF_RANGE
    assert "?" not in refused.message


@pytest.mark.parametrize("shift_ms", [-DAY_MS, 5 * 60_000])
def test_business_time_within_a_day_back_and_five_minutes_ahead_is_taken(world: World, shift_ms: int) -> None:
    member = world.enrol()
    posted = world.sell(member, 1000, at_ms=START_MS + shift_ms).posted
    assert posted.entry.occurred_at.ToMilliseconds() == START_MS + shift_ms


def test_a_retry_gets_its_stored_answer_however_late_it_comes(world: World) -> None:
    member = world.enrol()
    request = sale_request(member, 1000, at_ms=START_MS)
    world.send(request)
    world.now_ms += 40 * DAY_MS
    decision = world.send(request).decision
    assert decision.replayed
    assert decision.HasField("posted")


def test_an_importer_posts_in_the_past_of_a_replay_and_nobody_else_does(replay_world: World) -> None:
    world, past_ms = replay_world, START_MS - 4000 * DAY_MS
    importer = Caller(IMPORTER, store_id="")
    member = world.enrol(caller=importer, at_ms=past_ms)
    refused = world.sell(member, 1000, at_ms=past_ms).refused
    assert refused.reason == pb.REFUSAL_REASON_OCCURRED_AT_OUT_OF_RANGE
    posted = world.sell(member, 1000, importer, at_ms=past_ms, store_id="old", till_id="7").posted
    assert (posted.entry.origin.store_id, posted.entry.origin.till_id) == ("old", "7")


def test_an_importer_has_no_more_time_than_others_in_a_live_program(world: World) -> None:
    member = world.enrol()
    refused = world.sell(member, 1000, Caller(IMPORTER, store_id=""), at_ms=START_MS - 2 * DAY_MS).refused
    assert refused.reason == pb.REFUSAL_REASON_OCCURRED_AT_OUT_OF_RANGE


@pytest.mark.parametrize("field", ["store_id", "till_id"])
def test_an_origin_that_is_not_the_tokens_is_an_error(world: World, field: str) -> None:
    member = world.enrol()
    request = sale_request(member, 1000)
    setattr(request.origin, field, "elsewhere")
    refused = world.refused(request)
    assert refused.reason == "ORIGIN_MISMATCH"
    assert refused.metadata["field"] == f"origin.{field}"
    assert world.balance(member).active == 0


def test_a_device_of_no_store_may_name_any_store(world: World) -> None:
    member = world.enrol()
    posted = world.sell(member, 1000, Caller(WEBSHOP, store_id=""), store_id="web").posted
    assert posted.entry.origin.store_id == "web"


@pytest.mark.parametrize("reference", ["R\x00", "a\nb", "\x1b[31m"])
def test_a_reference_with_control_characters_is_an_error(world: World, reference: str) -> None:
    request = sale_request(world.enrol(), 1000, reference=reference)
    refused = world.refused(request)
    assert refused.reason == "INVALID_INPUT"
    assert [field for field, _ in refused.violations] == ["origin.reference"]


def test_a_quote_says_what_the_sale_then_does_and_writes_nothing(world: World) -> None:
    member = world.enrol()
    world.sell(member, 30_000)
    body = {
        "member_id": member,
        "basket": basket_of(2000),
        "spend": {"points": 100},
        "reward_ids": ["five-off"],
        "assurance": "ASSURANCE_STATIC_CARD",
        "origin": ORIGIN,
    }
    quoted = world.send(message_of("Quote", body)).quoted
    assert quoted.balance_before.active == world.balance(member).active == 300
    posted = world.sell(member, 2000, spend={"points": 100}, rewards=("five-off",)).posted
    assert quoted.benefits == posted.benefits
    assert quoted.explanations == posted.entry.explanations
    assert quoted.balance_after == world.balance(member)
    assert quoted.balance_after.qualifying_credits > 0


def test_a_quote_that_would_be_refused_says_why(world: World) -> None:
    body = {
        "member_id": world.enrol(),
        "basket": basket_of(2000),
        "spend": {"points": 100},
        "assurance": "ASSURANCE_STATIC_CARD",
        "origin": ORIGIN,
    }
    refused = world.send(message_of("Quote", body)).refused
    assert refused.reason == pb.REFUSAL_REASON_INSUFFICIENT_POINTS
    assert refused.message == "The member has 0 active points, fewer than 100."
    assert dict(refused.details) == {"points": "100", "available": "0"}


def test_a_quote_for_an_unknown_member_or_an_old_time_is_refused_as_the_sale_would_be(world: World) -> None:
    member = world.enrol()
    base = {"basket": basket_of(2000), "assurance": "ASSURANCE_TYPED"}
    unknown = world.send(message_of("Quote", {**base, "member_id": new_id(), "origin": ORIGIN}))
    old = {**base, "member_id": member, "origin": origin_of(at_ms=START_MS - 2 * DAY_MS)}
    assert unknown.refused.reason == pb.REFUSAL_REASON_MEMBER_UNKNOWN
    assert world.send(message_of("Quote", old)).refused.reason == pb.REFUSAL_REASON_OCCURRED_AT_OUT_OF_RANGE


def test_a_preview_says_what_the_return_then_does_also_when_the_sale_emptied_its_lots(world: World) -> None:
    member = world.enrol()
    world.sell(member, 10_000)
    sale = world.sell(member, 10_000, spend={"points": 100}, quantity_milli=4000).posted
    assert sale.entry.balance_after.active == 99
    body = {
        "member_id": member,
        "sale_id": sale.entry.sale_id,
        "lines": [{"line_no": 1, "quantity_milli": 1000}],
        "origin": ORIGIN,
    }
    previewed = world.send(message_of("PreviewReturn", body)).previewed
    assert previewed.balance_before == world.balance(member)
    posted = world.send(message_of("PostReturn", {**body, "command_id": new_id()})).decision.posted
    assert previewed.returned == posted.returned
    assert previewed.returned.restored_points == 25
    assert previewed.explanations == posted.entry.explanations
    assert previewed.balance_after == world.balance(member)


def test_the_return_of_a_sale_of_another_member_is_refused_in_preview_and_post(world: World) -> None:
    sale = world.sell(world.enrol(), 10_000).posted.entry
    body = {
        "member_id": world.enrol(),
        "sale_id": sale.sale_id,
        "lines": [{"line_no": 1, "amount_minor": 100}],
        "origin": ORIGIN,
    }
    preview = world.send(message_of("PreviewReturn", body))
    post = world.send(message_of("PostReturn", {**body, "command_id": new_id()}))
    assert preview.refused.reason == post.decision.refused.reason == pb.REFUSAL_REASON_SALE_UNKNOWN


def test_a_hold_is_captured_with_the_final_basket_and_the_rest_comes_back(world: World) -> None:
    member = world.enrol()
    world.sell(member, 30_000)
    webshop = Caller(WEBSHOP, store_id="")
    base = {"member_id": member, "origin": origin_of(channel="CHANNEL_WEBSHOP")}
    hold = world.send(
        message_of(
            "Hold",
            {
                **base,
                "command_id": new_id(),
                "basket": basket_of(2000),
                "spend": {"points_max": 200},
                "ttl_s": 600,
                "assurance": "ASSURANCE_DEVICE_CODE",
            },
        ),
        webshop,
    ).decision.posted
    assert hold.benefits.burned_points == 200
    assert (hold.benefits.earned_points, hold.benefits.lines[0].earned_points) == (0, 0)
    assert world.balance(member).held == 200
    body = {**base, "command_id": new_id(), "hold_id": hold.entry.hold_id, "basket": basket_of(150)}
    captured = world.send(message_of("Capture", body), webshop).decision.posted
    assert captured.entry.sale_id == body["command_id"]
    assert captured.benefits.burned_points == 150
    assert (world.balance(member).held, world.balance(member).active) == (0, 150)


def test_a_voided_hold_gives_its_points_back(world: World) -> None:
    member = world.enrol()
    world.sell(member, 30_000)
    base = {"member_id": member, "origin": ORIGIN}
    body = {**base, "command_id": new_id(), "hold_id": world.hold(member, 100)}
    assert world.send(message_of("Void", body)).decision.posted.entry.kind == pb.ENTRY_KIND_VOID
    assert world.balance(member).active == 300


def test_earn_and_burn_without_a_sale(world: World) -> None:
    member = world.enrol()
    base = {"member_id": member, "assurance": "ASSURANCE_STATIC_CARD", "origin": ORIGIN}
    earn = {**base, "command_id": new_id(), "points": 500, "action_id": "newsletter"}
    burn = {**base, "command_id": new_id(), "points": 200, "reason": "a mug"}
    assert world.send(message_of("Earn", earn)).decision.posted.entry.reason == "newsletter"
    burned = world.send(message_of("Burn", burn)).decision.posted
    assert burned.entry.reason == "a mug"
    assert not burned.HasField("benefits")
    assert world.balance(member).active == 300


def test_typed_numbers_burn_nothing(world: World) -> None:
    member = world.enrol()
    world.sell(member, 30_000)
    refused = world.sell(member, 1000, spend={"points": 100}, assurance="ASSURANCE_TYPED").refused
    assert refused.reason == pb.REFUSAL_REASON_ABOVE_ASSURANCE_CAP


def test_a_reverse_mirrors_a_sale_and_says_what_it_undid(world: World) -> None:
    member = world.enrol()
    sale = world.sell(member, 30_000).posted.entry
    body = {
        "command_id": new_id(),
        "member_id": member,
        "reversed_command_id": sale.command_id,
        "reason": "rung up twice",
        "origin": origin_of(channel="CHANNEL_BACKOFFICE"),
    }
    posted = world.send(message_of("Reverse", body), Caller(MANAGER)).decision.posted
    assert posted.entry.reverses_seq == sale.seq
    assert posted.returned.due_points == 300
    assert posted.returned.refund_minor == 30_000
    assert world.balance(member).active == 0


def test_added_points_last_through_the_last_day_in_the_programs_time_zone(world: World) -> None:
    member = world.enrol()
    body = {
        "command_id": new_id(),
        "member_id": member,
        "points": 70,
        "reason": "sorry",
        "expires_on": "2026-07-31",
        "origin": origin_of(channel="CHANNEL_BACKOFFICE"),
    }
    manager = Caller(MANAGER)
    world.send(message_of("Adjust", body), manager)
    lot = world.send(pb.ListLotsRequest(member_id=member)).lots[0]
    assert lot.expires_on == "2026-07-31"
    assert lot.expires_at.ToJsonString() == "2026-07-31T22:00:00Z"
    assert world.send(message_of("Adjust", body), manager).decision.replayed


def test_a_repeated_adjustment_is_the_same_also_when_the_program_has_moved_to_another_time_zone(
    world: World,
) -> None:
    body = {
        "command_id": new_id(),
        "member_id": world.enrol(),
        "points": 70,
        "reason": "sorry",
        "expires_on": "2026-07-31",
        "origin": origin_of(channel="CHANNEL_BACKOFFICE"),
    }
    request, manager = message_of("Adjust", body), Caller(MANAGER)
    first = world.send(request, manager).decision
    world.publish(RULES.replace("Europe/Stockholm", "Europe/London"))
    second = world.send(request, manager).decision
    assert second.replayed
    assert second.posted == first.posted


def test_a_last_day_that_no_calendar_has_is_an_error(world: World) -> None:
    body = {
        "command_id": new_id(),
        "member_id": world.enrol(),
        "points": 70,
        "reason": "sorry",
        "expires_on": "2026-02-31",
        "origin": origin_of(channel="CHANNEL_BACKOFFICE"),
    }
    refused = world.refused(message_of("Adjust", body), Caller(ADMIN))
    assert refused.violations == [("expires_on", "must be a day of the calendar")]


def test_an_occurred_at_is_kept_to_the_millisecond(world: World) -> None:
    request = sale_request(world.enrol(), 1000)
    request.origin.occurred_at.FromJsonString(iso(START_MS - 1)[:-1] + "987Z")
    entry = world.send(request).decision.posted.entry
    assert entry.occurred_at.ToMilliseconds() == START_MS - 1
    assert entry.occurred_at.nanos % 1_000_000 == 0
