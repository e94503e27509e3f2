"""The shop's postings meet a gateway that was away: every point is where it belongs, however late they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.oscar.support.django_shop import set_up_django

set_up_django()

from django.core.management import call_command  # noqa: E402

from tallystick_oscar import claims, outbox  # noqa: E402
from tallystick_oscar.models import OrderSale, Posting  # noqa: E402
from tallystick_webshop import Away, Shop  # noqa: E402
from tests.oscar.test_orders import give_back, held_order, order_of  # noqa: E402
from tests.webshop.street import Street  # noqa: E402

pytestmark = pytest.mark.usefixtures("undone")


@dataclass
class Line:
    """The line between the shop and the gateway."""

    up: bool = True

    def posts(self) -> None:
        """Send everything, and whatever follows from it."""
        for _round in range(4):
            outbox.post_due(everything=True)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, street: Street) -> Line:
    made = Line()

    @contextmanager
    def calling(*, patient: bool = False) -> Iterator[Shop]:
        if not made.up:
            raise Away("no line")
        yield street.shop

    for module in (outbox, claims):
        monkeypatch.setattr(module, "calling", calling)
    return made


def states() -> list[tuple[str, str, str]]:
    """Kind, state and reason of all postings, the oldest first."""
    return list(Posting.objects.order_by("seq").values_list("kind", "state", "reason"))


def test_what_was_refused_is_sent_again_and_no_order_is_sold_twice(street: Street, line: Line) -> None:
    ann = street.member(2_000)
    # A hold that the gateway does not know is as good as one that is over.
    held_order(500, member_id=ann)
    line.posts()
    sold = [("capture", "refused", "HOLD_UNKNOWN"), ("sale", "posted", "")]
    points = street.shop.balance(ann).points
    assert (states(), points) == (sold, 1_500 + 45)
    for _run in range(2):
        call_command("tallystick_post", "--retry-refused", "--now")
        assert (states(), street.shop.balance(ann).points) == (sold, points)


def test_an_order_that_came_back_whole_in_an_outage_longer_than_its_hold_leaves_all_points(
    street: Street, line: Line
) -> None:
    ann = street.member(1_000)
    order, _sale = held_order(500, member_id=ann)
    line.up = False
    line.posts()
    give_back(order, 3, 2)
    line.up = True
    line.posts()
    assert states() == [
        ("capture", "refused", "HOLD_UNKNOWN"),
        ("sale", "posted", ""),
        ("return", "posted", ""),
    ]
    assert street.shop.balance(ann).points == 1_000


def test_a_guests_goods_that_came_back_are_not_claimed_though_the_link_was_opened_in_an_outage(
    street: Street, line: Line
) -> None:
    ann = street.member()
    order = order_of()
    line.up = False
    with pytest.raises(Away):
        claims.ask(OrderSale.objects.get(order=order))
    give_back(order, 3, 0)
    line.up = True
    line.posts()
    assert states() == [("cancel_claim", "posted", "CLAIM_UNKNOWN")]
    assert claims.redeem(OrderSale.objects.get(order=order), ann) == 20
