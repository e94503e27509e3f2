"""Orders in the shop's database: what is written with them, with returns and cancellations, and when a hold is over."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.oscar.support.django_shop import Scripted, set_up_django

set_up_django()

from django.test import override_settings  # noqa: E402
from oscar.core.loading import get_class, get_model  # noqa: E402
from oscar.test.factories import UserFactory, create_basket, create_order, create_product  # noqa: E402

from tallystick_oscar import baskets, claims, outbox, returns  # noqa: E402
from tallystick_oscar.models import Checkout, MemberLink, OrderSale, Posting  # noqa: E402
from tallystick_webshop import Posting as Intent  # noqa: E402
from tallystick_webshop import Refused, new_id  # noqa: E402

pytestmark = pytest.mark.usefixtures("undone")


@pytest.fixture
def scripted(script_gateway: Callable[..., Scripted]) -> Callable[..., Scripted]:
    return lambda *answers: script_gateway(*answers, at=(outbox,))


def order_of(member_id: str | None = None, *, quantities: tuple[int, ...] = (3, 2)) -> Any:
    """An order of articles at 10.00, placed by a member or by a guest."""
    user = None
    if member_id is not None:
        user = UserFactory()
        MemberLink.objects.create(user=user, member_id=member_id)
    basket = create_basket(empty=True)
    for number, quantity in enumerate(quantities):
        product = create_product(
            upc=f"upc-{new_id()}", title=f"article {number}", price=Decimal("10.00"), num_in_stock=99
        )
        basket.add_product(product, quantity)
    return create_order(basket=basket, user=user)


def intents(kind: str) -> list[Any]:
    """The requests of all postings of a kind, the oldest first."""
    found = Posting.objects.filter(kind=kind).order_by("seq")
    return [Intent.from_json(posting.intent).request for posting in found]


def returned(_posting: Any) -> object:
    return object()


def refuse(reason: str) -> Callable[[Any], Any]:
    def answer(_posting: Any) -> Any:
        raise Refused(reason, "no")

    return answer


def give_back(order: Any, *pieces: int) -> None:
    """Return pieces of an order's lines, as the dashboard does."""
    kind, _made = get_model("order", "ShippingEventType").objects.get_or_create(
        code="returned", name="Returned"
    )
    handler = get_class("order.processing", "EventHandler")()
    lines = [line for line, count in zip(order.lines.order_by("pk"), pieces, strict=True) if count]
    handler.handle_shipping_event(order, kind, lines, [count for count in pieces if count])


def test_a_members_order_is_a_sale_with_the_orders_number_and_time() -> None:
    member_id = new_id()
    order = order_of(member_id)
    (request,) = intents("sale")
    assert request.member_id == member_id
    assert request.origin.reference == str(order.number)
    assert (
        request.origin.occurred_at.ToDatetime().replace(tzinfo=order.date_placed.tzinfo) == order.date_placed
    )
    assert [(line.amount_minor, line.quantity_milli) for line in request.basket.lines] == [
        (3000, 3000),
        (2000, 2000),
    ]
    assert str(OrderSale.objects.get(order=order).sale_id) == request.command_id


def test_a_guests_order_posts_nothing_and_keeps_its_points() -> None:
    order = order_of()
    assert Posting.objects.count() == 0
    assert OrderSale.objects.get(order=order).is_claim


def test_returns_in_parts_name_the_lines_and_a_cancellation_returns_the_rest() -> None:
    order = order_of(new_id())
    give_back(order, 1, 0)
    give_back(order, 0, 1)
    order.set_status = lambda _status: None
    get_class("order.processing", "EventHandler")().handle_order_status_change(order, "Cancelled")
    told = [[(line.line_no, line.quantity_milli // 1000) for line in one.lines] for one in intents("return")]
    assert told == [[(1, 1)], [(2, 1)], [(1, 2), (2, 1)]]
    assert len({one.command_id for one in intents("return")}) == 3


def test_more_than_was_bought_does_not_come_back() -> None:
    from oscar.apps.order.exceptions import InvalidShippingEvent

    order = order_of(new_id())
    give_back(order, 3, 0)
    with pytest.raises(InvalidShippingEvent):
        give_back(order, 1, 0)
    assert len(intents("return")) == 1


def test_refunds_in_parts_sum_to_what_was_paid() -> None:
    order = order_of(new_id(), quantities=(7,))
    line = order.lines.get()
    line.line_price_incl_tax = Decimal("69.01")
    line.save()
    refunds = []
    for pieces in (1, 2, 3, 1):
        refunds.append(returns.refund_of(order, [(line, pieces)]))
        give_back(order, pieces)
    assert sum(refunds) == Decimal("69.01")
    assert refunds[0] == Decimal("9.86")


def test_goods_of_an_unclaimed_order_come_back_and_only_the_rest_can_be_claimed() -> None:
    order = order_of()
    give_back(order, 3, 1)
    sale = OrderSale.objects.get(order=order)
    left = baskets.from_json(sale.basket_json)
    assert [(line.quantity, line.amount_minor) for line in left.lines] == [(1, 1000)]
    assert sale.line_ids == [order.lines.order_by("pk")[1].pk]
    assert Posting.objects.count() == 0


def test_goods_of_a_claim_that_nobody_has_redeemed_end_it_and_the_rest_gets_a_new_one(
    scripted: Callable[..., Scripted],
) -> None:
    order = order_of()
    OrderSale.objects.update(claim_sent=True)
    before = OrderSale.objects.get(order=order).sale_id
    give_back(order, 1, 0)
    shop = scripted(lambda _claim_id: "")
    assert outbox.post_due() == (1, 0)
    assert shop.calls[0][:2] == ("cancel_claim", (str(before),))
    sale = OrderSale.objects.get(order=order)
    assert sale.sale_id != before
    assert not sale.claim_sent
    assert [line.quantity for line in baskets.from_json(sale.basket_json).lines] == [2, 2]


def test_goods_of_a_claim_that_was_redeemed_meanwhile_are_a_return_of_that_member(
    scripted: Callable[..., Scripted],
) -> None:
    order_of()  # so that the keys of lines are not their numbers
    order, member_id = order_of(), new_id()
    OrderSale.objects.update(claim_sent=True)
    give_back(order, 1, 0)
    scripted(lambda _claim_id: member_id, returned)
    outbox.post_due()
    outbox.post_due()
    (request,) = intents("return")
    assert request.member_id == member_id
    assert [(line.line_no, line.quantity_milli) for line in request.lines] == [(1, 1000)]


@pytest.mark.parametrize("ended", [lambda _claim_id: "", refuse("CLAIM_UNKNOWN")])
def test_each_return_of_an_unclaimed_order_takes_its_own_goods_off(
    scripted: Callable[..., Scripted], ended: Callable[[Any], Any]
) -> None:
    order = order_of(quantities=(1, 1, 1))
    OrderSale.objects.update(claim_sent=True)
    give_back(order, 1, 0, 0)
    give_back(order, 0, 1, 0)
    shop = scripted(ended, ended)
    present = []
    for posting in Posting.objects.order_by("seq"):
        present.append(str(OrderSale.objects.get(order=order).sale_id))
        outbox.post_now(posting.pk)
    sale = OrderSale.objects.get(order=order)
    assert sale.line_ids == [order.lines.order_by("pk")[2].pk]
    assert len(baskets.from_json(sale.basket_json).lines) == 1
    assert {one.state for one in Posting.objects.all()} == {"posted"}
    # In between the guest may have opened the link of what was left then.
    assert [args[0] for _name, args, _more in shop.calls] == present
    assert len(set(present)) == 2


def test_a_return_that_an_older_version_wrote_with_the_number_of_its_line_is_read(
    scripted: Callable[..., Scripted],
) -> None:
    order = order_of()
    OrderSale.objects.update(claim_sent=True)
    give_back(order, 0, 2)
    Posting.objects.update(intent=f'{{"claim_id": "{new_id()}", "pieces": [[2, 2]]}}')
    scripted(lambda _claim_id: "")
    outbox.post_due()
    assert OrderSale.objects.get(order=order).line_ids == [order.lines.order_by("pk")[0].pk]


def test_a_link_that_is_opened_while_goods_come_back_claims_only_what_is_left(
    script_gateway: Callable[..., Scripted],
) -> None:
    order = order_of()
    read_before = OrderSale.objects.get(order=order)
    give_back(order, 3, 0)
    shop = script_gateway(lambda *_args, **_more: None, at=(claims,))
    claims.ask(read_before)
    ((_name, (claim_id, told), _more),) = shop.calls
    assert claim_id == str(OrderSale.objects.get(order=order).sale_id)
    assert [line.quantity for line in told.lines] == [2]


def test_an_ended_claim_that_two_hear_of_loses_its_pieces_once(scripted: Callable[..., Scripted]) -> None:
    order = order_of()
    OrderSale.objects.update(claim_sent=True)
    give_back(order, 1, 0)
    waiting = Posting.objects.get()

    def ended_while_another_hears_it_too(_claim_id: str) -> str:
        scripted(lambda _claim_id: "")
        outbox.post(Posting.objects.get(pk=waiting.pk), patient=True)
        return ""

    scripted(ended_while_another_hears_it_too)
    outbox.post(waiting, patient=True)
    left = baskets.from_json(OrderSale.objects.get(order=order).basket_json)
    assert [line.quantity for line in left.lines] == [2, 2]


def test_a_return_waits_for_its_sale(scripted: Callable[..., Scripted]) -> None:
    from tallystick_webshop import Away

    def away(_posting: Any) -> object:
        raise Away("no line")

    order = order_of(new_id())
    give_back(order, 1, 0)
    shop = scripted(away)
    outbox.post_due()
    shop = scripted()
    assert outbox.post_due() == (0, 2)
    assert shop.calls == []


def held_order(points: int = 500, *, member_id: str | None = None) -> tuple[Any, OrderSale]:
    """An order whose capture waits."""
    order = order_of(member_id or new_id())
    Posting.objects.all().delete()
    sale = OrderSale.objects.get(order=order)
    checkout = Checkout.objects.create(
        hold_id=new_id(),
        basket_id=order.basket_id,
        member_id=sale.member_id,
        fingerprint="x",
        state="placed",
        points=points,
        discount_minor=points,
        line_discounts=[300, 200],
        choice_json={"points": points},
    )
    OrderSale.objects.filter(pk=sale.pk).update(points=points, discount_minor=points)
    sale.refresh_from_db()
    from tallystick_webshop import HoldRef

    reference = HoldRef(str(checkout.hold_id), str(sale.member_id))
    intent = Intent.capture(
        str(sale.sale_id), reference, baskets.from_json(sale.basket_json), order="1", at=order.date_placed
    )
    outbox.add(intent, sale=sale, checkout=checkout)
    return order, sale


def test_a_capture_whose_hold_is_over_becomes_a_sale_for_the_same_points(
    scripted: Callable[..., Scripted],
) -> None:
    order, sale = held_order()
    scripted(refuse("HOLD_EXPIRED"), returned)
    outbox.post_due()
    (request,) = intents("sale")
    assert request.spend.points == 500
    assert request.command_id != str(sale.sale_id)
    assert str(OrderSale.objects.get(order=order).sale_id) == request.command_id
    outbox.post_due()
    assert [one.state for one in Posting.objects.order_by("seq")] == ["refused", "posted"]


def test_an_order_whose_points_are_gone_is_booked_as_it_was_paid_and_stays_to_be_seen(
    scripted: Callable[..., Scripted],
) -> None:
    order, _sale = held_order()
    scripted(refuse("HOLD_EXPIRED"))
    outbox.post_due()
    scripted(refuse("INSUFFICIENT_POINTS"))
    outbox.post_due()
    scripted(returned)
    outbox.post_due()
    last = intents("sale")[-1]
    assert not last.HasField("spend")
    assert [line.amount_minor for line in last.basket.lines] == [2700, 1800]
    states = [(one.kind, one.state, one.reason) for one in Posting.objects.order_by("seq")]
    assert states == [
        ("capture", "refused", "HOLD_EXPIRED"),
        ("sale", "refused", "INSUFFICIENT_POINTS"),
        ("sale", "posted", ""),
    ]
    assert OrderSale.objects.get(order=order).points == 0


def test_an_order_with_a_coupon_alone_that_is_used_up_is_booked_as_it_was_paid(
    scripted: Callable[..., Scripted],
) -> None:
    order, _sale = held_order(0)
    OrderSale.objects.update(discount_minor=500)
    Checkout.objects.update(discount_minor=500, choice_json={"coupons": ["SPRING"]})
    scripted(refuse("HOLD_EXPIRED"), refuse("COUPON_USED"), refuse("MEMBER_BLOCKED"))
    for _round in range(4):
        outbox.post_due()
    with_coupon, as_paid = intents("sale")
    assert list(with_coupon.coupon_codes) == ["SPRING"]
    assert not as_paid.coupon_codes
    assert [line.amount_minor for line in as_paid.basket.lines] == [2700, 1800]
    assert str(OrderSale.objects.get(order=order).sale_id) == as_paid.command_id


@pytest.mark.parametrize("points_are_there", [True, False])
def test_goods_that_come_back_before_their_order_was_sold_anew_are_a_return_of_the_new_sale(
    scripted: Callable[..., Scripted], points_are_there: bool
) -> None:
    order, _sale = held_order()
    give_back(order, 1, 0)
    give_back(order, 0, 2)
    told = [(one.lines[0].line_no, one.origin.occurred_at.ToDatetime()) for one in intents("return")]
    sent: list[Any] = []

    def gateway(posting: Any) -> object:
        sent.append(posting)
        if posting.kind == "capture":
            raise Refused("HOLD_EXPIRED", "no")
        if posting.kind == "sale" and posting.request.HasField("spend") and not points_are_there:
            raise Refused("INSUFFICIENT_POINTS", "no")
        return object()

    scripted(*[gateway] * 5)
    for _round in range(4):
        outbox.post_due()
    *_refused, sale, first, second = sent
    assert sale.id == str(OrderSale.objects.get(order=order).sale_id)
    assert [one.request.sale_id for one in sent if one.kind == "return"] == [sale.id, sale.id]
    assert [
        (one.request.lines[0].line_no, one.request.origin.occurred_at.ToDatetime()) for one in (first, second)
    ] == told
    assert Posting.objects.filter(state="waiting").count() == 0


def test_two_that_send_the_same_posting_at_once_make_one_sale_of_it(
    scripted: Callable[..., Scripted],
) -> None:
    held_order()
    waiting = Posting.objects.get()

    def refused_while_another_hears_it_too(posting: Any) -> Any:
        scripted(refuse("HOLD_EXPIRED"))
        outbox.post(Posting.objects.get(pk=waiting.pk), patient=True)
        return refuse("HOLD_EXPIRED")(posting)

    scripted(refused_while_another_hears_it_too)
    outbox.post(waiting, patient=True)
    assert len(intents("sale")) == 1


def test_an_order_that_was_sold_anew_is_not_sold_again_by_what_it_stood_on_before(
    scripted: Callable[..., Scripted],
) -> None:
    order, _sale = held_order()
    for _sent_by_hand in range(3):
        Posting.objects.filter(kind="capture").update(state="waiting")
        scripted(refuse("HOLD_EXPIRED"), returned)
        outbox.post_due()
    (request,) = intents("sale")
    assert str(OrderSale.objects.get(order=order).sale_id) == request.command_id


def test_a_shop_may_leave_such_an_order_to_a_person(scripted: Callable[..., Scripted]) -> None:
    held_order()
    scripted(refuse("HOLD_EXPIRED"))
    with override_settings(TALLYSTICK_EXPIRED_HOLD="keep"):
        outbox.post_due()
    assert [(one.kind, one.state) for one in Posting.objects.all()] == [("capture", "refused")]


def test_the_migrations_are_what_the_models_say() -> None:
    from django.core.management import call_command

    call_command("makemigrations", "tallystick_oscar", "--check", "--dry-run", verbosity=0)


def test_the_element_is_served_from_the_shop_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from django.test import Client

    from tallystick_oscar import panel, views

    for module in (panel, views):
        monkeypatch.setattr(module, "widget_file", lambda: None)
    assert Client().get("/rewards/widget.js").status_code == 404

    file = tmp_path / "tallystick-rewards.js"
    file.write_text("export {};")
    for module in (panel, views):
        monkeypatch.setattr(module, "widget_file", lambda: file)
    answer = Client().get("/rewards/widget.js")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/javascript")
    assert Client().get("/rewards/widget.js", headers={"if-none-match": answer["ETag"]}).status_code == 304


@pytest.mark.parametrize(
    ("told", "used"),
    [("mug", ("mug",)), ("", ()), (" ".join(f"r{i}" for i in range(30)), tuple(f"r{i}" for i in range(10)))],
)
def test_the_element_tells_all_rewards_at_once(told: str, used: tuple[str, ...]) -> None:
    from tallystick_oscar.choice import Choice
    from tallystick_oscar.forms import UseForm

    form = UseForm({"points": "5", "all_rewards": told})
    assert form.is_valid()
    assert form.changes(Choice(rewards=("other",))) == {"points": 5, "rewards": used}


def test_nobody_gets_a_token_who_is_no_member() -> None:
    from django.test import Client

    answer = Client().get("/rewards/token/")
    assert answer.status_code == 401
