"""What is particular to the store in a file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick.core.entry import EntryKind, Moves
from tallystick.service.errors import FailedPrecondition, StoreConflict, StoreUnavailable
from tallystick.storage import sqlite_connect
from tallystick.storage.sqlite import SqliteStore
from tallystick.storage.sqlite_lanes import LANES_MAX
from tests.storage.build import PROGRAM, Books, Change, member_id

CLAIM_AND_WAIT = """
import sys
from tallystick.storage.sqlite import SqliteStore
print(SqliteStore(sys.argv[1]).claim_lane(), flush=True)
sys.stdin.read()
"""


def test_commits_are_synced_to_a_write_ahead_log(ledger_file: Path) -> None:
    connection = sqlite_connect.connect(str(ledger_file))
    settings = [
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "busy_timeout")
    ]
    connection.close()
    assert settings == ["wal", 2, sqlite_connect.BUSY_TIMEOUT_MS]


def test_another_process_that_writes_too_long_is_a_conflict(
    ledger_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connect, "_PRAGMAS", ("PRAGMA busy_timeout = 50",))
    store = SqliteStore(ledger_file)
    books = Books(store)
    books.enrol(1)
    other = sqlite3.connect(ledger_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreConflict):
        books.post((1, Change(EntryKind.EARN, Moves(), books.next_command())))
    other.execute("ROLLBACK")
    other.close()
    books.post((1, books.earn(1)))
    assert books.account(1).active == 100
    store.close()


def test_two_stores_on_one_file_see_what_the_other_has_committed(ledger_file: Path) -> None:
    first, second = SqliteStore(ledger_file), SqliteStore(ledger_file)
    ours, theirs = Books(first), Books(second)
    ours.enrol(1)
    theirs.post((1, theirs.earn(1)))
    ours.post((1, ours.earn(1)))
    assert ours.account(1) == theirs.account(1)
    assert (ours.lane_id, theirs.lane_id) == (0, 1)
    first.close()
    second.close()


def test_a_lane_number_is_free_again_when_its_process_is_killed(ledger_file: Path) -> None:
    command = [sys.executable, "-c", CLAIM_AND_WAIT, str(ledger_file)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "0\n"
    store = SqliteStore(ledger_file)
    assert store.claim_lane() == 1
    other.kill()
    other.wait(30)
    other.stdin.close()
    other.stdout.close()
    assert store.claim_lane() == 0
    store.close()


def test_there_are_not_more_lanes_than_the_most(ledger_file: Path) -> None:
    store = SqliteStore(ledger_file)
    assert [store.claim_lane() for _ in range(LANES_MAX)] == list(range(LANES_MAX))
    with pytest.raises(FailedPrecondition):
        store.claim_lane()
    store.close()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "noise.db"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(StoreUnavailable):
        SqliteStore(path)


def test_a_member_is_locked_by_locking_the_file(ledger_file: Path) -> None:
    store = SqliteStore(ledger_file)
    books = Books(store)
    books.enrol(1)
    other = sqlite3.connect(ledger_file, isolation_level=None, timeout=0)
    with store.transaction(PROGRAM) as transaction:
        transaction.lock_accounts([member_id(1)])
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        assert other.execute("SELECT count(*) FROM account").fetchone() == (1,)
    other.close()
    store.close()
