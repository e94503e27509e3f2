"""The views without a browser: coupons, what a form may ask for, and staff who return the same goods at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.oscar.support.django_shop import Scripted, set_up_django

set_up_django()

from django.contrib.messages import get_messages  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from oscar.core.loading import get_model  # noqa: E402
from oscar.test.factories import UserFactory, create_basket, create_order, create_product  # noqa: E402

from tallystick_oscar import openings, panel, pricing, returns, views  # noqa: E402
from tallystick_oscar.choice import Choice, chosen  # noqa: E402
from tallystick_oscar.models import MemberLink, Posting  # noqa: E402
from tallystick_webshop import Away, Opening, Quote, Refused, WidgetToken, new_id  # noqa: E402
from tallystick_webshop.results import Balance, Card, Challenge, TaxTotal  # noqa: E402

pytestmark = pytest.mark.usefixtures("undone")


@pytest.fixture
def gateway(script_gateway: Callable[..., Scripted]) -> Callable[..., Scripted]:
    return lambda *answers: script_gateway(*answers, at=(pricing, panel, returns, views, openings))


def article() -> Any:
    food, _made = get_model("catalogue", "ProductClass").objects.get_or_create(slug="food", name="Food")
    product = create_product(upc=f"upc-{new_id()}", price=Decimal("10.70"), num_in_stock=99)
    product.product_class = food
    product.save()
    return product


def shopper() -> Client:
    """A member who is signed in and has an article at 10.70 in the basket."""
    user, client = UserFactory(), Client()
    client.force_login(user, "oscar.apps.customer.auth_backends.EmailBackend")
    MemberLink.objects.create(user=user, member_id=new_id())
    basket = create_basket(empty=True)
    basket.owner = user
    basket.save()
    basket.add_product(article(), 1)
    return client


def quoted(discount: int, points: int = 0) -> Callable[..., Quote]:
    """A quote that takes so much off the one line."""

    def answer(*_args: Any, **_kwargs: Any) -> Quote:
        gross = 1070 - discount
        tax = (2 * gross * 7 + 107) // 214
        return Quote(
            currency="EUR",
            discount_minor=discount,
            line_discounts=(discount,),
            line_earned=(0,),
            line_burned=(points,),
            tax_totals=(TaxTotal("food", gross - tax, tax, gross),),
            payable_minor=gross,
            earned_points=3,
            burned_points=points,
            balance_before=100,
            balance_after=100 - points,
        )

    return answer


def refuse(reason: str) -> Callable[..., Any]:
    def answer(*_args: Any, **_kwargs: Any) -> Any:
        raise Refused(reason, "no")

    return answer


def away(*_args: Any, **_kwargs: Any) -> Any:
    raise Away("no line")


def said(answer: Any) -> str:
    return " ".join(str(one) for one in get_messages(answer.wsgi_request))


def test_a_code_that_oscar_does_not_know_goes_to_the_gateway(gateway: Callable[..., Scripted]) -> None:
    client = shopper()
    shop = gateway(quoted(107))
    answer = client.post("/basket/vouchers/add/", {"code": "SPRING"})
    assert "was added" in said(answer)
    assert shop.calls[0][2]["coupons"] == ("SPRING",)
    assert chosen(client.session) == Choice(coupons=("SPRING",))


@pytest.mark.parametrize(
    ("reason", "words"), [("COUPON_UNKNOWN", "do not know this code"), ("COUPON_USED", "has been used")]
)
def test_a_code_that_nobody_knows_is_said_to_be_so_and_not_kept(
    gateway: Callable[..., Scripted], reason: str, words: str
) -> None:
    client = shopper()
    gateway(refuse(reason))
    answer = client.post("/basket/vouchers/add/", {"code": "WINTER"})
    assert words in said(answer)
    assert chosen(client.session) == Choice()


def test_a_code_of_oscars_own_stays_with_oscar(gateway: Callable[..., Scripted]) -> None:
    from oscar.test.factories import create_voucher

    client = shopper()
    shop = gateway()
    voucher = create_voucher()
    client.post("/basket/vouchers/add/", {"code": voucher.code})
    assert shop.calls == []


def test_points_that_the_gateway_refuses_leave_the_choice_as_it_was(gateway: Callable[..., Scripted]) -> None:
    client = shopper()
    gateway(quoted(50, 50))
    client.post("/rewards/use/", {"points": "50"})
    gateway(refuse("INSUFFICIENT_POINTS"))
    answer = client.post("/rewards/use/", {"points": "5000"})
    assert "Not enough points." in said(answer)
    assert chosen(client.session) == Choice(points=50)


@pytest.mark.parametrize("points", [-50, 50])
def test_a_tampered_session_is_a_basket_without_rewards(
    gateway: Callable[..., Scripted], points: int
) -> None:
    client = shopper()
    session = client.session
    session["tallystick"] = {"points": points, "rewards": "mug"}
    session["tallystick_quote"] = {
        "fingerprint": "x",
        "until_s": 9e12,
        "discount_minor": 1070,
        "line_discounts": [1070],
        "line_nets": [0],
        "points": 50,
        "earned_points": 0,
    }
    session.save()
    gateway(away, away, away)
    page = client.get("/basket/")
    assert page.context["basket"].total_incl_tax == Decimal("10.70")


def test_lines_without_tax_are_those_of_the_tax_group_and_not_each_rounded_by_itself(
    gateway: Callable[..., Scripted],
) -> None:
    client = shopper()
    basket = get_model("basket", "Basket").objects.get(status="Open")
    basket.strategy = create_basket(empty=True).strategy
    basket.add_product(article(), 1)

    def both_lines_to_one_euro(*_args: Any, **_kwargs: Any) -> Quote:
        one = quoted(970, 970)()
        total = TaxTotal("food", 187, 13, 200)
        return replace(
            one, discount_minor=1940, line_discounts=(970, 970), line_burned=(970, 970), tax_totals=(total,)
        )

    gateway(both_lines_to_one_euro, away)
    client.post("/rewards/use/", {"points": "1940"})
    shown = client.get("/basket/").context["basket"]
    assert (shown.total_incl_tax, shown.total_excl_tax) == (Decimal("2.00"), Decimal("1.87"))
    assert shown.total_discount == Decimal("19.40")


def test_a_member_gets_a_token_for_the_pages_own_origin(gateway: Callable[..., Scripted]) -> None:
    client = shopper()
    shop = gateway(lambda _member_id, _origin: WidgetToken("abc", 300))
    answer = client.get("/rewards/token/", headers={"host": "127.0.0.1"})
    assert answer.json()["token"] == "abc"
    assert answer["Cache-Control"] == "no-store"
    assert shop.calls[0][1][1] == "http://127.0.0.1"


def staff() -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True), "oscar.apps.customer.auth_backends.EmailBackend")
    return client


def order_of_three() -> Any:
    basket = create_basket(empty=True)
    basket.add_product(create_product(upc=f"upc-{new_id()}", price=Decimal("10.00"), num_in_stock=99), 3)
    user = UserFactory()
    MemberLink.objects.create(user=user, member_id=new_id())
    return create_order(basket=basket, user=user)


def test_without_the_gateway_a_return_is_reckoned_from_the_order(gateway: Callable[..., Scripted]) -> None:
    order, client = order_of_three(), staff()
    gateway(away, away)
    where, field = f"/rewards/staff/returns/{order.number}/", f"line_{order.lines.get().pk}"
    page = client.post(where, {field: "2"})
    assert page.context["preview"].refund == Decimal("20.00")
    done = client.post(where, {field: "2", "confirm": page.context["seal"]})
    assert done.status_code == 302
    (event,) = order.payment_events.all()
    assert event.amount == Decimal("20.00")
    assert [one.kind for one in Posting.objects.order_by("seq")] == ["sale", "return"]


def test_of_two_who_return_the_same_goods_the_second_looks_again(gateway: Callable[..., Scripted]) -> None:
    order, first, second = order_of_three(), staff(), staff()
    gateway(away, away, away, away)
    where, field = f"/rewards/staff/returns/{order.number}/", f"line_{order.lines.get().pk}"
    seals = [one.post(where, {field: "1"}).context["seal"] for one in (first, second)]
    assert first.post(where, {field: "1", "confirm": seals[0]}).status_code == 302
    again = second.post(where, {field: "1", "confirm": seals[1]})
    assert "Something has changed" in said(again)
    assert order.payment_events.count() == 1


def test_more_than_is_left_is_not_taken(gateway: Callable[..., Scripted]) -> None:
    order, client = order_of_three(), staff()
    gateway()
    page = client.post(f"/rewards/staff/returns/{order.number}/", {f"line_{order.lines.get().pk}": "4"})
    assert re.search("less than or equal to 3", page.content.decode())


def test_customers_do_not_see_the_staffs_page() -> None:
    order = order_of_three()
    assert shopper().get(f"/rewards/staff/returns/{order.number}/").status_code == 403
    assert Client().get(f"/rewards/staff/returns/{order.number}/").status_code == 302


class TestOpenings:
    """What is not open to a customer yet is not put into the basket."""

    @pytest.fixture
    def asks_for_access(self) -> Iterator[None]:
        with override_settings(TALLYSTICK_ACCESS=True):
            yield

    def adds(self, client: Client, product: Any) -> Any:
        return client.post(f"/basket/add/{product.pk}/", {"quantity": "1"})

    def in_basket(self, client: Client, product: Any) -> bool:
        lines = get_model("basket", "Line").objects.filter(product=product)
        return bool(lines.exists())

    @pytest.mark.usefixtures("asks_for_access")
    def test_an_article_that_opens_later_stays_out_and_its_day_is_told(
        self, gateway: Callable[..., Scripted]
    ) -> None:
        client, product = shopper(), article()
        opens = datetime(2026, 9, 8, tzinfo=UTC)
        shop = gateway(lambda *_args, **_more: (Opening("A", False, "NOT_YET", "autumn", opens, opens),))
        assert re.search(r"can be bought from .*8.*2026", said(self.adds(client, product)))
        assert not self.in_basket(client, product)
        name, (articles,), more = shop.calls[0]
        assert (name, articles[0].sku) == ("openings", product.stockrecords.first().partner_sku)
        assert more["member_id"]

    @pytest.mark.usefixtures("asks_for_access")
    def test_an_article_for_others_stays_out(self, gateway: Callable[..., Scripted]) -> None:
        client, product = shopper(), article()
        gateway(lambda *_args, **_more: (Opening("A", False, "MEMBERS_ONLY", "atelier", None, None),))
        assert "higher tier" in said(self.adds(client, product))
        assert not self.in_basket(client, product)

    @pytest.mark.parametrize("asks", [True, False])
    def test_an_article_that_is_open_or_not_asked_about_is_added(
        self, gateway: Callable[..., Scripted], asks: bool
    ) -> None:
        client, product = shopper(), article()
        shop = gateway(lambda *_args, **_more: (Opening("A", True, "EARLY", "autumn", None, None),))
        with override_settings(TALLYSTICK_ACCESS=asks):
            self.adds(client, product)
        assert self.in_basket(client, product)
        assert len(shop.calls) == asks

    @pytest.mark.usefixtures("asks_for_access")
    def test_a_shop_that_cannot_ask_sells(self, gateway: Callable[..., Scripted]) -> None:
        client, product = shopper(), article()
        gateway(away)
        self.adds(client, product)
        assert self.in_basket(client, product)


def a_card(*challenges: Challenge) -> Card:
    """A card with nothing on it but challenges."""
    nothing = Balance(points=0, pending=0, held=0, debt=0, tier_id="", worth_minor=0, currency="EUR")
    return Card(
        member_id="m",
        number="9900",
        name="",
        program_name="Club",
        currency="EUR",
        balance=nothing,
        unit_points=1,
        minimum_points=1,
        next_tier_id="",
        next_credits=0,
        next_reward_id="",
        next_reward_points=0,
        expiring=(),
        rewards=(),
        coupons=(),
        challenges=challenges,
    )


@pytest.mark.parametrize(
    ("language", "says"),
    [
        (
            "en",
            [
                "Two visits: 1 purchase to go",
                "Cups: 2 pieces to go",
                "Big: €25.00 to go",
                "(until 30/11/2026)",
            ],
        ),
        ("sv", ["Two visits: 1 köp kvar", "Cups: 2 varor kvar", "Big: 25,00", "(till och med 2026-11-30)"]),
    ],
)
def test_the_account_says_what_is_missing_to_a_challenge(
    gateway: Callable[..., Scripted], language: str, says: list[str]
) -> None:
    client = shopper()
    found = (
        Challenge("two", "Two visits", "sales", 1, "2026-11-30"),
        Challenge("cups", "Cups", "pieces", 2, ""),
        Challenge("big", "Big", "spend", 2_500, ""),
        Challenge("new", "A new kind", "kilometres", 3, ""),
    )
    gateway(lambda *_args: a_card(*found), lambda *_args, **_more: [])
    page = client.get("/rewards/", HTTP_ACCEPT_LANGUAGE=language).content.decode().replace("\xa0", " ")
    for text in says:
        assert text in page
    assert "A new kind" not in page
