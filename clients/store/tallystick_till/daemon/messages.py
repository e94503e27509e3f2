"""Each reason in a sentence that names the mend: for people at a prompt and programs that show what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    # Nothing can be kept safely.
    "DISK_FULL": "The disk is full: nothing can be kept safely. Free some space; nothing that was sold is lost.",
    "DISK_FAILED": "The disk does not take what is written. Check the disk, then start the till again.",
    "OUTBOX_CORRUPT": (
        "The till's file is damaged and was left as it is. Keep it, save what can be read with "
        "`tallystick-till export`, and hand the receipts in with `tallystick-till recover`."
    ),
    "NO_RULES": "This till has no rules yet: it must reach the gateway once before it can sell with points.",
    # Points are earned, but not burned.
    "CLOCK_UNTRUSTED": (
        "The machine was started without the gateway, so nobody can tell what time it is. "
        "Points are earned; they can be spent when the gateway was reached once."
    ),
    "RULES_PAST_DATE": (
        "The rules of this till are past their date. Points are earned; they can be spent when the gateway was reached."
    ),
    "AWAY_TOO_LONG": (
        "This till has been away from the gateway for too long. Points are earned; restore the line to spend them."
    ),
    "TILL_SUSPENDED": (
        "The gateway has suspended this till: its file was copied or restored too often. Make sure that there is one "
        "till with this key, then have a manager reinstate it."
    ),
    "TILL_RESTORED": (
        "This till's file is older than what the gateway has of it: it was restored from a copy. Points are earned; "
        "they can be spent when the gateway has begun a new epoch for it."
    ),
    "GATEWAY_BEHIND": (
        "The gateway was restored from a backup that lacks sales which this till no longer keeps, so none after them "
        "can go up in its order. Restore a younger backup. Or write what waits out with `tallystick-till export`, hand "
        "the file in with `tallystick-till recover`, and enrol this till anew in another directory."
    ),
    "KEY_REVOKED": (
        "This till was shut out: its key is revoked. Export what is queued with `tallystick-till export`, have a "
        "manager hand it in, then reset the till and enrol it again."
    ),
    "FLOOR_SPENT": "The floor limit is used up until the gateway has been reached. Points are earned.",
    "SERVER_NEWER": (
        "The gateway speaks a newer protocol than this till. The till goes on with what it knows; upgrade it."
    ),
    "HUB_TWICE": (
        "Another till of this store keeps leases as well, so a voucher may be taken twice, at the store's cost. "
        "One till is the hub: start the others with `--hub TILL_ID@HOST:PORT`, and revoke a till that is no more."
    ),
    "HUB_AWAY": "The till that keeps the store's vouchers does not answer. Start it, or sell without the voucher.",
    "MEMBER_BLOCKED": "This member is blocked: points are earned and not spent.",
    "MEMBER_LOCKED": "The member has locked the points in the app: they are earned and not spent until unlocked there.",
    # Refusals of a single sale.
    "INSUFFICIENT_POINTS": "The member has not enough points for that. Spend fewer.",
    "ABOVE_FLOOR": "While the line is down this many points cannot be spent here. Spend fewer, or none.",
    "VOUCHER_USED": "This voucher has been used already.",
    "CURRENCY_MISMATCH": "The basket is not in the program's currency. Sell without points, or set the currency right.",
    "TAX_CODE_UNKNOWN": "A line names a tax group that the basket does not list. Add it to tax_groups.",
    "BASKET_INVALID": "The basket holds more than a sale may. Send fewer or shorter lines.",
    "AMOUNT_OVERFLOW": "The amounts or points are too large to be counted. Check them: amounts are minor units.",
    "REWARD_UNKNOWN": "The rules of this till have no such reward. Take one of those that the member is shown with.",
    "REWARD_NOT_IN_TIER": "The reward is not for the member's tier. Sell without it.",
    "REWARD_NOT_APPLICABLE": "Nothing in the basket fits the reward, or it is not to be had now. Sell without it.",
    "REWARD_NEEDS_GATEWAY": "The reward is counted, so it is not to be had while the line is down. Sell without it.",
    "ABOVE_ASSURANCE_CAP": "The scan is not sure enough for that many points. Scan the card or app, or spend fewer.",
    "NOT_WHOLE_UNITS": "The points are no multiple of those that are spent at once. Spend whole units.",
    "BELOW_MINIMUM": "Fewer points than may be spent at once. Spend more, or none.",
    "ABOVE_SHARE_CAP": "Points would pay a larger share of the basket than they may. Spend fewer.",
    "LINE_UNKNOWN": "The sale has no such line. Lines are numbered from 1, as they were sold.",
    "OVER_RETURN": (
        "More would come back than is left of that line. The details say how much, in thousandths: 1000 is one piece."
    ),
    "MEMBER_UNKNOWN": "There is no such member. Scan the card again.",
    "SALE_UNKNOWN": "This till does not know the sale. Scan its receipt, or try again when the line is up.",
    "COMMAND_ID_REUSED": "This id belongs to something else. Take a new id for each sale, return or undo.",
    "SALE_ID_REUSED": "This id belongs to another sale. Take a new id for each sale.",
    "PIN_WRONG": "The PIN is wrong. Try again; five wrong ones lock the cashier for 15 minutes.",
    "PIN_LOCKED": "Too many wrong PINs: the cashier is locked for a while.",
    "CASHIER_UNKNOWN": "There is no such cashier at this store.",
    "OUTBOX_NOT_EMPTY": "Sales wait for the gateway. Let this till reach it, or export them first.",
}


def sentence(reason: str, told: str = "", details: Mapping[str, str] | None = None) -> str:
    """Return what to say about a reason: what the engine told, else the sentence here, else the bare reason."""
    if told and told != reason:
        return told
    if known := SENTENCES.get(reason):
        return known
    facts = ", ".join(f"{name} {value}" for name, value in (details or {}).items())
    return f"Refused: {reason}{f' ({facts})' if facts else ''}."
