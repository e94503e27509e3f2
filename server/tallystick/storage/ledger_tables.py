"""The tables of the ledger: accounts, entries, lots, holds, refusals and the journal."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from tallystick.core.ids import NEVER_MS
from tallystick.core.state import HoldKind, HoldStatus
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
    words("tallies", default="''"),
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
    words("coupons", default="'[]'"),
    integer("rule_set", default="0"),
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
