"""Unique codes of coupons, how often coupons were used, and what holds reserve of them."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0008"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

GRANTS = {
    "coupon_batch": "SELECT, INSERT",
    "coupon_code": "SELECT, INSERT, UPDATE (member_id, state, used_by, reserved_until_ms, revoked)",
    "coupon_count": "SELECT, INSERT, UPDATE (used)",
    "coupon_member": "SELECT, INSERT, UPDATE (used)",
    "coupon_hold": "SELECT, INSERT, DELETE",
}


def column(name: str, kind: Any, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def program_id() -> sa.Column[Any]:
    return column("program_id", sa.String(32))


def bigs(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.BigInteger()) for name in names]


def texts(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.Text()) for name in names]


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"{table}_pkey"))


def upgrade() -> None:
    # What was held before reserves no coupon. No row is rewritten.
    op.add_column("hold", sa.Column("coupons", sa.Text(), nullable=False, server_default=sa.text("'[]'")))
    create_codes()
    create_counts()
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE coupon_count SET (fillfactor = 50)")
        protect(context.config.attributes["service_role"])


def create_codes() -> None:
    op.create_table(
        "coupon_batch",
        program_id(),
        *texts("batch_id", "coupon_id"),
        column("count", sa.Integer()),
        *texts("content"),
        *bigs("created_ms"),
        *texts("created_by"),
        key("coupon_batch", "batch_id", "program_id"),
    )
    table = "coupon_code"
    op.create_table(
        table,
        program_id(),
        *texts("token", "batch_id"),
        column("position", sa.Integer()),
        *texts("coupon_id"),
        column("member_id", UUID, nullable=True),
        column("state", sa.SmallInteger()),
        *texts("used_by"),
        *bigs("reserved_until_ms", "created_ms"),
        column("revoked", sa.SmallInteger()),
        key(table, "token", "program_id"),
    )
    for name, columns, condition in (
        ("batch", ["batch_id", "program_id", "position"], "batch_id <> ''"),
        ("member", ["member_id", "program_id", "created_ms", "token"], "member_id IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(f"{table}_{name}_idx", table, columns, postgresql_where=where, sqlite_where=where)


def create_counts() -> None:
    op.create_table(
        "coupon_count",
        program_id(),
        *texts("coupon_id"),
        *bigs("used"),
        key("coupon_count", "coupon_id", "program_id"),
        sa.CheckConstraint("used >= 0", name=op.f("coupon_count_used_check")),
    )
    op.create_table(
        "coupon_member",
        program_id(),
        column("member_id", UUID),
        *texts("coupon_id"),
        *bigs("used"),
        key("coupon_member", "member_id", "program_id", "coupon_id"),
        sa.CheckConstraint("used >= 0", name=op.f("coupon_member_used_check")),
    )
    op.create_table(
        "coupon_hold",
        program_id(),
        column("member_id", UUID),
        column("hold_id", UUID),
        *texts("coupon_id", "token"),
        *bigs("until_ms"),
        key("coupon_hold", "member_id", "program_id", "hold_id", "coupon_id", "token"),
    )
    op.create_index("coupon_hold_coupon_idx", "coupon_hold", ["coupon_id", "program_id", "until_ms"])


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
