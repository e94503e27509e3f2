"""A PostgreSQL database that loses its last commits under those who use it: a promoted standby, or a restore."""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.support.postgres import Database, libpq


class Copy:
    """A database as it is now; it can take the place of the original, whose later commits are lost then."""

    def __init__(self, database: Database) -> None:
        self._name = database.name
        self._server = make_conninfo(libpq(database.admin_url), dbname="postgres")
        self._run("ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self._run("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = {text}")
        self._run("CREATE DATABASE {copy} TEMPLATE {name}")
        self._run("ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def take_over(self) -> None:
        self._run("DROP DATABASE {name} WITH (FORCE)")
        self._run("ALTER DATABASE {copy} RENAME TO {name}")

    def _run(self, statement: LiteralString) -> None:
        with psycopg.connect(self._server, autocommit=True) as admin:
            name, copy = sql.Identifier(self._name), sql.Identifier(f"{self._name}_copy")
            admin.execute(sql.SQL(statement).format(name=name, copy=copy, text=sql.Literal(self._name)))
