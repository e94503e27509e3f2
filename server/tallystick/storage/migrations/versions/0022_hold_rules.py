"""Which rule set a hold was priced by: its capture goes by that one, whatever was published meanwhile."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    # What was held before goes by the rules in force when it is captured, as it did. No row is rewritten.
    op.add_column("hold", sa.Column("rule_set", sa.Integer(), nullable=False, server_default=sa.text("0")))
