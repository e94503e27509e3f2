"""What a shop asks and tells beside its checkouts: who may buy what, and what members did."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tallystick_webshop import Article, BadRequest, Refused, new_id
from tests.webshop.street import Street

ARTICLES = [Article("LATER"), Article("A", categories=("early",)), Article("B")]


def test_a_review_gives_its_points_once_for_each_article(street: Street) -> None:
    member_id, earn_id = street.member(100), new_id()
    earned = street.shop.earn(earn_id, member_id, "review", subject="SHIRT")
    assert (earned.points, earned.balance_after, earned.replayed) == (20, 120, False)
    assert street.shop.earn(earn_id, member_id, "review", subject="SHIRT").replayed
    with pytest.raises(Refused) as no:
        street.shop.earn(new_id(), member_id, "review", subject="SHIRT")
    assert no.value.reason == "ACTION_LIMIT"
    with pytest.raises(Refused) as no:
        street.shop.earn(new_id(), member_id, "selfie")
    assert no.value.reason == "ACTION_UNKNOWN"


def test_a_shop_asks_what_it_may_sell_to_whom(street: Street) -> None:
    guest = street.shop.openings(ARTICLES)
    assert [(one.sku, one.allowed, one.why) for one in guest] == [
        ("LATER", False, "NOT_YET"),
        ("A", False, "NOT_YET"),
        ("B", True, "OPEN"),
    ]
    member = street.shop.openings(ARTICLES, member_id=street.member(100))
    assert [(one.allowed, one.why, one.access_id) for one in member] == [
        (True, "EARLY", "later"),
        (False, "NOT_YET", "early"),
        (True, "OPEN", ""),
    ]
    assert member[1].opens_for_member_at == datetime(2097, 12, 31, 23, tzinfo=UTC)
    assert member[2].opens_at is None


def test_too_many_articles_are_not_asked_about(street: Street) -> None:
    for articles in ([], ARTICLES * 34):
        with pytest.raises(BadRequest):
            street.shop.openings(articles)


def test_a_member_of_somewhere_else_is_no_guest(street: Street) -> None:
    with pytest.raises(Refused, match="no such member"):
        street.shop.openings(ARTICLES, member_id=new_id())
