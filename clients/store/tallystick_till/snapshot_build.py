"""Making base files: from a stream of members in any order, or from an old base and what has changed since.

Neither holds the members in memory: the stream is sorted by SQLite on the disk, the merge copies ranges of the old
file. The tag index is put together in 256 heaps by first byte, which keyed tags fill evenly.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import zlib
from array import array
from collections.abc import Iterable
from pathlib import Path

from tallystick_till.snapshot_file import (
    ACTIVE_ELSEWHERE,
    ACTIVE_MAX,
    ENTRY_BYTES,
    HEADER_BYTES,
    MEMBERS_MAX,
    RECORD,
    SEQ_MAX,
    TAG_BYTES,
    TIER_MAX,
    BaseFile,
    header,
)

Row = tuple[bytes, int, int, str, int, bytes]
"""member_id (16 bytes), seq, active, tier_id, status, tags (7 bytes each)."""

BREATHE_EVERY = 2_000
BREATHE_S = 0.0002
"""A merge lets the till's other threads in that often: a sale must not wait for a second of sorting."""
FORGET_EVERY = 100_000
"""So many rows of the old base are mapped at most while they are copied."""
_HIDDEN = 2**32 - 1
_BUFFER_BYTES = 1 << 18

_STAGE = """
CREATE TABLE member (
  member_id BLOB NOT NULL, seq INTEGER NOT NULL, active INTEGER NOT NULL, tier_id TEXT NOT NULL,
  status INTEGER NOT NULL, tags BLOB NOT NULL
);
CREATE TABLE kept (state BLOB NOT NULL);
"""


class SnapshotTooLarge(Exception):
    """More members than a till's snapshot can hold."""


class BaseWriter:
    """Writes one base file: members in the order of their ids, each with its tags, then ``finish``."""

    def __init__(self, path: Path, tiers: Iterable[str] = ()) -> None:
        self._path = path
        self._part = path.with_suffix(".part")
        self._file = self._part.open("wb", buffering=_BUFFER_BYTES)
        self._file.write(bytes(HEADER_BYTES))
        self._checksum = 0
        self.tiers = list(tiers)
        self._tier_numbers = {tier_id: number for number, tier_id in enumerate(self.tiers, 1)}
        self._heaps = [bytearray() for _ in range(256)]
        self.large: dict[int, tuple[int, int, str]] = {}
        self.members = 0

    def member(self, row: Row) -> None:
        """Write the next member and note its tags."""
        member, seq, active, tier_id, status, tags = row
        tier = self._tier_number(tier_id)
        if not 0 <= active <= ACTIVE_MAX or not 0 <= seq <= SEQ_MAX or tier > TIER_MAX:
            self.large[self.members] = (active, seq, tier_id)
            active, seq, tier = ACTIVE_ELSEWHERE, 0, 0
        place = self.members.to_bytes(3, "big")
        for at in range(0, len(tags), TAG_BYTES):
            self._heaps[tags[at]] += tags[at : at + TAG_BYTES] + place
        self.copy(RECORD.pack(member, active, seq >> 8, seq & 255, tier, status), 1)

    def copy(self, records: bytes, count: int) -> None:
        """Write records of another base whose tiers this one began with."""
        self.members += count
        if self.members > MEMBERS_MAX:
            raise SnapshotTooLarge(f"a snapshot holds {MEMBERS_MAX} members at most")
        self._write(records)

    def entry(self, tag: bytes, row: int) -> None:
        """Note one tag of a member that was copied."""
        self._heaps[tag[0]] += tag + row.to_bytes(3, "big")

    def finish(self) -> Path:
        """Write the tags and the footer; the file has its name and is on the disk when this returns."""
        tags = 0
        for number, heap in enumerate(self._heaps):
            entries = sorted({bytes(heap[at : at + ENTRY_BYTES]) for at in range(0, len(heap), ENTRY_BYTES)})
            self._heaps[number] = bytearray()
            tags += len(entries)
            self._write(b"".join(entries))
            if len(entries) > BREATHE_EVERY // 20:
                time.sleep(BREATHE_S)
        footer = json.dumps({"tiers": self.tiers, "large": self.large}).encode()
        self._write(footer)
        self._file.seek(0)
        self._file.write(
            header(members=self.members, tags=tags, footer_bytes=len(footer), checksum=self._checksum)
        )
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)
        sync_directory(self._path.parent)
        return self._path

    def abandon(self) -> None:
        """Remove what was written."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def _tier_number(self, tier_id: str) -> int:
        if not tier_id:
            return 0
        number = self._tier_numbers.get(tier_id)
        if number is None:
            if len(self.tiers) >= TIER_MAX:
                return TIER_MAX + 1
            self.tiers.append(tier_id)
            number = self._tier_numbers[tier_id] = len(self.tiers)
        return number

    def _write(self, data: bytes) -> None:
        self._checksum = zlib.crc32(data, self._checksum)
        self._file.write(data)


class Stage:
    """Members of a snapshot that is still coming, in any order; of two states of a member the later one counts.

    ``keep`` holds whole messages that somebody must see once the snapshot is complete. The file needs no care: after
    a crash the snapshot begins again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-4000", "temp_store=FILE"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_STAGE)

    def add(self, rows: Iterable[Row], keep: Iterable[bytes] = ()) -> None:
        """Take members."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO member VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._db.executemany("INSERT INTO kept VALUES (?)", ((state,) for state in keep))
        self._db.execute("COMMIT")

    def kept(self) -> list[bytes]:
        """Return what was kept, in order."""
        return [state for (state,) in self._db.execute("SELECT state FROM kept ORDER BY rowid")]

    def build(self, path: Path) -> Path:
        """Write all members into a base file."""
        writer = BaseWriter(path)
        try:
            waiting: Row | None = None
            # In this order SQLite sorts on the disk; the later state of a member follows the earlier one.
            for row in self._db.execute("SELECT * FROM member ORDER BY member_id, rowid"):
                if waiting is not None and waiting[0] != row[0]:
                    writer.member(waiting)
                    if not writer.members % BREATHE_EVERY:
                        time.sleep(BREATHE_S)
                waiting = row
            if waiting is not None:
                writer.member(waiting)
            return writer.finish()
        except BaseException:
            writer.abandon()
            raise

    def close(self) -> None:
        """Remove it."""
        self._db.close()
        self._path.unlink(missing_ok=True)


def merge(base: BaseFile | None, changed: Iterable[Row], path: Path) -> Path:
    """Write a base of an old one and of what has changed, sorted by id, which hides old records and tags."""
    writer = BaseWriter(path, base.tiers if base else ())
    try:
        moved = array("I")
        for number, row in enumerate(changed):
            if base is not None:
                stop = base.lower_bound(row[0])
                _copy(base, writer, moved, stop)
                if stop < base.members and base.id_at(stop) == row[0]:
                    moved.append(_HIDDEN)
            writer.member(row)
            if not number % BREATHE_EVERY:
                time.sleep(BREATHE_S)
        if base is not None:
            _copy(base, writer, moved, base.members)
            base.forget_pages()
            _move_large(base, writer, moved)
            _move_tags(base, writer, moved)
            base.forget_pages()
        return writer.finish()
    except BaseException:
        writer.abandon()
        raise


def sync_directory(path: Path) -> None:
    """Make a rename in a directory last."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy(base: BaseFile, writer: BaseWriter, moved: array[int], stop: int) -> None:
    """Copy the rows from where the last copy ended; ``moved`` says for every old row where it went."""
    while (first := len(moved)) < stop:
        upto = min(stop, first + BREATHE_EVERY * 10)
        moved.extend(range(writer.members, writer.members + upto - first))
        writer.copy(base.records(first, upto), upto - first)
        if first // FORGET_EVERY != upto // FORGET_EVERY:
            base.forget_pages()


def _move_large(base: BaseFile, writer: BaseWriter, moved: array[int]) -> None:
    for row, values in base.large.items():
        if moved[row] != _HIDDEN:
            writer.large[moved[row]] = values


def _move_tags(base: BaseFile, writer: BaseWriter, moved: array[int]) -> None:
    for first in range(0, base.tags, BREATHE_EVERY):
        entries = base.entries(first, min(base.tags, first + BREATHE_EVERY))
        for at in range(0, len(entries), ENTRY_BYTES):
            row = moved[int.from_bytes(entries[at + TAG_BYTES : at + ENTRY_BYTES], "big")]
            if row != _HIDDEN:
                writer.entry(entries[at : at + TAG_BYTES], row)
        if not first % FORGET_EVERY:
            base.forget_pages()
        time.sleep(BREATHE_S)
