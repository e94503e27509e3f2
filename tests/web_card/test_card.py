"""A member with a phone: signing up, showing the card with and without a network, and everything one tap away."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.web.support.office import Office
from tests.web_card.support.card import Card


def test_whoever_types_the_code_from_the_mail_has_a_card(card: Card) -> None:
    card.sign_up()
    assert card.at("code").get_attribute("data-modules") == "61"
    assert card.member_number.isdigit()
    expect(card.at("balance")).to_have_attribute("data-points", "0")


def test_a_wrong_code_says_how_many_tries_are_left_and_the_right_one_works_still(card: Card) -> None:
    card.at("email").fill("someone@example.org")
    card.tap("send")
    code = card.gateway.code_for("someone@example.org")
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    card.shows("code-field").fill(wrong)
    card.tap("finish")
    expect(card.shows("problem")).to_contain_text("4")
    card.at("code-field").fill(code)
    card.tap("finish")
    card.shows("code")


def test_points_that_the_office_gives_are_on_the_card_with_their_worth(card: Card, office: Office) -> None:
    card.sign_up()
    office.adjust(card.member_id(), 1240)
    card.page.reload()
    expect(card.at("balance")).to_have_attribute("data-points", "1240")
    expect(card.at("worth")).to_contain_text("€12")
