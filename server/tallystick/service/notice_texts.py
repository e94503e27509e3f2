"""What notifications say, in five languages: from the package's files, or as the retailer has written it."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tallystick.core.currency import exponent
from tallystick.core.rules.model import RuleSet, TierBasis
from tallystick.core.rules.notifications import ABOUT, LANGUAGES, Occasion, fill

FALLBACK = "en"
NAME_CHARS_MAX = 100
EXAMPLE = {
    "points": "120",
    "balance": "1450",
    "date": "2026-12-31",
    "tier": "Gold",
    "missing": "40",
    "reward": "Coffee",
}
"""Values for a message that is sent on trial."""

_FILES = Path(__file__).parent.parent / "notices"
_SAME = {"no": "nb", "nn": "nb"}


def notice_language(tag: str) -> str:
    """Return which of our languages a BCP 47 tag asks for: "sv-FI" is "sv", what we do not have is English."""
    primary = tag.replace("_", "-").partition("-")[0].lower()
    primary = _SAME.get(primary, primary)
    return primary if primary in LANGUAGES else FALLBACK


@functools.cache
def texts_of(language: str) -> Mapping[str, Mapping[str, str]]:
    """Return a language's file: by occasion "title" and "text", and what surrounds them."""
    found: dict[str, dict[str, str]] = tomllib.loads((_FILES / f"{language}.toml").read_text(encoding="utf-8"))
    return found


def surrounding(part: str, key: str, *, language: str, program_name: str) -> str:
    """Return one of the texts around messages, "mail" or "stopped", with the program's name in its place."""
    return fill(texts_of(language)[part][key], {"program": _one_line(program_name)})


def notice_text(
    occasion: Occasion,
    args: tuple[tuple[str, str], ...],
    *,
    language: str,
    program_name: str,
    rules: RuleSet | None,
) -> tuple[str, str]:
    """Return title and text of a message, in one of our languages."""
    own = rules.notifications.own_text(occasion, language) if rules is not None else None
    standard = texts_of(language)[occasion.value]
    title, text = (own.title, own.text) if own is not None else (standard["title"], standard["text"])
    known = {name: value for name, value in args if name in ABOUT[occasion].places}
    values = {"program": _one_line(program_name), **known}
    return _one_line(fill(title, values)), fill(text, values)


def spoken(name: str) -> str:
    """Return an id of a rule set as people read it: "free_coffee" is "Free coffee"."""
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]


def credits_text(rules: RuleSet, credits: int) -> str:
    """Return qualifying credits in the unit of the tiers' basis: money with its currency, or a number."""
    if rules.tiers is None or rules.tiers.basis is not TierBasis.SPEND:
        return str(credits)
    places = exponent(rules.currency)
    if not places:
        return f"{credits} {rules.currency}"
    whole, part = divmod(credits, 10**places)
    return f"{whole}.{part:0{places}} {rules.currency}"


def _one_line(name: str) -> str:
    return " ".join(name.split())[:NAME_CHARS_MAX]
