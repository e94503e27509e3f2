"""The schema as SQLAlchemy Core tables: what the migrations build, and what the directory's queries are written in.

Member and program lead every key of a member's tables, so that rows of one member lie together and the schema can be
distributed. Integers only: points, minor units, milliseconds. No sequence, trigger or key across members: ids come from
callers, and nothing that all members share is updated.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from tallystick.core.advice import VerdictKind
from tallystick.core.ids import NEVER_MS
from tallystick.core.state import HoldKind, HoldStatus
from tallystick.service.ports import InboxState
from tallystick.storage.columns import (
    big,
    integer,
    octets,
    of_program,
    small,
    uuid,
    where,
    words,
)

MOVE_COLUMNS = tuple(
    f"m_{name}"
    for name in (
        "active",
        "pending",
        "held",
        "debt",
        "issued",
        "burned",
        "breakage",
        "store_loss",
        "adjusted",
    )
)
SUM_COLUMNS = tuple(f"s_{name.removeprefix('m_')}" for name in MOVE_COLUMNS)

NAMING = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}

metadata = MetaData(naming_convention=NAMING)

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

account = Table(
    "account",
    metadata,
    of_program(),
    uuid("member_id"),
    big("active"),
    big("pending"),
    big("held"),
    big("debt"),
    big("as_of_ms"),
    big("due_ms"),
    big("enrolled_ms"),
    integer("seq"),
    small("status"),
    words("tier"),
    PrimaryKeyConstraint("member_id", "program_id"),
    CheckConstraint("active >= 0", name="active"),
    CheckConstraint("pending >= 0", name="pending"),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("debt >= 0", name="debt"),
    sqlite_with_rowid=False,
)

# Only those for whom time will do something. It costs an update its HOT shortcut when the instant changes, which
# measured less than the nightly and minutely scans of all accounts that it saves.
Index("account_due_idx", account.c.program_id, account.c.due_ms, **where(f"due_ms < {NEVER_MS}"))

# NULL stands for 0 (and for "none"): most entries move two or three of nine accounts, and a NULL takes no room.
ledger = Table(
    "ledger",
    metadata,
    of_program(),
    uuid("member_id"),
    integer("seq"),
    uuid("command_id"),
    integer("rule_set"),
    small("kind"),
    small("assurance"),
    small("channel"),
    big("occurred_ms"),
    big("recorded_ms"),
    *(big(name, nullable=True) for name in MOVE_COLUMNS),
    big("active_after"),
    big("pending_after"),
    big("held_after"),
    big("debt_after"),
    big("shortfall", nullable=True),
    big("claimed_points", nullable=True),
    integer("reverses_seq", nullable=True),
    uuid("hold_id", nullable=True),
    octets("fingerprint"),
    words("tier_after"),
    words("store_id"),
    words("till_id"),
    words("reference"),
    words("detail"),
    PrimaryKeyConstraint("member_id", "program_id", "seq"),
    UniqueConstraint("command_id", "program_id"),
    CheckConstraint(" + ".join(f"coalesce({name}, 0)" for name in MOVE_COLUMNS) + " = 0", name="balanced"),
)
Index(
    "ledger_reverses_idx",
    ledger.c.member_id,
    ledger.c.program_id,
    ledger.c.reverses_seq,
    **where("reverses_seq IS NOT NULL"),
)
# What a store has paid for: rare, so its sum is a short walk.
Index("ledger_loss_idx", ledger.c.program_id, ledger.c.store_id, **where("m_store_loss IS NOT NULL"))

lot = Table(
    "lot",
    metadata,
    of_program(),
    uuid("member_id"),
    integer("lot_seq"),
    integer("credit_day"),
    big("points"),
    big("remaining"),
    big("earned_ms"),
    big("expires_ms"),
    big("matures_ms"),
    big("credits"),
    small("pending"),
    PrimaryKeyConstraint("member_id", "program_id", "lot_seq"),
    CheckConstraint("remaining >= 0 AND remaining <= points", name="remaining"),
    CheckConstraint("pending IN (0, 1)", name="pending"),
    sqlite_with_rowid=False,
)

hold = Table(
    "hold",
    metadata,
    of_program(),
    uuid("member_id"),
    uuid("hold_id"),
    integer("seq"),
    small("status"),
    small("assurance"),
    big("points"),
    big("spend_points"),
    big("expires_ms"),
    words("reward_ids"),
    words("allocs"),
    small("kind", default=f"{HoldKind.CHECKOUT:d}"),
    words("store_id", default="''"),
    big("ends_ms", default="0"),
    big("used", default="0"),
    small("recalled", default="0"),
    PrimaryKeyConstraint("member_id", "program_id", "hold_id"),
    # A capture names the hold alone; the member it turns out to be of is then compared.
    UniqueConstraint("program_id", "hold_id"),
    CheckConstraint("points >= 0", name="points"),
    CheckConstraint("used >= 0 AND used <= points", name="used"),
)
Index(
    "hold_store_idx",
    hold.c.program_id,
    hold.c.store_id,
    **where(f"status = {HoldStatus.OPEN:d} AND kind <> {HoldKind.CHECKOUT:d}"),
)

refusal = Table(
    "refusal",
    metadata,
    of_program(),
    uuid("command_id"),
    uuid("member_id"),
    big("recorded_ms"),
    small("reason"),
    octets("fingerprint"),
    words("details"),
    PrimaryKeyConstraint("command_id", "program_id"),
)

journal = Table(
    "journal",
    metadata,
    of_program(),
    integer("lane_id"),
    big("lane_seq"),
    integer("count"),
    big("recorded_ms"),
    *(big(name) for name in SUM_COLUMNS),
    octets("prev_hash"),
    octets("hash"),
    octets("payload"),
    PrimaryKeyConstraint("program_id", "lane_id", "lane_seq"),
)

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
