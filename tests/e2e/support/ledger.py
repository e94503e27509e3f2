"""The ledger under test: how a database gets one, and what must hold of it whatever happened to its writers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import groupby

import psycopg

from tallystick.core.codec import detail_from_text
from tallystick.core.entry import EntryKind
from tallystick.core.ids import MemberId, Ms
from tallystick.core.state import Alloc
from tallystick.service.directory import Clock, Program, StoredRuleSet
from tallystick.storage.open import Store, open_store
from tallystick.storage.snapshot import LedgerRow
from tallystick.storage.verify import verify
from tests.e2e.support import plan
from tests.support.postgres import libpq

RULES = {
    "format": "tallystick/1",
    "name": "End to end",
    "currency": "EUR",
    "time_zone": "Europe/Stockholm",
    "earning": {"rules": [{"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100}]},
    "expiry": {"kind": "months", "months": 24},
    "burning": {"points": 1, "minor": 1},
    "holds": {"open_max": 100},
}

_MEMBERS_SQL = """
    WITH made AS (
        SELECT md5('member ' || n)::uuid AS member_id, n FROM generate_series(0, %(count)s - 1) AS n
    ), members AS (
        INSERT INTO member (program_id, member_id, number, status, enrolled_ms, channel, store_id)
        SELECT %(program)s, member_id, n::text, 1, %(now)s, 1, 's1' FROM made
    )
    INSERT INTO account (program_id, member_id, active, pending, held, debt, as_of_ms, due_ms, enrolled_ms, seq,
        status, tier)
    SELECT %(program)s, member_id, 0, 0, 0, 0, %(now)s, %(never)s, %(now)s, 0, 1, '' FROM made
"""


def prepare(store: Store) -> None:
    """Create the program and publish its rules."""
    now = Ms(plan.NOON_MS)
    assert store.create_program(Program(plan.PROGRAM, "End to end", Clock.LIVE, 0, now))
    text = json.dumps(RULES, sort_keys=True)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    store.publish_rule_set(
        plan.PROGRAM, StoredRuleSet(0, sha256, text, text, plan.command_id(-1), now, "tests")
    )


def enrol_members(admin_url: str, *, count: int) -> None:
    """Make the first members of the plan by one statement; the superuser is above row level security."""
    values = {"count": count, "program": plan.PROGRAM, "now": plan.NOON_MS, "never": 253_402_300_800_000}
    with psycopg.connect(libpq(admin_url)) as connection:
        connection.execute(_MEMBERS_SQL, values)


def assert_verified(url: str) -> None:
    """Recompute every balance, lot and hash of the whole ledger."""
    report = verify(url)
    assert report.ok, f"{report.problem_count} problems; {report.first}"
    assert report.entries


def assert_first_in_first_out(url: str) -> int:
    """Check with a model of its own that each burn and hold took the oldest points; return how many lots there are.

    It holds for ledgers in which all lots last equally long and nothing matures, expires or is returned.
    """
    store = open_store(url)
    try:
        with store.snapshot(plan.PROGRAM) as snapshot:
            stored = {(member, lot.lot_seq): lot.remaining for member, lot in snapshot.lots()}
            expected = {
                (member, lot_seq): remaining
                for member, rows in groupby(snapshot.ledger(), key=lambda row: row.entry.member_id)
                for lot_seq, remaining in _lots_after(member, rows).items()
            }
    finally:
        store.close()
    assert stored == expected
    return len(stored)


def _lots_after(member: MemberId, rows: Iterator[LedgerRow]) -> dict[int, int]:
    lots: dict[int, int] = {}
    held: dict[str, tuple[Alloc, ...]] = {}
    first = 1  # no older lot has points; dictionaries keep the order in which lots were made
    for row in rows:
        entry, allocs = row.entry, detail_from_text(row.detail_text).allocs
        if entry.kind is EntryKind.VOID:
            for alloc in held.pop(entry.hold_id):
                lots[alloc.lot_seq] += alloc.points
                first = min(first, alloc.lot_seq)
            continue
        if entry.kind is EntryKind.CAPTURE:
            assert allocs == held.pop(entry.hold_id)
            continue
        if entry.kind is EntryKind.HOLD:
            held[entry.hold_id] = allocs
        taken = sum(alloc.points for alloc in allocs)
        assert taken == entry.moves.burned + entry.moves.held
        for lot_seq in [seq for seq in lots if seq >= first and lots[seq]]:
            if not taken:
                break
            part = min(taken, lots[lot_seq])
            lots[lot_seq] -= part
            taken -= part
            assert Alloc(lot_seq, part) in allocs, f"{member} entry {entry.seq} skipped lot {lot_seq}"
            first = lot_seq
        assert not taken, f"{member} entry {entry.seq} took more than there was"
        if entry.moves.issued:
            lots[entry.seq] = -entry.moves.issued
    return lots
