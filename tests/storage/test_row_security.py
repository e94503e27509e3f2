"""What the service's role can see and do on PostgreSQL, however wrong a query is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from tallystick.core.ids import Ms, ProgramId
from tallystick.core.rules.notifications import Occasion
from tallystick.service.birthday_ports import Birthday
from tallystick.service.card_ports import Card, CardBatch, CardState
from tallystick.service.claim_store import Claim
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose, SaidConsent
from tallystick.service.coupon_ports import CodeState, CouponBatch, CouponChanges, CouponCode, Reservation
from tallystick.service.directory import CardDevice, Cashier, DeviceStatus
from tallystick.service.event_store import Endpoint, Event, EventPlace, SeenMember, Signing
from tallystick.service.household_store import Belonging, Part
from tallystick.service.notification_ports import Notification, NotificationPlace, PushSubscription
from tallystick.service.ports import WriteSet
from tallystick.service.referral_ports import Referral
from tallystick.service.review_ports import NOBODY, Review, StaffMember, WatchPlace
from tallystick.service.shared_store import GoalState, ReachedGoal, SharedPlace
from tallystick.service.sign_in_ports import Passkey, SignInPurpose, SignInSession
from tallystick.service.transfer_store import Transfer, TransferState
from tallystick.service.wallet_store import Registration, Wallet, WalletPass, WalletPlace
from tallystick.service.wish_ports import Reminded, Wanted, WantedKind
from tallystick.storage import open_store
from tallystick.storage.postgres import PostgresStore
from tallystick.storage.tables import metadata
from tests.storage.build import (
    NOW,
    OTHER_PROGRAM,
    PROGRAM,
    Books,
    command_id,
    device,
    identifier,
    inbox_item,
    member,
    member_id,
    program,
)
from tests.support.postgres import Database, PostgresCluster, libpq

THIRD_PROGRAM = ProgramId("ostvik")
APPEND_ONLY = ("ledger", "journal", "refusal", "rule_set", "coupon_batch")


@pytest.fixture(scope="module")
def filled(postgres: PostgresCluster, migrated_postgres: Database) -> Iterator[Database]:
    """A database in which another program has rows in its tables."""
    with postgres.database(template=migrated_postgres.name) as database:
        fill(database.service_url)
        yield database


def fill(url: str) -> None:
    store = open_store(url)
    store.create_program(program())
    books = Books(store, OTHER_PROGRAM)
    books.enrol(1)
    books.post((1, books.earn(1)))
    books.post((1, books.hold(1, 10)))
    store.add_identifier(OTHER_PROGRAM, identifier(1))
    store.put_person(OTHER_PROGRAM, member_id(1), b"sealed")
    store.add_device(OTHER_PROGRAM, device("till-1"))
    store.use_assertion(OTHER_PROGRAM, "till-1", "t-1", usable_until=NOW, now=NOW)
    store.put_cashier(OTHER_PROGRAM, Cashier("store-1", "ann", "Ann", active=True, pin_hash=""))
    batch = CardBatch("b-1", "ean13", "29", 1, "", NOW, "ann")
    card = Card("ean13", b"card", "b-1", 1, 0, CardState.BLANK, NOW)
    store.add_card_batch(OTHER_PROGRAM, batch, [card])
    store.add_card_device(
        OTHER_PROGRAM, CardDevice(member_id(1), "kid", "{}", b"sealed", NOW, NOW, NOW), most=1
    )
    found = WalletPass("a", member_id(1), Wallet.APPLE, b"hash", NOW, NOW // 1000)
    store.add_pass(OTHER_PROGRAM, found, here=WalletPlace({}, NOW))
    store.add_registration(OTHER_PROGRAM, "a", Registration("phone", "aa", NOW))
    store.add_passkey(OTHER_PROGRAM, Passkey(member_id(1), b"id", b"key", 0, b"sealed", NOW))
    session = SignInSession(b"hash", SignInPurpose.PASSKEY, b"challenge", NOW, NOW, NOW, 1)
    store.start_sign_in(OTHER_PROGRAM, session)
    said = SaidConsent(ConsentPurpose.OFFERS, ConsentChannel.SMS, True, NOW, 4, "phone")
    store.add_consent(OTHER_PROGRAM, member_id(1), said)
    store.set_birthday(OTHER_PROGRAM, Birthday(member_id(1), 229, NOW), by_staff=False)
    store.enrol(OTHER_PROGRAM, member(3), [])
    store.add_referral(OTHER_PROGRAM, Referral(member_id(3), member_id(1), NOW))
    review = Review("0" * 8 + "-0000-8000-8000-" + "0" * 12, "adjust", member_id(1), NOBODY, {}, NOW)
    store.add_review(OTHER_PROGRAM, review)
    store.count_watched(OTHER_PROGRAM, "enrolments", "till-1", bucket=NOW)
    store.move_watch_place(OTHER_PROGRAM, WatchPlace({0: 1}))
    store.put_staff(OTHER_PROGRAM, StaffMember("store-1", "ann", member_id(1)))
    left = Wanted(member_id(1), WantedKind.BASKET, "7", NOW, "{}")
    store.put_wanted(OTHER_PROGRAM, left)
    store.note_reminded(OTHER_PROGRAM, left, Reminded("basket.abandoned", "7", NOW), since=NOW, most=1)
    waiting = Claim(command_id(9), b"code", b"print", b"basket", "[]", NOW, NOW)
    store.add_claim(OTHER_PROGRAM, waiting, forget_before=Ms(0))
    sent = Transfer(command_id(8), member_id(1), member_id(3), 5, TransferState.ASKED, NOW, NOW)
    store.add_transfer(OTHER_PROGRAM, sent)
    store.add_household(OTHER_PROGRAM, member_id(3), Belonging(member_id(1), member_id(3), Part.HEAD, NOW))
    parts = {("goal/advent", member_id(1)): 1}
    store.add_sums(OTHER_PROGRAM, {"goal/advent": 1}, parts, to=SharedPlace({}))
    store.put_goal(OTHER_PROGRAM, ReachedGoal("advent", 5, NOW, GoalState.REACHED))
    endpoint = Endpoint("mail", "https://hooks.example", (), Signing.HMAC, b"sealed")
    place = EventPlace({}, NOW, NOW)
    store.put_endpoint(OTHER_PROGRAM, endpoint, here=place, now=NOW)
    event = Event("evt_1", "entry.posted", member_id(1), NOW, b"{}")
    store.queue_events(OTHER_PROGRAM, [event], [SeenMember(member_id(1))], to=place, now=NOW)
    code = CouponCode("aa", "b-1", 1, "gift", member_id(1), CodeState.OPEN, "", Ms(0), NOW)
    note = Notification(str(command_id(7)), member_id(1), Occasion.AWARD, (), NOW, NOW, NOW)
    store.put_notification_place(OTHER_PROGRAM, NotificationPlace({}))
    store.add_notifications(OTHER_PROGRAM, [note])
    address = PushSubscription(member_id(1), "kid", "https://push.example", b"key", b"auth")
    store.set_push(OTHER_PROGRAM, address)
    store.add_coupon_batch(OTHER_PROGRAM, CouponBatch("b-1", "gift", 1, "", NOW, "ann"), [code])
    with store.transaction(OTHER_PROGRAM) as transaction:
        transaction.lock_tills(["till-1"])
        transaction.lock_coupons(["gift"], [], now_ms=NOW)
        held = Reservation(member_id(1), command_id(1), "gift", "aa", Ms(NOW + 1))
        counted = [(member_id(1), "gift", 1)]
        transaction.write_coupons(CouponChanges(used=[("gift", 1)], by_member=counted, reserved=[held]))
        transaction.write(WriteSet(recorded_ms=NOW, inbox=[inbox_item(1)]))
    store.close()


@pytest.fixture
def service(filled: Database) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(libpq(filled.service_url), autocommit=True) as connection:
        yield connection


def count(connection: psycopg.Connection[tuple[object, ...]], table: str) -> object:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert row is not None
    return row[0]


def run_as(
    connection: psycopg.Connection[tuple[object, ...]], program_id: str, statement: sql.Composed
) -> None:
    with connection.transaction():
        connection.execute("SELECT set_config('tallystick.program', %s, true)", [program_id])
        connection.execute(statement)


def test_every_table_with_a_program_forces_row_security(filled: Database) -> None:
    with filled.as_admin() as admin:
        rows = admin.execute(
            "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity AND relkind = 'r'"
        ).fetchall()
    assert {row[0] for row in rows} == set(metadata.tables)


def test_the_postings_are_shown_with_the_rights_of_the_reader(filled: Database) -> None:
    with filled.as_admin() as admin:
        row = admin.execute("SELECT reloptions FROM pg_class WHERE relname = 'posting'").fetchone()
    assert row == (["security_invoker=true"],)


def test_another_programs_rows_are_invisible_even_without_the_filter(
    service: psycopg.Connection[tuple[object, ...]],
) -> None:
    tables = ["account", "ledger", "lot", "hold", "journal", "identifier", "person", "device", "posting"]
    tables += ["assertion_use", "till_chain", "inbox_item", "cashier", "card_batch", "card", "card_device"]
    tables += [
        "wallet_pass",
        "wallet_registration",
        "wallet_place",
        "sign_in",
        "passkey",
        "consent",
        "referral",
        "birthday",
    ]
    tables += ["claim", "wanted", "reminder"]
    tables += ["webhook", "event", "event_delivery", "event_seen", "event_place"]
    tables += ["notification", "notification_place", "push_subscription"]
    tables += ["coupon_batch", "coupon_code", "coupon_count", "coupon_member", "coupon_hold"]
    with service.transaction():
        service.execute("SELECT set_config('tallystick.program', %s, true)", [PROGRAM])
        assert {table: count(service, table) for table in tables} == dict.fromkeys(tables, 0)
        assert count(service, "program") == 1
    with service.transaction():
        service.execute("SELECT set_config('tallystick.program', %s, true)", [OTHER_PROGRAM])
        assert all(count(service, table) for table in tables)


def test_without_a_program_there_are_no_rows_at_all(service: psycopg.Connection[tuple[object, ...]]) -> None:
    assert {table: count(service, table) for table in metadata.tables} == dict.fromkeys(metadata.tables, 0)


def test_rows_cannot_be_written_into_another_program(
    service: psycopg.Connection[tuple[object, ...]],
) -> None:
    stolen = sql.SQL("INSERT INTO person VALUES ({}, {}, 'x')").format(OTHER_PROGRAM, member_id(1))
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        run_as(service, PROGRAM, stolen)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET program_id = program_id", "DELETE FROM {}", "TRUNCATE {}"]
)
def test_what_was_posted_cannot_be_changed_by_the_service(
    service: psycopg.Connection[tuple[object, ...]], table: str, statement: LiteralString
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
        run_as(service, OTHER_PROGRAM, sql.SQL(statement).format(sql.Identifier(table)))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM account",
        "DELETE FROM lot",
        "DELETE FROM hold",
        "DELETE FROM till_chain",
        "DELETE FROM inbox_item",
        "DELETE FROM wallet_place",
        "UPDATE inbox_item SET raw = ''",
        "UPDATE inbox_item SET till_id = 'till-2'",
        "UPDATE member SET store_id = 'store-2'",
        "UPDATE card_device SET burn_from_ms = 0",
        "UPDATE sign_in SET secret = ''",
        "UPDATE sign_in SET expires_ms = 0",
        "UPDATE passkey SET public_key = ''",
        "UPDATE coupon_code SET token = ''",
        "UPDATE coupon_hold SET until_ms = 0",
        "DELETE FROM coupon_code",
        "DELETE FROM coupon_count",
        "DELETE FROM coupon_member",
        "DELETE FROM member",
        "DELETE FROM program",
        "UPDATE assertion_use SET usable_until_ms = 0",
        "UPDATE alembic_version SET version_num = '0'",
        "DROP TABLE ledger",
        "ALTER TABLE ledger DISABLE ROW LEVEL SECURITY",
        "CREATE TABLE mine (id integer)",
    ],
)
def test_the_service_has_no_more_rights_than_it_needs(
    service: psycopg.Connection[tuple[object, ...]], statement: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute(statement)


def test_the_program_of_one_transaction_is_not_that_of_the_next_on_the_same_connection(
    filled: Database,
) -> None:
    store = PostgresStore(filled.service_url, lanes=1, read_pool=1)
    store.enrol(THIRD_PROGRAM, member(2), [])
    for _ in range(2):
        assert set(store.read_accounts(OTHER_PROGRAM, [member_id(1), member_id(2)])) == {member_id(1)}
        assert set(store.read_accounts(THIRD_PROGRAM, [member_id(1), member_id(2)])) == {member_id(2)}
        with store.transaction(OTHER_PROGRAM) as transaction:
            assert set(transaction.lock_accounts([member_id(1), member_id(2)])) == {member_id(1)}
        with store.transaction(THIRD_PROGRAM) as transaction:
            assert set(transaction.lock_accounts([member_id(1), member_id(2)])) == {member_id(2)}
    store.close()


def test_what_crosses_programs_gives_out_no_more_than_its_name_says(
    service: psycopg.Connection[tuple[object, ...]], filled: Database
) -> None:
    store = PostgresStore(filled.service_url)
    assert [p.program_id for p in store.programs(after="", limit=10)] == [PROGRAM, OTHER_PROGRAM]
    assert store.device_program("till-1") == OTHER_PROGRAM
    store.set_device_status(OTHER_PROGRAM, "till-1", DeviceStatus.REVOKED, now=NOW)
    assert store.revoked_devices(since=Ms(0)) == ["till-1"]
    assert store.device(PROGRAM, "till-1") is None
    store.revoke_card_device(OTHER_PROGRAM, member_id(1), "kid", now=NOW)
    assert store.revoked_card_devices(since=Ms(0)) == [(OTHER_PROGRAM, "kid")]
    store.close()
    assert (count(service, "device"), count(service, "card_device")) == (0, 0)


def test_a_role_that_row_security_does_not_bind_is_known_as_such(filled: Database) -> None:
    for url, bypasses in (
        (filled.service_url, False),
        (filled.owner_url, False),
        (filled.admin_url, True),
    ):
        store = PostgresStore(url)
        assert store.bypasses_row_security() is bypasses
        store.close()
