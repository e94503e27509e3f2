"""Wish lists, open baskets, and the reminders that members were given."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

GRANTS = {
    "wanted": "SELECT, INSERT, UPDATE, DELETE",
    "reminder": "SELECT, INSERT, DELETE",
}


def column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"{table}_pkey"))


def upgrade() -> None:
    op.create_table(
        "wanted",
        column("program_id", sa.String(32)),
        column("member_id", UUID),
        column("kind", sa.SmallInteger()),
        column("ref", sa.Text()),
        column("seen_ms", sa.BigInteger()),
        column("body", sa.Text()),
        column("reminded_ms", sa.BigInteger()),
        key("wanted", "member_id", "program_id", "kind"),
    )
    due = sa.text("reminded_ms = 0")
    op.create_index(
        "wanted_due_idx",
        "wanted",
        ["program_id", "kind", "seen_ms", "member_id"],
        postgresql_where=due,
        sqlite_where=due,
    )
    op.create_table(
        "reminder",
        column("program_id", sa.String(32)),
        column("member_id", UUID),
        column("dedup_key", sa.Text()),
        column("kind", sa.Text()),
        column("made_ms", sa.BigInteger()),
        key("reminder", "member_id", "program_id", "dedup_key"),
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
