"""Sums over all members: what projects were given, how far goals are, and who took part."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")


def column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.create_table(
        "shared_place",
        column("program_id", sa.String(32)),
        column("lanes", sa.Text()),
        column("as_of_ms", sa.BigInteger()),
        column("moves", sa.BigInteger()),
        sa.PrimaryKeyConstraint("program_id", name=op.f("shared_place_pkey")),
    )
    op.create_table(
        "shared_sum",
        column("program_id", sa.String(32)),
        column("key", sa.Text()),
        column("total", sa.BigInteger()),
        column("people", sa.BigInteger()),
        sa.PrimaryKeyConstraint("program_id", "key", name=op.f("shared_sum_pkey")),
    )
    op.create_table(
        "shared_part",
        column("program_id", sa.String(32)),
        column("member_id", UUID),
        column("key", sa.Text()),
        column("part", sa.BigInteger()),
        column("awarded", sa.SmallInteger()),
        sa.PrimaryKeyConstraint("member_id", "program_id", "key", name=op.f("shared_part_pkey")),
    )
    waiting = sa.text("awarded = 0 AND part > 0")
    op.create_index(
        "shared_part_waiting_idx",
        "shared_part",
        ["program_id", "key", "member_id"],
        postgresql_where=waiting,
        sqlite_where=waiting,
    )
    op.create_table(
        "shared_goal",
        column("program_id", sa.String(32)),
        column("goal_id", sa.Text()),
        column("points", sa.BigInteger()),
        column("reached_ms", sa.BigInteger()),
        column("state", sa.SmallInteger()),
        sa.PrimaryKeyConstraint("program_id", "goal_id", name=op.f("shared_goal_pkey")),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in ("shared_place", "shared_sum", "shared_part", "shared_goal"):
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
