"""What a till checks of what it is asked, before anything is promised: what the gateway would not take either."""

from __future__ import annotations

import unicodedata
import uuid

from tallystick.core.entry import Refusal, Refused
from tallystick.core.ids import POINTS_MAX
from tallystick.core.rules.model import RuleSet
from tallystick.core.sale import check_basket
from tallystick.wire.advices import ADVICE_BYTES_MAX, REFERENCE_MAX
from tallystick.wire.basket import basket_to_pb
from tallystick_till.authority import ABOVE_FLOOR, Limits
from tallystick_till.errors import SaleRefused
from tallystick_till.types import RefusalView, SaleAsk

REWARDS_MAX = 10
BASKET_BYTES_MAX = ADVICE_BYTES_MAX - 4_096
"""What a basket may take of an advice; the rest of it needs less than what is left."""


def checked_id(text: str) -> str:
    """Return an id in its one spelling, empty for none. Raises ``SaleRefused`` when it is no UUID."""
    if not text:
        return ""
    try:
        canonical = str(uuid.UUID(text))
    except ValueError:
        canonical = ""
    if canonical != text.lower():
        raise SaleRefused("INVALID_INPUT", "An id is a UUID in its 36-character text form.")
    return canonical


def refusal_of(no: Refused) -> RefusalView:
    """Return a refusal of the core for the screen."""
    return RefusalView(no.reason.name, dict(no.details))


def stand_in_refusal(no: Refused, limits: Limits) -> RefusalView:
    """Say why a till does not burn: because it may not, because it may not so much, or because there is not so much."""
    if no.reason is not Refusal.INSUFFICIENT_POINTS:
        return refusal_of(no)
    details = dict(no.details)
    if limits.stop:
        return RefusalView(limits.stop, details)
    asked = int(details.get("points", "0"))
    enough = asked <= limits.shown + limits.voucher
    return RefusalView(ABOVE_FLOOR if enough else no.reason.name, details)


def check_ask(ask: SaleAsk, rules: RuleSet) -> None:
    """Check what the gateway would not take either, before anything is promised."""
    no = check_basket(rules, ask.basket)
    if no is not None:
        view = refusal_of(no)
        raise SaleRefused(view.reason, details=view.details)
    if ask.spend is not None and not 0 <= ask.spend.points <= POINTS_MAX:
        raise SaleRefused("AMOUNT_OVERFLOW", details={"points_max": str(POINTS_MAX)})
    if len(ask.reward_ids) > REWARDS_MAX or len(set(ask.reward_ids)) != len(ask.reward_ids):
        raise SaleRefused("INVALID_INPUT", f"A sale takes at most {REWARDS_MAX} rewards, each once.")
    check_reference(ask.reference)
    try:
        size = basket_to_pb(ask.basket).ByteSize()
    except (TypeError, ValueError):
        raise SaleRefused("BASKET_INVALID", "The basket holds text that is no text.") from None
    fields = all(
        0 < len(line.sku) <= 64 and len(line.categories) <= 8 and len(line.brand) <= 64
        for line in ask.basket.lines
    )
    if not fields or size > BASKET_BYTES_MAX:
        raise SaleRefused("BASKET_INVALID", details={"bytes": str(size)})


def check_reference(text: str) -> None:
    """Raise ``SaleRefused`` for a receipt number that is too long or holds control characters."""
    if len(text) > REFERENCE_MAX or any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        raise SaleRefused(
            "INVALID_INPUT",
            f"A reference has at most {REFERENCE_MAX} characters, none of them control characters.",
        )
