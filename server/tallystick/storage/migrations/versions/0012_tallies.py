"""What a member did is counted with the account."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    # Nothing has been counted before. No row is rewritten.
    op.add_column("account", sa.Column("tallies", sa.Text(), nullable=False, server_default=sa.text("''")))
