"""Batches and cards as messages of the contract."""

from __future__ import annotations

from tallystick.rpc.convert.people import kind_to_pb
from tallystick.rpc.convert.scalars import ms_to_pb
from tallystick.security.identifiers import IdentifierKind
from tallystick.service.card_ports import CardState
from tallystick.service.cards import BatchNow, CardNow
from tallystick.v1 import card_pb2 as pb


def batch_to_pb(now: BatchNow) -> pb.CardBatch:
    """Return a batch with its counts."""
    return pb.CardBatch(
        batch_id=now.batch.batch_id,
        kind=kind_to_pb(IdentifierKind(now.batch.kind)),
        prefix=now.batch.prefix,
        label=now.batch.label,
        card_count=now.batch.count,
        blank_count=now.blank,
        claimed_count=now.claimed,
        lost_count=now.lost,
        created_at=ms_to_pb(now.batch.created_ms),
    )


def card_to_pb(now: CardNow) -> pb.Card:
    """Return a card; the number of one that somebody has, or had, is nobody else's business."""
    state = now.card.state
    return pb.Card(
        position=now.card.position,
        state=pb.CardState.ValueType(int(state)),
        number=now.number.value if state is CardState.BLANK else "",
        masked=now.number.masked,
    )
