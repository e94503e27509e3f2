"""Loyalty at a webshop's checkout: quote, hold, capture or void, return; safe against a crash between any two steps."""

from tallystick.core.basket import Assurance
from tallystick.security.device_profile import Profile
from tallystick.security.ids import new_id
from tallystick_webshop import webhooks
from tallystick_webshop.basket import Article, Basket, Line, ReturnLine, UpTo
from tallystick_webshop.client import Shop
from tallystick_webshop.errors import Away, BadRequest, NotAllowed, Refused, ShopError
from tallystick_webshop.posting import SIGNED_IN, Posting
from tallystick_webshop.results import (
    Balance,
    Benefits,
    Card,
    Claim,
    Earned,
    Enrolment,
    Held,
    HoldRef,
    Member,
    Movement,
    NewMember,
    Opening,
    Quote,
    Returned,
    ReturnEffects,
    Sale,
    Voided,
    Why,
    WidgetToken,
    Wish,
)

__all__ = [
    "SIGNED_IN",
    "Article",
    "Assurance",
    "Away",
    "BadRequest",
    "Balance",
    "Basket",
    "Benefits",
    "Card",
    "Claim",
    "Earned",
    "Enrolment",
    "Held",
    "HoldRef",
    "Line",
    "Member",
    "Movement",
    "NewMember",
    "NotAllowed",
    "Opening",
    "Posting",
    "Profile",
    "Quote",
    "Refused",
    "ReturnEffects",
    "ReturnLine",
    "Returned",
    "Sale",
    "Shop",
    "ShopError",
    "UpTo",
    "Voided",
    "Why",
    "WidgetToken",
    "Wish",
    "new_id",
    "webhooks",
]
