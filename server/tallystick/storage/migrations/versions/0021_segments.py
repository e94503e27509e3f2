"""Who is in which segment, when that was worked out, and goods of sales that a segment asks about."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

GRANTS = {
    "segment": "SELECT, INSERT, UPDATE, DELETE",
    "segment_member": "SELECT, INSERT, DELETE",
    "purchase": "SELECT, INSERT, DELETE",
}


def column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def program_id() -> sa.Column[Any]:
    return column("program_id", sa.String(32))


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"{table}_pkey"))


def upgrade() -> None:
    op.create_table(
        "segment",
        program_id(),
        column("segment_id", sa.Text()),
        column("members", sa.BigInteger()),
        column("refreshed_ms", sa.BigInteger()),
        key("segment", "segment_id", "program_id"),
    )
    op.create_table(
        "segment_member",
        program_id(),
        column("member_id", UUID),
        column("segment_id", sa.Text()),
        column("since_ms", sa.BigInteger()),
        key("segment_member", "member_id", "program_id", "segment_id"),
    )
    op.create_index("segment_member_segment_idx", "segment_member", ["segment_id", "program_id", "member_id"])
    op.create_table(
        "purchase",
        program_id(),
        column("member_id", UUID),
        column("seq", sa.BigInteger()),
        column("at_ms", sa.BigInteger()),
        column("goods", sa.Text()),
        key("purchase", "member_id", "program_id", "seq"),
    )
    if op.get_bind().dialect.name == "postgresql":
        protect(context.config.attributes["service_role"])


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
