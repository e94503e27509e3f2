"""The bytes of uploads: each advice's place in its till's chain, and whether the till signed it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from google.protobuf.message import DecodeError

from tallystick.core.advice import Slot
from tallystick.core.chain import GENESIS
from tallystick.security.envelope import BATCH, body_holds
from tallystick.security.keys import VerifyKey, verify_key_from_jwk
from tallystick.service.directory import Device
from tallystick.service.ports import InboxItem
from tallystick.v1 import advice_pb2, store_pb2
from tallystick.wire.advices import Unreadable, batch_message, chain_of, parse_advice


def slots_of(till: Device, request: store_pb2.PushAdvicesRequest) -> list[Slot]:
    """Return each advice's place: what the request says of it, and the hash of the one before."""
    raws, digests = list(request.advices), chain_of(request.advices)
    before = [request.prev_hash or prev_hash_of(raws[0]) or GENESIS, *digests]
    return [
        Slot(till.device_id, till.store_id, request.epoch, seq, before[at], digests[at], raw)
        for at, (seq, raw) in enumerate(enumerate(raws, request.first_seq))
    ]


def signed_by(till: Device, request: store_pb2.PushAdvicesRequest, slots: Sequence[Slot]) -> bool:
    """Return whether the till's key signed these very advices.

    The signature covers both ends; what lies between is held by each advice's hash of the one before. Bytes that are
    no message hold none: what stands before them is then covered by the token of the call alone.
    """
    message = batch_message(
        till_id=till.device_id,
        epoch=request.epoch,
        first_seq=request.first_seq,
        count=len(slots),
        prev_hash=slots[0].prev_hash,
        head=slots[-1].digest,
    )
    if not body_holds(keys_of(till), BATCH, message, key_id=till.kid, signature=request.signature):
        return False
    return all(prev_hash_of(slot.raw) in (b"", slot.prev_hash) for slot in slots)


def prev_hash_of(raw: bytes) -> bytes:
    """Return the hash of the advice before as an advice holds it; empty for what is no advice."""
    try:
        return bytes(parse_advice(raw).prev_hash)
    except Unreadable:
        return b""


def keys_of(till: Device) -> dict[str, VerifyKey]:
    """Return the key that a device has now, by its name."""
    return {till.kid: verify_key_from_jwk(json.loads(till.public_jwk))}


def advice_of(item: InboxItem) -> bytes:
    """Return the advice in an item: one that was recovered with a wrong signature is kept together with it."""
    if item.seq or prev_hash_of(item.raw):
        return item.raw
    try:
        return advice_pb2.SignedAdvice.FromString(item.raw).advice or item.raw
    except DecodeError:
        return item.raw
