"""The members that a till knows: a base file that never changes, and over it, in SQLite, what has changed since.

A member in the overlay hides its record and its tags in the base. Whatever is stored is on the disk before the cursor
that stands for it, so after a crash the gateway tells at most again what the till has already, and every state
replaces the one before. When the overlay has grown, both are merged into a new base.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from tallystick.core.ids import EPOCH_ORDINAL, MemberId
from tallystick.v1 import store_pb2
from tallystick_till.ports import Known, Snapshot
from tallystick_till.snapshot_build import Row, Stage, merge
from tallystick_till.snapshot_file import (
    ID_BYTES,
    TAG_BYTES,
    BaseFile,
    SnapshotDamaged,
    member_bytes,
    member_id_of,
)


class SnapshotIncomplete(Exception):
    """A part of a snapshot came whose beginning did not: the gateway must begin it again."""


CHANGED_MAX = 50_000
"""So many members may the overlay hold before it is merged into a new base."""
ERASED = 2
PAGES_KEPT_FINDS = 500
"""After so many look-ups the pages of the base that they touched stop counting as this process's memory."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changed (
  member_id BLOB PRIMARY KEY, seq INTEGER NOT NULL, active INTEGER NOT NULL, tier_id TEXT NOT NULL,
  status INTEGER NOT NULL, tags BLOB NOT NULL, fresh INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS paid (member_id BLOB PRIMARY KEY, memberships TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changed_tag (
  member_id BLOB NOT NULL, tag BLOB NOT NULL, PRIMARY KEY (tag, member_id)
) WITHOUT ROWID;
"""
_UPSERT = """
INSERT INTO changed VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (member_id) DO UPDATE SET
  seq = excluded.seq, active = excluded.active, tier_id = excluded.tier_id, status = excluded.status,
  tags = excluded.tags
"""


_PUT_PAID = "INSERT OR REPLACE INTO paid VALUES (?, ?)"


class SnapshotStore(Snapshot, Protocol):
    """A snapshot as the one who keeps it up to date sees it."""

    def cursor(self) -> bytes:
        """Return how far the gateway's news are stored; empty for not at all."""
        ...

    def set_cursor(self, cursor: bytes) -> None:
        """Note that all news up to a cursor are stored."""
        ...

    def set_tiers(self, tiers: Sequence[str]) -> None:
        """Say which tiers the numbers of coming members mean, counted from 1."""
        ...

    def apply(self, members: Sequence[store_pb2.MemberState]) -> None:
        """Replace what is known of some members."""
        ...

    def stage(self, part: store_pb2.SnapshotPart) -> list[store_pb2.MemberState]:
        """Take a part of a whole snapshot, which comes into force with the last part.

        Returns, then, the members of all parts that have leases or vouchers; before, nothing. Raises
        ``SnapshotIncomplete``.
        """
        ...


class FileSnapshot:
    """A snapshot in a directory of its own. One thread writes; any number read."""

    def __init__(self, directory: Path, *, changed_max: int = CHANGED_MAX) -> None:
        self._directory = directory
        self._changed_max = changed_max
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write = _open_overlay(directory)
        self._read = sqlite3.connect(directory / "snapshot.db", isolation_level=None, check_same_thread=False)
        self._read.execute("PRAGMA query_only=ON")
        self._reading = threading.Lock()
        self._stage: Stage | None = None
        self._finds = 0
        self._base = self._open_base()
        counts: tuple[int, int] = self._write.execute(
            "SELECT count(*), coalesce(sum(fresh), 0) FROM changed"
        ).fetchone()
        self._changed, self._fresh = counts
        self._tiers: list[str] = json.loads(self._meta("tiers") or b"[]")

    def close(self) -> None:
        with self._reading:
            self._drop_stage()
            self._write.close()
            self._read.close()
            if self._base is not None:
                self._base.close()

    def find(self, tag: bytes) -> list[Known]:
        """Return the members that a store tag may belong to. About 20 microseconds among a million."""
        with self._reading:
            self._spare_memory()
            found = [
                _known(row)
                for row in self._read.execute(
                    "SELECT changed.* FROM changed_tag JOIN changed USING (member_id) WHERE tag = ?", (tag,)
                )
            ]
            base = self._base
            if base is not None:
                found += [
                    base.known(row)
                    for row in base.rows_of_tag(tag)
                    if self._in_overlay(base.id_at(row)) is None
                ]
            return [self._with_memberships(known) for known in found]

    def member(self, member_id: MemberId) -> Known | None:
        raw = member_bytes(member_id)
        if not raw:
            return None
        with self._reading:
            changed = self._in_overlay(raw)
            if changed is not None:
                return self._with_memberships(changed)
            row = self._base.row_of(raw) if self._base else -1
            if self._base is None or row < 0:
                return None
            return self._with_memberships(self._base.known(row))

    def count(self) -> int:
        with self._reading:
            return self._fresh + (self._base.members if self._base else 0)

    def cursor(self) -> bytes:
        return self._meta("cursor")

    def set_cursor(self, cursor: bytes) -> None:
        self._set_meta("cursor", cursor)

    def set_tiers(self, tiers: Sequence[str]) -> None:
        # Kept by name: a number means something else after the next change of the rules.
        self._tiers = list(tiers)
        self._set_meta("tiers", json.dumps(self._tiers).encode())

    def apply(self, members: Sequence[store_pb2.MemberState]) -> None:
        rows = [(*row, self._is_fresh(row[0])) for row in _rows(members, self._tiers)]
        db, changed, fresh = self._write, 0, 0
        db.execute("BEGIN IMMEDIATE")
        try:
            for row in rows:
                before = db.execute("SELECT tags FROM changed WHERE member_id = ?", (row[0],)).fetchone()
                if before is not None:
                    db.executemany(
                        "DELETE FROM changed_tag WHERE tag = ? AND member_id = ?", _tags(row[0], before[0])
                    )
                else:
                    changed += 1
                    fresh += row[6]
                db.execute(_UPSERT, row)
                db.executemany(
                    "INSERT OR IGNORE INTO changed_tag (tag, member_id) VALUES (?, ?)", _tags(row[0], row[5])
                )
            db.executemany("DELETE FROM paid WHERE member_id = ?", ((one.member_id,) for one in members))
            db.executemany(_PUT_PAID, _paid(members))
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        self._changed += changed
        self._fresh += fresh
        if self._changed > self._changed_max:
            self.compact()

    def stage(self, part: store_pb2.SnapshotPart) -> list[store_pb2.MemberState]:
        if part.first:
            self._drop_stage()
            self._stage = Stage(self._directory / "stage.tmp")
        if self._stage is None:
            raise SnapshotIncomplete
        wanted = (
            one.SerializeToString()
            for one in part.members
            if one.leases or one.vouchers_used or one.memberships
        )
        self._stage.add(_rows(part.members, self._tiers), wanted)
        if not part.last:
            return []
        kept = [store_pb2.MemberState.FromString(state) for state in self._stage.kept()]
        self._switch(self._stage.build(self._next_base()), paid=_paid(kept))
        self._drop_stage()
        return [one for one in kept if one.leases or one.vouchers_used]

    def compact(self) -> None:
        """Merge the overlay into a new base. Readers go on with the old one until it is done."""
        rows: Iterator[Row] = self._write.execute(
            "SELECT member_id, seq, active, tier_id, status, tags FROM changed ORDER BY member_id"
        )
        self._switch(merge(self._base, rows, self._next_base()))

    def _switch(self, path: Path, paid: Iterable[tuple[bytes, str]] | None = None) -> None:
        """Put a new base in force; ``paid`` are the memberships of a whole new snapshot."""
        base, old = BaseFile(path), self._base
        with self._reading:
            self._write.execute("BEGIN IMMEDIATE")
            self._write.execute("INSERT OR REPLACE INTO meta VALUES ('base', ?)", (path.name.encode(),))
            self._write.execute("DELETE FROM changed_tag")
            self._write.execute("DELETE FROM changed")
            if paid is not None:
                self._write.execute("DELETE FROM paid")
                self._write.executemany(_PUT_PAID, paid)
            self._write.execute("COMMIT")
            self._base, self._changed, self._fresh = base, 0, 0
            if old is not None:
                old.close()
        if old is not None:
            old.path.unlink(missing_ok=True)

    def _open_base(self) -> BaseFile | None:
        """Open the base that is in force, and remove what a crash left behind."""
        named = self._meta("base").decode()
        base: BaseFile | None = None
        for path in sorted(self._directory.glob("snapshot-*.base"), key=_number, reverse=True):
            if base is None and (path.name == named or not named):
                base = self._try_base(path)
            if base is None or base.path != path:
                path.unlink()
        for path in (*self._directory.glob("snapshot-*.part"), *self._directory.glob("stage.tmp")):
            path.unlink()
        if base is None and named:
            # What lies over a lost base is a small part of the whole: everything must come again.
            self._set_meta("cursor", b"")
        return base

    def _try_base(self, path: Path) -> BaseFile | None:
        try:
            return BaseFile(path)
        except SnapshotDamaged:
            return None

    def _next_base(self) -> Path:
        number = _number(self._base.path) + 1 if self._base else 1
        return self._directory / f"snapshot-{number}.base"

    def _drop_stage(self) -> None:
        if self._stage is not None:
            self._stage.close()
            self._stage = None

    def _spare_memory(self) -> None:
        """Give mapped pages back now and then: those that are wanted again come from the system's cache."""
        self._finds += 1
        if self._finds % PAGES_KEPT_FINDS == 0 and self._base is not None:
            self._base.forget_pages()

    def _is_fresh(self, member: bytes) -> bool:
        return self._base is None or self._base.row_of(member) < 0

    def _in_overlay(self, member: bytes) -> Known | None:
        row = self._read.execute("SELECT * FROM changed WHERE member_id = ?", (member,)).fetchone()
        return None if row is None else _known(row)

    def _with_memberships(self, known: Known) -> Known:
        raw = member_bytes(known.member_id)
        row = self._read.execute("SELECT memberships FROM paid WHERE member_id = ?", (raw,)).fetchone()
        return known if row is None else replace(known, memberships=_memberships(row[0]))

    def _meta(self, name: str) -> bytes:
        row = self._write.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return b"" if row is None else bytes(row[0])

    def _set_meta(self, name: str, value: bytes) -> None:
        self._write.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


class MemorySnapshot:
    """A snapshot that lives as long as its process: for training and for simulations."""

    def __init__(self) -> None:
        self._members: dict[bytes, Row] = {}
        self._paid: dict[bytes, str] = {}
        self._by_tag: dict[bytes, set[bytes]] = {}
        self._staged: list[store_pb2.MemberState] | None = None
        self._cursor = b""
        self._tiers: list[str] = []

    def find(self, tag: bytes) -> list[Known]:
        return [self._of(self._members[raw]) for raw in sorted(self._by_tag.get(tag, ()))]

    def member(self, member_id: MemberId) -> Known | None:
        row = self._members.get(member_bytes(member_id))
        return None if row is None else self._of(row)

    def _of(self, row: Row) -> Known:
        return replace(_known(row), memberships=_memberships(self._paid.get(row[0], "[]")))

    def count(self) -> int:
        return len(self._members)

    def cursor(self) -> bytes:
        return self._cursor

    def set_cursor(self, cursor: bytes) -> None:
        self._cursor = cursor

    def set_tiers(self, tiers: Sequence[str]) -> None:
        self._tiers = list(tiers)

    def apply(self, members: Sequence[store_pb2.MemberState]) -> None:
        for row in _rows(members, self._tiers):
            before = self._members.get(row[0])
            for tag, raw in _tags(row[0], before[5]) if before else ():
                self._by_tag[tag].discard(raw)
            self._members[row[0]] = row
            for tag, raw in _tags(row[0], row[5]):
                self._by_tag.setdefault(tag, set()).add(raw)
            self._paid.pop(row[0], None)
        self._paid.update(_paid(members))

    def stage(self, part: store_pb2.SnapshotPart) -> list[store_pb2.MemberState]:
        if part.first:
            self._staged = []
        if self._staged is None:
            raise SnapshotIncomplete
        self._staged.extend(part.members)
        if not part.last:
            return []
        staged, self._staged = self._staged, None
        self._members, self._by_tag, self._paid = {}, {}, {}
        self.apply(staged)
        return [one for one in staged if one.leases or one.vouchers_used]


def _open_overlay(directory: Path) -> sqlite3.Connection:
    """Open the overlay; one that is damaged is made anew, and everything comes again."""
    path = directory / "snapshot.db"
    try:
        return _connect(path)
    except sqlite3.DatabaseError:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    # What the till forgets because the snapshot holds it must not be lost with the snapshot's last pages.
    db.execute("PRAGMA synchronous=FULL")
    db.executescript(_SCHEMA)
    return db


def _rows(members: Iterable[store_pb2.MemberState], tiers: Sequence[str]) -> Iterator[Row]:
    for one in members:
        if len(one.member_id) != ID_BYTES or len(one.tags) % TAG_BYTES:
            continue
        tier_id = tiers[one.tier - 1] if 0 < one.tier <= len(tiers) else ""
        tags = b"" if one.status == ERASED else one.tags
        yield one.member_id, one.seq, one.active_points, tier_id, one.status & 255, tags


def _paid(members: Iterable[store_pb2.MemberState]) -> Iterator[tuple[bytes, str]]:
    """Yield the memberships of members as they are kept: the last days as ordinals."""
    for one in members:
        if one.memberships and len(one.member_id) == ID_BYTES and one.status != ERASED:
            days = [(paid.membership_id, paid.last_day + EPOCH_ORDINAL) for paid in one.memberships]
            yield one.member_id, json.dumps(days)


def _memberships(text: str) -> tuple[tuple[str, int], ...]:
    return tuple((membership_id, last) for membership_id, last in json.loads(text))


def _tags(member: bytes, tags: bytes) -> list[tuple[bytes, bytes]]:
    return [(tags[at : at + TAG_BYTES], member) for at in range(0, len(tags), TAG_BYTES)]


def _known(row: Sequence[object]) -> Known:
    member, seq, active, tier_id, status = row[:5]
    assert isinstance(member, bytes)
    assert isinstance(seq, int)
    assert isinstance(active, int)
    assert isinstance(status, int)
    return Known(member_id_of(member), seq, active, str(tier_id), status)


def _number(path: Path) -> int:
    digits = path.stem.partition("-")[2]
    return int(digits) if digits.isdecimal() else 0
