"""Coupons as rows: columns in their order, and the records that they are read into."""

from __future__ import annotations

from typing import Any

from tallystick.service.coupon_ports import CodeState, CouponChanges, CouponCode, Reservation
from tallystick.storage.rows import Row

CODE_COLUMNS = (
    "token, batch_id, position, coupon_id, member_id, state, used_by, reserved_until_ms, created_ms, revoked"
)
RESERVATION_COLUMNS = "member_id, hold_id, coupon_id, token, until_ms"


def code_from_row(row: Row) -> CouponCode:
    """Return the code of a row of ``CODE_COLUMNS``."""
    token, batch_id, position, coupon_id, member_id, state, used_by, until_ms, created_ms, revoked = row
    return CouponCode(
        token,
        batch_id,
        position,
        coupon_id,
        member_id or "",
        CodeState(state),
        used_by,
        until_ms,
        created_ms,
        bool(revoked),
    )


def reservation_from_row(row: Row) -> Reservation:
    """Return the reservation of a row of ``RESERVATION_COLUMNS``."""
    return Reservation(*row)


def codes_changed(changes: CouponChanges) -> list[tuple[Any, ...]]:
    """Return (token, state, used_by, reserved_until_ms) of codes, in the order in which they were locked."""
    rows = [(code.token, int(code.state), code.used_by, code.reserved_until_ms) for code in changes.codes]
    return sorted(rows)


def reservations_new(changes: CouponChanges) -> list[tuple[Any, ...]]:
    """Return rows of ``RESERVATION_COLUMNS``."""
    return [(one.member_id, one.hold_id, one.coupon_id, one.token, one.until_ms) for one in changes.reserved]


def reservations_gone(changes: CouponChanges) -> list[tuple[Any, ...]]:
    """Return the keys of reservations that are no more."""
    return [(one.member_id, one.hold_id, one.coupon_id, one.token) for one in changes.dropped]
