"""Batches of pre-printed cards, and the state of each card."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0005"
down_revision = "0003"

GRANTS = {"card_batch": "SELECT, INSERT", "card": "SELECT, INSERT, UPDATE (state, changed_ms)"}


def column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.create_table(
        "card_batch",
        column("program_id", sa.String(32)),
        column("batch_id", sa.Text()),
        column("kind", sa.String(32)),
        column("prefix", sa.Text()),
        column("count", sa.Integer()),
        column("label", sa.Text()),
        column("created_ms", sa.BigInteger()),
        column("created_by", sa.Text()),
        sa.PrimaryKeyConstraint("batch_id", "program_id", name=op.f("card_batch_pkey")),
    )
    op.create_table(
        "card",
        column("program_id", sa.String(32)),
        column("kind", sa.String(32)),
        column("token", sa.LargeBinary()),
        column("batch_id", sa.Text()),
        column("position", sa.Integer()),
        column("attempt", sa.SmallInteger()),
        column("state", sa.SmallInteger()),
        column("changed_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("program_id", "kind", "token", name=op.f("card_pkey")),
    )
    of_batches = sa.text("batch_id <> ''")
    op.create_index(
        "card_batch_idx",
        "card",
        ["batch_id", "program_id", "position"],
        postgresql_where=of_batches,
        sqlite_where=of_batches,
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
    op.execute(f"GRANT UPDATE (number) ON member TO {role}")
