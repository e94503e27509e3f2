"""Points on their way from one member to another."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")


def column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.create_table(
        "transfer",
        column("program_id", sa.String(32)),
        column("transfer_id", UUID),
        column("from_member_id", UUID),
        column("to_member_id", UUID),
        column("points", sa.BigInteger()),
        column("state", sa.SmallInteger()),
        column("made_ms", sa.BigInteger()),
        column("asked_ms", sa.BigInteger()),
        column("to_program_id", sa.Text()),
        sa.PrimaryKeyConstraint("transfer_id", "program_id", name=op.f("transfer_pkey")),
    )
    op.create_index("transfer_giver_idx", "transfer", ["from_member_id", "program_id", "made_ms"])
    op.create_index("transfer_receiver_idx", "transfer", ["to_member_id", "program_id", "made_ms"])
    asked = sa.text("state = 1")
    op.create_index(
        "transfer_asked_idx",
        "transfer",
        ["program_id", "asked_ms", "transfer_id"],
        postgresql_where=asked,
        sqlite_where=asked,
    )
    if op.get_bind().dialect.name == "postgresql":
        protect("transfer", context.config.attributes["service_role"])


def protect(table: str, role: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY own_program ON {table} "
        "USING (program_id = current_setting('tallystick.program', true)) "
        "WITH CHECK (program_id = current_setting('tallystick.program', true))"
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}")
