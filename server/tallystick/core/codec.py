"""The stored form of what later commands read back: an entry's detail, a tier's state, allocations.

JSON with short keys: readable by an operator, written and parsed in C. A key that is absent has its default.
What is stored stays readable for ever: keys may be added, never renamed.
"""

from __future__ import annotations

from typing import Any

from tallystick.core.compact import from_compact, to_compact
from tallystick.core.entry import (
    NO_DETAIL,
    AppliedCoupon,
    AppliedReward,
    CountedLines,
    Detail,
    Explanation,
    LineShare,
    MovedLot,
    ReturnedLine,
    SharedLines,
    SharedSum,
    TaxTotal,
    Transferred,
)
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.core.state import NO_TIER, Alloc, HeldCoupon, Tally, TierState


def detail_to_text(detail: Detail) -> str:
    """Return the stored text of a detail; the empty string for the empty detail."""
    # The records are tuples in the order of their fields, and JSON writes a tuple as an array.
    body: dict[str, object] = {}
    for key, name in _RECORDS:
        value = getattr(detail, name)
        if value:
            body[key] = value
    for key in _SCALARS:
        value = getattr(detail, key)
        if value:
            body[key] = value
    return to_compact(body) if body else ""


_RECORDS = (
    ("explain", "explanations"),
    ("lines", "lines"),
    ("allocs", "allocs"),
    ("tax", "tax_totals"),
    ("rewards", "rewards"),
    ("returned", "returned"),
    ("coupons", "coupons"),
    ("tallies", "tallies"),
    ("counted", "counted"),
    ("transfer", "transfer"),
    ("shared", "shared"),
    ("sums", "sums"),
)
_SCALARS = (
    "payable_minor",
    "credit_day",
    "due_points",
    "restored_points",
    "refund_minor",
    "reason",
    "partner_id",
)


def detail_from_text(text: str) -> Detail:
    """Return the detail of a stored text. Raises ValueError or KeyError when the text is not one of ours."""
    if not text:
        return NO_DETAIL
    body: Any = from_compact(text)
    if not isinstance(body, dict):
        raise ValueError(f"a detail is an object, not {type(body).__name__}")
    return Detail(
        explanations=tuple(
            Explanation(rule, line_no, points, code, tuple((k, v) for k, v in args))
            for rule, line_no, points, code, args in body.get("explain", ())
        ),
        lines=tuple(
            LineShare(Minor(amount), quantity, Minor(discount), earned, burned, credits)
            for amount, quantity, discount, earned, burned, credits in body.get("lines", ())
        ),
        allocs=tuple(Alloc(lot_seq, points) for lot_seq, points in body.get("allocs", ())),
        tax_totals=tuple(TaxTotal(*row) for row in body.get("tax", ())),
        rewards=tuple(AppliedReward(*row) for row in body.get("rewards", ())),
        returned=tuple(ReturnedLine(*row) for row in body.get("returned", ())),
        coupons=tuple(AppliedCoupon(*row) for row in body.get("coupons", ())),
        tallies=tuple(Tally(*row) for row in body.get("tallies", ())),
        counted=tuple(
            CountedLines(key, period, whole, tuple(shares))
            for key, period, whole, shares in body.get("counted", ())
        ),
        shared=tuple(SharedLines(key, by, tuple(shares)) for key, by, shares in body.get("shared", ())),
        sums=tuple(SharedSum(*row) for row in body.get("sums", ())),
        transfer=_transferred(body["transfer"]) if "transfer" in body else None,
        **{key: body[key] for key in _SCALARS if key in body},
    )


def _transferred(row: Any) -> Transferred:
    transfer_id, other_id, lots = row
    moved = tuple(MovedLot(points, Ms(earned), Ms(expires)) for points, earned, expires in lots)
    return Transferred(CommandId(transfer_id), MemberId(other_id), moved)


def tier_to_text(tier: TierState) -> str:
    """Return the stored text of a tier's state; the empty string where there is none."""
    if tier == NO_TIER:
        return ""
    prior = (tier.prior_id, tier.prior_review_ms)
    return to_compact([tier.tier_id, prior, tier.reached_ms, tier.review_ms, tier.basis, tier.buckets])


def tier_from_text(text: str) -> TierState:
    """Return the tier's state of a stored text."""
    if not text:
        return NO_TIER
    tier_id, (prior_id, prior_review_ms), reached_ms, review_ms, basis, buckets = from_compact(text)
    pairs = tuple((day, credits) for day, credits in buckets)
    return TierState(tier_id, prior_id, Ms(reached_ms), Ms(review_ms), basis, pairs, Ms(prior_review_ms))


def tallies_to_text(tallies: tuple[Tally, ...]) -> str:
    """Return the stored text of a member's tallies; the empty string for none."""
    return to_compact(tallies) if tallies else ""


def tallies_from_text(text: str) -> tuple[Tally, ...]:
    """Return the tallies of a stored text."""
    return tuple(Tally(key, period, count) for key, period, count in from_compact(text)) if text else ()


def allocs_to_text(allocs: tuple[Alloc, ...]) -> str:
    """Return the stored text of the lots behind a hold."""
    return to_compact(allocs)


def held_coupons_from_text(text: str) -> tuple[HeldCoupon, ...]:
    """Return the coupons that a hold reserves, out of their compact JSON."""
    return tuple(HeldCoupon(coupon_id, token) for coupon_id, token in from_compact(text))


def allocs_from_text(text: str) -> tuple[Alloc, ...]:
    """Return the lots behind a hold."""
    return tuple(Alloc(lot_seq, points) for lot_seq, points in from_compact(text))
