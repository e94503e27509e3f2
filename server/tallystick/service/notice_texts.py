"""What notifications say, in five languages: from the package's files, or as the retailer has written it."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from tallystick.core.rules.model import RuleSet, TierBasis
from tallystick.core.rules.notifications import ABOUT, Occasion, fill
from tallystick.words.figures import day, money, number
from tallystick.words.names import label, names_of

NAME_CHARS_MAX = 100

Args = tuple[tuple[str, str], ...]
"""The values of a message's places, as they are stored: whole numbers, ISO days, ids of the rule set."""

EXAMPLE: Args = (
    ("points", "120"),
    ("balance", "1450"),
    ("date", "2026-12-31"),
    ("tier", "gold"),
    ("missing", "40"),
    ("reward", "coffee"),
)
"""Values for a message that is sent on trial."""

_SPACES = re.compile(r"[ \t]+")
_FILES = Path(__file__).parent.parent / "notices"


@functools.cache
def texts_of(language: str) -> Mapping[str, Mapping[str, str]]:
    """Return a language's file: by occasion "title" and "text", and what surrounds them."""
    found: dict[str, dict[str, str]] = tomllib.loads(
        (_FILES / f"{language}.toml").read_text(encoding="utf-8")
    )
    return found


def surrounding(part: str, key: str, *, language: str, program_name: str) -> str:
    """Return one of the texts around messages, "mail" or "stopped", with the program's name in its place."""
    return fill(texts_of(language)[part][key], {"program": _one_line(program_name)})


def notice_text(
    occasion: Occasion, args: Args, *, language: str, program_name: str, rules: RuleSet | None
) -> tuple[str, str]:
    """Return title and text of a message, in one of our languages."""
    own = rules.notifications.own_text(occasion, language) if rules is not None else None
    standard = texts_of(language)[occasion.value]
    title, text = (own.title, own.text) if own is not None else (standard["title"], standard["text"])
    known = {
        name: _said(name, value, language, rules) for name, value in args if name in ABOUT[occasion].places
    }
    values = {"program": _one_line(program_name), **known}
    return _one_line(fill(title, values)), fill(text, values)


def _said(name: str, value: str, language: str, rules: RuleSet | None) -> str:
    if name in ("points", "balance"):
        return number(int(value), language)
    if name == "date":
        return day(date.fromisoformat(value), language)
    if name == "missing":
        # Credits are in the unit of the tiers' basis.
        is_money = rules is not None and rules.tiers is not None and rules.tiers.basis is TierBasis.SPEND
        return (
            money(int(value), rules.currency, language)
            if is_money and rules
            else number(int(value), language)
        )
    if name == "reward" and rules is not None:
        return names_of(rules).label(value)
    return label(value)


def _one_line(name: str) -> str:
    # Whatever a mail program may take for the end of a line; spaces that hold figures together stay.
    return _SPACES.sub(" ", " ".join(name.splitlines())).strip()[:NAME_CHARS_MAX]
