"""Refusals in words: one English sentence for each reason, for logs and developers.

People at a till see texts in their own language that clients keep by reason; these sentences may change.
"""

from __future__ import annotations

from tallystick.core.entry import Refusal, Refused
from tallystick.core.ids import NEVER_MS
from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.v1 import ledger_pb2 as pb

_TEXTS: dict[Refusal, str] = {
    Refusal.COMMAND_ID_REUSED: "The command_id was used before with other content: make a new id for a new command.",
    Refusal.MEMBER_UNKNOWN: "The program has no such member: identify or enrol the member first.",
    Refusal.MEMBER_BLOCKED: "The member is {status} and neither earns nor burns.",
    Refusal.OCCURRED_AT_OUT_OF_RANGE: "occurred_at must lie between {earliest} and {latest}: check the caller's clock.",
    Refusal.RULE_SET_UNKNOWN: "The program has no rule set in force: publish one first.",
    Refusal.CURRENCY_MISMATCH: "The basket is in {currency} and the program in {program_currency}.",
    Refusal.BASKET_EMPTY: "Lines are needed and there are none.",
    Refusal.BASKET_INVALID: "A line of the basket, or the number of lines, is outside its range.",
    Refusal.TAX_CODE_UNKNOWN: "A line names the tax group {tax_code}, which the basket does not list.",
    Refusal.AMOUNT_OVERFLOW: "A sum would leave the range of amounts or points.",
    Refusal.REWARD_UNKNOWN: "The rule set has no reward {reward_id}.",
    Refusal.REWARD_NOT_IN_TIER: "The reward {reward_id} is not for the tier {tier_id}.",
    Refusal.REWARD_NOT_APPLICABLE: "Nothing in the basket fits the reward {reward_id}, or it is not to be had now.",
    Refusal.ABOVE_ASSURANCE_CAP: "The scan is not sure enough for {points} points; at most {points_max}.",
    Refusal.NOT_WHOLE_UNITS: "{points} is not a multiple of {unit_points} points.",
    Refusal.BELOW_MINIMUM: "{points} points are fewer than the least that can be burned, {minimum_points}.",
    Refusal.ABOVE_SHARE_CAP: "{points} points would pay too large a share of the basket; at most {points_max}.",
    Refusal.INSUFFICIENT_POINTS: "The member has {available} active points, fewer than {points}.",
    Refusal.HOLD_TTL: "ttl_s is {ttl_s}; the rule set allows at most {ttl_max_s}.",
    Refusal.HOLD_UNKNOWN: "The member has no hold {hold_id}.",
    Refusal.HOLD_CLOSED: "The hold {hold_id} is {status} already.",
    Refusal.HOLD_EXPIRED: "The time of the hold {hold_id} is over and its points were given back.",
    Refusal.SALE_UNKNOWN: "The member has no sale {sale_id}.",
    Refusal.LINE_UNKNOWN: "The sale has {lines} lines and no line {line_no}.",
    Refusal.OVER_RETURN: "More of line {line_no} would come back than is left: {quantity_milli_left} thousandths.",
    Refusal.ENTRY_UNKNOWN: "The member has no entry {entry_id}.",
    Refusal.NOT_REVERSIBLE: "The entry {entry_id} cannot be reversed: it is of kind {kind}, or goods of it came back.",
    Refusal.ALREADY_REVERSED: "It was reversed before.",
    Refusal.HOLDS_TOO_MANY: "The member has {open_max} open holds, the most that the rule set allows.",
    Refusal.LEASES_OFF: "The rule set gives stores no leases.",
    Refusal.LEASE_EXISTS: "The store has an open lease of the member: {lease_id}.",
    Refusal.MEMBER_LOCKED: "The member has locked the points: they can be earned and not burned.",
    Refusal.ADJUST_NEEDS_SECOND: "More than {points_max} points need a second person: review {review_id} is {state}.",
    Refusal.COUPON_UNKNOWN: "There is no coupon with the code number {coupon_no}, or it is another member's.",
    Refusal.COUPON_USED: "The coupon {coupon_id} has been used or reserved as often as it may be.",
    Refusal.COUPON_NOT_NOW: "The time of the coupon {coupon_id} has not come or is over.",
    Refusal.COUPON_NOT_APPLICABLE: "The coupon {coupon_id} takes nothing off this basket, here, or beside the others.",
    Refusal.REWARD_SOLD_OUT: "Nothing is left of the reward {reward_id}.",
    Refusal.REWARD_LIMIT: "A member has the reward {reward_id} at most {count} times ({per}).",
    Refusal.REWARD_NEEDS_GATEWAY: "The reward {reward_id} is counted: only the gateway can say that there is one left.",
    Refusal.ACTION_UNKNOWN: "The rule set has no action {action_id}.",
    Refusal.ACTION_LIMIT: "The action {action_id} gives a member points at most {count} times ({per}).",
    Refusal.ACTION_NOT_NOW: "The action {action_id} gives no points now, here, or to this member.",
    Refusal.REDEMPTION_USED: "What was bought with {redemption_id} was handed out before.",
    Refusal.TRANSFERS_OFF: "The rule set lets nobody give points to others.",
    Refusal.SHARING_LIMIT: "{points} points more than the {given} given already are above the limit of {points_max}.",
    Refusal.RECEIVER_NOT_ALLOWED: "Points cannot be given to that member: {why}.",
    Refusal.MEMBER_TOO_NEW: "The member has been one for {days} days; it takes {days_min}.",
    Refusal.PROJECT_UNKNOWN: "The rule set has no project {project_id}.",
    Refusal.PARTNER_UNKNOWN: "The rule set has no partner program {partner_id}.",
    Refusal.COUPON_NOT_FOR_MEMBER: "The coupon {coupon_id} is for other members, or its days for this one are over.",
}


class _Unsaid(dict[str, str]):
    """Details of a refusal; one that was not recorded is shown as a question mark."""

    def __missing__(self, name: str) -> str:
        return "?"


def refused_to_pb(refused: Refused) -> pb.Refused:
    """Return the refusal with its sentence and its figures."""
    details = _Unsaid(refused.details)
    if refused.reason is Refusal.OCCURRED_AT_OUT_OF_RANGE:
        details = _Unsaid((name.removesuffix("_ms"), _instant(text)) for name, text in refused.details)
    message = _TEXTS[refused.reason].format_map(details)
    return pb.Refused(reason=_REASONS[refused.reason], message=message, details=details)


def _instant(ms: str) -> str:
    """Return an instant as the contract tells it (RFC 3339); what lies behind year 9999 is its end."""
    return ms_to_pb(min(int(ms), NEVER_MS - 1)).ToJsonString()


_REASONS = {reason: pb.RefusalReason.ValueType(int(reason)) for reason in Refusal}
