"""Numbers, money, days and plural forms: what the texts say is what the screens write beside them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tallystick.core.currency import exponent
from tallystick.words import LANGUAGES
from tallystick.words.catalogue import plural
from tallystick.words.figures import day, money, number, quantity
from tests.web.support.browser import NODE, open_context
from tools import web

PACKAGES = web.ROOT / web.WORKSPACE / "packages"
SCREENS = PACKAGES / "i18n" / "src" / "words.ts"
STRIP = (
    "const {stripTypeScriptTypes} = require('node:module');"
    "const {readFileSync} = require('node:fs');"
    "process.stdout.write(stripTypeScriptTypes(readFileSync(process.argv[1], 'utf8')))"
)
NUMBERS = [0, 1, -1, 9, 10, 999, 1_000, 1_234, -5_678, 12_345, 999_999, 1_234_567, -9_876_543_210, 10**15]
CURRENCIES = (
    *("EUR", "SEK", "NOK", "DKK", "PLN", "GBP", "USD", "CHF", "CZK", "ISK", "JPY", "KRW", "INR", "UAH"),
    *("AUD", "CAD", "NZD", "CNY", "ILS", "TRY", "KWD", "HUF"),
)
ALL_CURRENCIES = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD "
    "CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK "
    "LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD "
    "OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
    "SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF "
    "YER ZAR ZMW"
)
MINORS = [0, 1, -1, 5, 99, 100, -4_290, 123_456, 100_000_000, -987_654_321]
QUANTITIES = [0, 1, 10, 100, 250, 1_000, 1_500, 2_125, 12_000, -750, 1_234_500]
DAYS = [f"2024-{month:02d}-{number:02d}" for month in range(1, 13) for number in (1, 29)]


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """A page that has the words of the screens."""
    with open_context(browser) as context:
        opened = context.new_page()
        opened.evaluate(
            """async (source) => {
              const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
              globalThis.screens = await import(url);
            }""",
            stripped(SCREENS),
        )
        yield opened


def stripped(file: Path) -> str:
    """Return a source without its types."""
    done = subprocess.run(
        [NODE, "--no-warnings", "-e", STRIP, file], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def on_screen(page: Page, language: str, method: str, *calls: tuple[Any, ...]) -> list[str]:
    """Return what the screens write for each call."""
    script = """([language, method, calls]) => {
      const words = globalThis.screens.wordsOf(language, {});
      return calls.map((values) => words[method](...values));
    }"""
    return list(page.evaluate(script, [language, method, [list(values) for values in calls]]))


@pytest.mark.parametrize("language", LANGUAGES)
def test_numbers_are_those_of_the_screen(page: Page, language: str) -> None:
    shown = on_screen(page, language, "number", *[(value,) for value in NUMBERS])
    assert [number(value, language) for value in NUMBERS] == shown


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("currency", CURRENCIES)
def test_money_is_that_of_the_screen(page: Page, language: str, currency: str) -> None:
    told = {"currency": currency, "decimals": exponent(currency)}
    shown = on_screen(page, language, "money", *[(minor, told) for minor in MINORS])
    assert [money(minor, currency, language) for minor in MINORS] == shown


@pytest.mark.parametrize("package", ["i18n", "rewards"])
def test_a_currency_has_as_many_decimals_on_the_card_and_in_a_webshop_as_at_the_gateway(
    page: Page, package: str
) -> None:
    codes = ALL_CURRENCIES.split()
    counted = page.evaluate(
        """async ([source, codes]) => {
          const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
          const { decimalsOf } = await import(url);
          return codes.map(decimalsOf);
        }""",
        [stripped(PACKAGES / package / "src" / "currency.ts"), codes],
    )
    assert counted == [exponent(code) for code in codes]


@pytest.mark.parametrize("language", LANGUAGES)
def test_quantities_are_those_of_the_screen(page: Page, language: str) -> None:
    shown = on_screen(page, language, "quantity", *[(milli,) for milli in QUANTITIES])
    assert [quantity(milli, language) for milli in QUANTITIES] == shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_days_are_those_of_the_screen(page: Page, language: str) -> None:
    shown = on_screen(page, language, "day", *[(text,) for text in DAYS])
    assert [day(date.fromisoformat(text), language) for text in DAYS] == shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_plural_forms_are_those_of_the_browser(page: Page, language: str) -> None:
    script = """(language) => {
      const rules = new Intl.PluralRules(language);
      return [...Array(1200).keys()].map((value) => rules.select(value));
    }"""
    assert [plural(language, value) for value in range(1200)] == page.evaluate(script, language)
