"""The sentence of an explanation or of a refusal.

What a value is follows from its name, as everywhere its unit stands last: ``discount_minor`` is money, ``earned_ms`` a
day (as is ``opens_on``), ``reward_id`` a name; other whole numbers are numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final

from tallystick.core.entry import Explanation, Refusal, Refused
from tallystick.core.ids import NEVER_MS
from tallystick.core.rules.model import AccrualRule
from tallystick.words.catalogue import PLAIN, catalogue, language_of, template
from tallystick.words.figures import day, money, number, quantity
from tallystick.words.names import NO_NAMES, Names, is_general, weekdays_only

_PLACE: Final = re.compile(r"\{(\w+)\}")
_WHOLE: Final = re.compile(r"-?[0-9]{1,16}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NAMED: Final = ("from", "to")
_UNTIL: Final = ("until",)
_MULTIPLY: Final = "multiply"
_MILLI: Final = 1000
_DOUBLE: Final = 2
_WEEKEND: Final = frozenset((5, 6))


def why(explanation: Explanation, language: str, names: Names = NO_NAMES) -> str:
    """Return why points came or went, in the language of a BCP 47 tag; the points themselves are not told.

    A code that the catalogue does not have, as one from a newer server, is told by the name of its rule.
    """
    language = language_of(language)
    rule = names.rules.get(explanation.rule_id)
    name = names.label(explanation.rule_id)
    values = dict(explanation.args) | {"n": str(abs(explanation.points))}
    shown = {"rule": name} | _facts(rule, values, language)
    codes, texts = catalogue()["codes"], catalogue()["texts"]
    if explanation.code not in codes:
        return _said(texts["unknown"], language, values, shown, names)
    key = explanation.code
    if key == _MULTIPLY and rule is not None and rule.num == _DOUBLE * rule.den:
        key += ".two"
    said = _fitting(codes, key, language, values, shown, names)
    if rule is None or is_general(rule) or key not in codes:
        return said
    return _said(texts["of_rule"], language, {}, {"text": said, "rule": name}, names)


def with_points(explanation: Explanation, language: str, names: Names = NO_NAMES) -> str:
    """Return the same with its points in front: "12 points: 1 point for every €1.00"; without points the sentence."""
    said = why(explanation, language, names)
    if not explanation.points:
        return said
    message = catalogue()["texts"]["with_points"]
    values = {"n": str(explanation.points)}
    return _said(message, language_of(language), values, {"text": said}, names)


def why_not(refused: Refused, language: str, names: Names = NO_NAMES) -> str:
    """Return why something was refused, as a member understands it, in the language of a BCP 47 tag."""
    return why_not_of(refused.reason, refused.details, language, names)


def why_not_of(
    reason: Refusal, details: Iterable[tuple[str, str]], language: str, names: Names = NO_NAMES
) -> str:
    """Return the same of a reason and its details."""
    messages = catalogue()["refusals"]
    key = reason.name if reason.name in messages else _GENERAL
    return _fitting(messages, key, language_of(language), dict(details), {}, names)


_GENERAL: Final = "REFUSED"


def receipt_word(key: str, language: str) -> str:
    """Return a word of the receipt: used, taken_off, earned, now, keep or training."""
    return template(catalogue()["texts"][f"receipt.{key}"], language_of(language), {})


def _fitting(
    messages: Mapping[str, Any],
    key: str,
    language: str,
    values: Mapping[str, str],
    shown: Mapping[str, str],
    names: Names,
) -> str:
    """Say a message, or its plain form where a value is not known that it needs."""
    known = values.keys() | shown.keys()
    text = template(messages[key], language, {})
    plain = key.partition(".")[0] + PLAIN
    if plain in messages and not known >= set(_PLACE.findall(text)):
        key = plain
    return _said(messages[key], language, values, shown, names)


def _said(
    message: Mapping[str, Any],
    language: str,
    values: Mapping[str, str],
    shown: Mapping[str, str],
    names: Names,
) -> str:
    """Fill a message's places: with what is shown as it is, and with values as their names say what they are."""
    counts = {name: int(text) for name, text in values.items() if _WHOLE.fullmatch(text)}

    def filled(place: re.Match[str]) -> str:
        name = place[1]
        if name in shown:
            return shown[name]
        # A detail that an older version did not record.
        return _value(name, values[name], language, names) if name in values else "?"

    return _PLACE.sub(filled, template(message, language, counts))


def _value(name: str, text: str, language: str, names: Names) -> str:
    if name in _NAMED or name.endswith("_id"):
        return names.label(text)
    if (name.endswith("_on") or name in _UNTIL) and _DAY.fullmatch(text):
        return day(date.fromisoformat(text), language)
    if not _WHOLE.fullmatch(text):
        return text
    value = int(text)
    if name.endswith("_minor"):
        return money(value, names.currency, language)
    if name.endswith("_ms"):
        at_s = min(max(value, 0), NEVER_MS - 1) // _MILLI
        return day(datetime.fromtimestamp(at_s, names.zone).date(), language)
    if name.endswith("_milli"):
        return quantity(value, language)
    return number(value, language)


def _facts(rule: AccrualRule | None, values: dict[str, str], language: str) -> dict[str, str]:
    """Add what the rule gives to the values, and return what is said about it in words."""
    if rule is None:
        return {}
    if rule.kind != _MULTIPLY:
        values["rate_points"] = str(rule.points)
        values["per_minor"] = str(rule.per_minor)
        return {}
    milli = rule.num * _MILLI // rule.den
    return {"factor": quantity(milli, language), "when": _when(rule, language)}


def _when(rule: AccrualRule, language: str) -> str:
    days = rule.when.weekdays
    if not weekdays_only(rule.when) or not (len(days) == 1 or days == _WEEKEND):
        return ""
    key = "weekend" if days == _WEEKEND else f"weekday.{min(days)}"
    return template(catalogue()["texts"][key], language, {})
