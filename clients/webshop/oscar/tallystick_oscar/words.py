"""What customers are told when rewards do not work out, in the language of the page."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import gettext

from tallystick_webshop import BadRequest, Refused, ShopError

_REFUSED: dict[str, Callable[[], str]] = {
    "INSUFFICIENT_POINTS": lambda: gettext("You do not have that many points any more."),
    "NOT_WHOLE_UNITS": lambda: gettext("Points are used in whole steps. Please choose again."),
    "BELOW_MINIMUM": lambda: gettext("That is fewer points than can be used at once."),
    "ABOVE_SHARE_CAP": lambda: gettext("That is more points than this basket can be paid with."),
    "ABOVE_ASSURANCE_CAP": lambda: gettext("That is more points than can be used online."),
    "MEMBER_LOCKED": lambda: gettext("Your points are locked. Unlock them in your card to use them."),
    "MEMBER_BLOCKED": lambda: gettext("This membership cannot be used at the moment."),
    "MEMBER_UNKNOWN": lambda: gettext("This membership does not exist any more. Please join again."),
    "REWARD_UNKNOWN": lambda: gettext("This reward is no longer offered."),
    "REWARD_NOT_IN_TIER": lambda: gettext("This reward is for another level."),
    "REWARD_NOT_APPLICABLE": lambda: gettext("Nothing in your basket fits this reward."),
    "REWARD_SOLD_OUT": lambda: gettext("Nothing is left of this reward."),
    "REWARD_LIMIT": lambda: gettext("You have had this reward as often as it is given."),
    "COUPON_UNKNOWN": lambda: gettext("We do not know this code. Please check it."),
    "COUPON_USED": lambda: gettext("This code has been used."),
    "COUPON_NOT_NOW": lambda: gettext("This code cannot be used today."),
    "COUPON_NOT_APPLICABLE": lambda: gettext("Nothing in your basket fits this code."),
    "CURRENCY_MISMATCH": lambda: gettext("Points cannot be used in this currency."),
    "HOLDS_TOO_MANY": lambda: gettext(
        "Several of your orders wait for payment. Please try again a little later."
    ),
}


def notice_of(error: ShopError) -> str:
    """Return what to tell a customer; developers find the rest in the log."""
    if isinstance(error, Refused) and error.reason in _REFUSED:
        return _REFUSED[error.reason]()
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
