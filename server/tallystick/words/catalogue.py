"""The catalogue of sentences: a message for each key and language, in the plural forms that the language has.

The format is that of the screens' catalogues: ``{name}`` is a place for a value, and a counted message has a text for
each plural category of Unicode CLDR. Here it also says by which value it is counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

LANGUAGES: Final = ("en", "sv", "pl", "nb", "lv")
FALLBACK: Final = "en"
FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("one", "other"),
    "sv": ("one", "other"),
    "pl": ("one", "few", "many", "other"),
    "nb": ("one", "other"),
    "lv": ("zero", "one", "other"),
}
COUNT: Final = "count"
PLAIN: Final = ".plain"
"""What a key of the same message ends in that needs no values: it is said where they are not known."""

_SAME: Final = {"no": "nb", "nn": "nb"}


def language_of(tag: str) -> str:
    """Return which of our languages a BCP 47 tag asks for: "sv-FI" is "sv", what we do not have is English."""
    primary = tag.replace("_", "-").partition("-")[0].lower()
    primary = _SAME.get(primary, primary)
    return primary if primary in LANGUAGES else FALLBACK


@cache
def catalogue() -> Mapping[str, Mapping[str, Any]]:
    """Return the sections ``codes``, ``refusals`` and ``texts``, each with its messages by key."""
    text = resources.files("tallystick.words").joinpath("why.json").read_text(encoding="utf-8")
    sections: Mapping[str, Mapping[str, Any]] = json.loads(text)
    return sections


def template(message: Mapping[str, Any], language: str, counts: Mapping[str, int]) -> str:
    """Return a message's text; a counted one in the form for its value (0 where that is not known).

    A language that lacks the message is answered in English; ``python -m tools.words`` finds that before anybody sees
    it.
    """
    text = message.get(language)
    if text is None:
        language, text = FALLBACK, message[FALLBACK]
    if isinstance(text, str):
        return text
    forms: Mapping[str, str] = text
    form = plural(language, counts.get(str(message[COUNT]), 0))
    return forms.get(form) or forms["other"]


def plural(language: str, number: int) -> str:
    """Return the plural category of a whole number (Unicode CLDR, cardinal); its sign does not matter."""
    number = abs(number)
    last, last_two = number % 10, number % 100
    if language == "pl":
        if number == 1:
            return "one"
        return "few" if 2 <= last <= 4 and not 12 <= last_two <= 14 else "many"
    if language == "lv":
        if last == 0 or 11 <= last_two <= 19:
            return "zero"
        return "one" if last == 1 else "other"
    return "one" if number == 1 else "other"
