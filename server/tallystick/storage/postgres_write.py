"""The write of one batch on PostgreSQL: a single statement, whatever the batch holds.

Every table's rows travel as one array literal a column (``unnest``): that is written in C on both sides, where a list
bound by the driver costs ten times as much. One literal of a statement has no fixed length, so one prepared
statement serves batches of every size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from tallystick.core.record import record
from tallystick.service.ports import WriteSet
from tallystick.storage.rows import (
    ACCOUNT_COLUMNS,
    HOLD_COLUMNS,
    JOURNAL_COLUMNS,
    LEDGER_COLUMNS,
    LOT_COLUMNS,
    account_change_to_row,
    entry_to_row,
    hold_to_row,
    journal_to_row,
    lot_to_row,
    refusal_to_row,
)
from tallystick.storage.segment_reads import PURCHASE_COLUMNS, purchase_to_row
from tallystick.storage.tables import MOVE_COLUMNS
from tallystick.storage.till_rows import INBOX_CHANGING, INBOX_COLUMNS, TILL_COLUMNS, item_to_row, till_to_row

_SEPARATOR = "\x1f"


def ints(values: Sequence[int]) -> str:
    """Return the array literal of whole numbers."""
    return f"{{{repr(values)[1:-1].rstrip(',')}}}"


def uuids(values: Iterable[str]) -> str:
    """Return the array literal of UUIDs; an empty text stands for NULL."""
    return f"{{{','.join([value or 'NULL' for value in values])}}}"


def texts(values: Sequence[str]) -> str:
    """Return the array literal of texts."""
    joined = _SEPARATOR.join(values)
    if joined.count(_SEPARATOR) == len(values) - 1:
        escaped = joined.replace("\\", "\\\\").replace('"', '\\"')
        return '{"' + escaped.replace(_SEPARATOR, '","') + '"}'
    quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(quoted) + '"}'


def hexes(values: Iterable[bytes]) -> str:
    """Return the array literal of the hexadecimal digits of bytes; none is an empty text, which needs its quotes."""
    return '{"' + '","'.join([value.hex() for value in values]) + '"}'


_LITERALS: dict[str, Any] = {
    "uuid": uuids,
    "bigint": ints,
    "int": ints,
    "smallint": ints,
    "text": texts,
    "hex": hexes,
}
_UNNEST_AS = {"hex": "text"}

_UUIDS = frozenset({"command_id", "member_id", "hold_id", "item_id"})
_INTS = frozenset({"seq_before", "rule_set", "reverses_seq", "lot_seq", "credit_day", "count"})
_SMALL = frozenset({"kind", "assurance", "channel", "status", "reason", "recalled", "verdict", "state"})
_HEXES = frozenset({"fingerprint", "head", "raw"})
_TEXTS = frozenset(
    {
        "tier_after",
        "store_id",
        "till_id",
        "reference",
        "detail",
        "details",
        "tier",
        "tallies",
        "reward_ids",
        "allocs",
        "coupons",
    }
    | {"goods"}
    | {"fenced_ms", "reasons", "waits_for", "resolved_by", "note"}
)
_NULL_FOR_ZERO = frozenset({*MOVE_COLUMNS, "reverses_seq", "shortfall"})


def _kind(column: str) -> str:
    if column in _UUIDS:
        return "uuid"
    if column in _INTS:
        return "int"
    if column in _SMALL:
        return "smallint"
    if column in _TEXTS:
        return "text"
    return "hex" if column in _HEXES else "bigint"


def _value(column: str) -> str:
    """Return how a column's unnested value is stored: NULL takes no room where 0 (or -1: no claim) says nothing."""
    if column in _HEXES:
        return f"decode(v.{column}, 'hex')"
    if column == "claimed_points":
        return "nullif(v.claimed_points, -1)"
    return f"nullif(v.{column}, 0)" if column in _NULL_FOR_ZERO else f"v.{column}"


@record(frozen=True, slots=True)
class _Part:
    """One table's share of the statement; ``{rows}`` is where its unnested arrays go."""

    name: str
    columns: tuple[str, ...]
    sql: str
    counted: bool

    def literals(self, rows: Sequence[tuple[Any, ...]]) -> list[str]:
        pairs = zip(self.columns, zip(*rows, strict=True), strict=True)
        return [_LITERALS[_kind(column)](values) for column, values in pairs]


def _columns(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(","))


def _insert(table: str, names: str) -> _Part:
    columns = _columns(names)
    values = ", ".join(_value(column) for column in columns)
    into = ", ".join(columns)
    sql = f"INSERT INTO {table} (program_id, {into}) SELECT $1::text, {values} FROM {{rows}}"
    return _Part(f"{table}_new", columns, sql, counted=False)


def _change(table: str, names: str, *, key: str, seq_before: bool = False) -> _Part:
    """Change rows that are there, found by their full key however small the table was when this was planned.

    A join would be planned by what the table held then: with a handful of rows every plan is as good as another, and
    it stays cached while they become a million. ``ON CONFLICT`` and a correlated look-up leave nothing to choose.
    With ``seq_before`` a row must also be as it was loaded.
    """
    columns = _columns(names)
    keys = _columns(key)
    stored = [column for column in columns if column != "seq_before"]
    values = ", ".join(f"v.{column}" for column in stored)
    sets = ", ".join(f"{column} = excluded.{column}" for column in stored if column not in keys)
    same = " AND ".join(f"t.{column} = v.{column}" for column in keys)
    what, wanted = ("t.seq", "v.seq_before") if seq_before else ("1", "1")
    sql = (
        f"INSERT INTO {table} (program_id, {', '.join(stored)}) SELECT $1::text, {values} FROM {{rows}} "
        f"WHERE (SELECT {what} FROM {table} t WHERE t.program_id = $1::text AND {same}) = {wanted} "
        f"ON CONFLICT (program_id, {key}) DO UPDATE SET {sets} RETURNING 1"
    )
    return _Part(f"{table}_changed", columns, sql, counted=True)


def _put(table: str, names: str, *, key: str, changing: str) -> _Part:
    """Insert rows, or change those that are there."""
    columns = _columns(names)
    values = ", ".join(_value(column) for column in columns)
    sets = ", ".join(f"{column} = excluded.{column}" for column in _columns(changing))
    sql = (
        f"INSERT INTO {table} (program_id, {', '.join(columns)}) SELECT $1::text, {values} FROM {{rows}} "
        f"ON CONFLICT (program_id, {key}) DO UPDATE SET {sets} RETURNING 1"
    )
    return _Part(f"{table}_put", columns, sql, counted=True)


_ENTRIES = _insert("ledger", LEDGER_COLUMNS)
_REFUSALS = _insert("refusal", "command_id, member_id, recorded_ms, reason, fingerprint, details")
_ACCOUNT_CHANGE = ACCOUNT_COLUMNS.replace("member_id", "member_id, seq_before", 1)
_ACCOUNTS = _change("account", _ACCOUNT_CHANGE, key="member_id", seq_before=True)
_LOTS_NEW = _insert("lot", LOT_COLUMNS)
_LOTS_CHANGED = _change("lot", LOT_COLUMNS, key="member_id, lot_seq")
_HOLDS_NEW = _insert("hold", HOLD_COLUMNS)
_HOLDS_CHANGED = _change("hold", HOLD_COLUMNS, key="member_id, hold_id")
_TILLS = _put("till_chain", TILL_COLUMNS, key="till_id", changing=TILL_COLUMNS.removeprefix("till_id, "))
_INBOX = _put("inbox_item", INBOX_COLUMNS, key="item_id", changing=INBOX_CHANGING)
_PURCHASES = _insert("purchase", PURCHASE_COLUMNS)
_PARTS = (
    _ENTRIES,
    _REFUSALS,
    _ACCOUNTS,
    _LOTS_NEW,
    _LOTS_CHANGED,
    _HOLDS_NEW,
    _HOLDS_CHANGED,
    _TILLS,
    _INBOX,
    _PURCHASES,
)


@record(frozen=True, slots=True)
class Write:
    """A statement with its values. It divides by zero when it changes another number of rows than it was made for."""

    statement: str
    values: list[Any]


def plan_write(program_id: str, changes: WriteSet) -> Write | None:
    """Return the statement that writes a set, or None when there is nothing to write."""
    recorded = changes.recorded_ms
    lots_new, lots_changed = _folded(
        [lot_to_row(member, lot) for member, lot in changes.lots_new],
        [lot_to_row(member, lot) for member, lot in changes.lots_changed],
    )
    holds_new, holds_changed = _folded(
        [hold_to_row(member, hold) for member, hold in changes.holds_new],
        [hold_to_row(member, hold) for member, hold in changes.holds_changed],
    )
    rows = (
        [entry_to_row(new, recorded) for new in changes.entries],
        [refusal_to_row(new, recorded) for new in changes.refusals],
        [account_change_to_row(before, after) for before, after in changes.accounts],
        lots_new,
        lots_changed,
        holds_new,
        holds_changed,
        [till_to_row(chain) for chain in changes.tills],
        [item_to_row(item) for item in changes.inbox],
        [purchase_to_row(one) for one in changes.purchases],
    )
    present = tuple(bool(part) for part in rows)
    if not any(present) and changes.journal is None:
        return None
    values: list[Any] = [program_id]
    for part, part_rows in zip(_PARTS, rows, strict=True):
        if part_rows:
            values += part.literals(part_rows)
    counted = sum(len(r) for part, r in zip(_PARTS, rows, strict=True) if part.counted)
    if changes.journal is not None:
        values += journal_to_row(changes.journal)
        # A lane's first row follows none.
        counted += changes.journal.lane_seq > 1
    values.append(counted)
    return Write(_statement(present, changes.journal is not None), values)


def _folded(
    new: list[tuple[Any, ...]], changed: list[tuple[Any, ...]]
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Put changes of rows that the same batch makes into those rows: parts of one statement do not see each other."""
    if not (new and changed):
        return new, changed
    made = {row[:2]: row for row in new}
    later = [row for row in changed if row[:2] not in made]
    made.update((row[:2], row) for row in changed if row[:2] in made)
    return list(made.values()), later


@lru_cache(maxsize=512)
def _statement(present: tuple[bool, ...], with_journal: bool) -> str:
    parts = [part for part, here in zip(_PARTS, present, strict=True) if here]
    numbers = iter(range(2, 1_000))
    written = [f"{part.name} AS ({part.sql.format(rows=_unnested(part, numbers))})" for part in parts]
    counts = [f"(SELECT count(*) FROM {part.name})" for part in parts if part.counted]
    if with_journal:
        casts = {column: f"${next(numbers)}::{_journal_type(column)}" for column in _columns(JOURNAL_COLUMNS)}
        written.append(
            f"journal_new AS (INSERT INTO journal (program_id, {', '.join(casts)}) "
            f"SELECT $1::text, {', '.join(casts.values())})"
        )
        # A database that was set back ends a lane elsewhere than whoever wrote it remembers.
        counts.append(
            "(SELECT count(*) FROM journal WHERE program_id = $1::text "
            f"AND lane_id = {casts['lane_id']} AND lane_seq = {casts['lane_seq']} - 1 AND hash = {casts['prev_hash']})"
        )
    # The check stands in the statement, so that it can go out in one message with the COMMIT.
    check = f"1 / ({' + '.join(counts) or '0'} = ${next(numbers)}::bigint)::int"
    return f"WITH {', '.join(written)} SELECT {check}"


def _unnested(part: _Part, numbers: Iterable[int]) -> str:
    kinds = [_kind(column) for column in part.columns]
    arrays = [
        f"${number}::{_UNNEST_AS.get(kind, kind)}[]" for kind, number in zip(kinds, numbers, strict=False)
    ]
    return f"unnest({', '.join(arrays)}) AS v({', '.join(part.columns)})"


def _journal_type(column: str) -> str:
    if column in ("payload", "prev_hash", "hash"):
        return "bytea"
    return "int" if column in ("lane_id", "count") else "bigint"
