"""Sales of guests that wait for a member."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")


def column(name: str, kind: Any, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "claim",
        column("program_id", sa.String(32)),
        column("claim_id", UUID),
        column("code_hash", sa.LargeBinary()),
        column("fingerprint", sa.LargeBinary()),
        column("basket", sa.LargeBinary()),
        column("origin", sa.Text()),
        column("made_ms", sa.BigInteger()),
        column("expires_ms", sa.BigInteger()),
        column("state", sa.SmallInteger()),
        column("member_id", UUID, nullable=True),
        sa.PrimaryKeyConstraint("claim_id", "program_id", name=op.f("claim_pkey")),
        sa.UniqueConstraint("code_hash", "program_id", name=op.f("claim_code_hash_program_id_key")),
    )
    index("claim_member_idx", ["member_id", "program_id"], "member_id IS NOT NULL")
    index("claim_open_idx", ["program_id", "expires_ms"], "state = 1")
    if op.get_bind().dialect.name == "postgresql":
        protect("claim", context.config.attributes["service_role"])


def index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "claim", columns, postgresql_where=where, sqlite_where=where)


def protect(table: str, role: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY own_program ON {table} "
        "USING (program_id = current_setting('tallystick.program', true)) "
        "WITH CHECK (program_id = current_setting('tallystick.program', true))"
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}")
