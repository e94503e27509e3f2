"""What can go wrong, in four kinds; each says in ``mend`` what a shop does about it.

Refused      the gateway decided against it: a value in the contract, raised here so that nobody sells a discount
             that is not there by forgetting to look
Away         no answer: sell without rewards, store the posting, post it later
NotAllowed   this shop's key, role or clock: a person must act
BadRequest   a basket or an argument that breaks its rules: nothing was sent or written
"""

from __future__ import annotations

from collections.abc import Mapping


class ShopError(Exception):
    """Whatever the gateway or this package says instead of an answer. ``mend`` says what to do about it."""

    def __init__(self, message: str, *, mend: str) -> None:
        super().__init__(message)
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.mend}" if self.mend else str(self.args[0])


class Refused(ShopError):
    """The gateway's decision: no. It is final for its id; sending it again answers the same.

    ``reason`` is a stable word of the contract such as "INSUFFICIENT_POINTS" (RefusalReason, IdentityRefusalReason or
    ClaimRefusal without its prefix), or CLAIM_UNKNOWN. ``message`` says it in English for logs, ``details`` are its
    figures by name. ``replayed`` is True when this had been decided before. ``text`` says it to the member in the
    language that the call asked for, empty when it asked for none.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        details: Mapping[str, str] | None = None,
        *,
        replayed: bool = False,
        text: str = "",
    ) -> None:
        super().__init__(f"{message} ({reason})", mend=MENDS.get(reason, DEFAULT_MEND))
        self.reason = reason
        self.message = message
        self.details = dict(details or {})
        self.replayed = replayed
        self.text = text


class Away(ShopError):
    """The gateway did not answer in time. Whether a command took effect is not known: send it again with its id."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            mend="sell without rewards, store what is to be posted, and post it with the same id later",
        )


class NotAllowed(ShopError):
    """The gateway does not let this shop in, or not to this method. ``reason`` is an ErrorReason of the contract."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{message} ({reason})", mend=NOT_ALLOWED_MENDS.get(reason, NOT_ALLOWED_MEND))
        self.reason = reason


class BadRequest(ShopError):
    """An argument that breaks its rules. ``violations`` are "field: what it must be", when the gateway found them."""

    def __init__(self, message: str, *, mend: str, violations: tuple[str, ...] = ()) -> None:
        super().__init__(message, mend=mend)
        self.violations = violations


DEFAULT_MEND = "show the buyer the price without rewards, and keep the reason in your log"
NOT_ALLOWED_MEND = "make a code with `tallystick device code --role webshop` and enrol this shop again"

_QUOTE_AGAIN = "ask for a new quote and show the buyer the new price before the order is placed"
_CHOOSE_FEWER = "ask for a quote with points='max', which takes as many as are allowed"
_PAY_IN_FULL = "the discount is gone: take the full price, or make a new hold before the payment"
_NEW_ID = "this id belongs to something else: use a new id for each command, stored before the first send"

MENDS: Mapping[str, str] = {
    "COMMAND_ID_REUSED": _NEW_ID,
    "REQUEST_ID_REUSED": _NEW_ID,
    "MEMBER_UNKNOWN": "take the link to this member off the shop's account and let the buyer join again",
    "MEMBER_BLOCKED": "sell without rewards; nothing is earned",
    "MEMBER_LOCKED": "the member has locked the points in the app: earn only, or ask them to unlock",
    "OCCURRED_AT_OUT_OF_RANGE": "correct this machine's clock; what is older than 30 days, a person adjusts by hand",
    "RULE_SET_UNKNOWN": "publish a rule set for the program",
    "CURRENCY_MISMATCH": "the program has one currency: sell baskets of another without rewards",
    "BASKET_EMPTY": "send at least one line",
    "BASKET_INVALID": "correct the line that the details name",
    "TAX_CODE_UNKNOWN": "list the tax group in the basket's taxes",
    "AMOUNT_OVERFLOW": "amounts are in minor units (cents): check that they were not scaled twice",
    "REWARD_UNKNOWN": _QUOTE_AGAIN,
    "REWARD_NOT_IN_TIER": _QUOTE_AGAIN,
    "REWARD_NOT_APPLICABLE": _QUOTE_AGAIN,
    "REWARD_SOLD_OUT": _QUOTE_AGAIN,
    "REWARD_LIMIT": _QUOTE_AGAIN,
    "REWARD_NEEDS_GATEWAY": "take the reward in a checkout: as a voucher it is not to be had",
    "ACTION_UNKNOWN": "name an action of the rule set in force",
    "ACTION_LIMIT": "the member has had these points: tell them so, and do not send it again",
    "ACTION_NOT_NOW": "the action gives no points now, here, or to this member: do not send it again",
    "ABOVE_ASSURANCE_CAP": "let the member sign in first: a typed number may earn but not burn",
    "NOT_WHOLE_UNITS": _CHOOSE_FEWER,
    "BELOW_MINIMUM": "there is nothing to hold: place the order with `sell` instead of hold and capture",
    "ABOVE_SHARE_CAP": _CHOOSE_FEWER,
    "INSUFFICIENT_POINTS": _QUOTE_AGAIN,
    "HOLD_TTL": "ask for a ttl_s of at most the detail ttl_max_s",
    "HOLD_UNKNOWN": "was the Hold answered? Send it again with its id; if it is another member's, this is a mistake",
    "HOLD_CLOSED": "the hold has been captured or voided already: look at which of the two your order wants",
    "HOLD_EXPIRED": _PAY_IN_FULL,
    "HOLDS_TOO_MANY": "void the holds of baskets that were left, or wait until they run out",
    "SALE_UNKNOWN": "post the sale first: it may still wait in your queue",
    "LINE_UNKNOWN": "line numbers count from 1 in the order of the basket that was captured",
    "OVER_RETURN": "return at most the quantity or amount that the details say is left",
    "ALREADY_REVERSED": "the sale was undone as a whole: there is nothing left to return",
    "COUPON_UNKNOWN": "ask the buyer to check the code",
    "COUPON_USED": "take the coupon off the basket and ask for a new quote",
    "COUPON_NOT_NOW": "take the coupon off the basket and ask for a new quote",
    "COUPON_NOT_FOR_MEMBER": "take the coupon off the basket: it is for other members, or its days are over",
    "COUPON_NOT_APPLICABLE": "take the coupon off the basket and ask for a new quote",
    "CLAIM_UNKNOWN": "it was never made, or its time was over long ago: nobody can redeem it",
    "TAKEN": "somebody has it already: identify them by it once they have proved that it is theirs",
    "AMBIGUOUS": "say which with number=, email= or phone= and a region",
    "OVER": "the claim's time is over, or its order was cancelled: nothing can be claimed",
    "UNKNOWN": "ask the buyer to check what they typed",
    "REPLAYED": "ask the member for a fresh code",
    "EXPIRED": "ask the member for a fresh code",
    "CLOCK": "ask the member to set the phone's clock, or for the member number",
    "CHECK_DIGIT": "ask the buyer to check what they typed",
    "FORMAT": "ask the buyer to check what they typed",
    "PAYMENT_CARD": "that is a payment card: never send it, and ask for the member number",
}

NOT_ALLOWED_MENDS: Mapping[str, str] = {
    "DEVICE_NOT_CONFIRMED": "a manager confirms the fingerprint with `tallystick device confirm`",
    "WEB_ORIGIN_NOT_ALLOWED": "add the page's origin to the gateway's setting cors_origins and restart it",
    "ASSERTION_INVALID": "compare the profile's issuer with the gateway's, and this machine's clock with the time",
    "ROLE_NOT_ALLOWED": "use a profile whose role is webshop",
    "ORIGIN_MISMATCH": "give no store or the one that the shop was enrolled for",
    "ENROLMENT_CODE_INVALID": "have a manager make a new code: `tallystick device code`",
}
