"""A checkout as a shop's developer writes it, against a server process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tallystick_webshop import (
    Assurance,
    Basket,
    Claim,
    HoldRef,
    Line,
    NotAllowed,
    Posting,
    Refused,
    Returned,
    ReturnLine,
    Sale,
    Shop,
    UpTo,
    Voided,
    new_id,
)
from tests.webshop.street import TAXES, Street, shirts_and_tea


def test_an_order_goes_from_quote_to_hold_to_capture_to_return(street: Street) -> None:
    shop, member_id, basket = street.shop, street.member(1_000), shirts_and_tea()
    quote = shop.quote(member_id, basket, points=500)
    assert (quote.discount_minor, quote.payable_minor, quote.burned_points) == (500, 2_280, 500)
    assert (quote.balance_before, quote.balance_after, quote.earned_points) == (1_000, 522, 22)
    held = shop.hold(new_id(), member_id, basket, points=500)
    assert held.benefits.line_discounts == quote.line_discounts
    assert (held.balance_after, held.benefits.earned_points) == (500, 0)
    sale = shop.capture(new_id(), held, basket, order="1001")
    assert (sale.line_discounts, sale.tax_totals) == (quote.line_discounts, quote.tax_totals)
    assert (sale.payable_minor, sale.earned_points, sale.balance_after) == (2_280, 22, 522)
    lines = [ReturnLine(1, quantity=2), ReturnLine(2, quantity=3)]
    preview = shop.preview_return(member_id, sale.sale_id, lines)
    back = shop.give_back(new_id(), member_id, sale.sale_id, lines, order="1001")
    assert (preview.refund_minor, preview.balance_after) == (back.refund_minor, back.balance_after)
    assert (back.refund_minor, back.restored_points, back.taken_back_points) == (2_280, 500, 22)
    assert shop.balance(member_id).points == 1_000


def test_a_sale_says_which_challenge_it_met_however_often_it_is_sent(street: Street) -> None:
    member_id, sale_id = street.member(0), new_id()
    basket = Basket("EUR", [Line("piano", 1, 2_100_000)], TAXES)
    first, again = [street.shop.sell(sale_id, member_id, basket, order="2001") for _ in range(2)]
    (met,) = first.challenges_met
    assert (met.challenge_id, met.name, met.times) == ("patron", "A patron", 1)
    assert (met.points, met.badge_id) == (75, "patron")
    assert again.replayed
    assert again.challenges_met == first.challenges_met
    assert first.earned_points == first.balance_after == 21_000
    assert street.shop.balance(member_id).points == 21_075
    assert street.shop.sell(new_id(), member_id, shirts_and_tea(), order="2002").challenges_met == ()


def test_line_discounts_and_taxes_add_up_to_what_is_paid(street: Street) -> None:
    quote = street.shop.quote(street.member(1_000), shirts_and_tea(), points=490, rewards=["five-off"])
    assert quote.discount_minor == 990 == sum(quote.line_discounts)
    assert quote.payable_minor == 2_780 - 990 == sum(one.gross_minor for one in quote.tax_totals)
    assert all(one.net_minor + one.tax_minor == one.gross_minor for one in quote.tax_totals)
    assert sum(quote.line_burned) == quote.burned_points == 890
    assert [(one.id, one.points, one.discount_minor) for one in quote.rewards] == [("five-off", 400, 500)]
    assert [why.code for why in quote.why if why.points < 0] == ["reward", "points_as_money"]


@pytest.mark.parametrize(
    ("points", "burned"), [("max", 2_780), (UpTo(100), 100), (10, 10), (0, 0), (None, 0)]
)
def test_the_buyer_chooses_how_many_points_to_spend(street: Street, points: object, burned: int) -> None:
    quote = street.shop.quote(street.member(5_000), shirts_and_tea(), points=points)  # type: ignore[arg-type]
    assert quote.burned_points == burned


def test_an_order_without_points_earns(street: Street) -> None:
    member_id = street.member()
    sale = street.shop.sell(new_id(), member_id, shirts_and_tea(), order="1002")
    assert (sale.earned_points, sale.discount_minor, sale.balance_after) == (27, 0, 27)
    (movement,) = street.shop.statement(member_id)
    assert (movement.kind, movement.points, movement.reference) == ("sale", 27, "1002")


def test_a_hold_that_is_voided_gives_its_points_back(street: Street) -> None:
    shop, member_id = street.shop, street.member(500)
    held = shop.hold(new_id(), member_id, shirts_and_tea(), points="max")
    assert shop.balance(member_id).held == 500
    assert shop.void(new_id(), held).balance_after == 500


def test_what_a_shop_stored_of_a_hold_is_enough_to_capture_it(street: Street) -> None:
    hold_id, member_id = new_id(), street.member(500)
    street.shop.hold(hold_id, member_id, shirts_and_tea(), points=500)
    sale = street.shop.capture(new_id(), HoldRef(hold_id, member_id), shirts_and_tea(), order="1003")
    assert sale.burned_points == 500


def test_the_same_call_with_the_same_id_answers_what_was_decided_first(street: Street) -> None:
    shop, member_id, basket = street.shop, street.member(1_000), shirts_and_tea()
    hold_id, sale_id, return_id = new_id(), new_id(), new_id()
    held = [shop.hold(hold_id, member_id, basket, points=500) for _ in range(2)]
    sold = [shop.capture(sale_id, held[0], basket, order="1004") for _ in range(2)]
    back = [shop.give_back(return_id, member_id, sale_id, [ReturnLine(1, quantity=1)]) for _ in range(2)]
    for first, again in (held, sold, back):
        assert (first.replayed, again.replayed) == (False, True)
    assert sold[0].balance_after == sold[1].balance_after
    told = [(one.kind, one.points) for one in shop.statement(member_id)]
    assert told[1:] == [("capture", 22), ("hold", -500), ("adjust", 1_000)]
    assert told[0] == ("return", back[0].restored_points - back[0].taken_back_points)


def test_the_same_id_for_another_order_is_refused(street: Street) -> None:
    shop, member_id, sale_id = street.shop, street.member(), new_id()
    shop.sell(sale_id, member_id, shirts_and_tea(), order="1005")
    with pytest.raises(Refused, match="stored before the first send") as raised:
        shop.sell(sale_id, member_id, Basket("EUR", [Line("cap", 1, 900)], TAXES), order="1006")
    assert raised.value.reason == "COMMAND_ID_REUSED"


def test_a_refusal_says_why_with_figures_and_what_to_do(street: Street) -> None:
    with pytest.raises(Refused) as raised:
        street.shop.hold(new_id(), street.member(100), shirts_and_tea(), points=200)
    assert raised.value.reason == "INSUFFICIENT_POINTS"
    assert raised.value.details == {"points": "200", "available": "100"}
    assert (
        raised.value.mend == "ask for a new quote and show the buyer the new price before the order is placed"
    )


def test_a_member_who_only_typed_a_number_earns_and_does_not_burn(street: Street) -> None:
    member_id, number = street.office.member(500)
    found = street.shop.member(number=number)
    assert found is not None
    assert (found.member_id, found.assurance, found.balance.worth_minor) == (member_id, Assurance.TYPED, 500)
    with pytest.raises(Refused) as raised:
        street.shop.quote(member_id, shirts_and_tea(), points=100, assurance=found.assurance)
    assert raised.value.reason == "ABOVE_ASSURANCE_CAP"


def test_a_member_joins_at_the_shop_and_is_found_again(street: Street) -> None:
    member_id = new_id()
    made = [street.shop.enrol_member(member_id, email="Ann@Example.com") for _ in range(2)]
    assert (made[0].number, made[0].replayed) == (made[1].number, False)
    found = street.shop.member(email="ann@example.com")
    assert found is not None
    assert found.member_id == member_id
    with pytest.raises(Refused) as raised:
        street.shop.enrol_member(new_id(), email="ann@example.com")
    assert raised.value.reason == "TAKEN"


def test_nobody_is_found_for_an_address_that_nobody_has(street: Street) -> None:
    assert street.shop.member(email="nobody@example.com") is None


def test_a_member_who_is_not_of_the_program_is_refused(street: Street) -> None:
    for ask in (street.shop.balance, lambda member_id: street.shop.quote(member_id, shirts_and_tea())):
        with pytest.raises(Refused) as raised:
            ask(new_id())
        assert raised.value.reason == "MEMBER_UNKNOWN"


def test_a_stored_posting_is_posted_once_however_often_it_is_sent(street: Street) -> None:
    member_id = street.member(1_000)
    hold_ids = [new_id(), new_id()]
    for hold_id in hold_ids:
        street.shop.hold(hold_id, member_id, shirts_and_tea(), points=100)
    kept, dropped = (HoldRef(hold_id, member_id) for hold_id in hold_ids)
    at, sale_id = datetime.now(UTC), new_id()
    stored = [
        posting.to_json()
        for posting in (
            Posting.sale(new_id(), member_id, shirts_and_tea(), order="1007", at=at),
            Posting.capture(sale_id, kept, shirts_and_tea(), order="1008", at=at),
            Posting.void(new_id(), dropped, at=at),
            Posting.give_back(new_id(), member_id, sale_id, [ReturnLine(1, quantity=2)], at=at),
        )
    ]
    for replayed in (False, True):
        answers = [street.shop.post(Posting.from_json(text)) for text in stored]
        assert [type(answer) for answer in answers] == [Sale, Sale, Voided, Returned]
        assert {answer.replayed for answer in answers if not isinstance(answer, Claim)} == {replayed}
    assert len(street.shop.statement(member_id)) == 7


def test_an_order_that_waited_in_the_queue_for_a_week_earns_still(street: Street) -> None:
    member_id, at = street.member(), datetime.now(UTC) - timedelta(days=7)
    posting = Posting.sale(new_id(), member_id, shirts_and_tea(), order="1009", at=at)
    assert street.shop.post(posting).balance_after == 27  # type: ignore[union-attr]
    assert abs(street.shop.statement(member_id)[0].occurred_at - at) < timedelta(milliseconds=1)


def test_a_shop_enrols_with_a_managers_code_and_waits_to_be_confirmed(street: Street) -> None:
    directory = street.installation.data_dir / "shop"
    code = street.office.shop_code("second shop")
    profile = street.shop.profile
    made, again = (
        Shop.enrol(
            directory, server=profile.server, program_id=profile.program_id, code=code, issuer=profile.issuer
        )
        for _ in range(2)
    )
    assert again == made
    with Shop.open(directory) as shop:
        with pytest.raises(NotAllowed, match="a manager confirms"):
            shop.balance(street.member())
        street.office.confirm(made.device_id, made.fingerprint)
        assert shop.balance(street.member(3)).points == 3
