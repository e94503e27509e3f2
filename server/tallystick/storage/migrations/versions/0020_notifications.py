"""Notifications: messages to members, the addresses of push messages, and how far the journal was followed for them."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
TABLES = ("notification", "push_subscription", "notification_place")


def column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def program_id() -> sa.Column[Any]:
    return column("program_id", sa.String(32))


def bigs(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.BigInteger()) for name in names]


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"{table}_pkey"))


def upgrade() -> None:
    create_notifications()
    create_addresses()
    if op.get_bind().dialect.name == "postgresql":
        protect(context.config.attributes["service_role"])


def create_notifications() -> None:
    table = "notification"
    op.create_table(
        table,
        program_id(),
        column("member_id", UUID),
        column("notification_id", UUID),
        column("occasion", sa.String(32)),
        column("args", sa.Text()),
        *bigs("made_ms", "stale_ms", "next_ms"),
        column("state", sa.SmallInteger()),
        column("way", sa.SmallInteger()),
        column("tries", sa.Integer()),
        column("answer", sa.Text()),
        *bigs("done_ms", "held_ms"),
        key(table, "member_id", "program_id", "notification_id"),
    )
    for name, columns, condition in (
        ("due", ["program_id", "next_ms"], "state = 1"),
        ("held", ["member_id", "program_id"], "held_ms > 0"),
        ("failed", ["program_id", "made_ms"], "state = 4"),
    ):
        where = sa.text(condition)
        op.create_index(f"{table}_{name}_idx", table, columns, postgresql_where=where, sqlite_where=where)
    op.create_index(f"{table}_made_idx", table, ["program_id", "made_ms"])


def create_addresses() -> None:
    op.create_table(
        "push_subscription",
        program_id(),
        column("member_id", UUID),
        column("kid", sa.Text()),
        column("endpoint", sa.Text()),
        column("p256dh", sa.LargeBinary()),
        column("auth", sa.LargeBinary()),
        *bigs("made_ms"),
        key("push_subscription", "member_id", "program_id", "kid"),
    )
    op.create_table(
        "notification_place",
        program_id(),
        column("lanes", sa.Text()),
        *bigs("moves"),
        key("notification_place", "program_id"),
    )


def protect(role: str) -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_program ON {table} "
            "USING (program_id = current_setting('tallystick.program', true)) "
            "WITH CHECK (program_id = current_setting('tallystick.program', true))"
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}")
