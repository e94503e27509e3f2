"""What messages say: in each language for each occasion, with the same places, on one line where that matters."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.notifications import ABOUT, LANGUAGES, TEXT_CHARS_MAX, TITLE_CHARS_MAX, Occasion
from tallystick.core.rules.parse import parse_rules
from tallystick.service.notice_texts import EXAMPLE, notice_text, surrounding, texts_of
from tallystick.service.rule_text import read_document
from tests.rpc.handlers.world import RULES

PLACE = re.compile(r"\{([^}]*)\}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_all_that_english_has_with_the_same_places(language: str) -> None:
    english, found = texts_of("en"), texts_of(language)
    assert {part: set(texts) for part, texts in found.items()} == {
        part: set(texts) for part, texts in english.items()
    }
    for part, texts in english.items():
        for key, text in texts.items():
            assert sorted(set(PLACE.findall(found[part][key]))) == sorted(set(PLACE.findall(text))), (
                part,
                key,
            )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("occasion", Occasion)
def test_a_text_names_nothing_that_its_occasion_does_not_have(occasion: Occasion, language: str) -> None:
    texts = texts_of(language)[occasion.value]
    assert set(PLACE.findall("".join(texts.values()))) <= {"program", *ABOUT[occasion].places}
    assert len(texts["title"]) <= TITLE_CHARS_MAX
    assert len(texts["text"]) <= TEXT_CHARS_MAX


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("occasion", Occasion)
def test_every_text_can_be_filled(occasion: Occasion, language: str) -> None:
    title, text = notice_text(occasion, EXAMPLE, language=language, program_name="Nordvik", rules=None)
    assert "{" not in title + text
    assert "Nordvik" in text


def test_figures_and_days_are_those_of_the_language() -> None:
    args = (("points", "12345"), ("date", "2026-05-06"))
    said = {
        language: notice_text(
            Occasion.POINTS_EXPIRING, args, language=language, program_name="N", rules=None
        )[1]
        for language in ("en", "sv")
    }
    assert "12,345" in said["en"]
    assert "6 May 2026" in said["en"]
    assert "12\u00a0345" in said["sv"]
    assert "6 maj 2026" in said["sv"]


@pytest.mark.parametrize(("name", "called"), [("Fem euro av", "Fem euro av"), ("", "Five off")])
def test_a_reward_is_called_what_the_retailer_calls_it(name: str, called: str) -> None:
    rules = parse_rules(read_document(RULES).value, version=1, sha256="")
    assert isinstance(rules, RuleSet)
    rules = replace(rules, rewards=tuple(replace(one, name=name) for one in rules.rewards))
    args = (("reward", "five-off"), ("balance", "60"))
    title, text = notice_text(Occasion.REWARD_IN_REACH, args, language="sv", program_name="N", rules=rules)
    assert title == f"Du kan få: {called}"
    assert text == f"Dina poäng hos N räcker till {called}. Ditt saldo: 60."


def test_a_name_with_line_ends_cannot_write_headers() -> None:
    name = "Nord\r\nBcc: all@example.org\u2028vik" + "x" * 200
    title, text = notice_text(
        Occasion.BASKET_ABANDONED, EXAMPLE, language="en", program_name=name, rules=None
    )
    assert len((title + text).splitlines()) == 1
    assert len(surrounding("stopped", "title", language="en", program_name=name)) <= 120
