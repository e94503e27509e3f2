"""What becomes of a recommendation: the purchase that counts, what was paid, and why not."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

CHANGING = (
    "state",
    "sale_id",
    "due_ms",
    "seen_seq",
    "changed_ms",
    "reason",
    "cleared",
    "referrer_points",
    "joiner_points",
    "moves",
)


def later(name: str, kind: Any, written: str) -> sa.Column[Any]:
    """A column of a table that has rows: what was noted before waits for a purchase."""
    return sa.Column(name, kind, nullable=False, server_default=sa.text(written))


def upgrade() -> None:
    for column in (
        later("state", sa.SmallInteger(), "1"),
        sa.Column("sale_id", UUID, nullable=True),
        later("due_ms", sa.BigInteger(), "0"),
        later("seen_seq", sa.Integer(), "0"),
        later("changed_ms", sa.BigInteger(), "0"),
        later("reason", sa.Text(), "''"),
        later("cleared", sa.SmallInteger(), "0"),
        later("referrer_points", sa.BigInteger(), "0"),
        later("joiner_points", sa.BigInteger(), "0"),
        later("moves", sa.BigInteger(), "0"),
    ):
        op.add_column("referral", column)
    op.drop_index("referral_referrer_idx", "referral")
    op.create_index("referral_referrer_idx", "referral", ["referrer_id", "program_id", "noted_ms"])
    waiting = sa.text("state <= 3")
    op.create_index(
        "referral_waiting_idx",
        "referral",
        ["program_id", "member_id"],
        postgresql_where=waiting,
        sqlite_where=waiting,
    )
    if op.get_bind().dialect.name == "postgresql":
        role = context.config.attributes["service_role"]
        op.execute(f"GRANT UPDATE ({', '.join(CHANGING)}) ON referral TO {role}")
