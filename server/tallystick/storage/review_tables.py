"""The tables of what people must look at: reviews, counters of the watch, its place in the journal, staff."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint, String, Table

from tallystick.storage.columns import big, integer, metadata, of_program, small, uuid, where, words

review = Table(
    "review",
    metadata,
    of_program(),
    uuid("review_id"),
    Column("kind", String(32), nullable=False),
    uuid("member_id", nullable=True),
    uuid("other_id", nullable=True),
    words("facts"),
    big("made_ms"),
    small("holds"),
    words("asked_by"),
    words("held"),
    small("state"),
    big("decided_ms"),
    words("decided_by"),
    words("note"),
    small("followed"),
    PrimaryKeyConstraint("review_id", "program_id"),
)

Index("review_made_idx", review.c.program_id, review.c.made_ms, review.c.review_id)

Index("review_open_idx", review.c.program_id, review.c.made_ms, review.c.review_id, **where("state = 1"))

Index(
    "review_follow_idx",
    review.c.program_id,
    review.c.review_id,
    **where("state > 1 AND holds = 1 AND followed = 0"),
)

Index("review_member_idx", review.c.member_id, review.c.program_id, **where("member_id IS NOT NULL"))

Index("review_other_idx", review.c.other_id, review.c.program_id, **where("other_id IS NOT NULL"))

# Counters that all processes share. Few are alive at any time: a bucket is forgotten when its time is over.
watch_count = Table(
    "watch_count",
    metadata,
    of_program(),
    Column("kind", String(32), nullable=False),
    words("subject"),
    big("bucket_ms"),
    integer("count"),
    PrimaryKeyConstraint("program_id", "bucket_ms", "kind", "subject"),
)

watch_place = Table(
    "watch_place",
    metadata,
    of_program(),
    words("lanes"),
    big("moves"),
    PrimaryKeyConstraint("program_id"),
)

staff_member = Table(
    "staff_member",
    metadata,
    of_program(),
    words("store_id"),
    words("cashier_id"),
    uuid("member_id"),
    PrimaryKeyConstraint("program_id", "store_id", "cashier_id"),
)

Index("staff_member_member_idx", staff_member.c.member_id, staff_member.c.program_id)
