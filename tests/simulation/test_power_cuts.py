"""The power goes in the middle of a day at the till: what a customer was told is on the disk when it comes back.

The disk keeps what was synced and, of the rest, whatever it likes. The till is the product's, with its own hub.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random

import apsw
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.core.advice import digest_of
from tallystick.core.chain import GENESIS
from tallystick.core.command import ReturnLine
from tallystick.security.envelope import LEASE
from tallystick.security.keys import VerifyKey
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import store_pb2
from tallystick.wire.advices import bytes_of, id_bytes, parse_advice
from tallystick_till.db import TillDb, _prepare
from tallystick_till.engine import Till
from tallystick_till.hub import LocalHub
from tallystick_till.ports import Identity
from tallystick_till.types import Receipt, ReturnAsk
from tests.simulation.power import Connection, Disk, PowerCut
from tests.till.premises import ANNA, PROGRAM, STORE, member_uuid
from tests.till.world import World

LEASED = 600
LEASE_ID = member_uuid(700)
ACTS = 8
STEPS_MAX = 230
"""A day makes about so many writes and syncs; the power goes at any of them, or not at all."""

CUTS = 100


class Shop(World):
    """A till on a disk that can lose its power, with a lease of Anna's in its own hub."""

    def __init__(self, disk: Disk, synchronous: str = "FULL") -> None:
        self.disk = disk
        self.synchronous = synchronous
        super().__init__(Path("/nowhere"))

    def start(self, *, news: bool = False, path: Path | None = None) -> Till:
        """Start the till's program on the disk; the first time, let it hear of the gateway."""
        self.connection = Connection(self.disk)
        _prepare(self.connection)  # type: ignore[arg-type]
        self.connection.execute(f"PRAGMA synchronous = {self.synchronous}")
        whole = self.connection.execute("PRAGMA quick_check").fetchall()
        assert whole == [("ok",)], whole
        self.db = TillDb(self.connection, None)  # type: ignore[arg-type]
        self.leases = LocalHub(
            self.db,
            program_id=PROGRAM,
            store_id=STORE,
            now_ms=lambda: int(self.till.now_ms()),
            new_id=self.new_id,
            server_keys=self.keys,
            till_id="till-1",
            till_ids=lambda: ["till-1"],
        )
        self.till = Till(
            identity=Identity("till-1", PROGRAM, STORE, "Till 1", "gateway:443", "https://gateway"),
            key=self.till_key,
            db=self.db,
            snapshot=self.snapshot,
            hub=self.leases,
            gateway=self.gateway,
            clock=self.clock,
            new_id=self.new_id,
        )
        if news:
            assert self.till.take_store_news(self.news()) == []
            self.meet_gateway()
            self.till.take_members([self._leased()])
        return self.till

    def keys(self) -> Mapping[str, VerifyKey]:
        """Return the gateway's keys, which the till knows that is about to be made."""
        return self.till.server_keys()

    def _leased(self) -> store_pb2.MemberState:
        ends = Timestamp()
        ends.FromMilliseconds(self.now_ms() + 48 * 3_600_000)
        grant = pb.LeaseGrant(
            lease_id=LEASE_ID,
            program_id=PROGRAM,
            store_id=STORE,
            member_id=ANNA,
            points=LEASED,
            ends_at=ends,
        )
        state = store_pb2.LeaseState(grant=self.signed(LEASE, bytes_of(grant)), remaining_points=LEASED)
        return store_pb2.MemberState(member_id=id_bytes(ANNA), seq=10, leases=[state])


@dataclass
class Told:
    """What was told to people and taken for granted before the power went."""

    receipts: dict[str, Receipt] = field(default_factory=dict)
    reports: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    leased: int = 0


@lru_cache(maxsize=1)
def opened_shop() -> Shop:
    """Return a shop on the morning of its first day, closed again and with everything on the platter."""
    shop = Shop(Disk())
    shop.connection.close()
    return shop


def a_day_until_the_power_goes(shop: Shop, rng: Random, cut_after: int) -> Told:
    """Sell, burn, take back and upload in any order."""
    told = Told()
    shop.disk.steps, shop.disk.cut_after = 0, cut_after
    acts: tuple[Callable[[Shop, Random, Told], None], ...] = (sell, sell, burn, burn, take_back, upload)
    try:
        for _ in range(ACTS):
            shop.clock.go(20)
            rng.choice(acts)(shop, rng, told)
    except (PowerCut, apsw.Error):
        # Which of the two depends on what SQLite was doing.
        assert shop.disk.steps > cut_after
    finally:
        shop.connection.abandon()
    return told


def sell(shop: Shop, rng: Random, told: Told) -> None:
    shop.meet()
    done = shop.till.sale(shop.ask(rng.randrange(1, 9_000)))
    told.receipts[done.sale_id] = done.receipt


def burn(shop: Shop, rng: Random, told: Told) -> None:
    shop.meet()
    points = 100 * rng.randrange(1, 3)
    if points > shop.leases.limit(ANNA):
        return
    done = shop.till.sale(shop.ask(9_000, burn=points))
    told.receipts[done.sale_id] = done.receipt
    told.leased += sum(right.points for right in done.authority if right.kind == "lease")


def take_back(shop: Shop, rng: Random, told: Told) -> None:
    sold = [view for view in shop.till.recent(50) if not any(line.returned_milli for line in view.lines)]
    if sold:
        ask = ReturnAsk((ReturnLine(1, 1_000),), rng.choice(sold).sale_id)
        told.reports.add(shop.till.give_back(ask).return_id)


def upload(shop: Shop, rng: Random, told: Told) -> None:
    shop.gateway.away = False
    while (request := shop.till.next_batch(rng.randrange(1, 4))) is not None:
        shop.till.take_verdicts(request, shop.gateway.push(request))
        told.answered |= {str(parse_advice(raw).advice_id.hex()) for raw in request.advices}
    shop.gateway.away = True


def after_the_cut(seed: int, synchronous: str = "FULL") -> tuple[Shop, Told]:
    """Live one day with one power cut, and start again on what is left of the disk."""
    rng = Random(seed)
    shop = copy_of(opened_shop(), synchronous)
    shop.start()
    told = a_day_until_the_power_goes(shop, rng, rng.randrange(STEPS_MAX))
    shop.disk = shop.disk.after_cut(rng)
    shop.start()
    return shop, told


def copy_of(shop: Shop, synchronous: str) -> Shop:
    other = copy.copy(shop)
    other.disk = Disk()
    other.disk.files = copy.deepcopy(shop.disk.files)
    other.clock, other.gateway = copy.deepcopy(shop.clock), copy.deepcopy(shop.gateway)
    other.synchronous = synchronous
    return other


def lost(shop: Shop, told: Told) -> list[str]:
    """Return what was told and is gone, as sentences."""
    advices: dict[str, int] = dict(shop.db.read("SELECT advice_id, verdict_kind FROM advice"))
    answered = {advice_id.replace("-", "") for advice_id, kind in advices.items() if kind}
    gone = [f"sale {one}" for one in told.receipts if one not in advices]
    gone += [f"report {one}" for one in told.reports if one not in advices]
    gone += [f"receipt {one}" for one, paper in told.receipts.items() if shop.till.receipt(one) != paper]
    gone += [f"verdict {one}" for one in told.answered - answered]
    if shop.leases.limit(ANNA) > LEASED - told.leased:
        gone.append(f"{told.leased} points taken of a lease, of which {shop.leases.limit(ANNA)} are free")
    return gone


def assert_chain_is_whole(shop: Shop) -> None:
    """Recompute the chain from its first link to its head."""
    head, count = GENESIS, 0
    for epoch, seq, raw, digest in shop.db.read("SELECT epoch, seq, raw, digest FROM advice ORDER BY seq"):
        advice, count = parse_advice(raw), count + 1
        assert (epoch, seq) == (advice.epoch, advice.seq) == (1, count)
        assert advice.prev_hash == head
        assert digest == (head := digest_of(raw))
    assert shop.db.read("SELECT epoch, seq, head FROM chain") == [(1, count, head)]
    assert shop.till._outbox.broken is None


@pytest.mark.parametrize("first", range(0, 10 * CUTS, CUTS))
def test_a_power_cut_takes_nothing_that_was_told_and_frees_no_point_that_was_taken(first: int) -> None:
    sold = 0
    for seed in range(first, first + CUTS):
        shop, told = after_the_cut(seed)
        assert lost(shop, told) == [], f"cut {seed}"
        assert_chain_is_whole(shop)
        sell(shop, Random(seed), told)
        assert_chain_is_whole(shop)
        assert shop.till.status().sell.allowed
        shop.connection.close()
        sold += len(told.receipts)
    assert sold > 2 * CUTS


def test_with_less_than_full_syncs_sales_are_lost_and_this_test_would_see_it() -> None:
    days = [after_the_cut(seed, "NORMAL") for seed in range(30)]
    assert sum(bool(lost(shop, told)) for shop, told in days) > 10
    for shop, _ in days:
        shop.connection.close()
