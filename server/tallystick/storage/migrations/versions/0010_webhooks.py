"""Events, the endpoints that are told of them, and when a member was stored."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
TABLES = ("webhook", "event", "event_delivery", "event_seen", "event_place")


def column(name: str, kind: Any, default: str | None = None) -> sa.Column[Any]:
    written = None if default is None else sa.text(default)
    return sa.Column(name, kind, nullable=False, server_default=written)


def program_id() -> sa.Column[Any]:
    return column("program_id", sa.String(32))


def bigs(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.BigInteger()) for name in names]


def texts(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.Text()) for name in names]


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"{table}_pkey"))


def upgrade() -> None:
    op.add_column("member", column("made_ms", sa.BigInteger(), default="0"))
    create_webhooks()
    create_events()
    create_deliveries()
    create_places()
    if op.get_bind().dialect.name == "postgresql":
        protect(context.config.attributes["service_role"])


def create_webhooks() -> None:
    op.create_table(
        "webhook",
        program_id(),
        *texts("webhook_id", "url", "event_types"),
        column("signing", sa.SmallInteger()),
        column("sealed_key", sa.LargeBinary()),
        column("old_sealed_key", sa.LargeBinary()),
        *bigs("old_until_ms"),
        column("paused", sa.SmallInteger()),
        *bigs("made_ms"),
        key("webhook", "program_id", "webhook_id"),
    )


def create_events() -> None:
    op.create_table(
        "event",
        program_id(),
        *bigs("number"),
        *texts("message_id"),
        column("event_type", sa.String(64)),
        column("member_id", UUID),
        *bigs("occurred_ms", "queued_ms"),
        column("body", sa.LargeBinary()),
        key("event", "program_id", "number"),
    )
    op.create_index("event_queued_idx", "event", ["program_id", "queued_ms"])


def create_deliveries() -> None:
    table = "event_delivery"
    op.create_table(
        table,
        program_id(),
        *texts("webhook_id"),
        *bigs("number"),
        column("member_id", UUID),
        column("state", sa.SmallInteger()),
        column("tries", sa.Integer()),
        *bigs("since_ms", "next_ms"),
        *texts("answer"),
        key(table, "program_id", "webhook_id", "number"),
    )
    for name, columns, condition in (
        ("waiting", ["program_id", "webhook_id", "member_id", "number"], "state = 1"),
        ("due", ["program_id", "webhook_id", "next_ms", "number"], "state = 1"),
        ("failed", ["program_id", "webhook_id", "number"], "state = 3"),
    ):
        where = sa.text(condition)
        op.create_index(f"{table}_{name}_idx", table, columns, postgresql_where=where, sqlite_where=where)


def create_places() -> None:
    op.create_table(
        "event_seen",
        program_id(),
        column("member_id", UUID),
        column("seq", sa.Integer()),
        *texts("tier_id"),
        column("status", sa.SmallInteger()),
        *bigs("changed_ms"),
        key("event_seen", "member_id", "program_id"),
    )
    op.create_table(
        "event_place",
        program_id(),
        *texts("lanes"),
        *bigs("changed_ms", "began_ms", "events", "moves"),
        key("event_place", "program_id"),
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
