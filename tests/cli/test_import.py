"""The replay of a sales file through real servers: twice, on two databases, with the same result."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.retail_files import invoices_file
from tests.cli.shell import Running, Shell
from tests.support.postgres import Database

PROGRAM = "online-retail"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("import"))


@pytest.fixture(scope="module")
def sales_file(bench: Shell) -> Path:
    return invoices_file(bench.home / "sales.csv")


@pytest.fixture(scope="module")
def sqlite_url(bench: Shell) -> str:
    return f"sqlite:///{bench.home / 'sales.db'}"


@pytest.fixture(scope="module")
def replayed(bench: Shell, sales_file: Path, sqlite_url: str) -> Any:
    """The summary of the first replay into SQLite."""
    return bench.succeed("import", "online-retail", sales_file, "--database", sqlite_url, "--json").json


@pytest.fixture(scope="module")
def postgres_url(module_database: Database, bench: Shell) -> str:
    bench.prepare("migrate", env={"TALLYSTICK_DATABASE_URL": module_database.owner_url})
    return module_database.service_url


def exported(shell: Shell, url: str, what: str) -> list[dict[str, str]]:
    rows = list(csv.DictReader(shell.prepare("export", what, "--database", url).out.splitlines()))
    # When it was recorded and by which importer differs between two runs; nothing else may.
    return [{key: row[key] for key in row if key not in ("recorded_at", "till_id")} for row in rows]


def test_a_replay_accounts_for_every_row_and_every_point(replayed: Any) -> None:
    rows = replayed["rows"]
    assert rows["read"] == rows["sales"] + rows["returns"] + sum(rows["rejected"].values())
    assert rows["sales"] > 200
    assert rows["returned_in_part"] > 0
    assert set(replayed["checks"].values()) == {True}
    assert "ledger_verified" in replayed["checks"]
    assert replayed["commands"]["refused"] == {}
    points, program = replayed["points"], replayed["program"]
    left = (
        points["issued"] - points["taken_back"] - points["burned"] + points["given_back"] - program["expired"]
    )
    assert left == program["active"] + program["pending"] - program["debt"]
    assert min(points["burned"], points["taken_back"], program["expired"], program["pending"]) > 0
    assert sum(replayed["tiers"].values()) == replayed["members"] == 6
    assert len(replayed["tiers"]) > 1


def test_a_second_replay_changes_nothing_and_says_so(
    bench: Shell, sales_file: Path, sqlite_url: str, replayed: Any
) -> None:
    before = exported(bench, sqlite_url, "entries")
    told = bench.succeed("import", "online-retail", sales_file, "--database", sqlite_url).out
    commands = replayed["commands"]["sales"] + replayed["commands"]["returns"]
    assert f"{commands} of {commands} commands had been posted before" in told
    assert "Nothing changed: this file had been replayed before." in told
    assert exported(bench, sqlite_url, "entries") == before


def test_postgresql_comes_to_the_same_accounts_and_entries_as_sqlite(
    bench: Shell, sales_file: Path, sqlite_url: str, postgres_url: str, replayed: Any
) -> None:
    # The URL holds a password: it goes through the environment.
    there = {"TALLYSTICK_DATABASE_URL": postgres_url}
    for again in (False, True):
        summary = bench.succeed("import", "online-retail", sales_file, "--json", env=there).json
        assert summary["changed"] is not again
        assert summary["program"] == replayed["program"]
        assert summary["points"] == replayed["points"]
    for what in ("accounts", "entries"):
        assert exported(bench, postgres_url, what) == exported(bench, sqlite_url, what)


def test_a_row_changed_behind_the_ledgers_back_ends_the_next_replay_with_code_1(
    bench: Shell, sales_file: Path, sqlite_url: str, replayed: Any, tmp_path: Path
) -> None:
    source, copy = sqlite3.connect(sqlite_url.removeprefix("sqlite:///")), tmp_path / "copy.db"
    tampered = sqlite3.connect(copy)
    source.backup(tampered)
    with tampered:
        tampered.execute("UPDATE account SET active = active + 1 WHERE seq > 0")
    source.close()
    tampered.close()
    finished = bench.run("import", "online-retail", sales_file, "--database", f"sqlite:///{copy}")
    assert finished.code == 1
    assert "FAIL  ledger verified" in finished.out
    assert "First bad row" in finished.out
    assert bench.here("verify", "--database", f"sqlite:///{copy}").code == 1


def test_a_running_server_takes_the_replay_of_an_importers_profile(shell: Shell, tmp_path: Path) -> None:
    file = invoices_file(tmp_path / "few.csv", count=40)
    shell.prepare("migrate")
    shell.prepare("keys", "create")
    for role, profile in (("importer", "importer"), ("admin", "history-admin")):
        shell.prepare(
            "keys",
            "device",
            "--program",
            "history",
            "--role",
            role,
            "--profile",
            profile,
            "--create-program",
            "replay",
        )
    with shell.running("serve") as server:
        door = ("--server", server.address)
        without_rules = shell.run("import", "online-retail", file, *door)
        assert without_rules.code == 3
        assert "has no rule set yet" in without_rules.err
        shell.succeed("program", "publish", "online_retail", "--profile", "history-admin", *door)
        summary = shell.succeed("import", "online-retail", file, *door, "--json").json
    assert summary["changed"]
    assert "ledger_verified" not in summary["checks"]
    assert set(summary["checks"].values()) == {True}
    assert shell.prepare("verify", "--program", "history", "--json").json["ok"]


def test_the_past_is_not_posted_into_a_live_program(shop: Shell, run: Running, tmp_path: Path) -> None:
    file = invoices_file(tmp_path / "few.csv", count=5)
    shop.prepare("keys", "device", "--program", "demo", "--role", "importer", "--profile", "importer")
    refused = shop.run("import", "online-retail", file, "--server", run.address)
    assert refused.code == 3
    assert "runs on the live clock" in refused.err


def test_a_file_of_another_kind_is_refused_before_anything_is_made(shell: Shell, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    refused = shell.here("import", "online-retail", other)
    assert refused.code == 2
    assert "its first line must be InvoiceNo" in refused.err
    assert not shell.data_dir.exists()
