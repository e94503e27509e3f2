"""Postings in the shop's database: sent once their turn has come, again after failures, never lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.oscar.support.django_shop import Scripted, set_up_django

set_up_django()

from django.db import IntegrityError, transaction  # noqa: E402
from django.test import override_settings  # noqa: E402

from tallystick_oscar import gateway, holds, outbox  # noqa: E402
from tallystick_oscar.models import Checkout, Posting  # noqa: E402
from tallystick_webshop import Away, HoldRef, Refused, Voided, new_id  # noqa: E402
from tallystick_webshop import Posting as Intent  # noqa: E402

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


pytestmark = pytest.mark.usefixtures("undone")


@pytest.fixture
def scripted(script_gateway: Callable[..., Scripted]) -> Callable[..., Scripted]:
    return lambda *answers: script_gateway(*answers, at=(outbox,))


def void() -> Posting:
    return outbox.add(Intent.void(new_id(), HoldRef(new_id(), new_id()), at=NOW))


def voided(posting: Any) -> Voided:
    return Voided(posting.request.hold_id, 0, replayed=False)


def away(_posting: Any) -> Voided:
    raise Away("no line")


def refuse(reason: str) -> Callable[[Any], Any]:
    def answer(_posting: Any) -> Any:
        raise Refused(reason, "no")

    return answer


def state(posting: Posting) -> tuple[str, int, str]:
    posting.refresh_from_db()
    return posting.state, posting.tries, posting.reason


def test_what_is_due_is_sent_in_order_and_closed(scripted: Callable[..., Scripted]) -> None:
    first, second = void(), void()
    shop = scripted(voided, voided)
    assert outbox.post_due() == (2, 0)
    assert [args[0].id for _name, args, _more in shop.calls] == [
        str(first.command_id),
        str(second.command_id),
    ]
    assert state(first) == ("posted", 1, "")
    assert outbox.post_due() == (0, 0)


def test_without_a_gateway_nothing_is_lost_and_the_pauses_grow(scripted: Callable[..., Scripted]) -> None:
    posting = void()
    pauses = []
    for _try in range(12):
        scripted(away)
        before = datetime.now(UTC)
        outbox.post_due(everything=True)
        posting.refresh_from_db()
        pauses.append(round((posting.due_at - before).total_seconds()))
    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses[-1] == outbox.BACKOFF_MAX_S
    assert state(posting) == ("waiting", 12, "")
    scripted(voided)
    assert outbox.post_due() == (0, 1)
    assert outbox.post_due(now=datetime.now(UTC) + timedelta(hours=1)) == (1, 0)


def test_the_first_that_finds_no_gateway_ends_the_round(scripted: Callable[..., Scripted]) -> None:
    void(), void()
    shop = scripted(away)
    assert outbox.post_due() == (0, 2)
    assert len(shop.calls) == 1


def test_a_refusal_is_final_and_kept_with_its_reason(scripted: Callable[..., Scripted]) -> None:
    posting = void()
    scripted(refuse("MEMBER_UNKNOWN"))
    outbox.post_due()
    assert state(posting) == ("refused", 1, "MEMBER_UNKNOWN")
    assert outbox.post_due() == (0, 0)


@pytest.mark.parametrize("reason", ["HOLD_UNKNOWN", "HOLD_EXPIRED", "HOLD_CLOSED"])
def test_a_void_of_what_is_not_on_hold_any_more_is_done(
    scripted: Callable[..., Scripted], reason: str
) -> None:
    posting = void()
    scripted(refuse(reason))
    outbox.post_due()
    assert state(posting) == ("posted", 1, reason)


def test_a_posting_of_a_transaction_that_fails_was_never_there() -> None:
    def order_that_fails() -> None:
        with transaction.atomic():
            void()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        order_that_fails()
    assert Posting.objects.count() == 0


def test_a_basket_has_one_open_checkout() -> None:
    def checkout(state: str) -> None:
        Checkout.objects.create(
            hold_id=new_id(), basket_id=7, member_id=new_id(), fingerprint="x", state=state
        )

    checkout("held")
    checkout("placed")
    checkout("dropped")
    with pytest.raises(IntegrityError), transaction.atomic():
        checkout("holding")


def test_of_placing_and_giving_back_one_wins() -> None:
    made = Checkout.objects.create(
        hold_id=new_id(), basket_id=8, member_id=new_id(), fingerprint="x", state="held"
    )
    again = Checkout.objects.get(pk=made.pk)
    assert made.move(Checkout.State.PLACED, Checkout.State.HELD)
    assert not holds.give_back(again)
    assert Posting.objects.count() == 0
    other = Checkout.objects.create(
        hold_id=new_id(), basket_id=8, member_id=new_id(), fingerprint="x", state="held"
    )
    assert holds.give_back(other)
    assert not other.move(Checkout.State.PLACED, Checkout.State.HELD)
    assert Posting.objects.get().kind == "void"


def test_a_page_does_not_ask_a_gateway_that_was_away_a_moment_ago() -> None:
    with override_settings(TALLYSTICK_AWAY_S=60.0, TALLYSTICK_PROFILE="/nonexistent"):
        try:
            with pytest.raises(Away), gateway.calling():
                pass
            with pytest.raises(Away, match="a moment ago"), gateway.calling():
                pass
        finally:
            gateway.forget()


def test_holds_that_ran_out_are_noted() -> None:
    made = Checkout.objects.create(
        hold_id=new_id(), basket_id=9, member_id=new_id(), fingerprint="x", state="held", expires_at=NOW
    )
    assert outbox.lapse(NOW + timedelta(seconds=59)) == 0
    assert outbox.lapse(NOW + timedelta(seconds=61)) == 1
    made.refresh_from_db()
    assert made.state == "lapsed"
