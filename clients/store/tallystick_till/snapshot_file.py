"""The base file of a snapshot: all members of a program in about 40 bytes each, found by bisection in mapped memory.

Layout, big-endian: a header of 64 bytes; members of 25 bytes, sorted by id; tags of 10 bytes (7 of the tag, 3 of the
member's row), sorted; a footer in JSON with the tiers' names and the few members whose numbers are too large for a
record. A file is written once and never changed, so a reader needs no lock and a crash leaves the old one.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from bisect import bisect_left
from pathlib import Path

from tallystick.core.ids import MemberId
from tallystick_till.ports import Known

MAGIC = b"TALLYSNP"
LAYOUT = 1
HEADER = struct.Struct(">8sHxxIIIII")
HEADER_BYTES = 64
RECORD = struct.Struct(">16sIHBBB")
RECORD_BYTES = RECORD.size
ID_BYTES = 16
TAG_BYTES = 7
ENTRY_BYTES = 10
MEMBERS_MAX = 2**24 - 1
ACTIVE_MAX = 2**32 - 2
SEQ_MAX = 2**24 - 2
TIER_MAX = 254
ACTIVE_ELSEWHERE = 2**32 - 1
"""In a record: look for the member's row among the large ones of the footer."""
_CHUNK_BYTES = 1 << 20


class SnapshotDamaged(Exception):
    """A base file is not one, or not as it was written: it must be fetched again."""


class BaseFile:
    """A base file, open for reading. Checked whole when it is opened (40 ms for a million members)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members, self.tags, footer_bytes = _checked(path)
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        # Bisection jumps about: what the kernel would read ahead is never used and counts as this process's memory.
        self._map.madvise(mmap.MADV_RANDOM)
        self._tags_at = HEADER_BYTES + self.members * RECORD_BYTES
        footer_at = self._tags_at + self.tags * ENTRY_BYTES
        footer = json.loads(self._map[footer_at : footer_at + footer_bytes])
        self.tiers: list[str] = footer["tiers"]
        self.large: dict[int, tuple[int, int, str]] = {
            int(row): (active, seq, tier_id) for row, (active, seq, tier_id) in footer["large"].items()
        }

    def close(self) -> None:
        self._map.close()

    def id_at(self, row: int) -> bytes:
        """Return the 16 bytes of the id in a row."""
        at = HEADER_BYTES + row * RECORD_BYTES
        return self._map[at : at + ID_BYTES]

    def lower_bound(self, member: bytes) -> int:
        """Return the first row whose id is not below ``member``; the number of rows when there is none."""
        return bisect_left(range(self.members), member, key=self.id_at)

    def row_of(self, member: bytes) -> int:
        """Return the row of a member; -1 for none."""
        row = self.lower_bound(member)
        return row if row < self.members and self.id_at(row) == member else -1

    def rows_of_tag(self, tag: bytes) -> list[int]:
        """Return the rows that a tag names."""
        at = bisect_left(range(self.tags), tag, key=self._tag_at)
        rows = []
        while at < self.tags and self._tag_at(at) == tag:
            entry = self._tags_at + at * ENTRY_BYTES
            rows.append(int.from_bytes(self._map[entry + TAG_BYTES : entry + ENTRY_BYTES], "big"))
            at += 1
        return rows

    def known(self, row: int) -> Known:
        """Return the member of a row."""
        member, active, seq_high, seq_low, tier, status = RECORD.unpack_from(
            self._map, HEADER_BYTES + row * RECORD_BYTES
        )
        if active == ACTIVE_ELSEWHERE:
            active, seq, tier_id = self.large[row]
        else:
            seq = seq_high << 8 | seq_low
            tier_id = self.tiers[tier - 1] if tier else ""
        return Known(member_id_of(member), seq, active, tier_id, status)

    def records(self, first: int, stop: int) -> bytes:
        """Return the records of a range of rows as they are."""
        return self._map[HEADER_BYTES + first * RECORD_BYTES : HEADER_BYTES + stop * RECORD_BYTES]

    def entries(self, first: int, stop: int) -> bytes:
        """Return a range of the tag index as it is."""
        return self._map[self._tags_at + first * ENTRY_BYTES : self._tags_at + stop * ENTRY_BYTES]

    def forget_pages(self) -> None:
        """Give the mapped pages back after the file was read from end to end."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def _tag_at(self, number: int) -> bytes:
        at = self._tags_at + number * ENTRY_BYTES
        return self._map[at : at + TAG_BYTES]


def member_id_of(member: bytes) -> MemberId:
    """Return the canonical text of an id of 16 bytes."""
    text = member.hex()
    return MemberId(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


def member_bytes(member_id: MemberId) -> bytes:
    """Return the 16 bytes of an id; no bytes when it is none."""
    try:
        raw = bytes.fromhex(member_id.replace("-", ""))
    except ValueError:
        return b""
    return raw if len(raw) == ID_BYTES else b""


def header(*, members: int, tags: int, footer_bytes: int, checksum: int) -> bytes:
    """Return the header; ``checksum`` is the CRC-32 of all that follows it."""
    counted = HEADER.pack(MAGIC, LAYOUT, members, tags, footer_bytes, checksum, 0)
    own = zlib.crc32(counted)
    return HEADER.pack(MAGIC, LAYOUT, members, tags, footer_bytes, checksum, own).ljust(HEADER_BYTES, b"\0")


def _checked(path: Path) -> tuple[int, int, int]:
    try:
        with path.open("rb") as file:
            magic, layout, members, tags, footer_bytes, checksum, own = HEADER.unpack_from(
                file.read(HEADER_BYTES)
            )
            counted = HEADER.pack(magic, layout, members, tags, footer_bytes, checksum, 0)
            if magic != MAGIC or layout != LAYOUT or zlib.crc32(counted) != own:
                raise SnapshotDamaged(f"{path} is no snapshot of layout {LAYOUT}")
            body = 0
            while chunk := file.read(_CHUNK_BYTES):
                body = zlib.crc32(chunk, body)
    except (OSError, struct.error) as error:
        raise SnapshotDamaged(f"{path} cannot be read: {error}") from error
    if body != checksum:
        raise SnapshotDamaged(f"{path} is not as it was written")
    return members, tags, footer_bytes
