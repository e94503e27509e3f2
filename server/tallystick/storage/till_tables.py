"""The tables of devices: tills, webshops and back offices, their codes, chains and inbox, and cashiers."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
)

from tallystick.core.advice import VerdictKind
from tallystick.service.ports import InboxState
from tallystick.storage.columns import (
    big,
    integer,
    metadata,
    octets,
    of_program,
    small,
    uuid,
    where,
    words,
)

device = Table(
    "device",
    metadata,
    # Ids of devices are unique over programs: a token names the device before anything names a program.
    words("device_id"),
    of_program(),
    small("kind"),
    small("role"),
    small("status"),
    big("enrolled_ms"),
    big("confirmed_ms"),
    big("revoked_ms"),
    words("store_id"),
    words("label"),
    words("public_jwk"),
    words("kid"),
    words("fingerprint"),
    PrimaryKeyConstraint("device_id"),
)

Index("device_program_idx", device.c.program_id, device.c.device_id)

Index("device_revoked_idx", device.c.revoked_ms, **where("revoked_ms > 0"))

enrolment_code = Table(
    "enrolment_code",
    metadata,
    of_program(),
    octets("code_hash"),
    words("selector"),
    small("kind"),
    small("role"),
    integer("tries_left"),
    big("expires_ms"),
    words("store_id"),
    words("label"),
    words("used_by"),
    PrimaryKeyConstraint("program_id", "code_hash"),
)

assertion_use = Table(
    "assertion_use",
    metadata,
    of_program(),
    words("device_id"),
    words("token_id"),
    big("usable_until_ms"),
    PrimaryKeyConstraint("device_id", "token_id", "program_id"),
)

till_chain = Table(
    "till_chain",
    metadata,
    of_program(),
    words("till_id"),
    words("store_id"),
    integer("epoch"),
    big("acked_seq"),
    octets("head"),
    small("status"),
    words("fenced_ms"),
    integer("fences"),
    big("contact_ms"),
    big("drained_ms"),
    big("queued"),
    big("floor_points"),
    PrimaryKeyConstraint("till_id", "program_id"),
    CheckConstraint("acked_seq >= 0", name="acked_seq"),
)

Index("till_chain_store_idx", till_chain.c.store_id, till_chain.c.program_id, **where("store_id <> ''"))

inbox_item = Table(
    "inbox_item",
    metadata,
    of_program(),
    uuid("item_id"),
    words("till_id"),
    words("store_id"),
    # As the till wrote them: 0 when the advice came by another way.
    big("epoch"),
    big("seq"),
    small("verdict"),
    words("reasons"),
    big("member_seq"),
    big("earned_points"),
    big("shortfall_points"),
    words("details"),
    small("state"),
    big("received_ms"),
    octets("raw"),
    words("waits_for"),
    words("resolved_by"),
    words("note"),
    big("resolved_ms"),
    PrimaryKeyConstraint("item_id", "program_id"),
)

# Newest first, of all stores or of one.
Index(
    "inbox_item_state_idx",
    inbox_item.c.state,
    inbox_item.c.program_id,
    inbox_item.c.received_ms,
    inbox_item.c.item_id,
    **where("state > 0"),
)

Index(
    "inbox_item_store_idx",
    inbox_item.c.store_id,
    inbox_item.c.program_id,
    inbox_item.c.state,
    inbox_item.c.received_ms,
    inbox_item.c.item_id,
    **where("state > 0"),
)

Index(
    "inbox_item_parked_idx",
    inbox_item.c.program_id,
    inbox_item.c.item_id,
    **where(f"state = {InboxState.OPEN:d} AND verdict = {VerdictKind.PARKED:d}"),
)

cashier = Table(
    "cashier",
    metadata,
    of_program(),
    words("store_id"),
    words("cashier_id"),
    words("label"),
    small("active"),
    words("pin_hash"),
    integer("wrong_pins"),
    big("locked_until_ms"),
    PrimaryKeyConstraint("program_id", "store_id", "cashier_id"),
)
