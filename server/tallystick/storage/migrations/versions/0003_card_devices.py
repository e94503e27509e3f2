"""The phones and browsers that show members' codes."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")


def upgrade() -> None:
    op.create_table(
        "card_device",
        sa.Column("program_id", sa.String(32), nullable=False),
        sa.Column("member_id", UUID, nullable=False),
        *[sa.Column(name, sa.Text(), nullable=False) for name in ("kid", "public_jwk")],
        sa.Column("sealed_label", sa.LargeBinary(), nullable=False),
        *[
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("registered_ms", "burn_from_ms", "expires_ms", "revoked_ms")
        ],
        sa.PrimaryKeyConstraint("member_id", "program_id", "kid", name=op.f("card_device_pkey")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE card_device ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE card_device FORCE ROW LEVEL SECURITY")
        op.execute(
            "CREATE POLICY own_program ON card_device "
            "USING (program_id = current_setting('tallystick.program', true)) "
            "WITH CHECK (program_id = current_setting('tallystick.program', true))"
        )
        role = context.config.attributes["service_role"]
        op.execute(f"GRANT SELECT, INSERT, UPDATE (expires_ms, revoked_ms), DELETE ON card_device TO {role}")
