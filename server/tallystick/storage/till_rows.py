"""Rows and records of tills' chains and of the inbox, the same for every database."""

from __future__ import annotations

import json
from typing import Any

from tallystick.core.advice import TillChain, TillStatus, Verdict, VerdictKind, VerdictReason
from tallystick.service.ports import InboxItem, InboxState
from tallystick.storage.rows import Row

TILL_COLUMNS = (
    "till_id, store_id, epoch, acked_seq, head, status, fenced_ms, fences, contact_ms, drained_ms, "
    "queued, floor_points"
)
INBOX_COLUMNS = (
    "item_id, till_id, store_id, epoch, seq, received_ms, raw, "
    "verdict, reasons, member_seq, earned_points, shortfall_points, details, "
    "state, waits_for, resolved_by, note, resolved_ms"
)
INBOX_CHANGING = INBOX_COLUMNS.partition("raw, ")[2]
"""What may be written again: who sent what and when it came stays as it is."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, check_circular=False).encode


def till_from_row(row: Row) -> TillChain:
    """Return the chain of a row of ``TILL_COLUMNS``."""
    till_id, store_id, epoch, acked_seq, head, status, fenced_ms, *rest = row
    fenced = tuple(json.loads(fenced_ms))
    return TillChain(till_id, store_id, epoch, acked_seq, bytes(head), TillStatus(status), fenced, *rest)


def till_to_row(chain: TillChain) -> tuple[Any, ...]:
    """Return the values of ``TILL_COLUMNS``."""
    return (
        chain.till_id,
        chain.store_id,
        chain.epoch,
        chain.acked_seq,
        chain.head,
        int(chain.status),
        _encode(chain.fenced_ms),
        chain.fences,
        chain.contact_ms,
        chain.drained_ms,
        chain.queued,
        chain.floor_points,
    )


def item_from_row(row: Row) -> InboxItem:
    """Return the item of a row of ``INBOX_COLUMNS``."""
    item_id, till_id, store_id, epoch, seq, received_ms, raw = row[:7]
    kind, reasons, member_seq, earned_points, shortfall_points, details = row[7:13]
    state, waits_for, resolved_by, note, resolved_ms = row[13:]
    verdict = Verdict(
        VerdictKind(kind),
        tuple(map(VerdictReason, json.loads(reasons))),
        member_seq,
        earned_points,
        shortfall_points,
        tuple((name, value) for name, value in json.loads(details)),
    )
    return InboxItem(
        item_id,
        till_id,
        store_id,
        epoch,
        seq,
        verdict,
        InboxState(state),
        received_ms,
        bytes(raw),
        waits_for,
        resolved_by,
        note,
        resolved_ms,
    )


def item_to_row(item: InboxItem) -> tuple[Any, ...]:
    """Return the values of ``INBOX_COLUMNS``."""
    verdict = item.verdict
    return (
        item.item_id,
        item.till_id,
        item.store_id,
        item.epoch,
        item.seq,
        item.received_ms,
        item.raw,
        int(verdict.kind),
        _encode([int(reason) for reason in verdict.reasons]),
        verdict.member_seq,
        verdict.earned_points,
        verdict.shortfall_points,
        _encode(verdict.details),
        int(item.state),
        item.waits_for,
        item.resolved_by,
        item.note,
        item.resolved_ms,
    )
