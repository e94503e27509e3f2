"""A gateway that is restored from a backup has lost its last hours: tills and stores go on from what it has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tallystick.core.advice import TillChain, VerdictReason
from tallystick.core.ids import MemberId, Ms
from tallystick.storage.open import Store, open_store
from tallystick.v1 import store_pb2
from tallystick_till.types import SaleDone
from tests.scenarios.street import Person, Street
from tests.simulation.machine import Machine
from tests.simulation.server import CLUB, Server
from tests.support.ledgers import new_ledger_file

LEASE = 400
NIGHT = "night.db"


class Restorable(Street):
    """A street whose gateway keeps its books in a file that can be backed up and restored."""

    def _serve(self) -> Server:
        new_ledger_file(self.root / "ledger.db")
        return Server(self.time, self.rng, self.rules, store=self._open("ledger.db"))

    def _open(self, name: str) -> Store:
        return open_store(f"sqlite:///{self.root / name}", now_ms=lambda: Ms(self.time.now_ms))

    def back_up(self) -> None:
        """Copy the books, some time after and before anything else happens."""
        self.wait(minutes=30)
        with (
            closing(sqlite3.connect(self.root / "ledger.db")) as books,
            closing(sqlite3.connect(self.root / NIGHT)) as night,
        ):
            books.backup(night)
        self.wait(minutes=30)

    def restore(self) -> None:
        """Lose the books, and go on with the copy."""
        self.server.gateway.close()
        self.server.store.close()
        self.server.store = self._open(NIGHT)
        self.server._start()

    def fork_after_backup(self, till: Machine, member: Person) -> SaleDone:
        """Back the books up, then let a till sell from a copy of its disk, where a place is taken; return that sale."""
        self.sale(till, member)
        self.sync(till)
        self.back_up()
        till.copy_disk(self.root / "before")
        self.sale(till, member)
        self.sync(till)
        till.restore_disk(self.root / "before")
        return self.sale(till, member)

    def talk(self, till: Machine, rounds: int = 3) -> None:
        """Let a till do all that it does while its line is up."""
        for _ in range(rounds):
            self.sync(till, leases=True)
            self.wait(minutes=1)

    def chain(self, till: Machine) -> TillChain:
        (chain,) = self.server.store.read_tills(CLUB, store_id=till.store_id)
        return chain


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Restorable]:
    made = Restorable(tmp_path)
    yield made
    assert made.books_are_right()
    made.close()
    made.server.store.close()


def test_a_lease_that_the_restored_gateway_never_granted_is_not_burned_from(street: Restorable) -> None:
    till, ann = street.till("s1"), street.member(1_000)
    street.back_up()
    assert street.lease(till, ann) == LEASE
    street.restore()
    street.talk(till)
    assert (till.leased(ann.member_id), till.shown(ann.member_id)) == (0, 1_000)
    street.wait(days=1)
    assert street.lease(till, ann) == LEASE
    street.offline(till)
    sale = street.sale(till, ann, burn=LEASE)
    street.online(till)
    street.talk(till)
    assert (street.entry(ann, sale).shortfall, street.loss("s1")) == (0, 0)


def test_a_lease_that_is_granted_while_the_snapshot_comes_is_there_after_it(
    street: Restorable, monkeypatch: pytest.MonkeyPatch
) -> None:
    till, ann = street.till("s1"), street.member(1_000)
    street.back_up()
    street.webshop_burns(ann, 1)
    street.sync(till)
    street.restore()
    street.scan(till, ann)
    take, leased = till.sync._news.take, []

    def late(piece: store_pb2.WatchResponse) -> None:
        if piece.WhichOneof("news") != "snapshot":
            take(piece)
            return
        till.sync.leases_once()
        leased.append(till.leased(ann.member_id))
        take(piece)
        leased.append(till.leased(ann.member_id))

    monkeypatch.setattr(till.sync._news, "take", late)
    till.sync.watch_once()
    assert leased == [LEASE, 0], "the snapshot was read before there was a lease"
    assert (till.leased(ann.member_id), till.shown(ann.member_id)) == (LEASE, 1_000)


def test_a_till_whose_chain_was_ended_after_the_backup_goes_on(street: Restorable) -> None:
    till, ann = street.till("s1"), street.member()
    sales = [street.fork_after_backup(till, ann)]
    street.talk(till)
    sales.append(street.sale(till, ann))
    street.talk(till)
    assert street.chain(till).epoch == 2
    street.restore()
    assert street.chain(till).epoch == 1
    street.offline(till)
    joined = till.running.enrol("+46701234567")
    sales.append(street.sale(till, ann))
    street.online(till)
    street.talk(till)
    assert till.running.status().queued == 0
    assert (street.chain(till).epoch, street.chain(till).fences) == (2, 0)
    assert all(street.entry(ann, sale).shortfall == 0 for sale in sales)
    assert street.server.account(MemberId(joined.member.member_ref)).seq == 1
    assert till.running.status().burn.allowed


def test_a_fork_that_the_restored_gateway_has_forgotten_is_noticed_again(street: Restorable) -> None:
    till, ann = street.till("s1"), street.member()
    till.copy_disk(street.root / "copy")
    for _ in range(3):
        street.sale(till, ann)
    street.sync(till)
    street.back_up()
    till.restore_disk(street.root / "copy")
    forked = street.sale(till, ann)
    street.talk(till)
    sold = street.sale(till, ann)
    street.talk(till)
    street.restore()
    assert (street.inbox(), street.chain(till).epoch) == ([], 1)
    kept = street.sale(till, ann)
    street.talk(till)
    (item,) = street.inbox()
    assert item.verdict.reasons == (VerdictReason.FORKED,)
    assert forked.sale_id not in {entry.command_id for entry in street.entries(ann)}
    assert {sold.sale_id, kept.sale_id} <= {entry.command_id for entry in street.entries(ann)}
    assert (till.running.status().queued, street.chain(till).epoch, street.chain(till).fences) == (0, 2, 1)


def test_a_copy_of_a_till_is_noticed_by_a_restored_gateway_too(street: Restorable) -> None:
    till, ann = street.till("s1"), street.member()
    street.fork_after_backup(till, ann)
    street.talk(till)
    till.copy_disk(street.root / "copy")
    street.sale(till, ann)
    street.restore()
    street.talk(till)
    assert (street.chain(till).epoch, street.chain(till).fences) == (2, 0)
    till.restore_disk(street.root / "copy")
    other = street.sale(till, ann, 500)
    street.talk(till)
    (item,) = street.inbox()
    assert item.verdict.reasons == (VerdictReason.FORKED,)
    assert other.sale_id not in {entry.command_id for entry in street.entries(ann)}
    assert (street.chain(till).epoch, street.chain(till).fences) == (3, 1)
