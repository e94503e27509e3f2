"""What tells a reused command id from a retry: bytes that stand for a command's content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from tallystick.core.basket import Basket, Line, Origin
from tallystick.core.command import (
    ACTION,
    Adjust,
    AwardGoal,
    Burn,
    Capture,
    CatchUp,
    Command,
    ConvertIn,
    ConvertOut,
    CouponRef,
    Donate,
    Earn,
    GrantLease,
    IssueVoucher,
    PlaceHold,
    RecallLeases,
    RedeemReward,
    Return,
    ReturnLease,
    Reverse,
    Sale,
    SettleEnrolment,
    SettleReturn,
    SettleSale,
    SettleUndo,
    Spend,
    TransferBack,
    TransferIn,
    TransferOut,
    UseRedemption,
    Void,
)
from tallystick.core.compact import to_compact

FINGERPRINT_BYTES = 16


def fingerprint(command: Command) -> bytes:
    """Return 16 bytes that differ when the content differs, so that a reused id is told from a retry.

    The bytes are kept as long as the ledger: the encoding below may gain kinds, but never change for a kind that
    has been used.
    """
    name = type(command).__name__
    body = [name, command.member_id, *_origin(command.origin), *_ENCODERS[type(command)](command)]
    return hashlib.sha256(to_compact(body).encode()).digest()[:FINGERPRINT_BYTES]


def _origin(origin: Origin) -> tuple[int, int, str, str, str]:
    return (origin.occurred_ms, int(origin.channel), origin.store_id, origin.till_id, origin.reference)


def _line(line: Line) -> tuple[object, ...]:
    return (line.sku, line.quantity_milli, line.amount_minor, line.tax_code, line.categories, line.brand)


def _basket(basket: Basket | None) -> object:
    if basket is None:
        return None
    groups = [(group.code, group.rate_ppm) for group in basket.tax_groups]
    return (basket.currency, basket.prices_include_tax, groups, [_line(line) for line in basket.lines])


def _spend(spend: Spend | None) -> object:
    return None if spend is None else (spend.points, spend.up_to)


def _coupons(coupons: tuple[CouponRef, ...]) -> object:
    return [coupon.token for coupon in coupons]


def _sale(c: Sale) -> list[object]:
    asked = [_basket(c.basket), _spend(c.spend), c.reward_ids, int(c.assurance)]
    # What came later has no place in the encoding of a command that does without it.
    return [*asked, _coupons(c.coupons)] if c.coupons else asked


def _hold(c: PlaceHold) -> list[object]:
    asked = [c.ttl_s, _basket(c.basket), _spend(c.spend), c.reward_ids, int(c.assurance)]
    return [*asked, _coupons(c.coupons)] if c.coupons else asked


def _earn(c: Earn) -> list[object]:
    why = [] if c.why == ACTION else [c.why]
    by_rule = [c.action_id, c.subject] if c.action_id or c.subject else []
    return [c.points, c.reason, int(c.assurance), *why, *by_rule]


def _settle(c: SettleSale) -> list[object]:
    till = [c.rule_set, c.earned_points, c.burned_points, c.discount_minor]
    rights = [(int(right.kind), right.points, right.hold_id) for right in c.authorities]
    later = [rights, _spend(c.spend)] if rights or c.spend else []
    return [_basket(c.basket), *till, c.reward_ids, int(c.assurance), *later]


def _settle_return(c: SettleReturn) -> list[object]:
    lines = [(line.line_no, line.quantity_milli, line.amount_minor) for line in c.lines]
    return [c.sale_id, lines, c.rule_set]


def _return(c: Return) -> list[object]:
    return [c.sale_id, [(line.line_no, line.quantity_milli, line.amount_minor) for line in c.lines]]


_ENCODERS: dict[type[Any], Callable[[Any], list[object]]] = {
    Sale: _sale,
    Earn: _earn,
    Burn: lambda c: [c.points, c.reason, int(c.assurance)],
    PlaceHold: _hold,
    Capture: lambda c: [c.hold_id, _basket(c.basket)],
    Void: lambda c: [c.hold_id],
    Return: _return,
    Reverse: lambda c: [c.entry_id, c.reason],
    Adjust: lambda c: [c.points, c.reason, c.expires_ms],
    CatchUp: lambda _: [],
    GrantLease: lambda c: [c.store_id],
    ReturnLease: lambda c: [c.lease_id],
    RecallLeases: lambda _: [],
    IssueVoucher: lambda c: [c.store_id, c.points, c.reward_id, int(c.assurance)],
    RedeemReward: lambda c: [c.reward_id, int(c.assurance)],
    UseRedemption: lambda c: [c.redemption_id],
    TransferOut: lambda c: [c.to_member_id, c.points, int(c.assurance)],
    TransferIn: lambda c: [c.transfer_id, c.from_member_id, c.lots],
    TransferBack: lambda c: [c.transfer_id],
    ConvertOut: lambda c: [c.partner_id, c.to_member_id, c.points, int(c.assurance)],
    ConvertIn: lambda c: [c.partner_id, c.transfer_id, c.from_member_id, c.points],
    Donate: lambda c: [c.project_id, c.points, int(c.assurance)],
    AwardGoal: lambda c: [c.goal_id, c.points],
    SettleSale: _settle,
    SettleReturn: _settle_return,
    SettleUndo: lambda c: [c.sale_id, c.rule_set],
    SettleEnrolment: lambda _: [],
}
