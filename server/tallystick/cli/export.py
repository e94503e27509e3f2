"""The rows of `tallystick export`: accounts or entries of one program as CSV or JSON lines.

A spreadsheet runs a text cell that begins like a formula, and references come from strangers. Such cells get an
apostrophe in front (OWASP "CSV Injection"), and every text cell is quoted; numbers stay numbers.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO

from tallystick.core.entry import Moves
from tallystick.core.ids import NEVER_MS
from tallystick.core.state import Account

if TYPE_CHECKING:
    from tallystick.storage.snapshot import LedgerRow, Snapshot

Cell = str | int
Record = Mapping[str, Cell]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class What(StrEnum):
    """What is exported."""

    ACCOUNTS = "accounts"
    ENTRIES = "entries"


class Format(StrEnum):
    """How it is written."""

    CSV = "csv"
    JSONL = "jsonl"


def records(snapshot: Snapshot, what: What) -> Generator[Record, None, None]:
    """The records in the order of member and number, one at a time."""
    if what is What.ACCOUNTS:
        yield from map(account_record, snapshot.accounts())
    else:
        yield from map(entry_record, snapshot.ledger())


def account_record(account: Account) -> Record:
    """One member's balances; `qualifying_credits` are by first day of their period, as DAY=CREDITS."""
    return {
        "member_id": account.member_id,
        "status": account.status.name,
        "active": account.active,
        "pending": account.pending,
        "held": account.held,
        "debt": account.debt,
        "tier": account.tier.tier_id,
        "qualifying_credits": " ".join(
            f"{datetime.fromordinal(day).date()}={credits}" for day, credits in account.tier.buckets
        ),
        "entries": account.seq,
        "enrolled_at": _instant(account.enrolled_ms),
        "as_of": _instant(account.as_of_ms),
        "next_due_at": _instant(account.due_ms),
    }


def entry_record(row: LedgerRow) -> Record:
    """One entry with its moves by account."""
    entry = row.entry
    return {
        "member_id": entry.member_id,
        "seq": entry.seq,
        "command_id": entry.command_id,
        "kind": entry.kind.name,
        **dict(zip(Moves._fields, entry.moves, strict=True)),
        "active_after": entry.active_after,
        "pending_after": entry.pending_after,
        "held_after": entry.held_after,
        "debt_after": entry.debt_after,
        "tier_after": entry.tier_after,
        "rule_set": entry.rule_set,
        "assurance": entry.assurance.name,
        "channel": entry.origin.channel.name,
        "store_id": entry.origin.store_id,
        "till_id": entry.origin.till_id,
        "reference": entry.origin.reference,
        "occurred_at": _instant(entry.origin.occurred_ms),
        "recorded_at": _instant(row.recorded_ms),
        "reverses_seq": entry.reverses_seq,
        "hold_id": entry.hold_id,
    }


def write_records(found: Iterable[Record], stream: TextIO, form: Format) -> Iterator[int]:
    """Write records as they come; yields how many were written so far. A CSV without records has no header."""
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    for number, record in enumerate(found, 1):
        if form is Format.JSONL:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        else:
            if number == 1:
                writer.writerow(record)
            writer.writerow([neutral(cell) for cell in record.values()])
        yield number


def neutral(cell: Cell) -> Cell:
    """The cell such that no spreadsheet takes it for a formula."""
    if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA_STARTS):
        return "'" + cell
    return cell


def _instant(at_ms: int) -> str:
    """ISO 8601 in UTC to the millisecond; empty for never and for not yet."""
    if at_ms >= NEVER_MS or at_ms <= 0:
        return ""
    whole = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at_ms % 1000:03d}Z"
