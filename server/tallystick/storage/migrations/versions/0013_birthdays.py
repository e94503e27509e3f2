"""The day and month of birthdays, and members by when they joined."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")


def upgrade() -> None:
    op.create_table(
        "birthday",
        sa.Column("program_id", sa.String(32), nullable=False),
        sa.Column("member_id", UUID, nullable=False),
        sa.Column("month_day", sa.SmallInteger(), nullable=False),
        sa.Column("set_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", "program_id", name=op.f("birthday_pkey")),
    )
    op.create_index("birthday_day_idx", "birthday", ["month_day", "program_id", "member_id"])
    op.create_index(
        "member_enrolled_idx",
        "member",
        ["enrolled_ms", "program_id"],
        postgresql_where=sa.text("enrolled_ms >= 0"),
        sqlite_where=sa.text("enrolled_ms >= 0"),
    )
    if op.get_bind().dialect.name == "postgresql":
        protect(context.config.attributes["service_role"])


def protect(role: str) -> None:
    op.execute("ALTER TABLE birthday ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE birthday FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY own_program ON birthday "
        "USING (program_id = current_setting('tallystick.program', true)) "
        "WITH CHECK (program_id = current_setting('tallystick.program', true))"
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON birthday TO {role}")
