"""Leases, chains and the inbox, changed behind the program's back: verification names the row."""

from __future__ import annotations

import pytest

from tests.storage.build import (
    inbox_item,
)
from tests.storage.tampering import M, Tampered

CHANGED_HOLDS = {
    "more used than was held": "used = 61",
    "less used than was posted": "used = 10",
    "less than nothing used": "used = -1",
    "points of another lot": "allocs = '[[77,40]]'",
    "more points than are left": "allocs = '[[1,60]]'",
    "no store": "store_id = ''",
    "an end behind its giving back": "ends_ms = expires_ms + 1",
}


@pytest.mark.parametrize("change", CHANGED_HOLDS.values(), ids=CHANGED_HOLDS.keys())
def test_a_changed_lease_is_named(tampered: Tampered, change: str) -> None:
    tampered.run(f"UPDATE hold SET {change} WHERE member_id = '{M[6]}'")
    keys = {(problem.table, problem.key.partition(",")[0]) for problem in tampered.verify().problems}
    assert keys == {("hold", f"member {M[6]}")}


def test_the_used_part_of_a_lease_is_no_longer_held(tampered: Tampered) -> None:
    tampered.run(f"UPDATE hold SET used = 10, allocs = '[[1,50]]' WHERE member_id = '{M[6]}'")
    assert tampered.first() == ("hold", f"member {M[6]}, hold all")
    assert tampered.verify().problem_count == 1


CHANGED_CHAINS = {
    "an epoch that no fork began": ("epoch = 1", "till-1"),
    "a head that is no hash": ("head = {short}", "till-1"),
    "a head without advices": ("head = {hash}", "till-2"),
    "advices without a head": ("acked_seq = 1", "till-2"),
    "forks that were not counted": ("fences = 0", "till-1"),
    "an outbox that was empty after it was last heard of": ("drained_ms = contact_ms + 1", "till-1"),
    "a negative queue": ("queued = -1", "till-1"),
    "negative points": ("floor_points = -1", "till-1"),
}


@pytest.mark.parametrize(("change", "till_id"), CHANGED_CHAINS.values(), ids=CHANGED_CHAINS.keys())
def test_a_changed_chain_is_named(tampered: Tampered, change: str, till_id: str) -> None:
    written = change.format(short=tampered.blob(b"h" * 16), hash=tampered.blob(b"h" * 32))
    tampered.run(f"UPDATE till_chain SET {written} WHERE till_id = '{till_id}'")
    assert tampered.first() == ("till", f"till {till_id}")


CHANGED_ITEMS = {
    "other bytes": (1, "raw = {raw}"),
    "an entry of what is parked": (1, "member_seq = 3"),
    "an entry of what is quarantined": (2, "member_seq = 3"),
    "posted without an entry": (3, "member_seq = 0"),
    "posted but parked": (1, "state = 2"),
    "quarantined but waiting": (2, "waits_for = 'x'"),
    "a place that its chain has not reached": (3, "seq = 4"),
    "an epoch that its chain has not reached": (3, "epoch = 3"),
    "a till without a chain": (1, "till_id = 'till-9'"),
}


@pytest.mark.parametrize(("number", "change"), CHANGED_ITEMS.values(), ids=CHANGED_ITEMS.keys())
def test_a_changed_inbox_item_is_named(tampered: Tampered, number: int, change: str) -> None:
    item_id = inbox_item(number).item_id
    written = change.format(raw=tampered.blob(b"advice 9"))
    tampered.run(f"UPDATE inbox_item SET {written} WHERE item_id = '{item_id}'")
    assert tampered.first() == ("inbox", f"item {item_id}")


def test_a_removed_chain_is_named_by_what_its_till_left_in_the_inbox(tampered: Tampered) -> None:
    tampered.run("DELETE FROM till_chain WHERE till_id = 'till-2'")
    assert tampered.first() == ("inbox", f"item {inbox_item(4).item_id}")


@pytest.mark.parametrize(
    ("table", "change", "named"),
    [
        ("till_chain", "status = 9", "till"),
        ("till_chain", "fenced_ms = '{'", "till"),
        ("inbox_item", "verdict = 9", "inbox"),
        ("inbox_item", "reasons = '[99]'", "inbox"),
    ],
)
def test_a_chain_or_item_that_nothing_can_have_written_is_named_and_is_no_crash(
    tampered: Tampered, table: str, change: str, named: str
) -> None:
    tampered.run(f"UPDATE {table} SET {change}")
    assert tampered.first()[0] == named
