"""What members have said yes or no to, by whom they came, and that they have locked their points."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0006"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

GRANTS = {"consent": "SELECT, INSERT, DELETE", "referral": "SELECT, INSERT, DELETE"}


def column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def program_id() -> sa.Column[Any]:
    return column("program_id", sa.String(32))


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"{table}_pkey"))


def upgrade() -> None:
    locked = sa.Column("spend_locked", sa.SmallInteger(), nullable=False, server_default=sa.text("0"))
    op.add_column("member", locked)
    create_consents()
    create_referrals()
    if op.get_bind().dialect.name == "postgresql":
        protect(context.config.attributes["service_role"])


def create_consents() -> None:
    op.create_table(
        "consent",
        program_id(),
        column("member_id", UUID),
        column("number", sa.Integer()),
        *[column(name, sa.SmallInteger()) for name in ("purpose", "channel", "granted")],
        column("said_ms", sa.BigInteger()),
        column("by_role", sa.SmallInteger()),
        column("by_device", sa.Text()),
        key("consent", "member_id", "program_id", "number"),
    )


def create_referrals() -> None:
    op.create_table(
        "referral",
        program_id(),
        *[column(name, UUID) for name in ("member_id", "referrer_id")],
        column("noted_ms", sa.BigInteger()),
        key("referral", "member_id", "program_id"),
    )
    op.create_index("referral_referrer_idx", "referral", ["referrer_id", "program_id"])


def protect(role: str) -> None:
    for table, privileges in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_program ON {table} "
            "USING (program_id = current_setting('tallystick.program', true)) "
            "WITH CHECK (program_id = current_setting('tallystick.program', true))"
        )
        op.execute(f"GRANT {privileges} ON {table} TO {role}")
