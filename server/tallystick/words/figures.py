"""Numbers, money and days as each language writes them, the same as ``Intl`` gives on the screens beside them.

The regions are those of the screens: en-GB, sv-SE, pl-PL, nb-NO, lv-LV (Unicode CLDR). Groups of three digits are
always set apart, also in four digits, as figures that stand below each other need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from tallystick.core.currency import exponent

_HARD_SPACE: Final = "\u00a0"
_MINUS: Final = "\u2212"
_GROUP: Final = 3

_SYMBOLS: Final[Mapping[str, str]] = {
    "AUD": "$",
    "CAD": "$",
    "CNY": "¥",
    "CZK": "Kč",
    "DKK": "kr",
    "EUR": "€",
    "GBP": "£",
    "HUF": "Ft",
    "ILS": "₪",
    "INR": "₹",
    "ISK": "kr",
    "JPY": "¥",
    "KRW": "₩",
    "NOK": "kr",
    "NZD": "$",
    "PLN": "zł",
    "SEK": "kr",
    "TRY": "₺",
    "UAH": "₴",
    "USD": "$",
}
"""Narrow symbols that the five languages share; other currencies are written by their codes."""

_MONTHS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
    "sv": (
        *("januari", "februari", "mars", "april", "maj", "juni"),
        *("juli", "augusti", "september", "oktober", "november", "december"),
    ),
    "pl": (
        *("stycznia", "lutego", "marca", "kwietnia", "maja", "czerwca"),
        *("lipca", "sierpnia", "września", "października", "listopada", "grudnia"),
    ),
    "nb": (
        *("januar", "februar", "mars", "april", "mai", "juni"),
        *("juli", "august", "september", "oktober", "november", "desember"),
    ),
    "lv": (
        *("janvāris", "februāris", "marts", "aprīlis", "maijs", "jūnijs"),
        *("jūlijs", "augusts", "septembris", "oktobris", "novembris", "decembris"),
    ),
}
_DAYS: Final[Mapping[str, str]] = {
    "en": "{day} {month} {year}",
    "sv": "{day} {month} {year}",
    "pl": "{day} {month} {year}",
    "nb": "{day}. {month} {year}",
    "lv": "{year}. gada {day}. {month}",
}


def number(value: int, language: str) -> str:
    """Return a whole number: 12345 is "12,345" in English."""
    return _sign(value, language) + _grouped(str(abs(value)), language)


def decimal(units: int, language: str, *, places: int) -> str:
    """Return ``units`` of 10^-places with all its places: 1234 with two is "12.34" in English."""
    digits = str(abs(units)).rjust(places + 1, "0")
    whole = digits[: len(digits) - places]
    part = f"{_point(language)}{digits[len(digits) - places :]}" if places else ""
    return _sign(units, language) + _grouped(whole, language) + part


def quantity(milli: int, language: str) -> str:
    """Return thousandths as a number with as few decimals as it needs: 1500 is "1.5" in English."""
    places, units = 3, milli
    while places and units % 10 == 0:
        places, units = places - 1, units // 10
    return decimal(units, language, places=places)


def money(minor: int, currency: str, language: str) -> str:
    """Return minor units as money: 4290 EUR is "€42.90" in English and "42,90 €" in the others."""
    symbol = _SYMBOLS.get(currency, currency)
    amount = decimal(abs(minor), language, places=exponent(currency))
    sign = _sign(minor, language)
    if language != "en":
        return f"{sign}{amount}{_HARD_SPACE}{symbol}"
    gap = _HARD_SPACE if symbol[-1].isalpha() else ""
    return f"{sign}{symbol}{gap}{amount}"


def day(value: date, language: str) -> str:
    """Return a day with its year: "6 May 2026" in English."""
    month = _MONTHS[language][value.month - 1]
    return _DAYS[language].format(day=value.day, month=month, year=value.year)


def _grouped(digits: str, language: str) -> str:
    head = len(digits) % _GROUP
    groups = [digits[:head]] if head else []
    groups += [digits[at : at + _GROUP] for at in range(head, len(digits), _GROUP)]
    return ("," if language == "en" else _HARD_SPACE).join(groups)


def _point(language: str) -> str:
    return "." if language == "en" else ","


def _sign(value: int, language: str) -> str:
    if value >= 0:
        return ""
    return _MINUS if language in ("sv", "nb") else "-"
