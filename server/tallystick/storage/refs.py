"""The references of the journal laid beside the entries of the ledger, however many there are.

The journal comes by lane, the ledger by member. Both sides are dropped into buckets by member, on disk once they are
large, and the buckets are compared one after the other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Self
from uuid import UUID

from tallystick.core.ids import MemberId

BUCKETS = 64
"""Also half the number of files that a large ledger needs open."""

BUCKET_MEMORY_BYTES = 256 * 1024

_LEDGER = struct.Struct(">16sI16s")
_JOURNAL = struct.Struct(">16sI16sIQ")

Difference = tuple[str, tuple[str | int, ...], str, str]
"""Table, key, what was expected, what was found."""


class Refs:
    """Collects both sides, then names the differences. A context manager, for the files behind it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._ledger = self._buckets()
        self._journal = self._buckets()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def from_ledger(self, member_id: MemberId, seq: int, digest: bytes) -> None:
        """Take an entry that is there. A member id that is no UUID cannot be referred to, and is not."""
        raw = _raw(member_id)
        if raw is not None:
            self._ledger[raw[-1] % BUCKETS].write(_LEDGER.pack(raw, seq, digest))

    def from_journal(self, member_id: MemberId, seq: int, digest: bytes, lane_id: int, lane_seq: int) -> None:
        """Take a reference, with the journal row that holds it."""
        raw = UUID(member_id).bytes
        self._journal[raw[-1] % BUCKETS].write(_JOURNAL.pack(raw, seq, digest, lane_id, lane_seq))

    def differences(self) -> Iterator[Difference]:
        """Yield what is on one side only, twice, or not the same."""
        for ledger, journal in zip(self._ledger, self._journal, strict=True):
            yield from _compare(_whole(ledger), _whole(journal))

    def _buckets(self) -> list[IO[bytes]]:
        return [
            self._stack.enter_context(SpooledTemporaryFile(max_size=BUCKET_MEMORY_BYTES))
            for _ in range(BUCKETS)
        ]


def _whole(bucket: IO[bytes]) -> bytes:
    bucket.seek(0)
    return bucket.read()


def _raw(member_id: MemberId) -> bytes | None:
    try:
        return UUID(member_id).bytes
    except ValueError:
        return None


def _compare(ledger: bytes, journal: bytes) -> Iterator[Difference]:
    entries = {(member, seq): digest for member, seq, digest in _LEDGER.iter_unpack(ledger)}
    sealed: dict[tuple[bytes, int], str] = {}
    for member, seq, digest, lane_id, lane_seq in _JOURNAL.iter_unpack(journal):
        name, place = str(UUID(bytes=member)), f"lane {lane_id}, row {lane_seq}"
        if (member, seq) in sealed:
            once = f"entry {seq} of member {name} only in {sealed[member, seq]}"
            yield "journal", (lane_id, lane_seq), once, "another reference to it"
            continue
        sealed[member, seq] = place
        found = entries.pop((member, seq), None)
        if found is None:
            yield "ledger", (name, seq), f"the entry that the journal refers to in {place}", "none"
        elif found != digest:
            yield "ledger", (name, seq), f"digest {digest.hex()} as sealed in {place}", found.hex()
    for member, seq in entries:
        yield "ledger", (str(UUID(bytes=member)), seq), "a reference in the journal", "none"
