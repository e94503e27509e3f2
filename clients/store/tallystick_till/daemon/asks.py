"""Requests of the local JSON API as the engine's records. Limits are those of the contract."""

from __future__ import annotations

import re
from typing import Final

from tallystick.core.basket import LINES_MAX, QUANTITY_MILLI_MAX, Basket, Line, TaxGroup
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.ids import AMOUNT_MINOR_MAX, POINTS_MAX, Minor
from tallystick.core.record import record
from tallystick_till.daemon.errors import FieldWrong
from tallystick_till.daemon.fields import Fields
from tallystick_till.daemon.shelf import Offered
from tallystick_till.types import ReturnAsk, SaleAsk

SCAN_CHARS_MAX: Final = 16_384
"""Longer than any code holds; the engine judges what is shorter and says why it is nobody."""
TEXT_CHARS_MAX: Final = 80
NAME_CHARS_MAX: Final = 64
CATEGORIES_MAX: Final = 8
CATEGORY_CHARS_MAX: Final = 32
TAX_GROUPS_MAX: Final = 16
TAX_CODE_CHARS_MAX: Final = 16
RATE_PPM_MAX: Final = 1_000_000
REWARDS_MAX: Final = 20
ENROL_CHARS_MAX: Final = 320
LANGUAGE_CHARS_MAX: Final = 35
PIN_CHARS_MAX: Final = 16

_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_REGION: Final = re.compile(r"[A-Z]{2}", re.ASCII)


@record(frozen=True, slots=True)
class ScanAsk:
    """What a scanner or a person gave."""

    scan: str
    aim_id: str
    source: str
    region: str


@record(frozen=True, slots=True)
class EnrolAsk:
    """Who wants to join."""

    text: str
    region: str
    member_id: str


def scan_ask(fields: Fields) -> ScanAsk:
    """Read the body of POST /identify. Raises ``ApiError``."""
    ask = ScanAsk(
        fields.text("scan", longest=SCAN_CHARS_MAX),
        fields.text("aim", longest=3, default=""),
        fields.one_of("source", ("wedge", "camera", "typed"), default="wedge"),
        _region(fields),
    )
    fields.done()
    return ask


def member_ask(fields: Fields) -> tuple[str, str]:
    """Read the body of POST /member: who, and the scan of a voucher or nothing. Raises ``ApiError``."""
    ask = fields.identifier("member_ref"), _voucher(fields)
    fields.done()
    return ask


def sale_ask(fields: Fields) -> SaleAsk:
    """Read the body of POST /quote and POST /sale. Raises ``ApiError``."""
    basket, texts = _basket(fields.object("basket"))
    ask = SaleAsk(
        member_ref=fields.identifier("member_ref"),
        basket=basket,
        texts=texts,
        spend=_spend(fields.object("spend")) if fields.has("spend") else None,
        reward_ids=fields.texts("reward_ids", most=REWARDS_MAX, longest=NAME_CHARS_MAX),
        voucher=_voucher(fields),
        sale_id=fields.identifier("sale_id", default=""),
        reference=_reference(fields, "reference"),
        basket_id=fields.text("basket_id", longest=NAME_CHARS_MAX, default=""),
        language=fields.text("language", longest=LANGUAGE_CHARS_MAX, default=""),
    )
    fields.done()
    return ask


def return_ask(fields: Fields) -> ReturnAsk:
    """Read the body of POST /return and its preview. Raises ``ApiError``."""
    ask = ReturnAsk(
        lines=fields.objects("lines", _returned, least=1, most=LINES_MAX),
        sale_id=fields.identifier("sale_id", default=""),
        receipt=fields.text("receipt", longest=SCAN_CHARS_MAX, default=""),
        return_id=fields.identifier("return_id", default=""),
        reference=_reference(fields, "reference"),
        member_ref=fields.identifier("member_ref", default=""),
    )
    fields.done()
    if bool(ask.sale_id) == bool(ask.receipt):
        raise FieldWrong("sale_id", "or receipt must be there, and not both")
    return ask


def enrol_ask(fields: Fields) -> EnrolAsk:
    """Read the body of POST /enrol. Raises ``ApiError``."""
    ask = EnrolAsk(
        fields.text("text", longest=ENROL_CHARS_MAX),
        _region(fields),
        fields.identifier("member_id", default=""),
    )
    fields.done()
    return ask


def offered(fields: Fields) -> Offered:
    """Read the basket of a till program; the screen gets it as it came, with the defaults filled in."""
    shown = {"prices_include_tax": True, "tax_groups": [], **(fields.peek("basket") or {})}
    _basket(fields.object("basket"))
    found = Offered(shown, fields.text("basket_id", longest=NAME_CHARS_MAX), _reference(fields, "reference"))
    fields.done()
    return found


def _voucher(fields: Fields) -> str:
    return fields.text("voucher", longest=SCAN_CHARS_MAX, default="")


def _basket(fields: Fields) -> tuple[Basket, tuple[str, ...]]:
    currency = fields.text("currency", longest=3)
    if not _CURRENCY.fullmatch(currency):
        raise FieldWrong(fields.place("currency"), "must be an ISO 4217 code such as EUR")
    lines = fields.objects("lines", _line, least=1, most=LINES_MAX)
    groups = fields.objects("tax_groups", _tax_group, least=0, most=TAX_GROUPS_MAX)
    if len({group.code for group in groups}) != len(groups):
        raise FieldWrong(fields.place("tax_groups"), "must have each code once")
    basket = Basket(
        currency, tuple(line for line, _ in lines), fields.flag("prices_include_tax", default=True), groups
    )
    fields.done()
    return basket, tuple(text for _, text in lines)


def _line(fields: Fields) -> tuple[Line, str]:
    line = Line(
        fields.text("sku", longest=NAME_CHARS_MAX),
        fields.whole("quantity_milli", low=1, high=QUANTITY_MILLI_MAX),
        Minor(fields.whole("amount_minor", low=0, high=AMOUNT_MINOR_MAX)),
        fields.text("tax_code", longest=TAX_CODE_CHARS_MAX, default=""),
        fields.texts("categories", most=CATEGORIES_MAX, longest=CATEGORY_CHARS_MAX),
        fields.text("brand", longest=NAME_CHARS_MAX, default=""),
    )
    return line, fields.shown("text", longest=TEXT_CHARS_MAX)


def _tax_group(fields: Fields) -> TaxGroup:
    return TaxGroup(
        fields.text("code", longest=TAX_CODE_CHARS_MAX), fields.whole("rate_ppm", low=0, high=RATE_PPM_MAX)
    )


def _spend(fields: Fields) -> Spend:
    up_to = fields.has("points_max")
    spend = Spend(fields.whole("points_max" if up_to else "points", low=1, high=POINTS_MAX), up_to)
    fields.done()
    return spend


def _returned(fields: Fields) -> ReturnLine:
    return ReturnLine(
        fields.whole("line_no", low=1, high=LINES_MAX),
        fields.whole("quantity_milli", low=1, high=QUANTITY_MILLI_MAX),
    )


def _reference(fields: Fields, name: str) -> str:
    text = fields.text(name, longest=NAME_CHARS_MAX, default="")
    if not text.isprintable():
        raise FieldWrong(fields.place(name), "must not hold control characters")
    return text


def _region(fields: Fields) -> str:
    region = fields.text("region", longest=2, default="")
    if region and not _REGION.fullmatch(region):
        raise FieldWrong("region", "must be an ISO 3166 country such as SE")
    return region
