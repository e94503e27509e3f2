"""The schema as SQLAlchemy Core tables: what the migrations build, and what the directory's queries are written in.

Member and program lead every key of a member's tables, so that rows of one member lie together and the schema can be
distributed. Integers only: points, minor units, milliseconds. No sequence, trigger or key across members: ids come from
callers, and nothing that all members share is updated.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql

from tallystick.core.ids import NEVER_MS

PROGRAM_ID_CHARS = 32
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


def _program() -> Column[str]:
    return Column("program_id", String(PROGRAM_ID_CHARS), nullable=False)


def _uuid(name: str, *, nullable: bool = False) -> Column[str]:
    """A canonical lower-case UUID: 16 bytes on PostgreSQL, its text on SQLite; both sort alike."""
    kind = String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
    return Column(name, kind, nullable=nullable)


def _big(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _int(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=nullable)


def _small(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, SmallInteger, nullable=nullable)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _bytes(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


program = Table(
    "program",
    metadata,
    _program(),
    _text("display_name"),
    _small("clock"),
    _int("rule_set"),
    _big("created_ms"),
    PrimaryKeyConstraint("program_id"),
)

rule_set = Table(
    "rule_set",
    metadata,
    _program(),
    _int("version"),
    _text("sha256"),
    _text("text"),
    _text("canonical"),
    _text("request_id"),
    _big("published_ms"),
    _text("published_by"),
    PrimaryKeyConstraint("program_id", "version"),
    UniqueConstraint("program_id", "request_id"),
)

member = Table(
    "member",
    metadata,
    _program(),
    _uuid("member_id"),
    _text("number"),
    _small("status"),
    _big("enrolled_ms"),
    _small("channel"),
    _text("store_id"),
    PrimaryKeyConstraint("member_id", "program_id"),
)

account = Table(
    "account",
    metadata,
    _program(),
    _uuid("member_id"),
    _big("active"),
    _big("pending"),
    _big("held"),
    _big("debt"),
    _big("as_of_ms"),
    _big("due_ms"),
    _big("enrolled_ms"),
    _int("seq"),
    _small("status"),
    _text("tier"),
    PrimaryKeyConstraint("member_id", "program_id"),
    CheckConstraint("active >= 0", name="active"),
    CheckConstraint("pending >= 0", name="pending"),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("debt >= 0", name="debt"),
    sqlite_with_rowid=False,
)

# Only those for whom time will do something. It costs an update its HOT shortcut when the instant changes, which
# measured less than the nightly and minutely scans of all accounts that it saves.
_DUE = text(f"due_ms < {NEVER_MS}")
Index("account_due_idx", account.c.program_id, account.c.due_ms, postgresql_where=_DUE, sqlite_where=_DUE)

# NULL stands for 0 (and for "none"): most entries move two or three of nine accounts, and a NULL takes no room.
ledger = Table(
    "ledger",
    metadata,
    _program(),
    _uuid("member_id"),
    _int("seq"),
    _uuid("command_id"),
    _int("rule_set"),
    _small("kind"),
    _small("assurance"),
    _small("channel"),
    _big("occurred_ms"),
    _big("recorded_ms"),
    *(_big(name, nullable=True) for name in MOVE_COLUMNS),
    _big("active_after"),
    _big("pending_after"),
    _big("held_after"),
    _big("debt_after"),
    _big("shortfall", nullable=True),
    _big("claimed_points", nullable=True),
    _int("reverses_seq", nullable=True),
    _uuid("hold_id", nullable=True),
    _bytes("fingerprint"),
    _text("tier_after"),
    _text("store_id"),
    _text("till_id"),
    _text("reference"),
    _text("detail"),
    PrimaryKeyConstraint("member_id", "program_id", "seq"),
    UniqueConstraint("command_id", "program_id"),
    CheckConstraint(" + ".join(f"coalesce({name}, 0)" for name in MOVE_COLUMNS) + " = 0", name="balanced"),
)
Index(
    "ledger_reverses_idx",
    ledger.c.member_id,
    ledger.c.program_id,
    ledger.c.reverses_seq,
    postgresql_where=text("reverses_seq IS NOT NULL"),
    sqlite_where=text("reverses_seq IS NOT NULL"),
)

lot = Table(
    "lot",
    metadata,
    _program(),
    _uuid("member_id"),
    _int("lot_seq"),
    _int("credit_day"),
    _big("points"),
    _big("remaining"),
    _big("earned_ms"),
    _big("expires_ms"),
    _big("matures_ms"),
    _big("credits"),
    _small("pending"),
    PrimaryKeyConstraint("member_id", "program_id", "lot_seq"),
    CheckConstraint("remaining >= 0 AND remaining <= points", name="remaining"),
    CheckConstraint("pending IN (0, 1)", name="pending"),
    sqlite_with_rowid=False,
)

hold = Table(
    "hold",
    metadata,
    _program(),
    _uuid("member_id"),
    _uuid("hold_id"),
    _int("seq"),
    _small("status"),
    _small("assurance"),
    _big("points"),
    _big("spend_points"),
    _big("expires_ms"),
    _text("reward_ids"),
    _text("allocs"),
    PrimaryKeyConstraint("member_id", "program_id", "hold_id"),
    # A capture names the hold alone; the member it turns out to be of is then compared.
    UniqueConstraint("program_id", "hold_id"),
    CheckConstraint("points >= 0", name="points"),
)

refusal = Table(
    "refusal",
    metadata,
    _program(),
    _uuid("command_id"),
    _uuid("member_id"),
    _big("recorded_ms"),
    _small("reason"),
    _bytes("fingerprint"),
    _text("details"),
    PrimaryKeyConstraint("command_id", "program_id"),
)

journal = Table(
    "journal",
    metadata,
    _program(),
    _int("lane_id"),
    _big("lane_seq"),
    _int("count"),
    _big("recorded_ms"),
    *(_big(name) for name in SUM_COLUMNS),
    _bytes("prev_hash"),
    _bytes("hash"),
    _bytes("payload"),
    PrimaryKeyConstraint("program_id", "lane_id", "lane_seq"),
)

identifier = Table(
    "identifier",
    metadata,
    _program(),
    Column("kind", String(32), nullable=False),
    _bytes("token"),
    _uuid("member_id"),
    _text("hint"),
    _big("added_ms"),
    PrimaryKeyConstraint("program_id", "kind", "token"),
)
Index("identifier_member_idx", identifier.c.member_id, identifier.c.program_id)

person = Table(
    "person",
    metadata,
    _program(),
    _uuid("member_id"),
    _bytes("sealed"),
    PrimaryKeyConstraint("member_id", "program_id"),
)

device = Table(
    "device",
    metadata,
    # Ids of devices are unique over programs: a token names the device before anything names a program.
    _text("device_id"),
    _program(),
    _small("kind"),
    _small("role"),
    _small("status"),
    _big("enrolled_ms"),
    _big("confirmed_ms"),
    _big("revoked_ms"),
    _text("store_id"),
    _text("label"),
    _text("public_jwk"),
    _text("kid"),
    _text("fingerprint"),
    PrimaryKeyConstraint("device_id"),
)
Index("device_program_idx", device.c.program_id, device.c.device_id)
Index(
    "device_revoked_idx",
    device.c.revoked_ms,
    postgresql_where=text("revoked_ms > 0"),
    sqlite_where=text("revoked_ms > 0"),
)

enrolment_code = Table(
    "enrolment_code",
    metadata,
    _program(),
    _bytes("code_hash"),
    _text("selector"),
    _small("kind"),
    _small("role"),
    _int("tries_left"),
    _big("expires_ms"),
    _text("store_id"),
    _text("label"),
    _text("used_by"),
    PrimaryKeyConstraint("program_id", "code_hash"),
)

assertion_use = Table(
    "assertion_use",
    metadata,
    _program(),
    _text("device_id"),
    _text("token_id"),
    _big("usable_until_ms"),
    PrimaryKeyConstraint("device_id", "token_id", "program_id"),
)
