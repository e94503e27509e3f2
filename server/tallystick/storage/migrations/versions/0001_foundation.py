"""Programs, members, ledger, journal, identifiers and devices, with row level security on PostgreSQL."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

MOVES = ("active", "pending", "held", "debt", "issued", "burned", "breakage", "store_loss", "adjusted")
UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

# What the service may do, table by table. What has been posted or sealed cannot be changed by whoever takes it over.
GRANTS = {
    "program": "SELECT, INSERT, UPDATE (rule_set)",
    "rule_set": "SELECT, INSERT",
    "member": "SELECT, INSERT, UPDATE (status)",
    "account": "SELECT, INSERT, UPDATE",
    "ledger": "SELECT, INSERT",
    "lot": "SELECT, INSERT, UPDATE",
    "hold": "SELECT, INSERT, UPDATE",
    "refusal": "SELECT, INSERT",
    "journal": "SELECT, INSERT",
    "identifier": "SELECT, INSERT, DELETE",
    "person": "SELECT, INSERT, UPDATE, DELETE",
    "device": "SELECT, INSERT, UPDATE",
    "enrolment_code": "SELECT, INSERT, UPDATE",
    "assertion_use": "SELECT, INSERT, DELETE",
}


def column(name: str, kind: Any, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def program_id() -> sa.Column[Any]:
    return column("program_id", sa.String(32))


def bigs(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.BigInteger()) for name in names]


def smalls(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.SmallInteger()) for name in names]


def texts(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.Text()) for name in names]


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"{table}_pkey"))


def upgrade() -> None:
    create_programs()
    create_members()
    create_ledger()
    create_lots_and_holds()
    create_answers()
    create_identity()
    create_devices()
    create_posting_view()
    if op.get_bind().dialect.name == "postgresql":
        role = context.config.attributes["service_role"]
        tune()
        protect(role)
        grant(role)


def create_programs() -> None:
    op.create_table(
        "program",
        program_id(),
        *texts("display_name"),
        *smalls("clock"),
        column("rule_set", sa.Integer()),
        *bigs("created_ms"),
        key("program", "program_id"),
    )
    op.create_table(
        "rule_set",
        program_id(),
        column("version", sa.Integer()),
        *texts("sha256", "text", "canonical", "request_id"),
        *bigs("published_ms"),
        *texts("published_by"),
        key("rule_set", "program_id", "version"),
        sa.UniqueConstraint("program_id", "request_id", name=op.f("rule_set_program_id_request_id_key")),
    )


def create_members() -> None:
    op.create_table(
        "member",
        program_id(),
        column("member_id", UUID),
        *texts("number"),
        *smalls("status"),
        *bigs("enrolled_ms"),
        *smalls("channel"),
        *texts("store_id"),
        key("member", "member_id", "program_id"),
    )
    op.create_table(
        "account",
        program_id(),
        column("member_id", UUID),
        *bigs("active", "pending", "held", "debt", "as_of_ms", "due_ms", "enrolled_ms"),
        column("seq", sa.Integer()),
        *smalls("status"),
        *texts("tier"),
        key("account", "member_id", "program_id"),
        sa.CheckConstraint("active >= 0", name=op.f("account_active_check")),
        sa.CheckConstraint("pending >= 0", name=op.f("account_pending_check")),
        sa.CheckConstraint("held >= 0", name=op.f("account_held_check")),
        sa.CheckConstraint("debt >= 0", name=op.f("account_debt_check")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "account_due_idx",
        "account",
        ["program_id", "due_ms"],
        postgresql_where=sa.text("due_ms < 253402300800000"),
        sqlite_where=sa.text("due_ms < 253402300800000"),
    )


def create_ledger() -> None:
    balanced = " + ".join(f"coalesce(m_{name}, 0)" for name in MOVES) + " = 0"
    op.create_table(
        "ledger",
        program_id(),
        column("member_id", UUID),
        column("seq", sa.Integer()),
        column("command_id", UUID),
        column("rule_set", sa.Integer()),
        *smalls("kind", "assurance", "channel"),
        *bigs("occurred_ms", "recorded_ms"),
        *(column(f"m_{name}", sa.BigInteger(), nullable=True) for name in MOVES),
        *bigs("active_after", "pending_after", "held_after", "debt_after"),
        column("shortfall", sa.BigInteger(), nullable=True),
        column("claimed_points", sa.BigInteger(), nullable=True),
        column("reverses_seq", sa.Integer(), nullable=True),
        column("hold_id", UUID, nullable=True),
        column("fingerprint", sa.LargeBinary()),
        *texts("tier_after", "store_id", "till_id", "reference", "detail"),
        key("ledger", "member_id", "program_id", "seq"),
        sa.UniqueConstraint("command_id", "program_id", name=op.f("ledger_command_id_program_id_key")),
        sa.CheckConstraint(balanced, name=op.f("ledger_balanced_check")),
    )
    op.create_index(
        "ledger_reverses_idx",
        "ledger",
        ["member_id", "program_id", "reverses_seq"],
        postgresql_where=sa.text("reverses_seq IS NOT NULL"),
        sqlite_where=sa.text("reverses_seq IS NOT NULL"),
    )
    op.create_table(
        "journal",
        program_id(),
        column("lane_id", sa.Integer()),
        *bigs("lane_seq"),
        column("count", sa.Integer()),
        *bigs("recorded_ms", *(f"s_{name}" for name in MOVES)),
        *(column(name, sa.LargeBinary()) for name in ("prev_hash", "hash", "payload")),
        key("journal", "program_id", "lane_id", "lane_seq"),
    )


def create_lots_and_holds() -> None:
    op.create_table(
        "lot",
        program_id(),
        column("member_id", UUID),
        column("lot_seq", sa.Integer()),
        column("credit_day", sa.Integer()),
        *bigs("points", "remaining", "earned_ms", "expires_ms", "matures_ms", "credits"),
        *smalls("pending"),
        key("lot", "member_id", "program_id", "lot_seq"),
        sa.CheckConstraint("remaining >= 0 AND remaining <= points", name=op.f("lot_remaining_check")),
        sa.CheckConstraint("pending IN (0, 1)", name=op.f("lot_pending_check")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hold",
        program_id(),
        column("member_id", UUID),
        column("hold_id", UUID),
        column("seq", sa.Integer()),
        *smalls("status", "assurance"),
        *bigs("points", "spend_points", "expires_ms"),
        *texts("reward_ids", "allocs"),
        key("hold", "member_id", "program_id", "hold_id"),
        sa.UniqueConstraint("program_id", "hold_id", name=op.f("hold_program_id_hold_id_key")),
        sa.CheckConstraint("points >= 0", name=op.f("hold_points_check")),
    )


def create_answers() -> None:
    op.create_table(
        "refusal",
        program_id(),
        column("command_id", UUID),
        column("member_id", UUID),
        *bigs("recorded_ms"),
        *smalls("reason"),
        column("fingerprint", sa.LargeBinary()),
        *texts("details"),
        key("refusal", "command_id", "program_id"),
    )


def create_identity() -> None:
    op.create_table(
        "identifier",
        program_id(),
        column("kind", sa.String(32)),
        column("token", sa.LargeBinary()),
        column("member_id", UUID),
        *texts("hint"),
        *bigs("added_ms"),
        key("identifier", "program_id", "kind", "token"),
    )
    op.create_index("identifier_member_idx", "identifier", ["member_id", "program_id"])
    op.create_table(
        "person",
        program_id(),
        column("member_id", UUID),
        column("sealed", sa.LargeBinary()),
        key("person", "member_id", "program_id"),
    )


def create_devices() -> None:
    op.create_table(
        "device",
        *texts("device_id"),
        program_id(),
        *smalls("kind", "role", "status"),
        *bigs("enrolled_ms", "confirmed_ms", "revoked_ms"),
        *texts("store_id", "label", "public_jwk", "kid", "fingerprint"),
        key("device", "device_id"),
    )
    op.create_index("device_program_idx", "device", ["program_id", "device_id"])
    op.create_index(
        "device_revoked_idx",
        "device",
        ["revoked_ms"],
        postgresql_where=sa.text("revoked_ms > 0"),
        sqlite_where=sa.text("revoked_ms > 0"),
    )
    op.create_table(
        "enrolment_code",
        program_id(),
        column("code_hash", sa.LargeBinary()),
        *texts("selector"),
        *smalls("kind", "role"),
        column("tries_left", sa.Integer()),
        *bigs("expires_ms"),
        *texts("store_id", "label", "used_by"),
        key("enrolment_code", "program_id", "code_hash"),
    )
    op.create_table(
        "assertion_use",
        program_id(),
        *texts("device_id", "token_id"),
        *bigs("usable_until_ms"),
        key("assertion_use", "device_id", "token_id", "program_id"),
    )


def tune() -> None:
    """Room on the page for new versions of rows that change (HOT); no attempt to compress hashes."""
    op.execute("ALTER TABLE account SET (fillfactor = 70)")
    op.execute("ALTER TABLE lot SET (fillfactor = 80)")
    op.execute("ALTER TABLE journal ALTER COLUMN payload SET STORAGE EXTERNAL")


def protect(role: str) -> None:
    """Forced row level security: without the transaction's program there are no rows, whatever the query says.

    Three reads cross programs, each a function that gives out no more than its name: which program a device is
    of, which devices are revoked, which programs there are. They run as the owner, who may read those two tables.
    """
    for table in GRANTS:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_program ON {table} "
            "USING (program_id = current_setting('tallystick.program', true)) "
            "WITH CHECK (program_id = current_setting('tallystick.program', true))"
        )
    for table in ("program", "device"):
        op.execute(f"CREATE POLICY owner_reads ON {table} FOR SELECT TO CURRENT_USER USING (true)")
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    define = f"LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp"
    for name, wanted, gives, body in (
        (
            "device_program",
            "wanted text",
            "text",
            "SELECT program_id FROM device WHERE device_id = wanted",
        ),
        (
            "devices_revoked",
            "since bigint, most integer",
            "SETOF text",
            "SELECT device_id FROM device WHERE revoked_ms >= greatest(since, 1) ORDER BY revoked_ms LIMIT most",
        ),
        (
            "programs_listed",
            "behind text, most integer",
            "SETOF program",
            "SELECT * FROM program WHERE program_id > behind ORDER BY program_id LIMIT most",
        ),
    ):
        op.execute(f"CREATE FUNCTION {name}({wanted}) RETURNS {gives} {define} AS $body$ {body} $body$")
        op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO {role}")


def grant(role: str) -> None:
    op.execute(f"GRANT SELECT ON alembic_version TO {role}")
    for table, privileges in GRANTS.items():
        op.execute(f"GRANT {privileges} ON {table} TO {role}")
    op.execute(f"GRANT SELECT ON posting TO {role}")


def create_posting_view() -> None:
    """One signed row for each account that an entry moves, for analysts."""
    parts = [
        f"SELECT program_id, member_id, seq, command_id, kind, occurred_ms, recorded_ms, '{name}' AS account, "
        f"m_{name} AS points FROM ledger WHERE m_{name} IS NOT NULL"
        for name in MOVES
    ]
    # The view shows what its reader may see, not what its owner may.
    rights = " WITH (security_invoker = true)" if op.get_bind().dialect.name == "postgresql" else ""
    op.execute(f"CREATE VIEW posting{rights} AS " + " UNION ALL ".join(parts))
