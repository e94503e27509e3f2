"""Walks along a program's journal: which entries there are between two places."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Mapping

from tallystick.core.chain import REF_BYTES
from tallystick.core.ids import MemberId, ProgramId
from tallystick.service.ports import LedgerReader

JOURNAL_PAGE = 100

_SEQ = struct.Struct(">I")
_UUID_BYTES = 16


def entries_between(
    store: LedgerReader, program_id: ProgramId, *, after: Mapping[int, int], heads: Mapping[int, int]
) -> Iterable[tuple[MemberId, int]]:
    """Yield (member, seq) of the entries behind a place, up to the heads of the lanes.

    The heads are one instant's: of a member whose entries lie in several lanes all up to then are found, and can be
    put in order. That is why the whole way to them is one walk, however long it is.
    """
    lanes = dict(after)
    while any(lanes.get(lane, 0) < head for lane, head in heads.items()):
        rows = store.read_journal(program_id, after=lanes, limit=JOURNAL_PAGE)
        if not rows:
            return
        for lane, lane_seq, payload in rows:
            lanes[lane] = lane_seq
            if lane_seq <= heads.get(lane, 0):
                yield from entries_in(payload)


def entries_in(payload: bytes) -> Iterable[tuple[MemberId, int]]:
    """Yield (member, seq) of the entries that a row of the journal names."""
    for at in range(0, len(payload), REF_BYTES):
        member = payload[at : at + _UUID_BYTES]
        (seq,) = _SEQ.unpack_from(payload, at + _UUID_BYTES)
        yield MemberId(str(uuid.UUID(bytes=member))), seq
