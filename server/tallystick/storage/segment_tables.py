"""The tables of segments: who is in which, when that was worked out, and goods of sales that a segment asks about."""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint, Table

from tallystick.storage.columns import big, metadata, of_program, uuid, words

segment = Table(
    "segment",
    metadata,
    of_program(),
    words("segment_id"),
    big("members"),
    big("refreshed_ms"),
    PrimaryKeyConstraint("segment_id", "program_id"),
)

segment_member = Table(
    "segment_member",
    metadata,
    of_program(),
    uuid("member_id"),
    words("segment_id"),
    big("since_ms"),
    PrimaryKeyConstraint("member_id", "program_id", "segment_id"),
)

Index(
    "segment_member_segment_idx",
    segment_member.c.segment_id,
    segment_member.c.program_id,
    segment_member.c.member_id,
)

# Not in the ledger, which keeps everything for ever: goods go when nobody asks about them any more.
purchase = Table(
    "purchase",
    metadata,
    of_program(),
    uuid("member_id"),
    big("seq"),
    big("at_ms"),
    words("goods"),
    PrimaryKeyConstraint("member_id", "program_id", "seq"),
)
