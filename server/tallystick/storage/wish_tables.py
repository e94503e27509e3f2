"""The tables of what members want and have not bought."""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint, Table

from tallystick.storage.columns import big, metadata, of_program, small, uuid, where, words

wanted = Table(
    "wanted",
    metadata,
    of_program(),
    uuid("member_id"),
    small("kind"),
    words("ref"),
    big("seen_ms"),
    words("body"),
    big("reminded_ms"),
    PrimaryKeyConstraint("member_id", "program_id", "kind"),
)

Index(
    "wanted_due_idx",
    wanted.c.program_id,
    wanted.c.kind,
    wanted.c.seen_ms,
    wanted.c.member_id,
    **where("reminded_ms = 0"),
)

# A row for each reminder of the last weeks: it counts towards how many there may be in a month.
reminder = Table(
    "reminder",
    metadata,
    of_program(),
    uuid("member_id"),
    words("dedup_key"),
    words("kind"),
    big("made_ms"),
    PrimaryKeyConstraint("member_id", "program_id", "dedup_key"),
)
