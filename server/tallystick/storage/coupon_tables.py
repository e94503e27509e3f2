"""The tables of coupons: unique codes and their batches, how often coupons were used, what holds reserve."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, Table

from tallystick.storage.columns import big, integer, metadata, of_program, small, uuid, where, words

coupon_batch = Table(
    "coupon_batch",
    metadata,
    of_program(),
    words("batch_id"),
    words("coupon_id"),
    integer("count"),
    words("content"),
    big("created_ms"),
    words("created_by"),
    PrimaryKeyConstraint("batch_id", "program_id"),
)

# The code itself is nowhere: `token` is its blind index, and whoever has the key draws it anew.
coupon_code = Table(
    "coupon_code",
    metadata,
    of_program(),
    words("token"),
    words("batch_id"),
    integer("position"),
    words("coupon_id"),
    # NULL stands for whoever has the code.
    uuid("member_id", nullable=True),
    small("state"),
    words("used_by"),
    big("reserved_until_ms"),
    big("created_ms"),
    small("revoked"),
    PrimaryKeyConstraint("token", "program_id"),
)

Index(
    "coupon_code_batch_idx",
    coupon_code.c.batch_id,
    coupon_code.c.program_id,
    coupon_code.c.position,
    **where("batch_id <> ''"),
)

Index(
    "coupon_code_member_idx",
    coupon_code.c.member_id,
    coupon_code.c.program_id,
    coupon_code.c.created_ms,
    coupon_code.c.token,
    **where("member_id IS NOT NULL"),
)

# One row that all uses of a coupon write: the price of a total that is never exceeded. A batch writes it once.
coupon_count = Table(
    "coupon_count",
    metadata,
    of_program(),
    words("coupon_id"),
    big("used"),
    PrimaryKeyConstraint("coupon_id", "program_id"),
    CheckConstraint("used >= 0", name="used"),
)

coupon_member = Table(
    "coupon_member",
    metadata,
    of_program(),
    uuid("member_id"),
    words("coupon_id"),
    big("used"),
    PrimaryKeyConstraint("member_id", "program_id", "coupon_id"),
    CheckConstraint("used >= 0", name="used"),
)

coupon_hold = Table(
    "coupon_hold",
    metadata,
    of_program(),
    uuid("member_id"),
    uuid("hold_id"),
    words("coupon_id"),
    words("token"),
    big("until_ms"),
    PrimaryKeyConstraint("member_id", "program_id", "hold_id", "coupon_id", "token"),
)

Index("coupon_hold_coupon_idx", coupon_hold.c.coupon_id, coupon_hold.c.program_id, coupon_hold.c.until_ms)
