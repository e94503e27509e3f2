"""The journal's chain: whatever was changed, removed or slipped in shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from tallystick.core.basket import Assurance, Channel
from tallystick.core.chain import (
    DIGEST_BYTES,
    GENESIS,
    REF_BYTES,
    JournalRow,
    entry_digest,
    entry_ref,
    row_hash,
    seal,
    split_refs,
)
from tallystick.core.codec import detail_to_text
from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import CommandId, MemberId, Ms
from tests.core.world import MEMBER, World, rules_of


def an_entry() -> Entry:
    world = World(rules_of())
    return replace(
        world.posted(world.sale(1_000)), command_id=CommandId("0190a000-0000-7000-8000-0000000000aa")
    )


def digest(entry: Entry, fingerprint: bytes = b"\x01\x02") -> bytes:
    return entry_digest(entry, fingerprint, detail_to_text(entry.detail))


def test_the_digest_of_an_entry_is_what_it_was_when_the_first_ledger_was_sealed() -> None:
    assert digest(an_entry()).hex() == "776029c415a76fb4c6366da46440f75a"
    assert len(digest(an_entry())) == DIGEST_BYTES


def changed(entry: Entry) -> list[Entry]:
    """Return the entry with each of its facts changed, one at a time."""
    results = []
    for field in fields(entry):
        value: Any = getattr(entry, field.name)
        if field.name == "origin":
            for part in fields(value):
                old = getattr(value, part.name)
                new = Channel.APP if part.name == "channel" else old + (1 if isinstance(old, int) else "x")
                results.append(replace(entry, origin=replace(value, **{part.name: new})))
        elif field.name == "moves":
            results += [replace(entry, moves=value._replace(**{name: 77})) for name in value._fields]
        elif field.name == "detail":
            results.append(replace(entry, detail=replace(value, reason="other")))
        elif field.name == "kind":
            results.append(replace(entry, kind=EntryKind.BURN))
        elif field.name == "assurance":
            results.append(replace(entry, assurance=Assurance.TYPED))
        else:
            results.append(replace(entry, **{field.name: value + (1 if isinstance(value, int) else "x")}))
    return results


def test_a_change_of_any_fact_of_an_entry_changes_its_digest() -> None:
    entry = an_entry()
    variants = [entry, *changed(entry)]
    assert len({digest(variant) for variant in variants}) == len(variants) > 30
    assert digest(entry, b"\x01\x03") != digest(entry)


def test_a_text_cannot_be_moved_from_one_field_into_the_next() -> None:
    entry = an_entry()
    moved = [
        ("a|b", "c", "d"),
        ("a", "b|c", "d"),
        ("a", "b", "c|d"),
        ("a|1:b", "c", "d"),
        ("a", "1:b|c", "d"),
    ]
    digests = {
        digest(
            replace(entry, origin=replace(entry.origin, store_id=store, till_id=till, reference=reference))
        )
        for store, till, reference in moved
    }
    assert len(digests) == len(moved)


def test_references_are_read_back_as_they_were_written() -> None:
    other = MemberId("ffffffff-ffff-4fff-8fff-ffffffffffff")
    refs = [(MEMBER, 1, bytes(16)), (other, 2**32 - 1, bytes(range(16)))]
    payload = b"".join(entry_ref(*ref) for ref in refs)
    assert len(payload) == 2 * REF_BYTES
    assert split_refs(payload) == refs
    with pytest.raises(ValueError, match="not a multiple"):
        split_refs(payload[:-1])


def a_row() -> JournalRow:
    return seal(
        program_id="club",
        lane_id=3,
        lane_seq=1,
        recorded_ms=Ms(5),
        sums=(10, 0, 0, 0, -10, 0, 0, 0, 0),
        refs=[entry_ref(MEMBER, 1, bytes(16))],
        prev_hash=GENESIS,
    )


def test_a_row_counts_its_entries_and_continues_the_row_before() -> None:
    row = a_row()
    assert (row.count, row.prev_hash, len(row.hash)) == (1, GENESIS, 32)
    assert row.hash.hex() == "14ace87e8010ba3505a0445b3f6c95ab305155704720cfd2dd9591262ec8aaff"


@pytest.mark.parametrize(
    "change",
    [
        lambda row: {"lane_id": row.lane_id + 1},
        lambda row: {"lane_seq": row.lane_seq + 1},
        lambda row: {"recorded_ms": row.recorded_ms + 1},
        lambda row: {"sums": (9, 0, 0, 0, -9, 0, 0, 0, 0)},
        lambda row: {"payload": row.payload + row.payload},
        lambda row: {"prev_hash": bytes([1]) + row.prev_hash[1:]},
    ],
    ids=["lane", "number", "time", "sums", "payload", "row before"],
)
def test_a_change_of_any_fact_of_a_row_changes_its_hash(
    change: Callable[[JournalRow], dict[str, Any]],
) -> None:
    row = a_row()

    def hash_of(one: JournalRow, program_id: str = "club") -> bytes:
        return row_hash(
            program_id, one.lane_id, one.lane_seq, one.recorded_ms, one.sums, one.payload, one.prev_hash
        )

    assert hash_of(row) == row.hash
    assert hash_of(replace(row, **change(row))) != row.hash
    assert hash_of(row, "other") != row.hash
