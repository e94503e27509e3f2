"""Hash chain over the journal: each batch of a lane seals its entries, the program's sums, and the batch before.

``verify`` recomputes it; a row that was changed, removed or slipped in is named.
"""

from __future__ import annotations

import hashlib
import struct
import uuid

from tallystick.core.entry import Entry
from tallystick.core.ids import MemberId, Ms
from tallystick.core.record import record

DIGEST_BYTES = 16
REF_BYTES = 16 + 4 + DIGEST_BYTES
GENESIS = bytes(32)

_SEQ = struct.Struct(">I")


@record(frozen=True, slots=True)
class JournalRow:
    """One batch of one lane.

    ``payload`` is a run of 36-byte references: member (16), seq (4, big-endian), digest of the entry (16).
    ``sums`` are the batch's moves of the nine accounts, in the order of ``Moves``. ``hash`` covers all of it.
    """

    lane_id: int
    lane_seq: int
    count: int
    recorded_ms: Ms
    sums: tuple[int, ...]
    payload: bytes
    prev_hash: bytes
    hash: bytes


def entry_digest(entry: Entry, fingerprint: bytes, detail_text: str) -> bytes:
    """Return 16 bytes over everything that is stored of an entry, except when it was recorded."""
    origin = entry.origin
    store, till, reference = origin.store_id, origin.till_id, origin.reference
    moves = ",".join(map(str, entry.moves))
    # Free texts come with their lengths: else what one field ends with could be moved into the next.
    text = (
        f"{entry.command_id}|{entry.member_id}|{entry.seq}|{int(entry.kind)}|{moves}|{entry.active_after}|"
        f"{entry.pending_after}|{entry.held_after}|{entry.debt_after}|{len(entry.tier_after)}:{entry.tier_after}|"
        f"{entry.rule_set}|{int(entry.assurance)}|{origin.occurred_ms}|{int(origin.channel)}|{len(store)}:{store}|"
        f"{len(till)}:{till}|{len(reference)}:{reference}|{entry.reverses_seq}|{entry.hold_id}|"
        f"{entry.shortfall}|{entry.claimed_points}|{fingerprint.hex()}|{detail_text}"
    )
    return hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES]


def entry_ref(member_id: MemberId, seq: int, digest: bytes) -> bytes:
    """Return the journal's 36-byte reference to an entry."""
    return bytes.fromhex(member_id.replace("-", "")) + _SEQ.pack(seq) + digest


def split_refs(payload: bytes) -> list[tuple[MemberId, int, bytes]]:
    """Return (member, seq, digest) of each reference. Raises ValueError when the payload is not whole."""
    if len(payload) % REF_BYTES:
        raise ValueError(f"payload of {len(payload)} bytes is not a multiple of {REF_BYTES}")
    refs = []
    for at in range(0, len(payload), REF_BYTES):
        member = MemberId(str(uuid.UUID(bytes=payload[at : at + 16])))
        (seq,) = _SEQ.unpack_from(payload, at + 16)
        refs.append((member, seq, payload[at + 20 : at + REF_BYTES]))
    return refs


def seal(
    *,
    program_id: str,
    lane_id: int,
    lane_seq: int,
    recorded_ms: Ms,
    sums: tuple[int, ...],
    refs: list[bytes],
    prev_hash: bytes,
) -> JournalRow:
    """Return the journal row of a batch, chained to the lane's row before (``GENESIS`` for the first)."""
    payload = b"".join(refs)
    digest = row_hash(program_id, lane_id, lane_seq, recorded_ms, sums, payload, prev_hash)
    return JournalRow(lane_id, lane_seq, len(refs), recorded_ms, sums, payload, prev_hash, digest)


def row_hash(
    program_id: str,
    lane_id: int,
    lane_seq: int,
    recorded_ms: int,
    sums: tuple[int, ...],
    payload: bytes,
    prev_hash: bytes,
) -> bytes:
    """Return the SHA-256 that a journal row must carry."""
    head = f"{program_id}|{lane_id}|{lane_seq}|{recorded_ms}|{','.join(map(str, sums))}|"
    return hashlib.sha256(prev_hash + head.encode() + payload).digest()
