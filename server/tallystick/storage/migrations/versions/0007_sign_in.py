"""Signing in: sessions of codes and challenges, passkeys, and which members' devices were revoked."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")

GRANTS = {
    "sign_in": "SELECT, INSERT, UPDATE (tries_left, used_by), DELETE",
    "passkey": "SELECT, INSERT, UPDATE (sign_count, used_ms), DELETE",
}


def column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def bigs(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.BigInteger()) for name in names]


def octets(*names: str) -> list[sa.Column[Any]]:
    return [column(name, sa.LargeBinary()) for name in names]


def upgrade() -> None:
    create_sessions()
    create_passkeys()
    op.create_index("card_device_kid_idx", "card_device", ["kid", "program_id"])
    create_partial_index("card_device_revoked_idx", "card_device", ["revoked_ms"], "revoked_ms > 0")
    if op.get_bind().dialect.name == "postgresql":
        protect(context.config.attributes["service_role"])


def create_sessions() -> None:
    table = "sign_in"
    op.create_table(
        table,
        column("program_id", sa.String(32)),
        *octets("session_hash"),
        column("purpose", sa.SmallInteger()),
        *octets("secret"),
        *bigs("started_ms", "expires_ms", "forget_ms"),
        column("tries_left", sa.Integer()),
        sa.Column("member_id", UUID, nullable=True),
        *octets("address_token", "client_tag", "sealed"),
        column("mailed", sa.SmallInteger()),
        column("used_by", sa.Text()),
        sa.PrimaryKeyConstraint("program_id", "session_hash", name=op.f("sign_in_pkey")),
    )
    of_address = ["address_token", "program_id", "started_ms"]
    create_partial_index("sign_in_address_idx", table, of_address, "mailed = 1")
    op.create_index("sign_in_forget_idx", table, ["program_id", "forget_ms"])


def create_passkeys() -> None:
    op.create_table(
        "passkey",
        column("program_id", sa.String(32)),
        column("member_id", UUID),
        *octets("credential_id", "public_key"),
        *bigs("sign_count"),
        *octets("sealed_label"),
        *bigs("added_ms", "used_ms"),
        sa.PrimaryKeyConstraint("member_id", "program_id", "credential_id", name=op.f("passkey_pkey")),
        sa.UniqueConstraint("credential_id", "program_id", name=op.f("passkey_credential_id_program_id_key")),
    )


def create_partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)


def protect(role: str) -> None:
    """Row level security as everywhere; and one more read that crosses programs, by the owner's leave."""
    for table, privileges in GRANTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_program ON {table} "
            "USING (program_id = current_setting('tallystick.program', true)) "
            "WITH CHECK (program_id = current_setting('tallystick.program', true))"
        )
        op.execute(f"GRANT {privileges} ON {table} TO {role}")
    op.execute("CREATE POLICY owner_reads ON card_device FOR SELECT TO CURRENT_USER USING (true)")
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    define = f"LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp"
    name, wanted = "card_devices_revoked", "since bigint, most integer"
    body = (
        "SELECT program_id, kid FROM card_device WHERE revoked_ms > 0 AND revoked_ms >= since "
        "ORDER BY revoked_ms DESC LIMIT most"
    )
    gives = "TABLE (program_id text, kid text)"
    op.execute(f"CREATE FUNCTION {name}({wanted}) RETURNS {gives} {define} AS $body$ {body} $body$")
    op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO {role}")
