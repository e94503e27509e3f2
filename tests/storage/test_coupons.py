"""Coupons in the stores: what is written is read back, limits are kept by the database too, tampering is named."""

from __future__ import annotations

import re
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.ids import Ms
from tallystick.core.state import HeldCoupon
from tallystick.service.coupon_ports import (
    NOBODY,
    CodeState,
    CouponBatch,
    CouponChanges,
    CouponCode,
    Reservation,
)
from tallystick.service.errors import AlreadyExists, StoreConflict
from tallystick.service.ports import WriteSet
from tallystick.storage import Store, open_store
from tallystick.storage.postgres import PostgresStore
from tallystick.storage.postgres_connect import Connection
from tallystick.storage.verify import verify
from tests.service.coupons import CouponDesk
from tests.service.desk import BEN, CLUB
from tests.storage.build import NOW, OTHER_PROGRAM, PROGRAM, Books, SetClock, command_id, member_id
from tests.support.postgres import Database

BATCH = CouponBatch("b-1", "gift", 2, "content", NOW, "ann")
LATER = Ms(NOW + 60_000)


def code(number: int, *, of: str = "", batch: str = "b-1") -> CouponCode:
    return CouponCode(f"{number:032x}", batch, number, "gift", of, CodeState.OPEN, "", Ms(0), NOW)


def reservation(number: int, *, until: Ms = LATER, coupon: str = "gift") -> Reservation:
    return Reservation(member_id(number), command_id(number), coupon, f"{number:032x}", until)


def write(store: Store, changes: CouponChanges) -> None:
    with store.transaction(PROGRAM) as transaction:
        transaction.lock_coupons(["gift", "other"], [], now_ms=NOW)
        transaction.write_coupons(changes)


def test_a_batch_is_stored_once_and_its_codes_are_listed_by_place(books: Books) -> None:
    store, codes = books.store, [code(1), code(2, of=member_id(1))]
    assert store.add_coupon_batch(PROGRAM, BATCH, codes) == BATCH
    other = CouponBatch("b-1", "gift", 9, "other", NOW, "ben")
    assert store.add_coupon_batch(PROGRAM, other, [code(9)]) == BATCH
    assert store.coupon_batch(PROGRAM, "b-1") == BATCH
    assert store.batch_codes(PROGRAM, "b-1", after=0, limit=10) == codes
    assert store.batch_codes(PROGRAM, "b-1", after=1, limit=10) == codes[1:]
    assert store.member_codes(PROGRAM, member_id(1), after=(Ms(0), ""), limit=10) == codes[1:]
    assert store.read_codes(OTHER_PROGRAM, [codes[0].token]) == {}


def test_a_token_belongs_to_one_batch_of_a_program(books: Books) -> None:
    books.store.add_coupon_batch(PROGRAM, BATCH, [code(1)])
    again = CouponBatch("b-2", "gift", 2, "content", NOW, "ann")
    with pytest.raises(AlreadyExists):
        books.store.add_coupon_batch(PROGRAM, again, [code(2, batch="b-2"), code(1, batch="b-2")])
    assert books.store.coupon_batch(PROGRAM, "b-2") is None
    assert books.store.batch_codes(PROGRAM, "b-2", after=0, limit=10) == []


def test_what_is_counted_and_reserved_is_read_back(books: Books) -> None:
    books.enrol(1, 2)
    one, two = reservation(1), reservation(2)
    counted = [(member_id(1), "gift", 2), (member_id(2), "other", 5)]
    write(books.store, CouponChanges(used=[("gift", 2)], by_member=counted, reserved=[one, two]))
    found = books.store.read_coupon_counts(PROGRAM, ["gift"], member_id(1), now_ms=NOW)
    assert (found.used, found.held) == ({"gift": 2}, {"gift": 2})
    assert (found.by_member, found.reservations) == ({(member_id(1), "gift"): 2}, [one])
    write(
        books.store, CouponChanges(used=[("gift", 3)], by_member=[(member_id(1), "gift", 3)], dropped=[one])
    )
    found = books.store.read_coupon_counts(PROGRAM, ["gift"], member_id(1), now_ms=NOW)
    assert (found.used, found.held, found.by_member) == (
        {"gift": 3},
        {"gift": 1},
        {(member_id(1), "gift"): 3},
    )


def test_whoever_locks_a_coupon_deletes_the_reservations_that_are_over(books: Books) -> None:
    books.enrol(1, 2)
    over, live = reservation(1, until=Ms(NOW + 1)), reservation(2)
    other = reservation(1, until=Ms(NOW + 1), coupon="other")
    write(books.store, CouponChanges(reserved=[over, live, other]))
    with books.store.transaction(PROGRAM) as transaction:
        counts = transaction.lock_coupons(["gift"], [member_id(1), member_id(2)], now_ms=Ms(NOW + 1))
        assert (counts.held, counts.reservations) == ({"gift": 1}, [live])
    early = books.store.read_coupon_counts(PROGRAM, ["gift", "other"], member_id(1), now_ms=NOW)
    assert early.held == {"gift": 1, "other": 1}, "gone for good, also for a slower clock; others stay"


def test_a_code_that_is_not_there_cannot_be_changed(books: Books) -> None:
    with pytest.raises(StoreConflict):
        write(books.store, CouponChanges(codes=[code(1)]))


def test_a_failed_block_leaves_no_trace_of_coupons(books: Books) -> None:
    class Stop(Exception):
        pass

    def fail() -> None:
        with books.store.transaction(PROGRAM) as transaction:
            transaction.lock_coupons(["gift"], [], now_ms=NOW)
            transaction.write_coupons(CouponChanges(used=[("gift", 1)], reserved=[reservation(1)]))
            raise Stop

    books.enrol(1)
    with pytest.raises(Stop):
        fail()
    found = books.store.read_coupon_counts(PROGRAM, ["gift"], member_id(1), now_ms=NOW)
    assert (found.used, found.held) == ({}, {})


def test_a_second_who_wants_a_coupon_waits_and_sees_what_the_first_wrote(store: Store) -> None:
    Books(store)
    seen: list[int] = []
    locked = threading.Event()

    def second() -> None:
        locked.wait(10)
        with store.transaction(PROGRAM) as transaction:
            seen.append(transaction.lock_coupons(["gift"], [], now_ms=NOW).used["gift"])

    waiting = threading.Thread(target=second)
    waiting.start()
    with store.transaction(PROGRAM) as transaction:
        transaction.lock_coupons(["gift"], [], now_ms=NOW)
        locked.set()
        waiting.join(0.3)
        assert waiting.is_alive(), "it waits"
        transaction.write_coupons(CouponChanges(used=[("gift", 7)]))
    waiting.join(10)
    assert seen == [7]


def test_a_hold_keeps_its_coupons(books: Books) -> None:
    books.enrol(1)
    books.post((1, books.earn(1)))
    placed = books.hold(1, 10)
    hold = placed.holds_new[0]
    placed.holds_new[0] = replace(hold, coupons=(HeldCoupon("gift", "aa"), HeldCoupon("other")))
    books.post((1, placed))
    (found,) = books.store.read_holds(PROGRAM, member_id(1))
    assert found.coupons == (HeldCoupon("gift", "aa"), HeldCoupon("other"))


def test_erasing_a_member_leaves_the_codes_and_nobody_behind_them(books: Books) -> None:
    books.enrol(1)
    books.store.add_coupon_batch(PROGRAM, BATCH, [code(1, of=member_id(1)), code(2)])
    books.store.erase(PROGRAM, member_id(1))
    found = books.store.batch_codes(PROGRAM, "b-1", after=0, limit=10)
    assert [one.member_id for one in found] == [NOBODY, ""]
    assert books.store.member_codes(PROGRAM, member_id(1), after=(Ms(0), ""), limit=10) == []


def test_revoking_counts_what_it_ends(books: Books) -> None:
    codes = [code(number) for number in range(1, 5)]
    books.store.add_coupon_batch(PROGRAM, BATCH, codes)
    states = [(CodeState.USED, Ms(0)), (CodeState.RESERVED, LATER), (CodeState.RESERVED, NOW)]
    taken = [
        replace(one, state=state, used_by=command_id(1), reserved_until_ms=until)
        for one, (state, until) in zip(codes, states, strict=False)
    ]
    write(books.store, CouponChanges(codes=taken))
    assert books.store.revoke_codes(PROGRAM, "b-1", now_ms=NOW) == 2
    assert books.store.revoke_codes(PROGRAM, "b-1", now_ms=NOW) == 0
    shown = [one.state_at(NOW) for one in books.store.batch_codes(PROGRAM, "b-1", after=0, limit=10)]
    assert shown == [CodeState.USED, CodeState.RESERVED, CodeState.REVOKED, CodeState.REVOKED]


def sold(url: str) -> tuple[str, str]:
    """Sell with a unique code and a shared one, hold another, reverse one; return a used token and a member."""
    store = open_store(url)
    with CouponDesk(store) as desk:
        one, two, three = desk.codes(count=3)
        desk.posted(desk.buys(one.text, "summer 25"))
        desk.posted(desk.holds(two.text))
        undone = desk.posted(desk.buys(three.text, member=BEN))
        desk.posted(desk.reverse(undone.command_id, member=BEN))
        assert verify(store).ok
    store.close()
    return one.code.token, two.code.token


TAMPERED = {
    "total": ("UPDATE coupon_count SET used = 9 WHERE coupon_id = 'summer'", "coupon_count (coupon summer)"),
    "total gone": ("DELETE FROM coupon_count WHERE coupon_id = 'summer'", "coupon_count (coupon summer)"),
    "member": ("UPDATE coupon_member SET used = 0 WHERE coupon_id = 'birthday'", "coupon_member (member"),
    "code freed": ("UPDATE coupon_code SET state = 1, used_by = '' WHERE state = 3", "coupon_code (token"),
    "code used": ("UPDATE coupon_code SET state = 3, used_by = 'x' WHERE state = 1", "coupon_code (token"),
    "other sale": ("UPDATE coupon_code SET used_by = 'x' WHERE state = 3", "coupon_code (token"),
    "hold": ("UPDATE hold SET coupons = '[]'", "coupon_hold (member"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_coupon_that_does_not_agree_with_the_entries_is_named(what: str, ledger_file: Path) -> None:
    sold(f"sqlite:///{ledger_file}")
    statement, named = TAMPERED[what]
    with closing(sqlite3.connect(ledger_file)) as connection:
        assert connection.execute(statement).rowcount > 0
        connection.commit()
    report = verify(f"sqlite:///{ledger_file}", CLUB)
    assert report.first is not None
    assert named in str(report.first)
    assert report.coupon_uses == 3


def test_books_with_coupons_agree_on_postgresql_and_a_wrong_total_is_named(
    ledger_database: Database,
) -> None:
    sold(ledger_database.service_url)
    with ledger_database.as_admin(autocommit=True) as admin:
        admin.execute("UPDATE coupon_count SET used = used + 1 WHERE coupon_id = 'birthday'")
    report = verify(ledger_database.service_url, CLUB)
    assert [str(problem) for problem in report.problems] == [
        "club: coupon_count (coupon birthday): expected 1 uses, found 2"
    ]


def test_a_sale_without_coupons_asks_the_database_nothing_more(
    ledger_database: Database, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    prepared: dict[str, str] = {}

    def note(self: Any, message: str, *values: Any, **options: Any) -> object:
        # A statement is prepared once for each connection: that is no part of a sale.
        found = re.match(r"PREPARE (\w+)", message)
        if found:
            prepared[found[1]] = message
        else:
            asked.append(message)
        return real(self, message, *values, **options)

    def about_coupons(message: str) -> bool:
        return any("coupon" in prepared[name] for name in re.findall(r"EXECUTE (\w+)", message))

    real = Connection.execute
    monkeypatch.setattr(Connection, "execute", note)
    store = PostgresStore(ledger_database.service_url, now_ms=clock)
    with CouponDesk(store) as desk:
        plain = desk.sale(2_000)
        desk.posted(desk.sale(1_000))
        asked.clear()
        desk.posted(plain)
        assert len(asked) == 2, (
            "accounts and known ids in one round trip, the write and its commit in another"
        )
        assert [about_coupons(message) for message in asked] == [False, False]
        asked.clear()
        desk.posted(desk.buys("summer 25"))
        # Its member's holds, and the lots that they hold: one of a coupon that is over frees it.
        assert [about_coupons(message) for message in asked] == [False, True, False, True, True, True, False]
    store.close()


def test_a_write_set_of_coupons_alone_needs_no_other(books: Books) -> None:
    with books.store.transaction(PROGRAM) as transaction:
        transaction.lock_coupons(["gift"], [], now_ms=NOW)
        transaction.write(WriteSet(recorded_ms=NOW))
        transaction.write_coupons(CouponChanges(used=[("gift", 4)]))
    found = books.store.read_coupon_counts(PROGRAM, ["gift"], member_id(1), now_ms=NOW)
    assert found.used == {"gift": 4}
