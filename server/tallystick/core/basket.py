"""What is sold: lines, tax groups, and where the sale happened."""

from __future__ import annotations

from enum import IntEnum

from tallystick.core.ids import Minor, Ms
from tallystick.core.record import record

LINES_MAX = 500
QUANTITY_MILLI_MAX = 1_000_000_000


class Channel(IntEnum):
    """Where a command came from. The numbers are those of the contract and of the ledger."""

    UNKNOWN = 0
    STORE = 1
    WEBSHOP = 2
    APP = 3
    BACKOFFICE = 4


class Assurance(IntEnum):
    """How sure a scan is. The rule set caps what each level may burn; every entry records it."""

    TYPED = 0
    STATIC_CARD = 1
    SERVER_CODE = 2
    ROTATING_CODE = 3
    DEVICE_CODE = 4


@record(frozen=True, slots=True)
class TaxGroup:
    """A tax rate of a basket. ``rate_ppm`` is in parts per million of the net: 25 % is 250,000."""

    code: str
    rate_ppm: int


@record(frozen=True, slots=True)
class Line:
    """One line of a basket.

    ``quantity_milli`` counts thousandths (1,000 is one piece, 532 is 0.532 kg). ``amount_minor`` is the line's
    total before loyalty benefits, with or without tax as the basket says.
    """

    sku: str
    quantity_milli: int
    amount_minor: Minor
    tax_code: str = ""
    categories: tuple[str, ...] = ()
    brand: str = ""


@record(frozen=True, slots=True)
class Basket:
    """Lines in the order in which they were rung up; line numbers in results count from 1."""

    currency: str
    lines: tuple[Line, ...]
    prices_include_tax: bool = True
    tax_groups: tuple[TaxGroup, ...] = ()


@record(frozen=True, slots=True)
class Origin:
    """Where and when a command happened.

    ``occurred_ms`` is business time; the ledger's own order never depends on it. ``reference`` is the caller's
    receipt or order number.
    """

    occurred_ms: Ms
    channel: Channel = Channel.STORE
    store_id: str = ""
    till_id: str = ""
    reference: str = ""
