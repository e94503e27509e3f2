"""Guests' claims, tokens of a shop's pages, and the member's card, through the package."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tallystick.v1 import app_pb2, identity_pb2
from tallystick_webshop import BadRequest, Claim, NotAllowed, Posting, Refused, ReturnLine, new_id
from tallystick_webshop.answers import card_of
from tallystick_webshop.results import Challenge
from tests.webshop.street import Street, shirts_and_tea


def test_a_guests_order_is_claimed_once_and_by_one_member(street: Street) -> None:
    shop, claim_id = street.shop, new_id()
    ann, ben = street.member(), street.member()
    claim = shop.claim(claim_id, shirts_and_tea(), order="5001")
    assert shop.claim(claim_id, shirts_and_tea(), order="5001") == claim
    assert claim.expires_at > datetime.now(UTC)
    sale = shop.redeem_claim(ann, claim.code)
    assert (sale.sale_id, sale.member_id, sale.earned_points) == (claim_id, ann, 27)
    assert shop.redeem_claim(ann, claim.code).replayed
    with pytest.raises(Refused) as raised:
        shop.redeem_claim(ben, claim.code)
    assert raised.value.reason == "TAKEN"
    assert (shop.balance(ann).points, shop.balance(ben).points) == (27, 0)


def test_a_claim_whose_order_came_to_nothing_is_over(street: Street) -> None:
    shop, claim_id = street.shop, new_id()
    claim = shop.claim(claim_id, shirts_and_tea(), order="5002")
    assert [shop.cancel_claim(claim_id) for _ in range(2)] == ["", ""]
    with pytest.raises(Refused) as raised:
        shop.redeem_claim(street.member(), claim.code)
    assert raised.value.reason == "OVER"


def test_a_claim_that_was_never_made_cannot_be_cancelled(street: Street) -> None:
    with pytest.raises(Refused, match="nobody can redeem it") as raised:
        street.shop.cancel_claim(new_id())
    assert raised.value.reason == "CLAIM_UNKNOWN"


def test_a_claim_that_was_faster_than_its_cancelling_is_a_return_of_its_member(street: Street) -> None:
    shop, claim_id, member_id = street.shop, new_id(), street.member()
    shop.redeem_claim(member_id, shop.claim(claim_id, shirts_and_tea(), order="5003").code)
    assert shop.cancel_claim(claim_id) == member_id
    lines = [ReturnLine(1, quantity=2), ReturnLine(2, quantity=3)]
    assert shop.give_back(new_id(), member_id, claim_id, lines).balance_after == 0


def test_a_guests_order_that_waited_in_the_queue_is_claimed_too(street: Street) -> None:
    posting = Posting.claim(new_id(), shirts_and_tea(), order="5004", at=datetime.now(UTC))
    first, again = (street.shop.post(Posting.from_json(posting.to_json())) for _ in range(2))
    assert isinstance(first, Claim)
    assert first == again


def test_a_code_that_nobody_has_claims_nothing(street: Street) -> None:
    with pytest.raises(Refused) as raised:
        street.shop.redeem_claim(street.member(), "0" * 26)
    assert raised.value.reason == "UNKNOWN"


def test_pages_of_an_origin_that_the_gateway_does_not_know_get_no_token(street: Street) -> None:
    member_id = street.member(70)
    with pytest.raises(NotAllowed, match="cors_origins"):
        street.shop.widget_token(member_id, "https://shop.example")
    with pytest.raises(BadRequest, match="origin"):
        street.shop.widget_token(member_id, "shop.example/page")


def test_the_card_shows_what_an_account_page_needs(street: Street) -> None:
    card = street.shop.card(street.member(470))
    assert (card.balance.points, card.balance.worth_minor, card.currency) == (470, 470, "EUR")
    rewards = {one.reward_id: (one.cost_points, one.amount_minor, one.missing_points) for one in card.rewards}
    assert rewards == {"five-off": (400, 500, 0), "free-tea": (100, 0, 0)}
    assert (card.unit_points, card.program_name != "") == (10, True)


def test_the_card_says_what_is_nearly_met() -> None:
    ahead = identity_pb2.ChallengeAhead(
        challenge_id="two", name="Two visits", counts="sales", left=1, last_day="2026-11-30"
    )
    card = card_of(app_pb2.MemberCard(currency_code="EUR", challenges_ahead=[ahead]))
    assert card.challenges == (Challenge("two", "Two visits", "sales", 1, "2026-11-30"),)
