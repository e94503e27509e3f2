"""What customers are told when rewards do not work out, in the language of the page."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import get_language, gettext, ngettext
from oscar.templatetags.currency_filters import currency

from tallystick.core.entry import Refusal
from tallystick.words import Names
from tallystick.words.why import why_not_of
from tallystick_oscar import baskets, conf
from tallystick_webshop import BadRequest, Refused, ShopError
from tallystick_webshop.results import Challenge

_TOLD = frozenset(
    {
        *(Refusal.INSUFFICIENT_POINTS, Refusal.NOT_WHOLE_UNITS, Refusal.BELOW_MINIMUM),
        *(Refusal.ABOVE_SHARE_CAP, Refusal.ABOVE_ASSURANCE_CAP, Refusal.CURRENCY_MISMATCH),
        *(Refusal.MEMBER_LOCKED, Refusal.MEMBER_BLOCKED, Refusal.MEMBER_UNKNOWN),
        *(Refusal.REWARD_UNKNOWN, Refusal.REWARD_NOT_IN_TIER, Refusal.REWARD_NOT_APPLICABLE),
        *(Refusal.REWARD_SOLD_OUT, Refusal.REWARD_LIMIT, Refusal.COUPON_NOT_FOR_MEMBER),
        *(Refusal.COUPON_UNKNOWN, Refusal.COUPON_USED, Refusal.COUPON_NOT_NOW, Refusal.COUPON_NOT_APPLICABLE),
        Refusal.HOLDS_TOO_MANY,
    }
)
"""Refusals about which a customer can do something, or has to know; of others the developers are told."""


def notice_of(error: ShopError) -> str:
    """Return what to tell a customer; developers find the rest in the log."""
    if isinstance(error, Refused):
        reason = Refusal.__members__.get(error.reason)
        if reason in _TOLD:
            names = Names(labels={name: str(text) for name, text in conf.get("TALLYSTICK_NAMES").items()})
            return f"{why_not_of(reason, error.details.items(), get_language() or '', names)}."
    if isinstance(error, BadRequest):
        return gettext("Points cannot be used on this basket.")
    return notice_away()


def notice_away() -> str:
    """Return what a shop without its gateway says."""
    return gettext(
        "Points and rewards cannot be used right now. You can order as usual; points for your order follow later."
    )


def notice_changed() -> str:
    """Return what is said before somebody would pay another total than the one they saw."""
    return gettext("The total has changed. Nothing has been paid: please look at it again before you order.")


_KINDS: dict[str, Callable[[], str]] = {
    "sale": lambda: gettext("Purchase"),
    "capture": lambda: gettext("Purchase"),
    "earn": lambda: gettext("Points earned"),
    "burn": lambda: gettext("Points used"),
    "hold": lambda: gettext("Reserved for an order"),
    "void": lambda: gettext("Given back"),
    "hold_release": lambda: gettext("Given back"),
    "return": lambda: gettext("Return"),
    "reverse": lambda: gettext("Undone"),
    "adjust": lambda: gettext("Adjusted"),
    "expire": lambda: gettext("Expired"),
    "mature": lambda: gettext("Ready to use"),
    "tier": lambda: gettext("New level"),
    "handover": lambda: gettext("Reward handed out"),
}


def kind_of(kind: str) -> str:
    """Return what a movement of the statement was; a kind that this package does not know keeps its own word."""
    word = _KINDS.get(kind)
    return word() if word else kind.replace("_", " ")


_TO_GO: dict[str, Callable[[int], str]] = {
    "sales": lambda n: ngettext("%(name)s: %(n)s purchase to go", "%(name)s: %(n)s purchases to go", n),
    "pieces": lambda n: ngettext("%(name)s: %(n)s piece to go", "%(name)s: %(n)s pieces to go", n),
    "points": lambda n: ngettext("%(name)s: %(n)s point to go", "%(name)s: %(n)s points to go", n),
    "days": lambda n: ngettext("%(name)s: %(n)s day to go", "%(name)s: %(n)s days to go", n),
}


def to_go(challenge: Challenge, code: str) -> str:
    """Return what is missing to a challenge, in a shop of a currency; empty for what this package cannot name."""
    said = {"name": challenge.name, "n": challenge.left}
    if challenge.counts == "spend":
        amount = currency(baskets.to_decimal(challenge.left, code), code)
        return gettext("%(name)s: %(amount)s to go") % {**said, "amount": amount}
    word = _TO_GO.get(challenge.counts)
    return word(challenge.left) % said if word else ""
