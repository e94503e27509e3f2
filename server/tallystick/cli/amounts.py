"""What people type at the prompt: amounts of money, quantities, lines of a basket; and new ids."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from tallystick.cli.output import EXIT_USAGE, CommandFailed
from tallystick.core.currency import exponent
from tallystick.core.record import record
from tallystick.security.ids import new_id

__all__ = ["AMOUNT_DIGITS_MAX", "TypedLine", "new_id", "parse_amount", "parse_line", "show_amount"]

AMOUNT_DIGITS_MAX = 15


@record(frozen=True, slots=True)
class TypedLine:
    """One line of a basket as typed: SKU:QUANTITY:AMOUNT, with its categories behind a further colon."""

    sku: str
    quantity_milli: int
    amount: str
    categories: tuple[str, ...]


def parse_line(text: str) -> TypedLine:
    """Read `AMOUNT` or `SKU:QUANTITY:AMOUNT[:CATEGORY[,CATEGORY]]`; the amount is the total of the line."""
    parts = text.split(":")
    if len(parts) == 1:
        return TypedLine("item", 1000, parts[0], ())
    if len(parts) not in (3, 4) or not parts[0]:
        raise _refused(
            text, "a line", "write an amount such as 12.50, or SKU:QUANTITY:AMOUNT such as tea:2:7.80"
        )
    categories = tuple(part for part in parts[3].split(",") if part) if len(parts) == 4 else ()
    return TypedLine(parts[0], _scaled(parts[1], 3, "a quantity"), parts[2], categories)


def parse_amount(text: str, currency: str) -> int:
    """An amount in minor units, exact: 12.5 EUR is 1250. CommandFailed when it has more decimals than the currency."""
    return _scaled(text, exponent(currency), f"an amount in {currency}")


def show_amount(amount_minor: int, currency: str) -> str:
    """An amount for people, with all decimals of its currency: 12.34 EUR."""
    places = exponent(currency)
    sign = "-" if amount_minor < 0 else ""
    whole, part = divmod(abs(amount_minor), 10**places)
    decimals = f".{part:0{places}d}" if places else ""
    return f"{sign}{whole:,}{decimals} {currency}"


def _scaled(text: str, places: int, what: str) -> int:
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise _refused(text, what, "write digits with a point, such as 12.50") from None
    if not value.is_finite() or value < 0:
        raise _refused(text, what, "it must be 0 or more")
    if value.adjusted() >= AMOUNT_DIGITS_MAX:
        raise _refused(text, what, f"it has at most {AMOUNT_DIGITS_MAX} digits before the point")
    scaled = value.scaleb(places)
    if scaled != scaled.to_integral_value():
        raise _refused(text, what, f"it has at most {places} decimals")
    return int(scaled)


def _refused(text: str, what: str, mend: str) -> CommandFailed:
    return CommandFailed(f"'{text}' is not {what}", mend=mend, code=EXIT_USAGE)
