"""The script of deploy/ that prepares PostgreSQL, run as the compose file runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg

from tests.support.postgres import PostgresServer, installation

DEPLOY = Path(__file__).parents[2] / "deploy"

OWNER_OF_DATABASE = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'tallystick'"
ROLES = """
SELECT rolname, rolpassword LIKE 'SCRAM-SHA-256$%', rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb
FROM pg_authid WHERE rolname LIKE 'tallystick%' ORDER BY rolname
"""


def run_init(server: PostgresServer) -> None:
    environment = {
        "PATH": f"{installation() / 'bin'}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "POSTGRES_USER": "postgres",
        "POSTGRES_DB": "tallystick",
        "TALLYSTICK_ROLES_SQL": str(DEPLOY / "roles.sql"),
        "TALLYSTICK_OWNER_PASSWORD": "it's an owner",
        "TALLYSTICK_APP_PASSWORD": 'a "service"',
    }
    subprocess.run([DEPLOY / "postgres-init.sh"], env=environment, check=True, timeout=60)


def test_a_prepared_database_belongs_to_the_owner_and_its_roles_have_passwords_and_no_powers() -> None:
    with PostgresServer() as server, psycopg.connect(server.conninfo, autocommit=True) as admin:
        admin.execute("CREATE DATABASE tallystick")
        run_init(server)
        run_init(server)
        assert admin.execute(OWNER_OF_DATABASE).fetchone() == ("tallystick_owner",)
        assert admin.execute(ROLES).fetchall() == [
            ("tallystick_app", True, False),
            ("tallystick_owner", True, False),
        ]
