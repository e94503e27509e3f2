"""The tables of notifications: what members are told, and where push messages go."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint, String, Table

from tallystick.storage.columns import big, integer, metadata, octets, of_program, small, uuid, where, words

notification = Table(
    "notification",
    metadata,
    of_program(),
    uuid("member_id"),
    uuid("notification_id"),
    Column("occasion", String(32), nullable=False),
    words("args"),
    big("made_ms"),
    big("stale_ms"),
    big("next_ms"),
    small("state"),
    small("way"),
    integer("tries"),
    words("answer"),
    big("done_ms"),
    # Until when one process has it in hand; of a member no other one is claimed meanwhile.
    big("held_ms"),
    PrimaryKeyConstraint("member_id", "program_id", "notification_id"),
)

Index("notification_due_idx", notification.c.program_id, notification.c.next_ms, **where("state = 1"))

Index("notification_held_idx", notification.c.member_id, notification.c.program_id, **where("held_ms > 0"))

Index("notification_failed_idx", notification.c.program_id, notification.c.made_ms, **where("state = 4"))

Index("notification_made_idx", notification.c.program_id, notification.c.made_ms)

push_subscription = Table(
    "push_subscription",
    metadata,
    of_program(),
    uuid("member_id"),
    words("kid"),
    words("endpoint"),
    octets("p256dh"),
    octets("auth"),
    big("made_ms"),
    PrimaryKeyConstraint("member_id", "program_id", "kid"),
)

notification_place = Table(
    "notification_place",
    metadata,
    of_program(),
    words("lanes"),
    big("moves"),
    PrimaryKeyConstraint("program_id"),
)
