"""Tills' chains, the inbox, cashiers, scan tags, and holds that escrow points to a store."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

# What a till sent stays as it came: only what was made of it may change.
RESOLVED = (
    "verdict, reasons, member_seq, earned_points, shortfall_points, details, state, waits_for, resolved_by, note, "
    "resolved_ms"
)
GRANTS = {
    "till_chain": "SELECT, INSERT, UPDATE",
    "inbox_item": f"SELECT, INSERT, UPDATE ({RESOLVED})",
    "cashier": "SELECT, INSERT, UPDATE",
}


def column(name: str, kind: Any, *, nullable: bool = False, default: str | None = None) -> sa.Column[Any]:
    written = None if default is None else sa.text(default)
    return sa.Column(name, kind, nullable=nullable, server_default=written)


def program_id() -> sa.Column[Any]:
    return column("program_id", sa.String(32))


def bigs(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.BigInteger()) for name in names]


def texts(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.Text()) for name in names]


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"{table}_pkey"))


def partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)


def upgrade() -> None:
    extend_holds()
    extend_members()
    create_chains()
    create_inbox()
    create_cashiers()
    partial("ledger_loss_idx", "ledger", ["program_id", "store_id"], "m_store_loss IS NOT NULL")
    if op.get_bind().dialect.name == "postgresql":
        role = context.config.attributes["service_role"]
        op.execute("ALTER TABLE till_chain SET (fillfactor = 50)")
        protect()
        grant(role)


def extend_holds() -> None:
    """What was held before was held for a checkout, and nothing of it was used. No row is rewritten."""
    op.add_column("hold", column("kind", sa.SmallInteger(), default="1"))
    op.add_column("hold", column("store_id", sa.Text(), default="''"))
    op.add_column("hold", column("ends_ms", sa.BigInteger(), default="0"))
    # SQLite takes a check only along with the column.
    op.execute(
        "ALTER TABLE hold ADD COLUMN used BIGINT DEFAULT 0 NOT NULL "
        "CONSTRAINT hold_used_check CHECK (used >= 0 AND used <= points)"
    )
    op.add_column("hold", column("recalled", sa.SmallInteger(), default="0"))
    partial("hold_store_idx", "hold", ["program_id", "store_id"], "status = 1 AND kind <> 1")


def extend_members() -> None:
    op.add_column("member", column("changed_ms", sa.BigInteger(), default="0"))
    changed = ["changed_ms", "member_id", "program_id"]
    partial("member_changed_idx", "member", changed, "status > 0")
    op.add_column("identifier", column("scan_tag", sa.LargeBinary(), nullable=True))


def create_chains() -> None:
    op.create_table(
        "till_chain",
        program_id(),
        *texts("till_id", "store_id"),
        column("epoch", sa.Integer()),
        *bigs("acked_seq"),
        column("head", sa.LargeBinary()),
        column("status", sa.SmallInteger()),
        *texts("fenced_ms"),
        column("fences", sa.Integer()),
        *bigs("contact_ms", "drained_ms", "queued", "floor_points"),
        key("till_chain", "till_id", "program_id"),
        sa.CheckConstraint("acked_seq >= 0", name=op.f("till_chain_acked_seq_check")),
    )
    partial("till_chain_store_idx", "till_chain", ["store_id", "program_id"], "store_id <> ''")


def create_inbox() -> None:
    op.create_table(
        "inbox_item",
        program_id(),
        column("item_id", UUID),
        *texts("till_id", "store_id"),
        *bigs("epoch", "seq"),
        column("verdict", sa.SmallInteger()),
        *texts("reasons"),
        *bigs("member_seq", "earned_points", "shortfall_points"),
        *texts("details"),
        column("state", sa.SmallInteger()),
        *bigs("received_ms"),
        column("raw", sa.LargeBinary()),
        *texts("waits_for", "resolved_by", "note"),
        *bigs("resolved_ms"),
        key("inbox_item", "item_id", "program_id"),
    )
    order = ["received_ms", "item_id"]
    by_state = ["state", "program_id", *order]
    partial("inbox_item_state_idx", "inbox_item", by_state, "state > 0")
    partial("inbox_item_store_idx", "inbox_item", ["store_id", "program_id", "state", *order], "state > 0")
    partial("inbox_item_parked_idx", "inbox_item", ["program_id", "item_id"], "state = 1 AND verdict = 3")


def create_cashiers() -> None:
    op.create_table(
        "cashier",
        program_id(),
        *texts("store_id", "cashier_id", "label"),
        column("active", sa.SmallInteger()),
        *texts("pin_hash"),
        column("wrong_pins", sa.Integer()),
        *bigs("locked_until_ms"),
        key("cashier", "program_id", "store_id", "cashier_id"),
    )


def protect() -> None:
    for table in GRANTS:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_program ON {table} "
            "USING (program_id = current_setting('tallystick.program', true)) "
            "WITH CHECK (program_id = current_setting('tallystick.program', true))"
        )


def grant(role: str) -> None:
    for table, privileges in GRANTS.items():
        op.execute(f"GRANT {privileges} ON {table} TO {role}")
    op.execute(f"GRANT UPDATE (changed_ms) ON member TO {role}")
