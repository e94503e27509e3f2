"""Requests that move points, as commands of the core.

A command is converted *as it was sent*: what the caller left out stays empty (instant 0, no store, no till). Its
fingerprint is taken of that form, so that a retry has the same one although the server's clock went on; only then are
the gaps filled.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.command import (
    Adjust,
    Burn,
    Capture,
    Earn,
    PlaceHold,
    Return,
    ReturnLine,
    Reverse,
    Sale,
    Void,
)
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.rpc.convert.scalars import day_from_pb, ms_from_pb
from tallystick.v1 import ledger_pb2 as pb
from tallystick.v1 import types_pb2 as types
from tallystick.wire.basket import basket_from_pb, spend_from_pb

QUOTE_ID = CommandId("00000000-0000-0000-0000-000000000000")
"""Stands for the id of a command that is only looked at; the nil UUID (RFC 9562, 5.9) is nobody's."""

_CHANNELS = {int(channel): channel for channel in Channel}
_ASSURANCES = {int(level) + 1: level for level in Assurance}
_UNSENT_MS = Ms(0)


def command_id_from_pb(text: str) -> CommandId:
    """Return the id in the one spelling that the ledger knows."""
    return CommandId(text.lower())


def member_id_from_pb(text: str) -> MemberId:
    """Return the id in the one spelling that the ledger knows."""
    return MemberId(text.lower())


def assurance_from_pb(level: int) -> Assurance:
    """Return the level: n in the documentation is n + 1 in the contract, where 0 means that none was given."""
    return _ASSURANCES[level]


def channel_from_pb(channel: int) -> Channel:
    """Return the channel."""
    return _CHANNELS[channel]


def origin_from_pb(origin: types.Origin) -> Origin:
    """Return the origin as it was sent: an absent instant is 0."""
    occurred_ms = ms_from_pb(origin.occurred_at) if origin.HasField("occurred_at") else _UNSENT_MS
    return Origin(occurred_ms, _CHANNELS[origin.channel], origin.store_id, origin.till_id, origin.reference)


def sale_from_pb(request: pb.PostSaleRequest) -> Sale:
    """Return the sale as it was sent."""
    return Sale(
        CommandId(request.command_id.lower()),
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        basket_from_pb(request.basket),
        spend_from_pb(request.spend) if request.HasField("spend") else None,
        tuple(request.reward_ids),
        _ASSURANCES[request.assurance],
    )


def quote_from_pb(request: pb.QuoteRequest) -> Sale:
    """Return the sale that is to be judged without being posted."""
    return Sale(
        QUOTE_ID,
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        basket_from_pb(request.basket),
        spend_from_pb(request.spend) if request.HasField("spend") else None,
        tuple(request.reward_ids),
        _ASSURANCES[request.assurance],
    )


def earn_from_pb(request: pb.EarnRequest) -> Earn:
    """Return the earn as it was sent: without points it is for an action of the rule set."""
    return Earn(
        CommandId(request.command_id.lower()),
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        request.points,
        request.action_id,
        _ASSURANCES[request.assurance],
        action_id="" if request.points else request.action_id,
        subject=request.subject,
    )


def burn_from_pb(request: pb.BurnRequest) -> Burn:
    """Return the burn as it was sent."""
    return Burn(
        CommandId(request.command_id.lower()),
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        request.points,
        request.reason,
        _ASSURANCES[request.assurance],
    )


def hold_from_pb(request: pb.HoldRequest) -> PlaceHold:
    """Return the hold as it was sent."""
    return PlaceHold(
        CommandId(request.command_id.lower()),
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        request.ttl_s,
        spend_from_pb(request.spend) if request.HasField("spend") else None,
        tuple(request.reward_ids),
        basket_from_pb(request.basket) if request.HasField("basket") else None,
        _ASSURANCES[request.assurance],
    )


def capture_from_pb(request: pb.CaptureRequest) -> Capture:
    """Return the capture as it was sent. How sure the scan was is the hold's matter."""
    return Capture(
        CommandId(request.command_id.lower()),
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        CommandId(request.hold_id.lower()),
        basket_from_pb(request.basket) if request.HasField("basket") else None,
    )


def void_from_pb(request: pb.VoidRequest) -> Void:
    """Return the void as it was sent."""
    return Void(
        CommandId(request.command_id.lower()),
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        CommandId(request.hold_id.lower()),
    )


def _return_line(line: pb.ReturnLine) -> ReturnLine:
    if line.HasField("amount_minor"):
        return ReturnLine(line.line_no, amount_minor=Minor(line.amount_minor))
    return ReturnLine(line.line_no, quantity_milli=line.quantity_milli)


def return_from_pb(request: pb.PostReturnRequest | pb.PreviewReturnRequest) -> Return:
    """Return the return as it was sent, or as one that is only looked at."""
    return Return(
        CommandId(request.command_id.lower()) if isinstance(request, pb.PostReturnRequest) else QUOTE_ID,
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        CommandId(request.sale_id.lower()),
        tuple(_return_line(line) for line in request.lines),
    )


def reverse_from_pb(request: pb.ReverseRequest) -> Reverse:
    """Return the reverse as it was sent."""
    return Reverse(
        CommandId(request.command_id.lower()),
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        CommandId(request.reversed_command_id.lower()),
        request.reason,
    )


def adjust_from_pb(request: pb.AdjustRequest) -> Adjust:
    """Return the adjustment as it was sent: a last day stands as the UTC midnight that ends it.

    The caller's fingerprint must not depend on a time zone; the program's own midnight is filled in afterwards.
    Raises ``InvalidInput`` for a day that no calendar has.
    """
    expires_ms = None
    if request.expires_on:
        ends = day_from_pb(request.expires_on, field="expires_on") + timedelta(days=1)
        expires_ms = Ms(int(datetime(ends.year, ends.month, ends.day, tzinfo=UTC).timestamp()) * 1000)
    return Adjust(
        CommandId(request.command_id.lower()),
        MemberId(request.member_id.lower()),
        origin_from_pb(request.origin),
        request.points,
        request.reason,
        expires_ms,
    )
