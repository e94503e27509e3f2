"""What a till says: the gateway's own sentences, in the language of whoever asks."""

from __future__ import annotations

import pytest

from tallystick.core.entry import Explanation
from tallystick.words import LANGUAGES, names_of, why
from tests.till.world import World


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_till_without_a_line_says_why_in_every_language_as_the_gateway_does(
    world: World, language: str
) -> None:
    world.meet()
    quote = world.till.quote(world.ask(5_000, language=language))
    rules = world.till.rulebook.current
    assert rules is not None
    assert quote.explanations
    for told in quote.explanations:
        same = Explanation(told.args["rule_id"], told.line_no, told.points, told.code)
        assert told.text == why(same, language, names_of(rules))


def test_a_receipt_speaks_the_language_that_was_asked_for(world: World) -> None:
    world.meet()
    receipts = {
        language: world.till.sale(world.ask(5_000, language=language)).receipt.lines
        for language in ("", "en", "sv-SE", "lv")
    }
    assert receipts[""][0].startswith("Points earned ")
    assert receipts["en"][0].startswith("Points earned ")
    assert receipts["sv-SE"][0].startswith("Nya poäng ")
    assert receipts["lv"][0].startswith("Jauni punkti ")


def test_the_same_sale_asked_for_in_another_language_is_the_same_sale(world: World) -> None:
    world.meet()
    sale_id = world.new_id()
    first = world.till.sale(world.ask(5_000, sale_id=sale_id))
    again = world.till.sale(world.ask(5_000, sale_id=sale_id, language="pl"))
    assert again == first
