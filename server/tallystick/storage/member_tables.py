"""The tables of programs and members: rule sets, identifiers, cards, codes and passes."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Index,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from tallystick.core.ids import NEVER_MS
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

program = Table(
    "program",
    metadata,
    of_program(),
    words("display_name"),
    small("clock"),
    integer("rule_set"),
    big("created_ms"),
    PrimaryKeyConstraint("program_id"),
)

rule_set = Table(
    "rule_set",
    metadata,
    of_program(),
    integer("version"),
    words("sha256"),
    words("text"),
    words("canonical"),
    words("request_id"),
    big("published_ms"),
    words("published_by"),
    PrimaryKeyConstraint("program_id", "version"),
    UniqueConstraint("program_id", "request_id"),
)

member = Table(
    "member",
    metadata,
    of_program(),
    uuid("member_id"),
    words("number"),
    small("status"),
    big("enrolled_ms"),
    small("channel"),
    words("store_id"),
    # When status or identifiers were last changed; 0 for a member from before there were tills to tell of it.
    big("changed_ms", default="0"),
    # What the member wants, whatever the status is.
    small("spend_locked", default="0"),
    # When it was stored, by the server's clock; 0 for a member from before there were events to tell of it.
    big("made_ms", default="0"),
    PrimaryKeyConstraint("member_id", "program_id"),
)

# Conditions that every row meets, here and below, keep an index to the statements that repeat them: while a table is
# small any index looks as good as the key for a look-up by it, and such a plan stays cached.
Index(
    "member_changed_idx",
    member.c.changed_ms,
    member.c.member_id,
    member.c.program_id,
    **where("status > 0"),
)

Index("member_enrolled_idx", member.c.enrolled_ms, member.c.program_id, **where("enrolled_ms >= 0"))

identifier = Table(
    "identifier",
    metadata,
    of_program(),
    Column("kind", String(32), nullable=False),
    octets("token"),
    uuid("member_id"),
    words("hint"),
    big("added_ms"),
    # NULL stands for none: added before tills found members by it.
    octets("scan_tag", nullable=True),
    PrimaryKeyConstraint("program_id", "kind", "token"),
)

Index("identifier_member_idx", identifier.c.member_id, identifier.c.program_id)

card_batch = Table(
    "card_batch",
    metadata,
    of_program(),
    words("batch_id"),
    Column("kind", String(32), nullable=False),
    words("prefix"),
    integer("count"),
    words("label"),
    big("created_ms"),
    words("created_by"),
    PrimaryKeyConstraint("batch_id", "program_id"),
)

card = Table(
    "card",
    metadata,
    of_program(),
    Column("kind", String(32), nullable=False),
    octets("token"),
    words("batch_id"),
    integer("position"),
    small("attempt"),
    small("state"),
    big("changed_ms"),
    PrimaryKeyConstraint("program_id", "kind", "token"),
)

Index("card_batch_idx", card.c.batch_id, card.c.program_id, card.c.position, **where("batch_id <> ''"))

person = Table(
    "person",
    metadata,
    of_program(),
    uuid("member_id"),
    octets("sealed"),
    PrimaryKeyConstraint("member_id", "program_id"),
)

card_device = Table(
    "card_device",
    metadata,
    of_program(),
    uuid("member_id"),
    words("kid"),
    words("public_jwk"),
    octets("sealed_label"),
    big("registered_ms"),
    big("burn_from_ms"),
    big("expires_ms"),
    big("revoked_ms"),
    PrimaryKeyConstraint("member_id", "program_id", "kid"),
)

Index("card_device_kid_idx", card_device.c.kid, card_device.c.program_id)

Index("card_device_revoked_idx", card_device.c.revoked_ms, **where("revoked_ms > 0"))
# What was said before stays beside what was said last: rows are only added, until the member is erased.
# The year stays sealed with the profile; the day must be found by.
birthday = Table(
    "birthday",
    metadata,
    of_program(),
    uuid("member_id"),
    small("month_day"),
    big("set_ms"),
    PrimaryKeyConstraint("member_id", "program_id"),
)

Index("birthday_day_idx", birthday.c.month_day, birthday.c.program_id, birthday.c.member_id)

consent = Table(
    "consent",
    metadata,
    of_program(),
    uuid("member_id"),
    integer("number"),
    small("purpose"),
    small("channel"),
    small("granted"),
    big("said_ms"),
    small("by_role"),
    words("by_device"),
    PrimaryKeyConstraint("member_id", "program_id", "number"),
)

referral = Table(
    "referral",
    metadata,
    of_program(),
    uuid("member_id"),
    uuid("referrer_id"),
    big("noted_ms"),
    small("state", default="1"),
    uuid("sale_id", nullable=True),
    big("due_ms", default="0"),
    integer("seen_seq", default="0"),
    big("changed_ms", default="0"),
    words("reason", default="''"),
    small("cleared", default="0"),
    big("referrer_points", default="0"),
    big("joiner_points", default="0"),
    big("moves", default="0"),
    PrimaryKeyConstraint("member_id", "program_id"),
)

Index("referral_referrer_idx", referral.c.referrer_id, referral.c.program_id, referral.c.noted_ms)

# Those that wait for a purchase, the end of a return window or the ledger's answers.
Index("referral_waiting_idx", referral.c.program_id, referral.c.member_id, **where("state <= 3"))

wallet_pass = Table(
    "wallet_pass",
    metadata,
    of_program(),
    words("serial"),
    uuid("member_id"),
    small("wallet"),
    octets("token_hash"),
    big("made_ms"),
    big("changed_s"),
    big("tag"),
    big("served_tag"),
    big("delivered_tag"),
    big("deliver_ms"),
    integer("tries"),
    big("renew_ms"),
    integer("told_day"),
    integer("told"),
    PrimaryKeyConstraint("member_id", "program_id", "serial"),
    UniqueConstraint("serial", "program_id"),
)

Index(
    "wallet_pass_due_idx",
    wallet_pass.c.program_id,
    wallet_pass.c.deliver_ms,
    **where("delivered_tag < tag"),
)

Index(
    "wallet_pass_renew_idx",
    wallet_pass.c.program_id,
    wallet_pass.c.renew_ms,
    **where(f"renew_ms < {NEVER_MS}"),
)

# Of phones and watches: who hears of which pass, and by which address.
wallet_registration = Table(
    "wallet_registration",
    metadata,
    of_program(),
    words("serial"),
    words("device_id"),
    words("push_token"),
    big("registered_ms"),
    PrimaryKeyConstraint("serial", "program_id", "device_id"),
)

Index("wallet_registration_device_idx", wallet_registration.c.device_id, wallet_registration.c.program_id)

Index("wallet_registration_push_idx", wallet_registration.c.push_token, wallet_registration.c.program_id)

# Sales of guests that wait for a member; the id is that of the sale.
claim = Table(
    "claim",
    metadata,
    of_program(),
    uuid("claim_id"),
    octets("code_hash"),
    octets("fingerprint"),
    octets("basket"),
    words("origin"),
    big("made_ms"),
    big("expires_ms"),
    small("state"),
    uuid("member_id", nullable=True),
    PrimaryKeyConstraint("claim_id", "program_id"),
    UniqueConstraint("code_hash", "program_id"),
)

Index("claim_member_idx", claim.c.member_id, claim.c.program_id, **where("member_id IS NOT NULL"))

Index("claim_open_idx", claim.c.program_id, claim.c.expires_ms, **where("state = 1"))

wallet_place = Table(
    "wallet_place",
    metadata,
    of_program(),
    words("lanes"),
    big("changed_ms"),
    big("tag"),
    big("moves"),
    PrimaryKeyConstraint("program_id"),
)

sign_in = Table(
    "sign_in",
    metadata,
    of_program(),
    octets("session_hash"),
    small("purpose"),
    octets("secret"),
    big("started_ms"),
    big("expires_ms"),
    big("forget_ms"),
    integer("tries_left"),
    uuid("member_id", nullable=True),
    octets("address_token"),
    octets("client_tag"),
    octets("sealed"),
    small("mailed"),
    words("used_by"),
    PrimaryKeyConstraint("program_id", "session_hash"),
)

Index(
    "sign_in_address_idx",
    sign_in.c.address_token,
    sign_in.c.program_id,
    sign_in.c.started_ms,
    **where("mailed = 1"),
)

Index("sign_in_forget_idx", sign_in.c.program_id, sign_in.c.forget_ms)

passkey = Table(
    "passkey",
    metadata,
    of_program(),
    uuid("member_id"),
    octets("credential_id"),
    octets("public_key"),
    big("sign_count"),
    octets("sealed_label"),
    big("added_ms"),
    big("used_ms"),
    PrimaryKeyConstraint("member_id", "program_id", "credential_id"),
    UniqueConstraint("credential_id", "program_id"),
)
