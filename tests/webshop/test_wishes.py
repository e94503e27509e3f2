"""A shop says what its members want, and reads why points came, in their language."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tallystick_webshop import BadRequest, Refused, Wish, new_id
from tests.webshop.street import Street, shirts_and_tea


def test_a_wish_list_comes_back_as_it_was_given_once_the_member_said_yes(street: Street) -> None:
    shop, member_id = street.shop, street.member()
    since = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    wishes = [Wish("MUG", "A mug", since), Wish("TEA", "Tea", since)]
    assert not shop.set_wish_list(member_id, wishes)
    assert shop.wish_list(member_id) == ()
    shop.set_consent(member_id, granted=True)
    assert shop.set_wish_list(member_id, wishes)
    assert shop.wish_list(member_id) == tuple(wishes)
    shop.set_consent(member_id, granted=False)
    assert shop.wish_list(member_id) == ()


def test_a_basket_is_kept_until_it_was_ordered(street: Street) -> None:
    shop, member_id, basket = street.shop, street.member(), shirts_and_tea()
    shop.set_consent(member_id, granted=True)
    seen = datetime.now(UTC) - timedelta(minutes=5)
    assert shop.note_basket(member_id, "b-1", basket, at=seen, page_url="https://shop.example/basket/")
    shop.sell(new_id(), member_id, basket, order="1009")
    assert not shop.note_basket(member_id, "b-1", basket, at=seen)
    assert not shop.note_basket(member_id, "b-1", None)


def test_a_consent_to_nothing_that_there_is_says_what_there_is(street: Street) -> None:
    with pytest.raises(BadRequest, match="reminders, and one of email"):
        street.shop.set_consent(street.member(), granted=True, channel="pigeon")


def test_why_points_came_is_told_in_the_language_of_the_member(street: Street) -> None:
    shop, member_id, basket = street.shop, street.member(), shirts_and_tea()
    quote = shop.quote(member_id, basket, language="sv-SE")
    assert {one.text for one in quote.why} == {"1 poäng per 1,00\u00a0€"}
    assert [one.text for one in shop.quote(member_id, basket).why] == ["", ""]
    shop.sell(new_id(), member_id, basket, order="1010")
    (movement,) = shop.statement(member_id, language="en")
    assert {one.text for one in movement.why} == {"1 point for every €1.00"}
    with pytest.raises(Refused) as refused:
        shop.quote(member_id, basket, points=500, language="en")
    assert refused.value.text == "Not enough points: you have 27, this needs 500"
