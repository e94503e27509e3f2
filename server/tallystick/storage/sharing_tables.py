"""The tables of what members share: transfers and households."""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint, Table, UniqueConstraint

from tallystick.storage.columns import big, metadata, octets, of_program, small, uuid, where

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
    PrimaryKeyConstraint("transfer_id", "program_id"),
)

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
