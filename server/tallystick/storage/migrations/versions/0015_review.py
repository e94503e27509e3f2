"""What people must look at: reviews, counters of the watch, its place in the journal, and who is staff."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

GRANTS = {
    "review": "SELECT, INSERT, DELETE, UPDATE (other_id, state, decided_ms, decided_by, note, followed)",
    "watch_count": "SELECT, INSERT, DELETE, UPDATE (count)",
    "watch_place": "SELECT, INSERT, UPDATE (lanes, moves)",
    "staff_member": "SELECT, INSERT, DELETE",
}


def column(name: str, kind: Any, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def program_id() -> sa.Column[Any]:
    return column("program_id", sa.String(32))


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"{table}_pkey"))


def upgrade() -> None:
    create_reviews()
    create_watch()
    if op.get_bind().dialect.name == "postgresql":
        protect(context.config.attributes["service_role"])


def create_reviews() -> None:
    op.create_table(
        "review",
        program_id(),
        column("review_id", UUID),
        column("kind", sa.String(32)),
        column("member_id", UUID, nullable=True),
        column("other_id", UUID, nullable=True),
        column("facts", sa.Text()),
        column("made_ms", sa.BigInteger()),
        column("holds", sa.SmallInteger()),
        column("asked_by", sa.Text()),
        column("held", sa.Text()),
        column("state", sa.SmallInteger()),
        column("decided_ms", sa.BigInteger()),
        column("decided_by", sa.Text()),
        column("note", sa.Text()),
        column("followed", sa.SmallInteger()),
        key("review", "review_id", "program_id"),
    )
    op.create_index("review_made_idx", "review", ["program_id", "made_ms", "review_id"])
    for name, columns, condition in (
        ("open", ["program_id", "made_ms", "review_id"], "state = 1"),
        ("follow", ["program_id", "review_id"], "state > 1 AND holds = 1 AND followed = 0"),
        ("member", ["member_id", "program_id"], "member_id IS NOT NULL"),
        ("other", ["other_id", "program_id"], "other_id IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(f"review_{name}_idx", "review", columns, postgresql_where=where, sqlite_where=where)


def create_watch() -> None:
    op.create_table(
        "watch_count",
        program_id(),
        column("kind", sa.String(32)),
        column("subject", sa.Text()),
        column("bucket_ms", sa.BigInteger()),
        column("count", sa.Integer()),
        key("watch_count", "program_id", "bucket_ms", "kind", "subject"),
    )
    op.create_table(
        "watch_place",
        program_id(),
        column("lanes", sa.Text()),
        column("moves", sa.BigInteger()),
        key("watch_place", "program_id"),
    )
    op.create_table(
        "staff_member",
        program_id(),
        column("store_id", sa.Text()),
        column("cashier_id", sa.Text()),
        column("member_id", UUID),
        key("staff_member", "program_id", "store_id", "cashier_id"),
    )
    op.create_index("staff_member_member_idx", "staff_member", ["member_id", "program_id"])


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
