"""What the store makes of a PostgreSQL that goes away, comes back, or has other writers."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from tallystick.core.chain import GENESIS
from tallystick.core.entry import EntryKind, Moves
from tallystick.service.directory import Cashier
from tallystick.service.errors import FailedPrecondition, NotFound, StoreConflict, StoreUnavailable
from tallystick.service.ports import InboxState, WriteSet
from tallystick.storage import cashiers, postgres, postgres_connect, postgres_lanes
from tallystick.storage.postgres import PostgresStore, PostgresTransaction
from tallystick.storage.postgres_connect import Connection, connect
from tallystick.storage.postgres_lanes import LANES_MAX
from tallystick.storage.schema import migrate
from tallystick.storage.verify import verify
from tests.storage.build import NOW, PROGRAM, Books, Change, inbox_item, member_id, till
from tests.support.postgres import Database, PostgresCluster, PostgresServer, libpq


@pytest.fixture
def store(ledger_database: Database) -> Iterator[PostgresStore]:
    opened = PostgresStore(ledger_database.service_url, lanes=2)
    yield opened
    opened.close()


def drop_connections(database: Database) -> int:
    """End every session of the service, as a failing network or a restart would."""
    with database.as_admin(autocommit=True) as admin:
        ended = admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND usename = 'tallystick_app'"
        ).fetchall()
    return len(ended)


def test_a_connection_that_died_while_idle_is_replaced_unnoticed(
    store: PostgresStore, ledger_database: Database
) -> None:
    books = Books(store)
    books.enrol(1)
    books.post((1, books.earn(1)))
    assert drop_connections(ledger_database) >= 3
    books.post((1, books.earn(1)))
    assert books.account(1).active == 200
    assert len(store.programs(after="", limit=10)) == 1


def test_a_connection_that_dies_within_a_transaction_is_a_conflict_and_the_batch_can_run_again(
    store: PostgresStore, ledger_database: Database
) -> None:
    books = Books(store)
    books.enrol(1)
    change = books.earn(1)

    def post(*, cut: bool) -> None:
        with store.transaction(PROGRAM) as transaction:
            accounts = transaction.lock_accounts([member_id(1)])
            changes = books.batch([(accounts[member_id(1)], change)], tail=(0, GENESIS))
            transaction.write(changes)
            if cut:
                drop_connections(ledger_database)

    with pytest.raises(StoreConflict):
        post(cut=True)
    assert store.read_known(PROGRAM, [change.command_id]) == {}
    post(cut=False)
    assert books.account(1).active == 100


def test_a_read_that_a_lock_kept_waiting_says_so(
    store: PostgresStore, ledger_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    Books(store).enrol(1)
    monkeypatch.setattr(postgres_connect, "_SESSION", "SET lock_timeout = '50ms'")
    drop_connections(ledger_database)
    with ledger_database.as_admin() as vacuuming:
        vacuuming.execute("LOCK TABLE account IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="lock on what is needed"):
            store.read_accounts(PROGRAM, [member_id(1)])
    assert store.read_accounts(PROGRAM, [member_id(1)])


def test_a_deadlock_is_a_conflict(store: PostgresStore) -> None:
    books = Books(store)
    books.enrol(1, 2)
    both, outcomes = threading.Barrier(2), []

    def lock(first: int, second: int) -> None:
        try:
            with store.transaction(PROGRAM) as transaction:
                transaction.lock_accounts([member_id(first)])
                both.wait(30)
                transaction.lock_accounts([member_id(second)])
        except StoreConflict:
            outcomes.append("conflict")
        else:
            outcomes.append("committed")

    threads = [threading.Thread(target=lock, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["committed", "conflict"]


def test_locks_are_taken_in_the_order_of_ids_whatever_order_rows_lie_in(ledger_database: Database) -> None:
    # Without index scans PostgreSQL meets the rows as they lie: here the greatest id first.
    run(ledger_database, "ALTER ROLE tallystick_app IN DATABASE {} SET enable_indexscan = off")
    store = PostgresStore(ledger_database.service_url, lanes=2)
    books = Books(store)
    books.enrol(3, 2, 1)

    def lock_all() -> None:
        with store.transaction(PROGRAM) as transaction:
            transaction.lock_accounts([member_id(number) for number in (3, 1, 2)])

    waiting = threading.Thread(target=lock_all)
    with store.transaction(PROGRAM) as transaction:
        transaction.lock_accounts([member_id(2)])
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        assert lockable(ledger_database) == {member_id(3)}
    waiting.join(30)
    store.close()


def lockable(database: Database) -> set[object]:
    with database.as_admin() as admin:
        rows = admin.execute("SELECT member_id::text FROM account FOR UPDATE SKIP LOCKED").fetchall()
    return {row[0] for row in rows}


def run(database: Database, statement: LiteralString) -> None:
    """Run a statement as the superuser; ``{}`` is the name of the database."""
    with database.as_admin(autocommit=True) as admin:
        admin.execute(sql.SQL(statement).format(sql.Identifier(database.name)))


def test_personal_data_that_comes_during_an_erasure_waits_and_is_refused(
    store: PostgresStore, ledger_database: Database
) -> None:
    Books(store).enrol(1)
    outcomes: list[str] = []

    def put() -> None:
        try:
            store.put_person(PROGRAM, member_id(1), b"sealed")
        except NotFound as error:
            outcomes.append(error.reason)
        else:
            outcomes.append("stored")

    late = threading.Thread(target=put)
    with ledger_database.as_admin() as erasing:
        erasing.execute("UPDATE member SET status = 3")
        late.start()
        late.join(0.5)
        assert late.is_alive()
    late.join(30)
    assert outcomes == ["NOT_FOUND"]
    assert store.persons(PROGRAM, [member_id(1)]) == {}


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_a_cashier_waits_for_another_who_may_take_the_last_place(
    store: PostgresStore, ledger_database: Database, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    monkeypatch.setattr(cashiers, "CASHIERS_MAX", 1)
    run(ledger_database, f"ALTER DATABASE {{}} SET default_transaction_isolation = '{isolation}'")
    drop_connections(ledger_database)
    Books(store)
    outcomes: list[bool] = []

    def put() -> None:
        outcomes.append(
            store.put_cashier(PROGRAM, Cashier("store-1", "bob", "Bob", active=True, pin_hash=""))
        )

    second = threading.Thread(target=put)
    with ledger_database.as_admin() as first:
        first.execute("SELECT 1 FROM program FOR UPDATE")
        first.execute("INSERT INTO cashier VALUES (%s, 'store-1', 'ann', 'Ann', 1, '', 0, 0)", [PROGRAM])
        second.start()
        second.join(0.5)
        assert second.is_alive()
    second.join(30)
    assert outcomes == [False]


def test_a_statement_that_failed_does_not_pass_for_a_commit(store: PostgresStore) -> None:
    books = Books(store)
    books.enrol(1)
    first = books.earn(1)
    books.post((1, first))
    again = Change(EntryKind.EARN, Moves(active=1, issued=-1), first.command_id)

    def write_and_carry_on() -> None:
        with store.transaction(PROGRAM) as transaction:
            accounts = transaction.lock_accounts([member_id(1)])
            changes = books.batch([(accounts[member_id(1)], again)], tail=transaction.tail(books.lane_id))
            transaction.write(changes)
            with suppress(psycopg.errors.UniqueViolation):
                transaction.tail(books.lane_id)

    with pytest.raises(StoreConflict, match="ROLLBACK"):
        write_and_carry_on()


def test_a_lane_number_is_free_again_when_its_process_is_gone(ledger_database: Database) -> None:
    first, second = (PostgresStore(ledger_database.service_url) for _ in range(2))
    assert (first.claim_lane(), second.claim_lane(), first.claim_lane()) == (0, 1, 2)
    first.close()
    third = PostgresStore(ledger_database.service_url)
    assert (third.claim_lane(), third.claim_lane()) == (0, 2)
    second.close()
    third.close()


def test_connections_that_do_not_write_are_replaced_once_the_database_does(
    store: PostgresStore, ledger_database: Database
) -> None:
    """A session stays as read-only as it began, whatever a DBA sets later; or it leads to what was the primary."""
    books = Books(store)
    books.enrol(1)
    run(ledger_database, "ALTER ROLE tallystick_app IN DATABASE {} SET default_transaction_read_only = on")
    drop_connections(ledger_database)
    with pytest.raises(StoreUnavailable):
        books.post((1, books.earn(1)))
    with pytest.raises(StoreUnavailable):
        books.enrol(2)
    assert books.account(1).active == 0
    run(ledger_database, "ALTER ROLE tallystick_app IN DATABASE {} RESET default_transaction_read_only")
    books.post((1, books.earn(1)))
    books.enrol(2)
    other = PostgresStore(ledger_database.service_url)
    assert (books.lane_id, other.claim_lane()) == (0, 1)
    other.close()


@pytest.mark.parametrize(
    "setting",
    [
        "default_transaction_isolation = 'repeatable read'",
        "row_security = off",
        "array_nulls = off",
        "client_encoding = 'LATIN1'",
        "client_encoding = 'SQL_ASCII'",
        "transaction_timeout = '1s'",
    ],
)
def test_what_a_dba_sets_for_the_role_does_not_change_what_the_gateway_does(
    ledger_database: Database, setting: LiteralString
) -> None:
    run(ledger_database, "ALTER ROLE tallystick_app IN DATABASE {} SET " + setting)
    store = PostgresStore(ledger_database.service_url)
    books = Books(store)
    books.enrol(1)
    books.post((1, books.earn(1)))
    store.put_cashier(PROGRAM, Cashier("store-1", "lukasz", "Łukasz", active=True, pin_hash=""))
    assert [one.label for one in store.cashiers(PROGRAM, "store-1")] == ["Łukasz"]
    with store.snapshot(PROGRAM) as snapshot:
        # A verification takes as long as it takes.
        time.sleep(1.5)
        assert len(list(snapshot.ledger())) == 1
    assert verify(store).ok
    store.close()


DIES = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.mark.parametrize("when", ["set_up", "first_used", "lanes_taken"])
def test_a_connection_that_dies_before_anything_was_sent_on_it_is_a_database_that_is_away(
    store: PostgresStore, ledger_database: Database, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """As those do that are opened while PostgreSQL is killed: callers try again, and hear of no fault of ours."""
    books = Books(store)
    books.enrol(1)
    drop_connections(ledger_database)
    if when == "set_up":
        monkeypatch.setattr(postgres_connect, "_BATCH_SESSION", DIES)
    elif when == "lanes_taken":
        monkeypatch.setattr(postgres_lanes, "_TRY_LOCK", f"{DIES} WHERE ($1::int, $2::int) IS NOT NULL")
    else:

        def short_lived(conninfo: str) -> Connection:
            connection = connect(conninfo)
            drop_connections(ledger_database)
            assert select.select([connection.pgconn.socket], [], [], 10.0)[0]
            return connection

        monkeypatch.setattr(postgres, "connect", short_lived)
    with pytest.raises(StoreUnavailable, match="The database is away"):
        books.post((1, books.earn(1)))
    monkeypatch.undo()
    books.post((1, books.earn(1)))
    assert books.account(1).active == 100


def test_lane_numbers_are_taken_again_after_the_connection_was_lost(
    store: PostgresStore, ledger_database: Database
) -> None:
    books = Books(store)
    books.enrol(1)
    drop_connections(ledger_database)
    books.post((1, books.earn(1)))
    other = PostgresStore(ledger_database.service_url)
    assert (books.lane_id, other.claim_lane()) == (0, 1)
    other.close()


def test_there_are_not_more_lanes_than_the_most(store: PostgresStore) -> None:
    assert [store.claim_lane() for _ in range(LANES_MAX)] == list(range(LANES_MAX))
    with pytest.raises(FailedPrecondition):
        store.claim_lane()


def test_a_closed_store_is_unavailable(store: PostgresStore) -> None:
    Books(store)
    store.close()
    with pytest.raises(StoreUnavailable), store.transaction(PROGRAM):
        pass


def test_a_server_that_is_killed_is_unavailable_until_it_is_back_and_has_lost_nothing() -> None:
    with PostgresServer() as server:
        cluster = PostgresCluster(server.conninfo)
        database = cluster.create_database()
        migrate(database.owner_url)
        store = PostgresStore(database.service_url)
        books = Books(store)
        books.enrol(1)
        books.post((1, books.earn(1)))
        server.kill()
        with pytest.raises(StoreUnavailable):
            store.read_accounts(PROGRAM, [member_id(1)])
        with pytest.raises(StoreUnavailable), store.transaction(PROGRAM):
            pass
        with pytest.raises(StoreUnavailable):
            store.member(PROGRAM, member_id(1))
        server.start()
        books.post((1, books.earn(1)))
        assert books.account(1).active == 200
        assert store.member(PROGRAM, member_id(1)) is not None
        store.close()


def test_no_statement_of_a_batch_or_a_read_walks_a_whole_table(ledger_database: Database) -> None:
    first = PostgresStore(ledger_database.service_url)
    Books(first).enrol(*range(1, 30))
    first.close()
    # As long as a table is known to be small, walking through it is what PostgreSQL would choose.
    run(ledger_database, "ANALYZE")
    store = PostgresStore(ledger_database.service_url)
    books = Books(store)
    for number in range(1, 30):
        books.post((number, books.earn(number)))
    run(ledger_database, "ANALYZE")
    before = seq_scans(ledger_database)
    books.post((1, books.hold(1, 5)), (2, books.burn(2, 5)))
    books.post((3, books.earn(3)))
    store.read_due(PROGRAM, due_ms=books.account(1).due_ms, after=None, limit=5)
    store.find(PROGRAM, [("phone", b"x")])
    with store.transaction(PROGRAM) as transaction:
        transaction.lock_tills(["till-1", "till-2"])
        transaction.write(WriteSet(recorded_ms=NOW, tills=[till()], inbox=[inbox_item(1)]))
        transaction.inbox([inbox_item(1).item_id])
    store.read_tills(PROGRAM, store_id="store-1")
    store.read_tills(PROGRAM, store_id="")
    store.read_inbox(PROGRAM, store_id="store-1", state=InboxState.OPEN, before=None, limit=5)
    store.read_inbox(PROGRAM, store_id="", state=InboxState.OPEN, before=None, limit=5)
    store.read_parked(PROGRAM, after="", limit=5)
    store.read_exposure(PROGRAM, store_id="store-1")
    store.read_journal(PROGRAM, after={0: 3}, limit=5)
    store.read_changed_members(PROGRAM, since=NOW, after=None, limit=5)
    store.read_till_members(PROGRAM, [member_id(1)], store_id="store-1")
    store.read_till_member_page(PROGRAM, store_id="store-1", after="", limit=5)
    # The sessions report what they have done when they end.
    store.close()
    assert seq_scans(ledger_database) == before


@pytest.mark.parametrize(
    ("statement", "kinds", "values", "key"),
    [
        ("items", "text, uuid[]", "'p', '{}'", "inbox_item_pkey"),
        ("tills_locked", "text, text[]", "'p', '{}'", "till_chain_pkey"),
    ],
)
def test_a_look_up_by_id_is_planned_through_the_key_while_the_table_is_empty(
    ledger_database: Database, statement: str, kinds: LiteralString, values: LiteralString, key: str
) -> None:
    run(ledger_database, "ANALYZE")
    session = connect(libpq(ledger_database.service_url))
    try:
        session.execute(f"PREPARE look_up ({kinds}) AS {getattr(PostgresTransaction.statements, statement)}")
        plan = "\n".join(row[0] for row in session.execute(f"EXPLAIN EXECUTE look_up ({values})"))
    finally:
        session.close()
    assert f"using {key} " in plan


def seq_scans(database: Database) -> dict[object, object]:
    with database.as_admin(autocommit=True) as admin:
        rows = admin.execute(
            "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN "
            "('account', 'ledger', 'lot', 'hold', 'journal', 'refusal', 'identifier', 'member', 'device', "
            "'till_chain', 'inbox_item')"
        ).fetchall()
    return {row[0]: row[1] for row in rows}
