"""The tables of what members share: transfers and households."""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint, Table, UniqueConstraint

from tallystick.storage.columns import big, metadata, octets, of_program, small, uuid, where, words

# Points that may be on their way from one member to another.
transfer = Table(
    "transfer",
    metadata,
    of_program(),
    uuid("transfer_id"),
    uuid("from_member_id"),
    uuid("to_member_id"),
    big("points"),
    small("state"),
    big("made_ms"),
    big("asked_ms"),
    words("to_program_id"),
    PrimaryKeyConstraint("transfer_id", "program_id"),
)

Index("transfer_giver_idx", transfer.c.from_member_id, transfer.c.program_id, transfer.c.made_ms)

Index("transfer_receiver_idx", transfer.c.to_member_id, transfer.c.program_id, transfer.c.made_ms)

Index(
    "transfer_asked_idx",
    transfer.c.program_id,
    transfer.c.asked_ms,
    transfer.c.transfer_id,
    **where("state = 1"),
)

# Several people with one account; the id is that of the account.
household = Table(
    "household",
    metadata,
    of_program(),
    uuid("household_id"),
    octets("invitation", nullable=True),
    big("invitation_expires_ms"),
    uuid("last_head_id", nullable=True),
    PrimaryKeyConstraint("household_id", "program_id"),
    UniqueConstraint("invitation", "program_id"),
)

household_member = Table(
    "household_member",
    metadata,
    of_program(),
    uuid("member_id"),
    uuid("household_id"),
    small("part"),
    big("since_ms"),
    PrimaryKeyConstraint("member_id", "program_id"),
)

Index("household_member_of_idx", household_member.c.household_id, household_member.c.program_id)

# Sums over all members, and how far the journal has been summed.
shared_place = Table(
    "shared_place",
    metadata,
    of_program(),
    words("lanes"),
    big("as_of_ms"),
    big("moves"),
    PrimaryKeyConstraint("program_id"),
)

shared_sum = Table(
    "shared_sum",
    metadata,
    of_program(),
    words("key"),
    big("total"),
    big("people"),
    PrimaryKeyConstraint("program_id", "key"),
)

shared_part = Table(
    "shared_part",
    metadata,
    of_program(),
    uuid("member_id"),
    words("key"),
    big("part"),
    small("awarded"),
    PrimaryKeyConstraint("member_id", "program_id", "key"),
)

Index(
    "shared_part_waiting_idx",
    shared_part.c.program_id,
    shared_part.c.key,
    shared_part.c.member_id,
    **where("awarded = 0 AND part > 0"),
)

shared_goal = Table(
    "shared_goal",
    metadata,
    of_program(),
    words("goal_id"),
    big("points"),
    big("reached_ms"),
    small("state"),
    PrimaryKeyConstraint("program_id", "goal_id"),
)
