"""The PostgreSQL that the other tests stand on."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import PIPE

import psutil
import psycopg
import pytest
from sqlalchemy import create_engine, text

from tests.support.postgres import (
    Database,
    PostgresCluster,
    PostgresServer,
    installation,
    libpq,
    readable_copy,
)

ROOT = Path(__file__).parents[2]

START_AND_WAIT = """
from tests.support.postgres import PostgresServer
server = PostgresServer()
server.start()
print(server.port, flush=True)
time.sleep(600)
"""


def test_the_owner_makes_tables_and_the_service_role_may_not(database: Database) -> None:
    with psycopg.connect(libpq(database.owner_url)) as owner:
        owner.execute("CREATE TABLE thing (id integer)")
    with psycopg.connect(libpq(database.service_url)) as service:
        assert service.execute("SELECT current_user").fetchone() == ("tallystick_app",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute("CREATE TABLE another (id integer)")


def test_row_level_security_binds_the_service_role_and_not_the_superuser(database: Database) -> None:
    with psycopg.connect(libpq(database.owner_url)) as owner:
        owner.execute("CREATE TABLE thing (id integer)")
        owner.execute("INSERT INTO thing VALUES (1)")
        owner.execute("ALTER TABLE thing ENABLE ROW LEVEL SECURITY")
        owner.execute("GRANT SELECT ON thing TO tallystick_app")
    with psycopg.connect(libpq(database.service_url)) as service:
        assert service.execute("SELECT count(*) FROM thing").fetchone() == (0,)
    with database.as_admin() as admin:
        assert admin.execute("SELECT count(*) FROM thing").fetchone() == (1,)


def test_each_test_has_a_database_of_its_own_that_is_dropped_even_while_it_is_used(
    postgres: PostgresCluster,
) -> None:
    with postgres.database() as first, postgres.database() as second:
        assert first.name != second.name
        straggler = psycopg.connect(libpq(first.owner_url))
    with pytest.raises(psycopg.OperationalError):
        straggler.execute("SELECT 1")


def test_a_database_can_be_a_copy_of_another(postgres: PostgresCluster) -> None:
    with postgres.database() as template:
        with psycopg.connect(libpq(template.owner_url)) as owner:
            owner.execute("CREATE TABLE thing (id integer)")
        with (
            postgres.database(template=template.name) as copy,
            psycopg.connect(libpq(copy.owner_url)) as owner,
        ):
            assert owner.execute("SELECT count(*) FROM thing").fetchone() == (0,)


def test_the_url_is_one_that_sqlalchemy_understands(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SHOW server_version_num")).scalar_one() >= "180000"
    engine.dispose()


def test_a_commit_survives_a_killed_server_and_an_orderly_restart() -> None:
    with PostgresServer() as server:
        with psycopg.connect(server.conninfo) as connection:
            connection.execute("CREATE TABLE kept (id integer)")
            connection.execute("INSERT INTO kept VALUES (1)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.conninfo, connect_timeout=2)
        server.start()
        server.restart()
        with psycopg.connect(server.conninfo) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)


def test_pgbench_of_the_same_version_runs() -> None:
    with PostgresServer() as server:
        finished = subprocess.run(
            [server.pgbench, "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    assert "PostgreSQL) 18" in finished.stdout


def test_a_copy_of_the_programs_runs_where_the_environment_is_closed_to_other_users() -> None:
    program = readable_copy(installation()) / "bin" / "postgres"
    finished = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True)
    assert "PostgreSQL) 18" in finished.stdout


def test_a_server_lies_in_memory_where_there_is_room_and_on_the_disk_where_its_commits_must_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory() as memory, tempfile.TemporaryDirectory() as disk:
        for place in (memory, disk):
            Path(place).chmod(0o755)
        monkeypatch.delenv("TMPDIR", raising=False)
        monkeypatch.setattr("tempfile.tempdir", disk)
        monkeypatch.setattr("tests.support.postgres._MEMORY", Path(memory))

        def place_of(*, durable: bool) -> list[str]:
            with PostgresServer(durable=durable):
                return [place for place in (memory, disk) if list(Path(place).iterdir())]

        assert place_of(durable=False) == [memory]
        assert place_of(durable=True) == [disk]
        monkeypatch.setattr("tests.support.postgres._MEMORY_FREE_MIN", 2**62)
        assert place_of(durable=False) == [disk]
        assert [list(Path(place).iterdir()) for place in (memory, disk)] == [[], []]


def test_no_server_outlives_a_killed_test_run() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        runner = subprocess.Popen(
            [sys.executable, "-c", START_AND_WAIT], cwd=ROOT, env={**os.environ, "TMPDIR": name}, stdout=PIPE
        )
        assert runner.stdout is not None
        assert int(runner.stdout.readline()) > 0
        family = psutil.Process(runner.pid).children(recursive=True)
        assert len(family) > 1, "the server and its background processes"
        runner.kill()
        runner.communicate(timeout=30)
        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []


def test_the_directory_of_a_killed_test_run_is_removed_by_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        monkeypatch.setattr("tempfile.tempdir", name)
        abandoned = directory / "tallystick-postgres-abandoned"
        abandoned.mkdir()
        (abandoned / "lock").touch()
        with PostgresServer() as first, PostgresServer():
            assert not abandoned.exists()
            psycopg.connect(first.conninfo).close()
        assert list(directory.iterdir()) == []
