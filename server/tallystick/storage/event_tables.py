"""The tables of events and of those who are told of them."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint, String, Table

from tallystick.storage.columns import big, integer, metadata, octets, of_program, small, uuid, where, words

webhook = Table(
    "webhook",
    metadata,
    of_program(),
    words("webhook_id"),
    words("url"),
    words("event_types"),
    small("signing"),
    octets("sealed_key"),
    octets("old_sealed_key"),
    big("old_until_ms"),
    small("paused"),
    big("made_ms"),
    PrimaryKeyConstraint("program_id", "webhook_id"),
)

event = Table(
    "event",
    metadata,
    of_program(),
    big("number"),
    words("message_id"),
    Column("event_type", String(64), nullable=False),
    uuid("member_id"),
    big("occurred_ms"),
    big("queued_ms"),
    octets("body"),
    PrimaryKeyConstraint("program_id", "number"),
)

Index("event_queued_idx", event.c.program_id, event.c.queued_ms)

event_delivery = Table(
    "event_delivery",
    metadata,
    of_program(),
    words("webhook_id"),
    big("number"),
    uuid("member_id"),
    small("state"),
    integer("tries"),
    big("since_ms"),
    big("next_ms"),
    words("answer"),
    PrimaryKeyConstraint("program_id", "webhook_id", "number"),
)

Index(
    "event_delivery_waiting_idx",
    event_delivery.c.program_id,
    event_delivery.c.webhook_id,
    event_delivery.c.member_id,
    event_delivery.c.number,
    **where("state = 1"),
)

# Only the first message of a member that waits has a time: those behind it are not looked at, however many they are.
Index(
    "event_delivery_due_idx",
    event_delivery.c.program_id,
    event_delivery.c.webhook_id,
    event_delivery.c.next_ms,
    event_delivery.c.number,
    **where("state = 1"),
)

Index(
    "event_delivery_failed_idx",
    event_delivery.c.program_id,
    event_delivery.c.webhook_id,
    event_delivery.c.number,
    **where("state = 3"),
)

# What has become events of a member: no two processes make them twice, and none is left out.
event_seen = Table(
    "event_seen",
    metadata,
    of_program(),
    uuid("member_id"),
    integer("seq"),
    words("tier_id"),
    small("status"),
    big("changed_ms"),
    PrimaryKeyConstraint("member_id", "program_id"),
)

event_place = Table(
    "event_place",
    metadata,
    of_program(),
    words("lanes"),
    big("changed_ms"),
    big("began_ms"),
    big("events"),
    big("moves"),
    PrimaryKeyConstraint("program_id"),
)
