"""Passes in phone wallets, who hears of them, and how far the journal has been followed for them."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
NEVER_MS = 253_402_300_800_000

GRANTS = {
    "wallet_pass": "SELECT, INSERT, UPDATE, DELETE",
    "wallet_registration": "SELECT, INSERT, UPDATE, DELETE",
    "wallet_place": "SELECT, INSERT, UPDATE",
}


def column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def program_id() -> sa.Column[Any]:
    return column("program_id", sa.String(32))


def bigs(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.BigInteger()) for name in names]


def texts(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.Text()) for name in names]


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"{table}_pkey"))


def upgrade() -> None:
    create_passes()
    create_registrations()
    op.create_table(
        "wallet_place",
        program_id(),
        *texts("lanes"),
        *bigs("changed_ms", "tag", "moves"),
        key("wallet_place", "program_id"),
    )
    if op.get_bind().dialect.name == "postgresql":
        protect(context.config.attributes["service_role"])


def create_passes() -> None:
    op.create_table(
        "wallet_pass",
        program_id(),
        *texts("serial"),
        column("member_id", UUID),
        column("wallet", sa.SmallInteger()),
        column("token_hash", sa.LargeBinary()),
        *bigs("made_ms", "changed_s", "tag", "served_tag", "delivered_tag", "deliver_ms"),
        column("tries", sa.Integer()),
        *bigs("renew_ms"),
        column("told_day", sa.Integer()),
        column("told", sa.Integer()),
        key("wallet_pass", "member_id", "program_id", "serial"),
        sa.UniqueConstraint("serial", "program_id", name=op.f("wallet_pass_serial_program_id_key")),
    )
    for name, last, condition in (
        ("wallet_pass_due_idx", "deliver_ms", "delivered_tag < tag"),
        ("wallet_pass_renew_idx", "renew_ms", f"renew_ms < {NEVER_MS}"),
    ):
        where = sa.text(condition)
        op.create_index(name, "wallet_pass", ["program_id", last], postgresql_where=where, sqlite_where=where)


def create_registrations() -> None:
    table = "wallet_registration"
    op.create_table(
        table,
        program_id(),
        *texts("serial", "device_id", "push_token"),
        *bigs("registered_ms"),
        key(table, "serial", "program_id", "device_id"),
    )
    op.create_index("wallet_registration_device_idx", table, ["device_id", "program_id"])
    op.create_index("wallet_registration_push_idx", table, ["push_token", "program_id"])


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
