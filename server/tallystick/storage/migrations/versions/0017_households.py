"""Several people with one account."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")


def column(name: str, kind: Any, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "household",
        column("program_id", sa.String(32)),
        column("household_id", UUID),
        column("invitation", sa.LargeBinary(), nullable=True),
        column("invitation_expires_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("household_id", "program_id", name=op.f("household_pkey")),
        sa.UniqueConstraint("invitation", "program_id", name=op.f("household_invitation_program_id_key")),
    )
    op.create_table(
        "household_member",
        column("program_id", sa.String(32)),
        column("member_id", UUID),
        column("household_id", UUID),
        column("part", sa.SmallInteger()),
        column("since_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("member_id", "program_id", name=op.f("household_member_pkey")),
    )
    op.create_index("household_member_of_idx", "household_member", ["household_id", "program_id"])
    if op.get_bind().dialect.name == "postgresql":
        for table in ("household", "household_member"):
            protect(table, context.config.attributes["service_role"])


def protect(table: str, role: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY own_program ON {table} "
        "USING (program_id = current_setting('tallystick.program', true)) "
        "WITH CHECK (program_id = current_setting('tallystick.program', true))"
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}")
