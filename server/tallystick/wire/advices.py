"""The bytes of advices: read into the core's facts, hashed, signed in batches, drawn as digits.

Whatever a till sends, reading it raises nothing but ``Unreadable``: the bytes are then kept for a person to look at.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence

from google.protobuf.message import DecodeError, Message

from tallystick.core.advice import Slot, digest_of
from tallystick.core.basket import LINES_MAX, Assurance, Channel, Origin
from tallystick.core.command import (
    Advice,
    Authority,
    AuthorityKind,
    ReturnLine,
    SettleEnrolment,
    SettleReturn,
    SettleSale,
    SettleUndo,
)
from tallystick.core.ids import AMOUNT_MINOR_MAX, POINTS_MAX, CommandId, MemberId, Minor, Ms
from tallystick.core.record import record
from tallystick.v1 import advice_pb2 as pb
from tallystick.wire.basket import basket_from_pb, spend_from_pb

ADVICE_BYTES_MAX = 65_536
BATCH_MAX = 500
BATCH_BYTES_MAX = 256 * 1024
REFERENCE_MAX = 64
HASH_BYTES = 32
UUID_BYTES = 16
DIGITS_MAX = 4_000
"""Most digits of a code that are looked at; a QR of version 25-M holds fewer."""

_NUMBERS = struct.Struct(">QQQ")
_INT64_MAX = 2**63 - 1


class Unreadable(ValueError):
    """The bytes are no advice of this contract; the text says why and repeats nothing of them."""


@record(frozen=True, slots=True)
class ReadAdvice:
    """An advice, read. ``told_ms`` is the till's own time; ``command.origin.occurred_ms`` is the same until bounded."""

    slot: Slot
    command: Advice
    message: pb.Advice
    told_ms: int


def id_bytes(text: str) -> bytes:
    """Return a UUID's 16 bytes."""
    return uuid.UUID(text).bytes


def id_text(raw: bytes) -> str:
    """Return a UUID's canonical text. Raises ``Unreadable`` when the bytes are not 16."""
    if len(raw) != UUID_BYTES:
        raise Unreadable("an id has 16 bytes")
    return str(uuid.UUID(bytes=raw))


def batch_message(
    *, till_id: str, epoch: int, first_seq: int, count: int, prev_hash: bytes, head: bytes
) -> bytes:
    """Return what a till signs for a batch (the envelope adds the context): its place in the chain and both ends."""
    return till_id.encode() + b"\x00" + _NUMBERS.pack(epoch, first_seq, count) + prev_hash + head


def read_advice(raw: bytes, *, store_id: str) -> ReadAdvice:
    """Read an advice that a till of a store sent. Raises ``Unreadable``."""
    message = parse_advice(raw)
    try:
        command = _command(message, store_id)
    except (ValueError, KeyError, OverflowError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("a value is none of this contract's") from None
    slot = Slot(
        message.till_id,
        store_id,
        message.epoch,
        message.seq,
        message.prev_hash,
        digest_of(raw),
        raw,
    )
    return ReadAdvice(slot, command, message, message.clock.occurred_ms)


def parse_advice(raw: bytes) -> pb.Advice:
    """Return the message with what every advice must have. Raises ``Unreadable``."""
    if len(raw) > ADVICE_BYTES_MAX:
        raise Unreadable(f"longer than {ADVICE_BYTES_MAX} bytes")
    try:
        message = pb.Advice.FromString(raw)
    except DecodeError:
        raise Unreadable("not a message of this contract") from None
    if message.epoch < 1 or message.seq < 1 or len(message.prev_hash) != HASH_BYTES:
        raise Unreadable("has no place in a chain")
    return message


def _command(message: pb.Advice, store_id: str) -> Advice:
    command_id = CommandId(id_text(message.advice_id))
    member_id = MemberId(id_text(message.member_id))
    if len(message.reference) > REFERENCE_MAX:
        raise Unreadable(f"a reference has at most {REFERENCE_MAX} characters")
    occurred = min(max(message.clock.occurred_ms, 0), _INT64_MAX)
    origin = Origin(Ms(occurred), Channel.STORE, store_id, message.till_id, message.reference)
    match message.WhichOneof("fact"):
        case "sale":
            return _sale(message, command_id, member_id, origin)
        case "goods_return":
            fact = message.goods_return
            if not 0 < len(fact.lines) <= LINES_MAX:
                raise Unreadable(f"a return has 1 to {LINES_MAX} lines")
            lines = tuple(ReturnLine(line.line_no, line.quantity_milli) for line in fact.lines)
            sale_id = CommandId(id_text(fact.sale_id))
            return SettleReturn(command_id, member_id, origin, sale_id, lines, message.rule_set)
        case "undo":
            sale_id = CommandId(id_text(message.undo.sale_id))
            return SettleUndo(command_id, member_id, origin, sale_id, message.rule_set)
        case "enrolment":
            return SettleEnrolment(command_id, member_id, origin)
        case _:
            raise Unreadable("holds no fact that this gateway knows")


def _sale(message: pb.Advice, command_id: CommandId, member_id: MemberId, origin: Origin) -> SettleSale:
    fact = message.sale
    if not 0 <= fact.earned_points <= POINTS_MAX or not 0 <= fact.discount_minor <= AMOUNT_MINOR_MAX:
        raise Unreadable("points or discount are out of range")
    return SettleSale(
        command_id,
        member_id,
        origin,
        basket_from_pb(fact.basket),
        message.rule_set,
        fact.earned_points,
        fact.burned_points,
        Minor(fact.discount_minor),
        tuple(fact.reward_ids),
        Assurance(max(0, message.assurance - 1)),
        tuple(_authority(part) for part in fact.authorities),
        spend_from_pb(fact.spend) if fact.HasField("spend") else None,
    )


def _authority(part: pb.Authority) -> Authority:
    hold_id = CommandId(id_text(part.hold_id)) if part.hold_id else CommandId("")
    return Authority(AuthorityKind(part.kind), part.points, hold_id)


def authority_to_pb(right: Authority) -> pb.Authority:
    """Return a part of a burn as a message."""
    hold_id = id_bytes(right.hold_id) if right.hold_id else b""
    return pb.Authority(kind=pb.AuthorityKind.ValueType(right.kind), hold_id=hold_id, points=right.points)


def chain_of(raws: Sequence[bytes]) -> list[bytes]:
    """Return the hashes of advices in order."""
    return [digest_of(raw) for raw in raws]


def bytes_of(message: Message) -> bytes:
    """Serialise a message once; the bytes are then kept, hashed and signed as they are."""
    return message.SerializeToString(deterministic=True)


def to_digits(raw: bytes) -> str:
    """Return bytes as the decimal digits of ``0x01 || raw``: every scanner's keyboard layout has them."""
    return str(int.from_bytes(b"\x01" + raw, "big"))


def from_digits(text: str) -> bytes | None:
    """Return the bytes of ``to_digits``; None when the text is no such number."""
    if not 0 < len(text) <= DIGITS_MAX or not (text.isascii() and text.isdigit()) or text[0] == "0":
        return None
    number = int(text)
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return raw[1:] if raw[0] == 1 else None
