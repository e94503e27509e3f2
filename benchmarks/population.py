"""A program with members for the benchmarks, made by set-based SQL: the measured path itself starts after it."""

from __future__ import annotations

import hashlib
import json
import random
import time
import uuid
from collections.abc import Iterator, Sequence

import psycopg
from sqlalchemy import create_engine

from tallystick.core.basket import Basket, Channel, Line, Origin
from tallystick.core.command import SettleSale
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Minor, Ms, ProgramId
from tallystick.service.directory import Clock, Directory, Program, StoredRuleSet
from tallystick.service.submission import Submission
from tallystick.v1 import identity_pb2, ledger_pb2, types_pb2

PROGRAM = ProgramId("bench")
STORES = 50
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
    "expiry": {"kind": "months", "months": 12},
    "burning": {"points": 100, "minor": 100},
    "tiers": {
        "basis": "spend",
        "period": "calendar_year",
        "levels": [
            {"id": "bas", "from": 0},
            {"id": "silver", "from": 500_000},
            {"id": "guld", "from": 2_000_000},
        ],
    },
}

_MEMBERS_SQL = """
INSERT INTO member (program_id, member_id, number, status, enrolled_ms, channel, store_id)
SELECT 'bench', md5('member ' || i)::uuid, 'B' || i, 1, {now}, 1, 's1' FROM generate_series(0, {last}) AS i
"""
_ACCOUNTS_SQL = """
INSERT INTO account
  (program_id, member_id, status, enrolled_ms, active, pending, held, debt, seq, as_of_ms, due_ms, tier)
SELECT 'bench', md5('member ' || i)::uuid, 1, {now}, 0, 0, 0, 0, 0, {now}, {never}, ''
FROM generate_series(0, {last}) AS i
"""


def now_ms() -> Ms:
    """Return the time of this machine."""
    return Ms(time.time_ns() // 1_000_000)


def member_id(number: int) -> MemberId:
    """Return the id of the benchmark's n-th member, as the SQL above makes it."""
    digest = hashlib.md5(f"member {number}".encode(), usedforsecurity=False).digest()
    return MemberId(str(uuid.UUID(bytes=digest)))


def publish(directory: Directory) -> None:
    """Create the program and its rule set."""
    directory.create_program(Program(PROGRAM, "Benchmark", Clock.LIVE, 0, now_ms()))
    text = json.dumps(RULES)
    digest = hashlib.sha256(text.encode()).hexdigest()
    directory.publish_rule_set(
        PROGRAM, StoredRuleSet(0, digest, text, text, str(uuid.uuid4()), now_ms(), "benchmark")
    )


def populate_postgres(conninfo: str, members: int) -> None:
    """Make members and accounts as the database's owner or superuser, then vacuum and analyse."""
    values = {"now": now_ms(), "never": NEVER_MS, "last": members - 1}
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET row_security = off")
        for statement in (_MEMBERS_SQL, _ACCOUNTS_SQL):
            connection.execute(statement.format(**values).encode())
        connection.execute("VACUUM ANALYZE member, account")
        connection.execute("CHECKPOINT")


def populate_sqlite(url: str, members: int) -> None:
    """Make members and accounts in an SQLite file."""
    at = now_ms()
    people = [(str(member_id(n)), f"B{n}", at) for n in range(members)]
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO member (program_id, member_id, number, status, enrolled_ms, channel, store_id) "
            "VALUES ('bench', ?, ?, 1, ?, 1, 's1')",
            people,
        )
        connection.exec_driver_sql(
            "INSERT INTO account (program_id, member_id, status, enrolled_ms, active, pending, held, debt, seq, "
            f"as_of_ms, due_ms, tier) VALUES ('bench', ?, 1, ?, 0, 0, 0, 0, 0, ?, {NEVER_MS}, '')",
            [(member, at, at) for member, _, _ in people],
        )
    engine.dispose()


def baskets(rng: random.Random) -> Basket:
    """Return a small basket as shops see it: one to four lines."""
    lines = tuple(
        Line(f"sku-{rng.randrange(5000)}", 1000 * rng.randint(1, 3), Minor(rng.randint(100, 20_000)))
        for _ in range(rng.choice((1, 1, 2, 2, 3, 4)))
    )
    return Basket("EUR", lines)


def advices(count: int, *, members: int, seed: int, burning: float = 0.0) -> list[Submission]:
    """Return sales that tills have made already; a share of them burned points (which the store may have to bear)."""
    rng = random.Random(seed)
    at = now_ms()
    result = []
    for _ in range(count):
        basket = baskets(rng)
        store = f"s{rng.randrange(STORES)}"
        burned = 100 if rng.random() < burning else 0
        total = sum(line.amount_minor for line in basket.lines)
        command = SettleSale(
            CommandId(str(uuid.UUID(int=rng.getrandbits(128), version=4))),
            member_id(rng.randrange(members)),
            Origin(at, Channel.STORE, store, f"{store}-t1"),
            basket,
            1,
            total // 100,
            burned,
            Minor(min(burned, total)),
        )
        result.append(Submission(PROGRAM, command, fingerprint(command), float("inf"), 0, 2**62))
    return result


def sales(count: int, *, members: int, seed: int, burning: float = 0.2) -> Iterator[bytes]:
    """Return sales as a till asks for them online, ready to send; a share of them spends up to 500 points."""
    rng = random.Random(seed)
    for _ in range(count):
        request = ledger_pb2.PostSaleRequest(
            command_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            member_id=member_id(rng.randrange(members)),
            basket=_basket_message(rng),
            assurance=types_pb2.ASSURANCE_DEVICE_CODE,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE, reference="r-1"),
        )
        if rng.random() < burning:
            request.spend.points_max = 500
        yield request.SerializeToString()


def enrol_messages(numbers: Sequence[str]) -> Iterator[bytes]:
    """Return enrolments at a till of members by their telephone numbers, ready to send."""
    for number in numbers:
        yield identity_pb2.EnrolRequest(
            member_id=str(uuid.uuid4()), text=number, origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE)
        ).SerializeToString()


def scan_messages(numbers: Sequence[str]) -> Iterator[bytes]:
    """Return how a cashier identifies those members, ready to send."""
    for number in numbers:
        yield identity_pb2.IdentifyRequest(text=number, channel=types_pb2.CHANNEL_STORE).SerializeToString()


def _basket_message(rng: random.Random) -> types_pb2.Basket:
    basket = baskets(rng)
    lines = [
        types_pb2.Line(sku=line.sku, quantity_milli=line.quantity_milli, amount_minor=line.amount_minor)
        for line in basket.lines
    ]
    return types_pb2.Basket(currency_code=basket.currency, prices_include_tax=True, lines=lines)
