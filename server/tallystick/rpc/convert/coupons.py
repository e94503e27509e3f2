"""Unique codes of coupons as messages of the contract."""

from __future__ import annotations

from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.service.coupon_ports import CodeState
from tallystick.service.coupons import CodeNow
from tallystick.v1 import coupon_pb2 as pb


def coupon_to_pb(now: CodeNow) -> pb.Coupon:
    """Return a code with what became of it."""
    taken = now.state in (CodeState.RESERVED, CodeState.USED)
    return pb.Coupon(
        coupon_id=now.code.coupon_id,
        code=now.text,
        state=pb.CouponState.ValueType(int(now.state)),
        member_id=now.member_id,
        used_by=now.code.used_by if taken else "",
        created_at=ms_to_pb(now.code.created_ms),
    )
