"""Wish lists and baskets of members, told to the gateway once they have been quiet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.oscar.support.django_shop import Scripted, set_up_django

set_up_django()

from django.contrib.auth import get_user_model  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.utils import timezone  # noqa: E402
from oscar.core.loading import get_model  # noqa: E402
from oscar.test.factories import create_basket, create_product  # noqa: E402

from tallystick_oscar import wishes  # noqa: E402
from tallystick_oscar.models import MemberLink, Wanting  # noqa: E402
from tallystick_webshop import Away, Refused, new_id  # noqa: E402

pytestmark = pytest.mark.usefixtures("undone")


@pytest.fixture
def scripted(script_gateway: Callable[..., Scripted]) -> Callable[..., Scripted]:
    return lambda *answers: script_gateway(*answers, at=(wishes,))


@pytest.fixture
def member() -> Any:
    user = get_user_model().objects.create_user("ada", "ada@shop.example", "ada-likes-mugs")
    MemberLink.objects.create(user=user, member_id=new_id())
    return user


def yes(*_args: Any, **_more: Any) -> bool:
    return True


def away(*_args: Any, **_more: Any) -> bool:
    raise Away("no line")


def product(sku: str, title: str) -> Any:
    return create_product(
        partner_sku=sku, title=title, price=Decimal("10.00"), num_in_stock=9, product_class="goods"
    )


def basket_of(user: Any, *products: Any) -> Any:
    basket = create_basket(empty=True)
    basket.owner = user
    basket.save()
    for one in products:
        basket.add_product(one)
    return basket


def wish(user: Any, one: Any, name: str = "Default") -> Any:
    wish_list, _made = get_model("wishlists", "WishList").objects.get_or_create(owner=user, name=name)
    wish_list.add(one)
    return wish_list


def in_s(seconds: int) -> datetime:
    now: datetime = timezone.now()
    return now + timedelta(seconds=seconds)


def test_a_basket_is_told_once_it_has_been_quiet(member: Any, scripted: Callable[..., Scripted]) -> None:
    basket = basket_of(member, product("MUG", "Mug"), product("TEA", "Tea"))
    shop = scripted(yes)
    assert wishes.tell_due(now=in_s(299)) == 0
    with override_settings(TALLYSTICK_BASKET_URL="https://shop.example/basket/"):
        assert wishes.tell_due(now=in_s(301)) == 1
    ((name, (member_id, ref, told), more),) = shop.calls
    assert (name, member_id, ref) == (
        "note_basket",
        str(member.tallystick_link.member_id),
        f"user-{member.pk}",
    )
    assert [line.sku for line in told.lines] == ["MUG", "TEA"]
    assert more["page_url"] == "https://shop.example/basket/"
    assert timezone.now() - more["at"] < timedelta(seconds=60)
    assert not Wanting.objects.exists()
    assert wishes.tell_due(everything=True) == 0
    basket.flush()
    shop = scripted(yes)
    assert wishes.tell_due(everything=True) == 1
    assert shop.calls[0][1][2] is None


def test_each_change_puts_it_off(member: Any) -> None:
    basket = basket_of(member, product("MUG", "Mug"))
    Wanting.objects.update(due_at=in_s(-1))
    basket.add_product(product("TEA", "Tea"))
    (waiting,) = Wanting.objects.all()
    assert waiting.due_at > in_s(290)


def test_an_ordered_basket_is_nothing_to_tell_but_that_it_is_gone(
    member: Any, scripted: Callable[..., Scripted]
) -> None:
    basket_of(member, product("MUG", "Mug")).submit()
    shop = scripted(yes)
    wishes.tell_due(everything=True)
    assert shop.calls[0][1][2] is None


def test_a_wish_list_is_told_with_its_names_each_article_once(
    member: Any, scripted: Callable[..., Scripted]
) -> None:
    mug = product("MUG", "Mug")
    wish(member, mug)
    wish(member, product("TEA", "Tea"))
    wish(member, mug, "Christmas")
    shop = scripted(yes)
    assert wishes.tell_due(everything=True) == 1
    ((name, (_member_id, told), _more),) = shop.calls
    assert name == "set_wish_list"
    assert [(one.sku, one.name) for one in told] == [("MUG", "Mug"), ("TEA", "Tea")]


def test_an_emptied_wish_list_is_told_as_empty(member: Any, scripted: Callable[..., Scripted]) -> None:
    wish(member, product("MUG", "Mug")).lines.all().delete()
    shop = scripted(yes)
    wishes.tell_due(everything=True)
    assert shop.calls[0][1][1] == []


def test_nothing_is_kept_of_visitors_and_of_users_who_are_no_members() -> None:
    stranger = get_user_model().objects.create_user("bo", "bo@shop.example", "bo-likes-tea")
    basket_of(stranger, product("MUG", "Mug"))
    basket_of(None, product("TEA", "Tea"))
    wish(stranger, product("HAT", "Hat"))
    assert not Wanting.objects.exists()


def test_one_whose_membership_is_taken_off_is_not_told_of(
    member: Any, scripted: Callable[..., Scripted]
) -> None:
    basket_of(member, product("MUG", "Mug"))
    MemberLink.objects.all().delete()
    shop = scripted()
    assert wishes.tell_due(everything=True) == 1
    assert shop.calls == []
    assert not Wanting.objects.exists()


def test_without_a_gateway_it_waits_and_after_a_refusal_it_does_not(
    member: Any, scripted: Callable[..., Scripted]
) -> None:
    basket_of(member, product("MUG", "Mug"))
    scripted(away)
    assert wishes.tell_due(now=in_s(301)) == 0
    (waiting,) = Wanting.objects.all()
    assert waiting.due_at > in_s(500)

    def refused(*_args: Any, **_more: Any) -> bool:
        raise Refused("MEMBER_NOT_FOUND", "gone")

    scripted(refused)
    assert wishes.tell_due(everything=True) == 1
    assert not Wanting.objects.exists()


def test_a_change_while_it_is_told_stays_to_be_told(member: Any, scripted: Callable[..., Scripted]) -> None:
    basket = basket_of(member, product("MUG", "Mug"))

    def meanwhile(*_args: Any, **_more: Any) -> bool:
        basket.add_product(product("TEA", "Tea"))
        return True

    scripted(meanwhile)
    wishes.tell_due(everything=True)
    assert Wanting.objects.count() == 1
