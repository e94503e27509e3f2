"""Instants, ids and money in the contract's terms."""

from __future__ import annotations

from datetime import date

from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.core.ids import NEVER_MS, Ms
from tallystick.service.errors import InvalidInput
from tallystick.v1 import types_pb2 as types

MS_PER_S = 1_000
NANOS_PER_MS = 1_000_000


def ms_from_pb(timestamp: Timestamp) -> Ms:
    """Return the instant; what is finer than a millisecond is cut off."""
    return Ms(timestamp.seconds * MS_PER_S + timestamp.nanos // NANOS_PER_MS)


def ms_to_pb(at_ms: int) -> Timestamp:
    """Return the instant, exactly."""
    seconds, rest = divmod(at_ms, MS_PER_S)
    return Timestamp(seconds=seconds, nanos=rest * NANOS_PER_MS)


def known_ms_to_pb(at_ms: int) -> Timestamp | None:
    """Return the instant; None, which leaves a field unset, for "never" and for "not yet"."""
    return ms_to_pb(at_ms) if 0 < at_ms < NEVER_MS else None


def day_from_pb(text: str, *, field: str) -> date:
    """Return the day of YYYY-MM-DD. Raises ``InvalidInput`` for one that no calendar has, such as 31 February."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            "There is no such day.", violations=((field, "must be a day of the calendar"),)
        ) from None


def money_to_pb(currency: str, amount_minor: int) -> types.Money:
    """Return the amount with its currency."""
    return types.Money(currency_code=currency, amount_minor=amount_minor)
