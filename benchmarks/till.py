"""The till's figures: what a cashier waits for, what a till's machine must hold, how fast a day offline goes up.

``python -m benchmarks.till [--members N] [--advices N] [--only snapshot,counter,drain] [--json]``. The counter runs in
a process of its own, so that its memory is a till's and nothing else's; the drain goes over gRPC to a server process
on SQLite that the benchmark starts. A line of half a minute for a million members; most of it makes the members.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import percentile, report, rss_mb
from tallystick.core.basket import Basket, Line
from tallystick.core.ids import Minor
from tallystick.security.envelope import RULES as RULES_CONTEXT
from tallystick.security.envelope import sign_body
from tallystick.security.keys import generate_signing_key, public_jwk
from tallystick.security.scan_tags import scan_tag, store_tag
from tallystick.v1 import advice_pb2, store_pb2, types_pb2
from tallystick_till.clock import TillClock
from tallystick_till.daemon.machine import MachineClock, new_id
from tallystick_till.db import TillDb
from tallystick_till.engine import Till
from tallystick_till.facts import Facts
from tallystick_till.hub import LocalHub, NoHub
from tallystick_till.leases import Leases
from tallystick_till.outbox import Outbox
from tallystick_till.ports import Identity
from tallystick_till.snapshot import FileSnapshot
from tallystick_till.sync import SyncLoop
from tallystick_till.transport import GrpcGateway
from tallystick_till.types import Identified, SaleAsk

MEMBERS_MAX = 2_000_000
ADVICES_MAX = 50_000
PART = 5_000
PHONES = 2_000
"""So many members have a telephone number that the counter types; the tags of the others are as spread as theirs."""
SALES = 1_000
LOOKUPS = 20_000
DELTA = 100_000
TIMEOUT_S = 120.0
RULES = {
    "format": "tallystick/1",
    "name": "Benchmark",
    "currency": "EUR",
    "time_zone": "Europe/Stockholm",
    "earning": {
        "rules": [
            {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100},
            {"id": "double", "kind": "multiply", "by": "2", "sku": "sku-1"},
        ]
    },
    "burning": {"points": 100, "minor": 100},
}
SCAN_KEY, STORE_KEY = b"s" * 32, b"t" * 32
NOWHERE = "127.0.0.1:1"


def main() -> None:
    """Run the parts and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=1_000_000)
    parser.add_argument("--advices", type=int, default=15_000)
    parser.add_argument("--only", default="snapshot,counter,drain", help="parts to run, with commas")
    parser.add_argument("--dir", type=Path, help="where the files lie; its disk is what is measured")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not 1 <= args.members <= MEMBERS_MAX or not 1 <= args.advices <= ADVICES_MAX:
        parser.error(f"at most {MEMBERS_MAX} members and {ADVICES_MAX} advices")
    parts = set(args.only.split(","))
    figures: dict[str, Any] = {"members": args.members}
    with ExitStack() as stack:
        place = args.dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if parts & {"snapshot", "counter"}:
            figures.update(_snapshot(place / "snapshot", args.members))
        if "counter" in parts:
            figures.update(_in_its_own_process("counter", place))
        if "drain" in parts:
            figures.update(_drain(place, args.advices))
    print(report(figures, as_json=args.json))


def _in_its_own_process(part: str, place: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", f"from benchmarks.till import {part}; {part}({str(place)!r})"],
        stdout=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _snapshot(directory: Path, members: int) -> dict[str, Any]:
    """Take a whole snapshot as it comes from the gateway."""
    with closing(FileSnapshot(directory)) as snapshot:
        snapshot.set_tiers(["bas", "silver", "guld"])
        build_s = 0.0
        for first, states in _population(members):
            began = time.perf_counter()
            snapshot.stage(store_pb2.SnapshotPart(first=not first, members=states))
            build_s += time.perf_counter() - began
        began = time.perf_counter()
        snapshot.stage(store_pb2.SnapshotPart(last=True))
        build_s += time.perf_counter() - began
        size = sum(path.stat().st_size for path in directory.glob("*.base"))
        assert snapshot.count() == members, "no member was lost"
    return {
        "snapshot_mb_1m": size / members,
        "snapshot_build_s": build_s,
        "build_rss_peak_mb": _peak_rss_mb(),
    }


def _delta(snapshot: FileSnapshot) -> dict[str, float]:
    """Apply changes to members picked at random; the merges that they cause are part of it."""
    rng = random.Random(2)
    members = snapshot.count()
    spent_s = 0.0
    numbers = iter([rng.randrange(members) for _ in range(DELTA)])
    for _ in range(DELTA // PART):
        states = [_state(next(numbers), seq=4) for _ in range(PART)]
        began = time.perf_counter()
        snapshot.apply(states)
        spent_s += time.perf_counter() - began
    assert snapshot.count() == members, "no member was lost"
    return {"delta_100k_s": spent_s}


def _population(members: int) -> Iterator[tuple[int, list[store_pb2.MemberState]]]:
    for first in range(0, members, PART):
        yield first, [_state(number) for number in range(first, min(members, first + PART))]


def _state(number: int, *, seq: int = 3) -> store_pb2.MemberState:
    """Return a member with 1.3 identifiers on average, the first few with a number that the counter types."""
    tags = _phone_tag(number) if number < PHONES else _spread(number, 7)
    if number % 10 < 3:
        tags += _spread(number + MEMBERS_MAX, 7)
    return store_pb2.MemberState(
        member_id=_spread(number, 16),
        seq=seq,
        active_points=number % 9_000,
        tier=number % 4,
        tags=tags,
    )


def _spread(number: int, length: int) -> bytes:
    return ((number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(16, "big")[:length]


def _phone(number: int) -> str:
    return f"+4670{1_000_000 + number}"


def _phone_tag(number: int) -> bytes:
    return store_tag(STORE_KEY, scan_tag(SCAN_KEY, kind="phone", value=_phone(number)))


def counter(place: str) -> None:
    """Sell at a till that is offline, with a million members behind it, then take many changes; print the figures."""
    directory = Path(place)
    key = generate_signing_key()
    identity = Identity("till-1", "bench", "s1", "Till 1", NOWHERE, "tallystick")
    with ExitStack() as stack:
        db = TillDb.open(directory / "counter.db")
        stack.callback(db.close)
        snapshot = stack.enter_context(closing(FileSnapshot(directory / "snapshot")))
        gateway = stack.enter_context(closing(GrpcGateway(identity, key, now_s=lambda: int(time.time()))))
        clock = MachineClock()
        hub = LocalHub(
            db,
            program_id="bench",
            store_id="s1",
            now_ms=clock.wall_ms,
            new_id=new_id,
            server_keys=lambda: till.server_keys(),  # noqa: PLW0108  there is no till yet
            till_id=identity.till_id,
            till_ids=lambda: till.till_keys(),  # noqa: PLW0108
        )
        till = Till(
            identity=identity,
            key=key,
            db=db,
            snapshot=snapshot,
            hub=hub,
            gateway=gateway,
            clock=clock,
            new_id=new_id,
        )
        assert till.take_store_news(_news()) == [], "the rules hold"
        idle_mb = rss_mb(psutil.Process())
        figures = {**_lookups(snapshot), **_sales(till), **_delta(snapshot)}
    print(json.dumps({**figures, "rss_idle_mb": idle_mb, "rss_mb": _peak_rss_mb()}))


def _lookups(snapshot: FileSnapshot) -> dict[str, float]:
    rng = random.Random(3)
    tags = [_spread(rng.randrange(PHONES, snapshot.count()), 7) for _ in range(LOOKUPS)]
    began = time.perf_counter()
    found = sum(len(snapshot.find(tag)) for tag in tags)
    spent_s = time.perf_counter() - began
    assert found >= LOOKUPS, "every tag is somebody's"
    return {"lookup_us": spent_s / LOOKUPS * 1e6}


def _sales(till: Till) -> dict[str, float]:
    rng = random.Random(4)
    identified, sold = [], []
    for number in range(SALES):
        began = time.perf_counter()
        found = till.identify(_phone(rng.randrange(PHONES)), source="typed")
        identified.append(time.perf_counter() - began)
        assert isinstance(found, Identified), "the snapshot knows the number"
        ask = SaleAsk(found.member.member_ref, _basket(rng), reference=f"r-{number}")
        began = time.perf_counter()
        till.sale(ask)
        sold.append(time.perf_counter() - began)
    assert till.status().queued == SALES, "every sale is on the disk"
    return {
        "identify_offline_p99_ms": percentile(identified, 0.99) * 1000,
        "sale_offline_p50_ms": percentile(sold, 0.50) * 1000,
        "sale_offline_p99_ms": percentile(sold, 0.99) * 1000,
    }


def _basket(rng: random.Random) -> Basket:
    lines = [
        Line(f"sku-{rng.randrange(500)}", 1000, Minor(rng.randint(100, 20_000)))
        for _ in range(rng.choice((1, 2, 2, 3, 4)))
    ]
    return Basket("EUR", tuple(lines))


def _news() -> store_pb2.StoreNews:
    key = generate_signing_key()
    grant = advice_pb2.RuleSetGrant(
        program_id="bench",
        version=1,
        canonical=json.dumps(RULES),
        current=True,
        valid_until_ms=(int(time.time()) + 86_400) * 1000,
    )
    body = grant.SerializeToString()
    signed = advice_pb2.Signed(body=body, key_id=key.kid, signature=sign_body(key, RULES_CONTEXT, body))
    return store_pb2.StoreNews(
        rule_sets=[signed],
        server_keys=[json.dumps(public_jwk(key.private_key.public_key()))],
        scan_key=SCAN_KEY,
        store_key=STORE_KEY,
        tiers=["bas", "silver", "guld"],
        region="SE",
    )


def _drain(place: Path, advices: int) -> dict[str, Any]:
    """Send a till's queue to a server, one batch after the other, until the outbox is empty."""
    from tallystick.cli.options import TILL_PROFILE
    from tallystick.cli.profile import load_profile
    from tallystick.storage.schema import migrate
    from tests.e2e.support.server import Installation

    url = f"sqlite:///{place / 'ledger.db'}"
    migrate(url)
    with ExitStack() as stack:
        shop = stack.enter_context(Installation(place, url, members=PHONES))
        profile, key = load_profile(shop.data_dir, TILL_PROFILE)
        identity = Identity(
            profile.device_id, profile.program_id, profile.store_id, "Till 1", shop.address, profile.issuer
        )
        gateway = stack.enter_context(closing(GrpcGateway(identity, key, now_s=lambda: int(time.time()))))
        snapshot = stack.enter_context(closing(FileSnapshot(place / "drain")))
        db = TillDb.open(place / "drain.db")
        stack.callback(db.close)
        clock, hub = MachineClock(), NoHub()
        till = Till(
            identity=identity,
            key=key,
            db=db,
            snapshot=snapshot,
            hub=hub,
            gateway=gateway,
            clock=clock,
            new_id=new_id,
        )
        sync = SyncLoop(till, gateway, snapshot, hub, clock=clock, rng=random.Random(5))
        _take_first_news(till, gateway, sync)
        _queue(till, shop.members, advices)
        server = psutil.Process(shop.server.pid)
        began = time.perf_counter()
        while till.status().queued:
            if not sync.push_once():
                raise SystemExit(f"the drain stopped with {till.status().queued} advices left")
            time.sleep(sync.push_wait_s)
        spent_s = time.perf_counter() - began
        return {
            "drain_advices": advices,
            "drain_s": spent_s,
            "drain_ops_s": advices / spent_s,
            "drain_server_rss_mb": rss_mb(server),
            "drain_adjusted": till.status().attention.adjusted,
        }


def _take_first_news(till: Till, gateway: GrpcGateway, sync: SyncLoop) -> None:
    """Have the store's news, as the first seconds of a till bring them."""
    for piece in gateway.watch(store_pb2.WatchRequest(protocol=1)):
        if piece.HasField("store"):
            till.take_store_news(piece.store)
            break
    assert till.status().sell.allowed, "the gateway told the rules"
    sync.push_once()


def _queue(till: Till, members: list[Any], advices: int) -> None:
    """Put sales into the outbox in one transaction: a day of them one by one would measure the disk again."""
    rng = random.Random(6)
    rules = till.rulebook.current
    assert rules is not None, "the till has rules"
    now_ms = int(time.time() * 1000)
    facts = Facts(till.db, till.snapshot, Leases(NoHub(), till.machine))
    clock = TillClock(till.machine, till.db, till.rulebook, till_id=till.identity.till_id)
    outbox = Outbox(till.db, facts, clock, key=till.key, till_id=till.identity.till_id)
    with till.db.write() as tx:
        for number in range(advices):
            amount = rng.randint(100, 20_000)
            advice = advice_pb2.Advice(
                advice_id=uuid.UUID(new_id()).bytes,
                rule_set=rules.version,
                rule_set_sha256=bytes.fromhex(rules.sha256),
                member_id=uuid.UUID(rng.choice(members)).bytes,
                assurance=types_pb2.ASSURANCE_STATIC_CARD,
                reference=f"r-{number}",
            )
            advice.clock.occurred_ms = now_ms
            basket = advice.sale.basket
            basket.currency_code, basket.prices_include_tax = rules.currency, True
            basket.lines.add(sku="sku-1", quantity_milli=1000, amount_minor=amount)
            advice.sale.earned_points = amount // 100
            outbox.append(tx, advice, told_points=amount // 100)


def _peak_rss_mb() -> float:
    """Return the most memory that this process has had, mapped files included."""
    text = Path(f"/proc/{os.getpid()}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
