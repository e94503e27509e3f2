"""A filled store, and somebody who changes its rows behind the program's back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from tallystick.core.advice import TillChain, VerdictKind
from tallystick.core.entry import EntryKind, Moves
from tallystick.core.ids import Ms
from tallystick.core.state import Alloc
from tallystick.service.ports import InboxState, WriteSet
from tallystick.storage import Store, open_store
from tallystick.storage.verify import Report, verify
from tests.storage.build import (
    NOW,
    PROGRAM,
    YEAR_MS,
    Books,
    Change,
    inbox_item,
    member_id,
    till,
)
from tests.support.postgres import libpq

MEMBERS = 6


M = {number: member_id(number) for number in range(1, MEMBERS + 1)}


def fill(store: Store) -> None:
    """Six members with earned, burned, pending, held and indebted points on two lanes."""
    first, second = Books(store), Books(store)
    first.enrol(*M)
    for number in M:
        first.post((number, first.earn(number, 100)))
    second.post(*((number, second.earn(number, 50)) for number in M))
    first.post((1, first.burn(1, 30)), (2, first.burn(2, 100)))
    second.post((3, second.hold(3, 40)))
    pending = replace(second.earn(4, 20).lots_new[0], pending=True, matures_ms=Ms(NOW + YEAR_MS))
    waiting = Change(EntryKind.EARN, Moves(pending=20, issued=-20), second.next_command(), lots_new=[pending])
    second.post((4, waiting))
    _fill_tills(second)
    first.post(
        (5, Change(EntryKind.RETURN, Moves(debt=-25, issued=25), first.next_command(), reverses_seq=1))
    )


def _fill_tills(books: Books) -> None:
    """A lease of which a part is used, a till whose chain forked once, and what it left in the inbox."""
    lease = books.post((6, books.escrow(6, 60))).holds_new[0][1]
    used = replace(lease, used=20, allocs=(Alloc(lease.allocs[0].lot_seq, 40),))
    burn = Change(EntryKind.SALE, Moves(held=-20, burned=20), books.next_command(), holds_changed=[used])
    books.post((6, burn))
    chain = till(epoch=2, fences=1, fenced_ms=(NOW,))
    posted = replace(inbox_item(3).verdict, kind=VerdictKind.ADJUSTED, member_seq=4)
    items = [
        inbox_item(1),
        inbox_item(2, VerdictKind.QUARANTINED, seq=9),
        inbox_item(3, epoch=2, seq=3, verdict=posted, state=InboxState.POSTED, waits_for=""),
        inbox_item(4, VerdictKind.QUARANTINED, epoch=0, seq=0, till_id="till-2"),
    ]
    new = TillChain("till-2", "store-1")
    books.write(WriteSet(recorded_ms=NOW, tills=[chain, new], inbox=items))


@dataclass
class Tampered:
    """A store whose rows can be changed with SQL by someone whom nothing binds."""

    url: str
    run: Callable[[str], None]

    def blob(self, content: bytes) -> str:
        """The bytes as the database's SQL writes them."""
        return f"x'{content.hex()}'" if self.url.startswith("sqlite") else f"'\\x{content.hex()}'"

    def verify(self) -> Report:
        report = verify(self.url, PROGRAM)
        assert not report.ok
        assert report.first is not None
        return report

    def first(self) -> tuple[str, str]:
        found = self.verify().first
        assert found is not None
        return found.table, found.key


def fill_and_close(url: str) -> None:
    store = open_store(url)
    fill(store)
    store.close()


def run_in_sqlite(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = on")
        connection.executescript(statement)


def run_in_postgres(url: str, statement: str) -> None:
    with psycopg.connect(libpq(url), autocommit=True) as admin:
        for table, check in (("ledger", "balanced"), ("lot", "remaining"), ("hold", "used")):
            admin.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_{check}_check")
        admin.execute(statement)
