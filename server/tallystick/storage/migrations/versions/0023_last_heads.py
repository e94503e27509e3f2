"""Who has left a household last: what still reaches its account follows that person."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")


def upgrade() -> None:
    # Nobody has written down who left last the households that are empty by now: what is on those stays there.
    op.add_column("household", sa.Column("last_head_id", UUID, nullable=True))
